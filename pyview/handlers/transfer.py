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

from pyview.abi.words import signed
from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.handlers.files import opened, perform
from pyview.handlers.vectors import CHUNK
from pyview.openfile import OpenFile
from pyview.verdicts import Emulate, Handler, Real, Redirect, Request, Verdict

POINTER = 8  # bytes of an loff_t


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
    whole = caller.call.name == "copy_file_range"
    if target is not None:
        target.writable()
        if target.flags & os.O_APPEND:
            raise refuse(errno.EBADF if whole else errno.EINVAL)
    if source is not None:
        if source.is_directory and not whole:
            raise refuse(errno.EINVAL)
        source.readable()
    for file in (source, target):
        if file is not None and whole and file.kind != stat.S_IFREG:
            raise refuse(errno.EINVAL)
    if caller.call.name == "splice" and source is not None and target is not None:
        raise refuse(errno.EINVAL)  # neither is a pipe
    if caller.args[5] and whole:
        raise refuse(errno.EINVAL)
    count = min(caller.args[shape.length], CHUNK)
    if whole and source is not None and target is not None and source.key == target.key:
        first = _position(caller, source, shape.source_at)
        second = _position(caller, target, shape.target_at)
        if abs(first - second) < min(caller.args[shape.length], source.end() - first):
            raise refuse(errno.EINVAL)  # they overlap
    data = b""
    if source is not None:
        at = _position(caller, source, shape.source_at)
        data = yield from perform(source, lambda: source.pread(count, at))
        if not data and target is not None:
            _move(caller, source, shape.source_at, 0)
            return Emulate(0)
    if source is not None and target is not None:
        value = yield from _written(caller, target, shape.target_at, data)
    else:
        value = yield from _with_stand_in(caller, shape, source, target, data)
    if source is not None and value >= 0:
        _move(caller, source, shape.source_at, value)
    return Emulate(value)


def _with_stand_in(
    caller: Caller, shape: Shape, source: OpenFile | None, target: OpenFile | None, data: bytes
) -> Generator[Request, Any, int]:
    """Let the kernel run the call with a memfd in place of the emulated side; its result."""
    stand_in = caller.stand_in(data)
    try:
        path = os.fsencode(stand_in.name) + b"\0"
        fd = yield Redirect({0: path, 1: os.O_RDWR | os.O_CLOEXEC, 2: 0}, "open")
        if fd < 0:
            return int(fd)
        index, pointer = (
            (shape.source, shape.source_at) if source else (shape.target, shape.target_at)
        )
        changes = {index: fd, shape.length: min(caller.args[shape.length], CHUNK)}
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


def _position(caller: Caller, file: OpenFile, pointer: int) -> int:
    """Where the transfer begins in a file.  Errors: EFAULT, EINVAL."""
    if pointer < 0 or not caller.args[pointer]:
        return file.offset
    data = caller.peek(caller.args[pointer], POINTER)
    if len(data) < POINTER:
        raise refuse(errno.EFAULT)
    at = signed(int.from_bytes(data, "little"))
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
