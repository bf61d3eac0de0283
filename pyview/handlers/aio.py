# SPDX-License-Identifier: GPL-2.0-or-later
"""io_submit with emulated files among its requests: Linux fs/aio.c.

The kernel still does each request and tells its end, on a memfd in the file's place: a request on
a memfd is over when io_submit returns.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Generator
from functools import partial
from typing import Any, NamedTuple

from pyview.abi.words import signed
from pyview.api import refuse
from pyview.handlers import limits
from pyview.handlers.caller import Caller, StandIn
from pyview.handlers.files import appends, is_synchronous, perform, synced
from pyview.handlers.vectors import CHUNK
from pyview.openfile import O_PATH, READS, WRITES, OpenFile
from pyview.verdicts import Emulate, Handler, Real, Redirect, Request, Verdict

POINTER = 8  # bytes
IOCB = struct.Struct("=QIIHhIQQqQII")  # struct iocb
FD_AT, OFFSET_AT = 20, 40  # bytes: aio_fildes, aio_offset
MOST = 1024  # requests of one call that are looked at
VECTOR = 1024  # UIO_MAXIOV
READ, WRITE, SYNC, DATA_SYNC, READ_VECTOR, WRITE_VECTOR = 0, 1, 2, 3, 7, 8


class Block(NamedTuple):
    """A request: where it is in the caller's memory, and what it says."""

    at: int
    code: int
    fd: int
    buffer: int
    length: int
    offset: int
    flags: int  # RWF_*


def io_submit(caller: Caller) -> Handler | Verdict:
    """Requests on the kernel's files alone are the kernel's."""
    if signed(caller.args[1]) <= 0:
        return Real()  # EINVAL, or nothing, says the kernel
    pointers = caller.peek(caller.args[2], POINTER * min(caller.args[1], MOST))
    blocks = [
        _block(caller, int.from_bytes(pointers[at : at + POINTER], "little"))
        for at in range(0, len(pointers) // POINTER * POINTER, POINTER)
    ]
    if all(block is None or caller.object(block.fd) is None for block in blocks):
        return Real()
    return _one_by_one(caller, blocks)


def _block(caller: Caller, at: int) -> Block | None:
    try:
        data = caller.peek(at, IOCB.size)
    except OSError:
        return None
    if len(data) < IOCB.size:
        return None
    _, _, flags, code, _, fd, buffer, length, offset, *_ = IOCB.unpack(data)
    return Block(at, code, fd if fd < 1 << 31 else -1, buffer, length, offset, flags)


def _one_by_one(caller: Caller, blocks: list[Block | None]) -> Handler:
    """Each request by itself; the first that can't be begun ends the call."""
    for done, block in enumerate(blocks):
        file = caller.object(block.fd) if block is not None else None
        try:
            if block is None or file is None:
                value = yield Redirect({1: 1, 2: caller.args[2] + POINTER * done})
            else:
                value = yield from _in_its_place(caller, done, block, file)
        except OSError as error:
            value = -(error.errno or errno.EIO)
        if value <= 0:
            return Emulate(done or value)
    return Emulate(len(blocks))


def _in_its_place(
    caller: Caller, index: int, block: Block, file: OpenFile
) -> Generator[Request, Any, int]:
    """Have the kernel do a request on a memfd; what io_submit says of it."""
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if file.is_directory:
        raise refuse(errno.EINVAL)
    data = yield from _before(caller, block, file)
    stand_in: StandIn = caller.stand_in(data)
    try:
        access = file.flags & os.O_ACCMODE
        path = os.fsencode(stand_in.name) + b"\0"
        fd = yield Redirect({0: path, 1: access | os.O_CLOEXEC, 2: 0}, "open")
        if fd < 0:
            return int(fd)
        # Where the bytes lie in the memfd is our affair, but -1 is wrong in any file.
        begins = 0 if block.offset > 0 else block.offset
        caller.store(block.at + OFFSET_AT, begins.to_bytes(8, "little", signed=True))
        caller.store(block.at + FD_AT, int(fd).to_bytes(4, "little"))
        value: int = yield Redirect({1: 1, 2: caller.args[2] + POINTER * index})
        caller.store(block.at + FD_AT, block.fd.to_bytes(4, "little"))
        caller.store(block.at + OFFSET_AT, block.offset.to_bytes(8, "little", signed=True))
        yield Redirect({0: fd}, "close")
        return value
    finally:
        stand_in.close()


def _before(caller: Caller, block: Block, file: OpenFile) -> Generator[Request, Any, bytes]:
    """Do the request; what the memfd must hold for the kernel to come to the same end."""
    access = file.flags & os.O_ACCMODE
    if block.code in (SYNC, DATA_SYNC):
        yield from perform(file, partial(synced, file))
    elif block.offset < 0:
        pass  # EINVAL
    elif block.code in (READ, READ_VECTOR) and access in READS:
        length = sum(length for _, length in _pieces(caller, block))
        return (yield from _read(file, block.offset, length))
    elif block.code in (WRITE, WRITE_VECTOR) and access in WRITES:
        yield from _write(caller, block, file)
        if is_synchronous(file, block.flags):
            yield from perform(file, file.file.fsync)
    return b""


def _pieces(caller: Caller, block: Block) -> list[tuple[int, int]]:
    """Addresses and lengths of a request's memory."""
    if block.code in (READ, WRITE):
        return [(block.buffer, block.length)] if block.length < 1 << 31 else []
    if block.length > VECTOR:
        return []
    data = caller.peek(block.buffer, 16 * block.length) if block.length else b""
    pieces = list(struct.iter_unpack("=QQ", data[: len(data) // 16 * 16]))
    whole = len(pieces) == block.length and sum(length for _, length in pieces) < 1 << 31
    return pieces if whole else []


def _read(file: OpenFile, offset: int, length: int) -> Generator[Request, Any, bytes]:
    found = bytearray()
    while len(found) < length:
        wanted = min(CHUNK, length - len(found))
        data = yield from perform(file, partial(file.pread, wanted, offset + len(found)))
        found += data
        if len(data) < wanted:
            break
    return bytes(found)


def _write(caller: Caller, block: Block, file: OpenFile) -> Generator[Request, Any, None]:
    offset = block.offset
    if appends(file, block.flags):
        offset = yield from perform(file, file.end)
    pieces = _pieces(caller, block)
    ends = offset + sum(length for _, length in pieces)
    ends = offset + (yield from limits.room(caller, file, offset, ends - offset))
    for address, length in pieces:
        while length and offset < ends:
            data = caller.peek(address, min(CHUNK, length, ends - offset))
            count = yield from perform(file, partial(file.pwrite, data, offset))
            offset, address, length = offset + count, address + count, length - count
            if not count or count < len(data):
                return
