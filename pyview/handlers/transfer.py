# SPDX-License-Identifier: GPL-2.0-or-later
"""sendfile, splice and copy_file_range with an emulated file on one side or on both.

With one real side the kernel still does the work, and the waiting: a memfd stands in for the
emulated file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator
from typing import Any, NamedTuple

from pyview.abi.words import as_fd, signed
from pyview.api import refuse
from pyview.handlers import limits
from pyview.handlers.caller import Caller
from pyview.handlers.files import opened, perform
from pyview.handlers.vectors import CHUNK
from pyview.openfile import LARGEST, O_PATH, READS, WRITES, OpenFile
from pyview.verdicts import Emulate, Handler, Real, Redirect, Request, Verdict

POINTER = 8  # bytes of an loff_t
SPLICE_KNOWN = 0x0F
F_GETFL, F_GETPIPE_SZ = 3, 1032


class Shape(NamedTuple):
    """Which arguments of a call are what; -1: it has no such argument."""

    source: int
    source_at: int
    target: int
    target_at: int
    length: int


_SHAPES = {
    "sendfile": Shape(1, 2, 0, -1, 3),
    "splice": Shape(0, 1, 2, 3, 4),
    "copy_file_range": Shape(0, 1, 2, 3, 4),
}


def transfer(caller: Caller) -> Handler | Verdict:
    """sendfile, splice, copy_file_range."""
    shape = _SHAPES[caller.call.name]
    source, target = opened(caller, shape.source), opened(caller, shape.target)
    if source is None and target is None:
        return Real()
    return _transfer(caller, shape, source, target)


def _transfer(
    caller: Caller, shape: Shape, source: OpenFile | None, target: OpenFile | None
) -> Handler:
    name, left = caller.call.name, caller.args[shape.length]
    if name == "splice":
        if not left:
            return Emulate(0)
        if caller.args[5] & ~SPLICE_KNOWN & 0xFFFFFFFF:
            raise refuse(errno.EINVAL)
    if name == "sendfile":
        _check_source(caller, shape, source)
    try:
        _CHECKS[name](caller, shape, source, target)
    except OSError as error:
        yield from _open_too(caller, shape, source, target, error)
        raise
    done = 0
    while True:
        count = min(left - done, CHUNK)
        try:
            value = yield from _piece(caller, shape, source, target, count)
        except OSError:
            if not done:
                raise
            break
        if value < 0 and not done:
            return Emulate(value)
        done += max(value, 0)
        # sendfile(2) stops at the end, or at an error; the others need not move all.
        if name != "sendfile" or value <= 0 or done == left:
            break
    return Emulate(done)


def _piece(
    caller: Caller, shape: Shape, source: OpenFile | None, target: OpenFile | None, count: int
) -> Generator[Request, Any, int]:
    """Move `count` bytes from where both sides are; how many were, or -errno."""
    name = caller.call.name
    data, at = b"", 0
    if target is not None:  # what may not be written is not taken from a pipe
        lands = _position(caller, target, shape.target_at)
        count = yield from limits.room(caller, target, lands, count)
    if source is not None and not source.is_directory:
        at = _position(caller, source, shape.source_at)
        if name == "copy_file_range":
            count = min(count, max(0, source.end() - at))
        if count:
            data = yield from perform(source, lambda: source.pread(count, at))
        if not data and target is not None:
            _move(caller, source, shape.source_at, 0)
            return 0
    if source is not None and target is not None:
        value = yield from _written(caller, target, shape.target_at, data)
    else:
        value = yield from _with_stand_in(caller, shape, source, target, data, count)
    if source is not None and source.is_directory and count and value >= 0:
        raise refuse(errno.EINVAL)  # a pipe that nobody reads came first
    if source is not None and value >= 0:
        if source is target and shape.source_at >= 0 and not caller.args[shape.source_at]:
            source.offset = at  # it has been moved already
        _move(caller, source, shape.source_at, value)
    return value


# -- what the kernel refuses, in its order: fs/read_write.c, fs/splice.c --------------------------


def _check_source(caller: Caller, shape: Shape, source: OpenFile | None) -> None:
    """What sendfile looks at before its target.  Errors: EBADF, EFAULT, EINVAL."""
    at = _start(caller, source, shape.source_at)
    if source is None:
        return
    source.readable()
    _verify(at, caller.args[shape.length])


def _sendfile(
    caller: Caller, shape: Shape, source: OpenFile | None, target: OpenFile | None
) -> None:
    if target is not None:
        target.writable()
        _verify(target.offset, caller.args[shape.length])
        if target.flags & os.O_APPEND:
            raise refuse(errno.EINVAL)
    if not caller.args[shape.length] or source is None or target is None:
        return
    if source.is_directory:
        raise refuse(errno.EINVAL)


def _copy_file_range(
    caller: Caller, shape: Shape, source: OpenFile | None, target: OpenFile | None
) -> None:
    count = caller.args[shape.length]
    files = [file for file in (source, target) if file is not None]
    if any(file.flags & O_PATH for file in files):
        raise refuse(errno.EBADF)
    begins, lands = (
        _start(caller, file, at)
        for file, at in ((source, shape.source_at), (target, shape.target_at))
    )
    if caller.args[5] & 0xFFFFFFFF:
        raise refuse(errno.EINVAL)
    if any(file.is_directory for file in files):
        raise refuse(errno.EISDIR)
    if any(file.kind != stat.S_IFREG for file in files):
        raise refuse(errno.EINVAL)
    if source is not None:
        source.readable()
    if target is not None:
        target.writable()
        if target.flags & os.O_APPEND:
            raise refuse(errno.EBADF)
    if source is not None:
        within = min(count, max(0, source.end() - begins))
        if source is not None and target is not None and source.key == target.key:
            _apart(begins, lands, within)
        _verify(begins, within)
    _verify(lands, 0)


def _apart(begins: int, lands: int, count: int) -> None:
    """Within one file the two ranges don't meet.  Errors: EINVAL."""
    if begins < lands + count and lands < begins + count:
        raise refuse(errno.EINVAL)


