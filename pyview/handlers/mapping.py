# SPDX-License-Identifier: GPL-2.0-or-later
"""mmap of emulated files: the kernel maps a memfd in their place (pyview/pages.py).

And who asks a list of maps what is mapped where.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from pyview.abi.words import as_fd
from pyview.api import Linear, refuse
from pyview.handlers.caller import Caller
from pyview.handlers.files import opened
from pyview.openfile import LARGEST, O_PATH, READS
from pyview.pages import PAGE, Pages, Part, rounded
from pyview.verdicts import Done, Emulate, Handler, Mapped, Real, Redirect, Request, Verdict, Work

PROT_WRITE = 2
MS_SYNC = 4
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 0x0F
MAP_FIXED = 0x10
FD, OFFSET = 4, 5  # arguments of mmap
WORD = (1 << 64) - 1
QUERY = 104  # sizeof(struct procmap_query), linux/fs.h
QUERY_MAX = 4096  # bytes, more is E2BIG
NAME_SIZE, ID_SIZE, NAME_AT, ID_AT = (
    slice(at, at + n) for at, n in ((80, 4), (84, 4), (88, 8), (96, 8))
)


def mmap(caller: Caller) -> Handler | Verdict:
    """mmap of a file."""
    file = opened(caller, FD)
    if file is None or file.direct:
        return Real()
    return _mmap(caller)


def _mmap(caller: Caller) -> Handler:
    file = opened(caller, FD)
    assert file is not None
    _, length, protection, flags, _, offset = caller.args
    shared = flags & MAP_TYPE in (MAP_SHARED, MAP_SHARED_VALIDATE)
    if offset % PAGE:
        raise refuse(errno.EINVAL)
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if not length:
        raise refuse(errno.EINVAL)
    if offset + length > (LARGEST if file.kind in (stat.S_IFREG, stat.S_IFBLK) else WORD):
        raise refuse(errno.EOVERFLOW)
    if not shared and flags & MAP_TYPE != MAP_PRIVATE:
        raise refuse(errno.EINVAL)
    access = file.flags & os.O_ACCMODE
    if access not in READS or (shared and protection & PROT_WRITE and access != os.O_RDWR):
        raise refuse(errno.EACCES)
    if file.kind not in (stat.S_IFREG, stat.S_IFBLK):
        raise refuse(errno.ENODEV)
    writable = shared and access == os.O_RDWR  # mprotect(2) may make it so later
    found = caller.image(file)
    if found is not None:
        verdict = yield from _mmap_image(caller, *found, shared, access)
        if verdict.value != -errno.ENODEV:  # else its file system maps nothing
            return verdict
    pages, name = caller.pages(file, shared, writable)
    yield from filled(pages, offset, length)
    mode = os.O_RDWR if access == os.O_RDWR or not shared else os.O_RDONLY
    fd = yield from _open(name, mode)
    if shared:
        yield Mapped()
    value = yield Redirect({FD: fd})
    yield Redirect({0: fd}, "close")
    if shared and (value >= 0 or value < -4095):
        caller.mapped_at(file, value, length, offset)
    elif shared:
        caller.unmapped()
    return Emulate(value)


def _mmap_image(
    caller: Caller, name: str, found: Linear, shared: bool, access: int
) -> Generator[Request, Any, Emulate]:
    """The kernel maps the file itself that the bytes are in; what is beyond them is nowhere."""
    _, length, _, flags, _, offset = caller.args
    inside = max(0, min(rounded(length), found.size - offset))
    fd = yield from _open(name, access if shared else os.O_RDONLY)
    if inside == rounded(length):
        value = yield Redirect({FD: fd, OFFSET: found.start + offset})
    else:
        nothing = caller.stand_in(b"")
        try:
            empty = yield from _open(nothing.name, os.O_RDWR)
            value = yield Redirect({FD: empty, OFFSET: 0})
            yield Redirect({0: empty}, "close")
        finally:
            nothing.close()
        if inside and not -4096 < value < 0:
            there = {0: value, 1: inside, 3: flags | MAP_FIXED, FD: fd}
            value = yield Redirect(there | {OFFSET: found.start + offset})
    yield Redirect({0: fd}, "close")
    return Emulate(value)


def _open(name: str, mode: int) -> Generator[Request, Any, int]:
    """A descriptor of the task for a file of the core's.  Errors: EMFILE, ENFILE, ENOMEM."""
    path = os.fsencode(name) + b"\0"
    fd: int = yield Redirect({0: path, 1: mode | os.O_CLOEXEC, 2: 0}, "open")
    if fd < 0:
        raise refuse(-fd if -fd in (errno.EMFILE, errno.ENFILE) else errno.ENOMEM)
    return fd


