# SPDX-License-Identifier: GPL-2.0-or-later
"""What read(2) and its like take from a caller's memory and put there: buffers and vectors."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

from pyview.abi.words import signed
from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.syscalls import Role

MOST = 0x7FFFF000  # MAX_RW_COUNT, bytes: what one call transfers at most
CHUNK = 1 << 20  # bytes taken through the core at a time
WRITTEN = 256 << 10  # the same, of those written: they are copied more often
IOV_MAX = 1024
USER_END = 0x7FFFFFFFF000  # TASK_SIZE_MAX
_IOVEC = struct.Struct("=QQ")

Pieces = list[tuple[int, int]]  # (address, bytes)


def pieces(caller: Caller) -> Pieces:
    """The memory that the call names.  Errors: EFAULT, EINVAL."""
    args = caller.args
    if caller.call.args[1].role in (Role.IN, Role.OUT):
        length = signed(args[2])
        _user(args[1], length)
        return [(args[1], min(length, MOST))]
    count = signed(args[2])
    if not 0 <= count <= IOV_MAX:
        raise refuse(errno.EINVAL)
    data = caller.peek(args[1], count * _IOVEC.size)
    if len(data) < count * _IOVEC.size:
        raise refuse(errno.EFAULT)
    found: Pieces = []
    room = MOST
    vector = list(_IOVEC.iter_unpack(data))
    if any(signed(length) < 0 for _, length in vector):
        raise refuse(errno.EINVAL)
    for address, length in vector:
        _user(address, length)
        found.append((address, min(length, room)))
        room -= min(length, room)
    return found


def _user(address: int, length: int) -> None:
    """access_ok().  Errors: EFAULT."""
    if length < 0 or address + length > USER_END:
        raise refuse(errno.EFAULT)


def chunks(wanted: Pieces, most: int = CHUNK) -> Iterator[tuple[int, int]]:
    """The same in pieces of at most so many bytes."""
    for address, length in wanted:
        for at in range(0, length, most):
            yield address + at, min(most, length - at)


def total(wanted: Pieces) -> int:
    """How many bytes that is."""
    return sum(length for _, length in wanted)
