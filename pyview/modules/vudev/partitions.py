# SPDX-License-Identifier: GPL-2.0-or-later
"""Partition tables read as Linux reads them: MBR with logical partitions, and GPT.

Pure: works on `read(size, offset)`.  cf. Linux block/partitions/msdos.c and efi.c, UEFI 5.3;
sectors have 512 bytes.  What is wrong with a table only makes partitions be missing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

SECTOR = 512  # bytes
EXTENDED = frozenset((0x05, 0x0F, 0x85))  # DOS, Windows 98, Linux
PROTECTIVE = 0xEE
SIGNATURE = b"\x55\xaa"
LINKS = 100  # of a chain of logical partitions: a table may lead back to itself
LARGEST_ARRAY = 4 << 20  # bytes of GPT entries

_ENTRY = struct.Struct("<B3xB3xII")  # flag, type, start and length in sectors
_HEADER = struct.Struct("<8s4xII4xQQQQ16sQIII")
_GPT_ENTRY = struct.Struct("<16s16sQQQ72s")

Read = Callable[[int, int], bytes]


class Part(NamedTuple):
    """One partition; `start` and `size` in bytes.

    kind   the type: two hexadecimal digits of an MBR, a GUID of a GPT
    uuid   its PARTUUID
    name   of a GPT only
    """

    start: int
    size: int
    kind: str
    uuid: str
    name: str = ""
    bootable: bool = False
    read_only: bool = False
    extended: bool = False

    @property
    def shown(self) -> int:
        """Bytes of its device: of an extended partition, only what a boot loader needs."""
        return min(self.size, 2 * SECTOR) if self.extended else self.size


class Table(NamedTuple):
    """What a disk's partition table says; `kind` is "dos", "gpt", or "" when there is none."""

    kind: str
    identity: str
    parts: dict[int, Part]


NONE = Table("", "", {})


class _Slot(NamedTuple):
    """One of the four entries of a sector of an MBR; `start` and `size` in sectors."""

    flag: int
    kind: int
    start: int
    size: int


def parse(read: Read, size: int) -> Table:
    """The table of a disk of `size` bytes.  Errors: those of `read`."""
    first = read(SECTOR, 0)
    slots = _slots(first)
    if not slots or any(slot.flag not in (0, 0x80) for slot in slots):
        return NONE  # a boot sector: what is there instead of a table is its program
    if any(slot.kind == PROTECTIVE for slot in slots):
        last = size // SECTOR - 1
        return _gpt(read, 1, last) or _gpt(read, last, last) or NONE
    (identity,) = struct.unpack_from("<I", first, 440)
    return Table("dos", f"0x{identity:08x}", dict(_dos(read, slots, identity)))


# -- MBR -----------------------------------------------------------------------------------------


def _slots(sector: bytes) -> list[_Slot]:
    """The entries of a sector of an MBR; none when it is not one."""
    if len(sector) < SECTOR or sector[510:512] != SIGNATURE:
        return []
    return [_Slot(*_ENTRY.unpack_from(sector, 446 + 16 * i)) for i in range(4)]


def _dos(read: Read, slots: list[_Slot], identity: int) -> Iterator[tuple[int, Part]]:
    for number, slot in enumerate(slots, 1):
        if slot.size:
            yield number, _part(slot, 0, f"{identity:08x}-{number:02x}")
    number = 5
    for slot in slots:
        if slot.size and slot.kind in EXTENDED:
            for sector, logical in _logical(read, slot):
                yield number, _part(logical, sector, f"{identity:08x}-{number:02x}")
                number += 1


def _part(slot: _Slot, base: int, uuid: str) -> Part:
    return Part(
        (base + slot.start) * SECTOR,
        slot.size * SECTOR,
        f"{slot.kind:02x}",
        uuid,
        bootable=slot.flag == 0x80,
        extended=slot.kind in EXTENDED,
    )


def _logical(read: Read, extended: _Slot) -> Iterator[tuple[int, _Slot]]:
    """(sector of its table, entry) for each logical partition, along the chain.

    A data entry counts from its own table, a link from the start of the extended partition.
    """
    base, room = extended.start, extended.size
    here, length = base, room
    for _ in range(LINKS):
        slots = _slots(read(SECTOR, here * SECTOR))
        link = None
        for index, slot in enumerate(slots):
            if not slot.size:
                continue
            if slot.kind in EXTENDED:
                link = link or slot
            elif index < 2 or _plausible(slot, here - base, length, room):
                yield here, slot
        if link is None:
            return
        here, length = base + link.start, link.size


def _plausible(slot: _Slot, at: int, length: int, room: int) -> bool:
    """Whether the third or fourth entry of a logical table, often garbage, lies where it should."""
    return slot.start + slot.size <= length and at + slot.start + slot.size <= room


# -- GPT -----------------------------------------------------------------------------------------


def _gpt(read: Read, sector: int, last: int) -> Table | None:
    """The table whose header is in `sector`, of a disk whose last sector is `last`; None: bad."""
    if sector < 1 or last < 1:
        return None
    block = read(SECTOR, sector * SECTOR)
    if len(block) < SECTOR or block[:8] != b"EFI PART":
        return None
    _, size, header_sum, here, _, *usable, identity, array_at, count, width, array_sum = (
        _HEADER.unpack_from(block)
    )
    if not _HEADER.size <= size <= SECTOR or here != sector or max(usable) > last:
        return None
    if zlib.crc32(block[:16] + bytes(4) + block[20:size]) != header_sum:
        return None
    if width < _GPT_ENTRY.size or width * count > LARGEST_ARRAY:
        return None
    array = read(width * count, array_at * SECTOR)
    if len(array) < width * count or zlib.crc32(array) != array_sum:
        return None
    entries = ((i + 1, _GPT_ENTRY.unpack_from(array, i * width)) for i in range(count))
    parts = {number: _gpt_part(*entry) for number, entry in entries if _is_used(last, *entry)}
    return Table("gpt", _guid(identity), parts)


def _is_used(
    last: int, kind: bytes, _uuid: bytes, start: int, end: int, _flags: int, _name: bytes
) -> bool:
    return any(kind) and start <= end <= last


def _gpt_part(kind: bytes, uuid: bytes, start: int, end: int, flags: int, name: bytes) -> Part:
    return Part(
        start * SECTOR,
        (end - start + 1) * SECTOR,
        _guid(kind),
        _guid(uuid),
        name.decode("utf-16-le", "replace").partition("\0")[0],
        bool(flags & 1 << 2),
        bool(flags & 1 << 60),
    )


def _guid(data: bytes) -> str:
    """A GUID as it is written; its first three fields are in Intel's byte order."""
    first, second, third = struct.unpack_from("<IHH", data)
    rest = data[8:].hex().upper()
    return f"{first:08X}-{second:04X}-{third:04X}-{rest[:4]}-{rest[4:]}"