def filled(pages: Pages, offset: int, length: int) -> Generator[Request, Any, None]:
    """Have what is mapped hold the file's bytes there."""
    yield from _done_by(pages, partial(pages.fill, offset, length))


def _done_by(pages: Pages, run: Callable[[], None]) -> Generator[Request, Any, None]:
    """What a file does: a slow one in its tree's thread."""
    if pages.file.slow:
        yield Work(pages.tree, run)
    else:
        run()


def munmap(caller: Caller) -> Handler:
    """munmap: what was written by mapping reaches the file."""
    parts = caller.mapped(*caller.args[:2])
    if not parts:
        return Real()
    value = yield Redirect({})
    if value >= 0:
        yield from _unmapped(caller, parts)
    return Done()


def mremap(caller: Caller) -> Handler:
    """mremap: the same for what is no longer where it was."""
    start, length, size = caller.args[:3]
    parts = caller.mapped(start, max(length, 1))
    if not parts:
        return Real()
    for pages, first, _ in parts:
        if size > length:
            yield from filled(pages, first, size)
    value = yield Redirect({})
    if value >= 0 or value < -4095:
        caller.moved_mapping(start, max(length, 1), value, size)
        yield from _unmapped(caller, parts)
    return Done()


def _unmapped(caller: Caller, parts: list[Part]) -> Generator[Request, Any, None]:
    caller.unmapped()  # what nobody else has mapped is written back by that
    yield from _write_back(parts)


def _write_back(parts: list[Part]) -> Generator[Request, Any, None]:
    for pages, first, last in parts:
        yield from _done_by(pages, partial(pages.write_back, first, last))


def msync(caller: Caller) -> Handler:
    """msync: the same, and it stays mapped; with MS_SYNC it is durable.  Errors: EIO."""
    parts = caller.mapped(*caller.args[:2])
    if not parts:
        return Real()
    value = yield Redirect({})
    if value == 0:
        yield from _write_back(parts)
    if value == 0 and caller.args[2] & MS_SYNC:
        for pages in dict.fromkeys(part.pages for part in parts):
            yield from _done_by(pages, pages.file.fsync)
    return Done()


def query(caller: Caller) -> Verdict:
    """ioctl(PROCMAP_QUERY) of /proc/PID/maps: the kernel's answer with the view's name.

    Errors: ENOTTY, EFAULT, EINVAL, E2BIG, ENOENT, ENAMETOOLONG.
    """
    real = caller.text_of(as_fd(caller.args[0]))
    if not real.endswith(("/maps", "/smaps")):
        return Real()
    argument = caller.args[2]
    size = int.from_bytes(_all(caller, argument, 8), "little")
    if size > QUERY_MAX:
        raise refuse(errno.E2BIG)
    asked = _all(caller, argument, size)
    if any(asked[QUERY:]):
        raise refuse(errno.E2BIG)
    known = min(size, QUERY)
    asked = known.to_bytes(8, "little") + asked[8:known].ljust(QUERY - 8, b"\0")
    found, name, build = caller.maps_query(real, asked)
    poke = []
    if name:
        device = os.makedev(*(int.from_bytes(found[at : at + 4], "little") for at in (72, 76)))
        inode = int.from_bytes(found[64:72], "little")
        name = caller.mapping_name(device, inode, name.rstrip(b"\0")) + b"\0"
        if len(name) > int.from_bytes(asked[NAME_SIZE], "little"):
            raise refuse(errno.ENAMETOOLONG)
        poke.append((int.from_bytes(asked[NAME_AT], "little"), name))
    if build:
        poke.append((int.from_bytes(asked[ID_AT], "little"), build))
    told = bytearray(found)
    told[:8] = size.to_bytes(8, "little")
    told[NAME_SIZE] = len(name).to_bytes(4, "little")
    told[NAME_AT], told[ID_AT] = asked[NAME_AT], asked[ID_AT]
    return Emulate(0, (*poke, (argument, bytes(told[:known]))))


def _all(caller: Caller, address: int, size: int) -> bytes:
    data = caller.peek(address, size)
    if len(data) < size:
        raise refuse(errno.EFAULT)
    return data
