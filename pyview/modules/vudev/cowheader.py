# SPDX-License-Identifier: GPL-2.0-or-later
"""The header of UML's COW files: a disk as what was changed of it, over an image that stays.

Layout, after Linux arch/um/drivers/cow_user.c: a header that names the image, one bit for each
sector (bit i%8 of byte i//8: the sector is here, else it is the image's), the sectors.  Big-endian;
version 1 is in the byte order of who made it.  Versions 1 to 3 are read and written as they are,
also version 3 as 64-bit UMLs wrote it before December 2005; what is created is version 3.

Knows files, not where they come from.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

from pyview.api import File, refuse

MAGIC = 0x4F4F4F4D
ORDERS = {b"OOOM": ">", b"MOOO": "<"}  # what a COW file begins with, in struct's notation
SECTOR, ALIGN = 512, 4096  # bytes: what uml_mkcow writes

_V1 = "II256sIQi"
_V2 = struct.Struct(">II4096sIQi")
_V3 = struct.Struct(">IIIQIII4096s")
_V3_BROKEN = struct.Struct(">IIIxxxxQIII4096s")
_V3_BROKEN_SIZE = 4136  # bytes: with what the compiler put behind
HEADER_SIZE = _V3_BROKEN_SIZE  # bytes: what to read before `parse`


class Header:
    """What a COW file says of itself; sizes and offsets in bytes, mtime in seconds."""

    __slots__ = (
        *("align", "backing", "bitmap_at", "bitmap_size", "data_at", "mtime", "name_at"),
        *("name_room", "sector", "size", "version"),
    )

    def __init__(
        self, version: int, name: tuple[int, bytes], mtime: int, size: int, sector: int,
        align: int, bitmap_at: int,
    ) -> None:  # fmt: skip
        if not 0 <= size < 1 << 62 or not SECTOR <= sector <= 1 << 16 or sector & (sector - 1):
            raise _malformed(f"a size of {size} in sectors of {sector} bytes")
        self.version, self.mtime, self.size = version, mtime, size
        self.sector, self.align, self.bitmap_at = sector, align, bitmap_at
        self.name_at, self.name_room = name[0], len(name[1])
        self.backing = os.fsdecode(name[1].split(b"\0", 1)[0])
        if version < 3:  # rounded down, ever since: the last 1 to 7 sectors may have no bit
            self.bitmap_size = (size + sector - 1) // (8 * sector)
        else:
            self.bitmap_size = -(-self.sectors // 8)
        self.data_at = _up(bitmap_at + self.bitmap_size, align)

    @property
    def sectors(self) -> int:
        return -(-self.size // self.sector)


def is_one(file: File) -> bool:
    """Whether a file begins as COW files do."""
    return file.pread(4, 0) in ORDERS


def header_of(file: File, name: str) -> Header:
    """The header of the COW file that is called `name`.

    Errors: EINVAL, its strerror a line for the user, when it is none or one that makes no sense.
    """
    try:
        header = parse(file.pread(HEADER_SIZE, 0))
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None
    if header is None:
        raise OSError(errno.EINVAL, "not a COW file", name)
    return header


def parse(data: bytes) -> Header | None:
    """The header that a file's first HEADER_SIZE bytes are; None when it is no COW file.

    Errors: EINVAL, its strerror a line for the user, when it is one that makes no sense.
    """
    order = ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return None
    (version,) = struct.unpack_from(order + "I", data, 4)
    try:
        if version == 1:
            form = struct.Struct(order + _V1)
            return _old(version, form, form.unpack_from(data))
        if version == 2 and order == ">":
            return _old(version, _V2, _V2.unpack_from(data))
        if version == 3 and order == ">":
            return _third(data)
    except struct.error:
        raise _malformed("its header is cut short") from None
    raise _malformed(f"version {version}")


def _old(version: int, form: struct.Struct, fields: tuple[Any, ...]) -> Header:
    _, _, name, mtime, size, sector = fields
    return Header(version, (8, name), mtime, size, sector, sector, form.size)


def _third(data: bytes) -> Header:
    form, length = _V3, _V3.size
    if data[32:36] == bytes(4):  # no name: mtime had 8 bytes, and all else is 4 further on
        form, length = _V3_BROKEN, _V3_BROKEN_SIZE
    _, _, mtime, size, sector, align, kind, name = form.unpack_from(data)
    if kind or not 0 < align <= 1 << 30:
        raise _malformed(f"format {kind}, aligned to {align} bytes")
    name_at = form.size - len(name)
    return Header(3, (name_at, name), mtime, size, sector, align, _up(length, align))


def _malformed(what: str) -> OSError:
    return OSError(errno.EINVAL, f"a COW file that is damaged or unknown: {what}")


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def create(file: File, backing: str, size: int, mtime: int) -> None:
    """Make a file a COW file over the image `backing`, as uml_mkcow does; what it held is lost.

    `size` in bytes and `mtime` in seconds are the image's.  The header comes last: until it is
    there this is no COW file.  Errors: ENAMETOOLONG, with nothing done, and those of writing.
    """
    name = os.fsencode(backing)
    if len(name) >= 4096:
        raise refuse(errno.ENAMETOOLONG, backing)
    data = _V3.pack(MAGIC, 3, mtime & 0xFFFFFFFF, size, SECTOR, ALIGN, 0, name)
    file.truncate(0)
    file.truncate(_third(data).data_at + size)
    write(file, data, 0)


def switch(file: File, header: Header, backing: str) -> None:
    """Record another name of the image.  Errors: ENAMETOOLONG, and those of writing."""
    old, new = os.fsencode(header.backing), os.fsencode(backing)
    if len(new) >= header.name_room:
        raise refuse(errno.ENAMETOOLONG, backing)
    # As few bytes as will do: a write within a page is whole or not at all when we are killed.
    write(file, new.ljust(len(old), b"\0") + b"\0", header.name_at)
    header.backing = backing


def mtime_of(attributes: os.stat_result) -> int:
    """The whole seconds of a time of change, as a header has them."""
    return attributes.st_mtime_ns // 10**9 & 0xFFFFFFFF


def check(header: Header, cow: str, backing: str, size: int, mtime: int) -> None:
    """Is `backing` still what the file `cow` was made over?  As UML: size and mtime are equal.

    Errors: EINVAL, its strerror a line for the user.
    """
    why = ""
    if header.size != size:
        why = f"not made over {backing}: that has {size} bytes, not {header.size}"
    elif header.mtime != mtime:
        why = f"{backing} was changed since: its mtime is {mtime}, not {header.mtime}"
    if why:
        raise OSError(errno.EINVAL, why, cow)


def image_of(header: Header, cow: str) -> str:
    """The recorded name of the image; a relative one is looked for beside the COW file."""
    return os.path.join(os.path.dirname(cow), header.backing)


def write(file: File, data: bytes, offset: int) -> None:
    """Write all of it.  Errors: those of the file; EIO when it takes nothing."""
    while data:
        taken = file.pwrite(data, offset)
        if taken <= 0:
            raise refuse(errno.EIO)
        data, offset = data[taken:], offset + taken


def read(file: File, size: int, offset: int) -> bytes:
    """Exactly `size` bytes.  Errors: those of the file; EIO when it ends before."""
    data = file.pread(size, offset)
    while len(data) < size:
        more = file.pread(size - len(data), offset + len(data))
        if not more:
            raise refuse(errno.EIO)
        data += more
    return data