def _splice(caller: Caller, shape: Shape, source: OpenFile | None, target: OpenFile | None) -> None:
    count = caller.args[shape.length]
    if any(file is not None and file.flags & O_PATH for file in (source, target)):
        raise refuse(errno.EBADF)
    lands, begins = (
        _start(caller, file, at)
        for file, at in ((target, shape.target_at), (source, shape.source_at))
    )
    if target is not None:
        target.writable()
    if source is not None:
        source.readable()
    if source is not None and target is not None:
        raise refuse(errno.EINVAL)  # neither is a pipe
    if target is not None:
        if target.flags & os.O_APPEND:
            raise refuse(errno.EINVAL)
        _verify(lands, count)
    if source is not None:
        _verify(begins, count)


_CHECKS = {"sendfile": _sendfile, "copy_file_range": _copy_file_range, "splice": _splice}


def _verify(at: int, count: int) -> None:
    """rw_verify_area().  Errors: EINVAL."""
    if signed(count) < 0 or at < 0 or at + count > LARGEST:
        raise refuse(errno.EINVAL)


def _open_too(
    caller: Caller,
    shape: Shape,
    source: OpenFile | None,
    target: OpenFile | None,
    error: OSError,
) -> Generator[Request, Any, None]:
    """What is wrong with the kernel's descriptor, when that comes before `error`.

    Errors: EBADF, ESPIPE, EINVAL.
    """
    if source is not None and target is not None:
        return
    paths = any(file is not None and file.flags & O_PATH for file in (source, target))
    if paths and caller.call.name != "sendfile":
        return
    index, at = (shape.source, shape.source_at)
    if source is not None:
        index, at = (shape.target, shape.target_at)
    flags = yield Redirect({0: caller.args[index], 1: F_GETFL, 2: 0}, "fcntl")
    if flags < 0 or flags & O_PATH:
        raise refuse(errno.EBADF)
    useless = flags & os.O_ACCMODE not in (READS if source is None else WRITES)
    pipes = yield Redirect({0: caller.args[index], 1: F_GETPIPE_SZ, 2: 0}, "fcntl")
    if caller.call.name == "copy_file_range":
        if pipes >= 0 and error.errno == errno.EBADF:
            raise refuse(errno.EINVAL)
        return
    if caller.call.name == "sendfile" and useless:
        raise refuse(errno.EBADF)
    if pipes >= 0 and at >= 0 and caller.args[at]:
        raise refuse(errno.ESPIPE)
    if useless and error.errno != errno.EFAULT:
        raise refuse(errno.EBADF)


# -- doing it --------------------------------------------------------------------------------------


def _with_stand_in(
    caller: Caller,
    shape: Shape,
    source: OpenFile | None,
    target: OpenFile | None,
    data: bytes,
    count: int,
) -> Generator[Request, Any, int]:
    """Let the kernel run the call with a memfd in place of the emulated side; its result."""
    other = shape.target if source is not None else shape.source
    caller.closes_at_exec(as_fd(caller.args[other]))  # EBADF: else the memfd could take its number
    stand_in = caller.stand_in(data)
    try:
        path = os.fsencode(stand_in.name) + b"\0"
        fd = yield Redirect({0: path, 1: os.O_RDWR | os.O_CLOEXEC, 2: 0}, "open")
        if fd < 0:
            return int(fd)
        index, pointer = (
            (shape.source, shape.source_at) if source else (shape.target, shape.target_at)
        )
        changes = {index: fd, shape.length: count}
        if pointer >= 0:
            changes[pointer] = 0
        value: int = yield Redirect(changes)
        yield Redirect({0: fd}, "close")
        if target is not None and value > 0:
            moved = stand_in.pread(value, 0)
            value = yield from _written(caller, target, shape.target_at, moved)
        return value
    finally:
        stand_in.close()


def _written(
    caller: Caller, target: OpenFile, pointer: int, data: bytes
) -> Generator[Request, Any, int]:
    at = _position(caller, target, pointer)
    count: int = yield from perform(target, lambda: target.pwrite(data, at))
    _move(caller, target, pointer, count)
    return count


def _start(caller: Caller, file: OpenFile | None, pointer: int) -> int:
    """Where the transfer is to begin in a file; it may be negative.  Errors: EFAULT."""
    if pointer < 0 or not caller.args[pointer]:
        return file.offset if file is not None else 0
    data = caller.peek(caller.args[pointer], POINTER)
    if len(data) < POINTER:
        raise refuse(errno.EFAULT)
    return signed(int.from_bytes(data, "little"))


def _position(caller: Caller, file: OpenFile, pointer: int) -> int:
    """Where the transfer begins in a file.  Errors: EFAULT, EINVAL."""
    at = _start(caller, file, pointer)
    if at < 0:
        raise refuse(errno.EINVAL)
    return at


def _move(caller: Caller, file: OpenFile, pointer: int, count: int) -> None:
    """Where the next transfer begins.  Errors: EFAULT, what was moved notwithstanding."""
    if pointer < 0 or not caller.args[pointer]:
        file.offset += count
    else:
        at = _position(caller, file, pointer) + count
        told = caller.store(caller.args[pointer], at.to_bytes(POINTER, "little"))
        if told < POINTER and (count or caller.call.name != "copy_file_range"):
            raise refuse(errno.EFAULT)
