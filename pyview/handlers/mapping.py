# SPDX-License-Identifier: GPL-2.0-or-later
"""mmap of emulated files: the kernel maps a memfd in their place (pyview/pages.py)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from functools import partial
from typing import Any

from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.handlers.files import opened, perform
from pyview.openfile import LARGEST, O_PATH, READS
from pyview.pages import PAGE
from pyview.verdicts import Done, Emulate, Handler, Mapped, Real, Redirect, Request, Verdict, Work

PROT_WRITE = 2
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 0x0F
FD = 4  # the argument of mmap
WORD = (1 << 64) - 1


def mmap(caller: Caller) -> Handler | Verdict:
    """mmap of a file."""
    file = opened(caller, FD)
    if file is None:
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
    pages, name = caller.pages(file, shared, writable)
    yield from perform(file, partial(pages.fill, offset, length))
    mode = os.O_RDWR if access == os.O_RDWR or not shared else os.O_RDONLY
    path = os.fsencode(name) + b"\0"
    fd = yield Redirect({0: path, 1: mode | os.O_CLOEXEC, 2: 0}, "open")
    if fd < 0:
        raise refuse(-fd if -fd in (errno.EMFILE, errno.ENFILE) else errno.ENOMEM)
    if shared:
        yield Mapped()
    value = yield Redirect({FD: fd})
    yield Redirect({0: fd}, "close")
    return Emulate(value)


def munmap(caller: Caller) -> Handler:
    """munmap, mremap: what was written by mapping reaches the file."""
    value = yield Redirect({})
    if value >= 0 or value < -4095:
        try:
            yield from _write_back(caller)
        finally:
            caller.unmapped()
    return Done()


def _write_back(caller: Caller) -> Generator[Request, Any, None]:
    for pages in caller.mapped():
        if pages.file.slow:
            yield Work(pages.file, pages.write_back)
        else:
            pages.write_back()


def msync(caller: Caller) -> Handler:
    """msync: the same, and it stays mapped.  Errors: EIO."""
    value = yield Redirect({})
    if value == 0:
        yield from _write_back(caller)
    return Done()
