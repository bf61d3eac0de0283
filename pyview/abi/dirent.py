# SPDX-License-Identifier: GPL-2.0-or-later
"""struct linux_dirent64 and struct linux_dirent: getdents64(2), getdents(2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

DT_DIR, DT_UNKNOWN = 4, 0
_HEAD = struct.Struct("=QqHB")  # d_ino, d_off, d_reclen, d_type, then the name
_OLD = struct.Struct("=QQH")  # d_ino, d_off, d_reclen, the name, at the very end the type


class Entry(NamedTuple):
    """One name in a directory; `offset` is the cookie of the next one."""

    name: bytes
    inode: int
    offset: int
    kind: int


def unpack(data: bytes) -> Iterator[Entry]:
    """The entries in a buffer that getdents64 filled."""
    at = 0
    while at < len(data):
        inode, offset, length, kind = _HEAD.unpack_from(data, at)
        yield Entry(data[at + _HEAD.size : at + length].split(b"\0", 1)[0], inode, offset, kind)
        at += length


def unpack_old(data: bytes) -> Iterator[Entry]:
    """The entries in a buffer that getdents filled."""
    at = 0
    while at < len(data):
        inode, offset, length = _OLD.unpack_from(data, at)
        name = data[at + _OLD.size : at + length - 1].split(b"\0", 1)[0]
        yield Entry(name, inode, offset, data[at + length - 1])
        at += length


def pack(entries: Iterable[Entry]) -> bytes:
    """A buffer as getdents64 fills it."""
    out = b""
    for e in entries:
        length = (_HEAD.size + len(e.name) + 1 + 7) & ~7
        head = _HEAD.pack(e.inode, e.offset, length, e.kind)
        out += (head + e.name).ljust(length, b"\0")
    return out


def pack_old(entries: Iterable[Entry]) -> bytes:
    """A buffer as getdents fills it."""
    out = b""
    for e in entries:
        length = (_OLD.size + len(e.name) + 2 + 7) & ~7
        head = _OLD.pack(e.inode, e.offset & 0xFFFFFFFFFFFFFFFF, length)
        out += (head + e.name).ljust(length - 1, b"\0") + bytes((e.kind,))
    return out
