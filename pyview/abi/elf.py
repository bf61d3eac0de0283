# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreter that an ELF program names, and a program that names another: elf(5).

Only what the kernel of x86-64 runs with one: 64 bits, little endian.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PAGE = 4096  # bytes: the headers of every usual program are in the first page
_MAGIC = b"\x7fELF\x02\x01\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
PT_INTERP = 3
SEGMENTS = 64 * 1024 // _SEGMENT.size  # what the kernel takes at most
NAME_MAX = 4096  # bytes: PATH_MAX


class Interpreter(NamedTuple):
    """Where a program names its interpreter: the segment's header, and the name's bytes."""

    header: int
    offset: int
    length: int


def interpreter(head: bytes) -> Interpreter | None:
    """Where the program that begins with `head` names its interpreter; None: nowhere in it."""
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        return None
    fields = _HEADER.unpack_from(head)
    start, size, count = fields[5], fields[9], fields[10]
    if size != _SEGMENT.size or count > SEGMENTS:
        return None
    for at in range(start, min(start + size * count, len(head) - size + 1), size):
        kind, _, offset, _, _, length, _, _ = _SEGMENT.unpack_from(head, at)
        if kind == PT_INTERP:
            return Interpreter(at, offset, length) if 2 <= length <= NAME_MAX else None
    return None


def renamed(head: bytes, where: Interpreter, offset: int, name: bytes) -> bytes:
    """The header of the segment when the interpreter's name, with its NUL, is at `offset`."""
    fields = list(_SEGMENT.unpack_from(head, where.header))
    fields[2], fields[5] = offset, len(name)
    return _SEGMENT.pack(*fields)
