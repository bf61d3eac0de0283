# SPDX-License-Identifier: GPL-2.0-or-later
"""vudevmbr: a disk made of a file or another device, and its partitions as devices beside it."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Any

from pyview.abi import ioctl
from pyview.abi.ioctl import Change
from pyview.api import File, Linear, Tree, if_it_fails, refuse
from pyview.modules.vudev import partitions
from pyview.modules.vudev.disk import SECTOR, Disk, Piece, open_source, within
from pyview.modules.vudev.node import fresh
from pyview.modules.vudev.partitions import Part


class Partition(Piece):
    """A piece of another disk.  Its owner and permissions are at first those of the whole."""

    def __init__(self, whole: Partitioned, index: int, part: Part) -> None:
        super().__init__(whole.below, uid=whole.uid, gid=whole.gid)
        self.kind, self.mode, self.slow = whole.kind, whole.mode, whole.slow
        self.whole, self.index, self.part = whole, index, part
        self.turn, self.sequence = whole.turn, whole.sequence
        self.ro = self.fixed = part.read_only

    def pread(self, size: int, offset: int) -> bytes:
        return self.whole.pread(size, self.part.start + offset)

    def pwrite(self, data: bytes, offset: int) -> int:
        return self.whole.pwrite(data, self.part.start + offset)

    def linear(self) -> Linear | None:
        return within(self.whole.linear(), self.part.start, self.size())

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        self.whole.fallocate(mode, self.part.start + offset, length)

    def fsync(self) -> None:
        self.whole.fsync()

    def size(self) -> int:
        return self.part.shown

    def start(self) -> int:
        return self.part.start

    def read_only(self) -> bool:
        return self.ro or self.whole.read_only()

    def relatives(self) -> Iterable[Disk]:
        return (self.whole,)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        """As of any disk; it is there for as long as the whole is."""
        self.gone = self.whole.gone
        return super().open(path, flags, mode)

    def close(self) -> None:
        super().close()
        self.whole.leave()

    def unmounted(self) -> None:
        """Nothing ends: it may only have moved, with its disk."""

    def about(self) -> str:
        named = (("PARTNAME", self.part.name), ("PARTUUID", self.part.uuid.lower()))
        return "".join(f"{key}={value}\n" for key, value in named if value)

    def companions(self, target: str) -> Mapping[str, Tree]:
        """None: what belongs to a partition belongs to its disk."""
        return {}


class Partitioned(Disk):
    """A disk that shows its partitions beside it: /dev/hda5 for /dev/hda, /dev/x0p5 for /dev/x0.

    A partition keeps its device for as long as it stays where it is and what it is, so that what
    is open on it stays right; one that is in use is never taken away or moved (EBUSY).
    """

    has_partitions = True
    parts: Mapping[int, Partition] = {}  # never changed, always replaced

    def relatives(self) -> Iterable[Disk]:
        return self.parts.values()

    def pieces(self) -> Iterable[Partition]:
        return self.parts.values()

    def busy(self) -> bool:
        return self.users > 0 or any(part.users for part in self.parts.values())

    def reread(self) -> None:
        if not self.has_partitions:
            raise refuse(errno.EINVAL)
        if any(part.users for part in self.parts.values()):
            raise refuse(errno.EBUSY)
        self.scan()

    def scan(self) -> None:
        """Show the partitions that the table on the disk tells of.  Errors: EIO."""
        size = self.size()
        found = partitions.parse(self.pread, size).parts
        self._show(
            {
                index: part._replace(size=min(part.size, size - part.start))  # as Linux cuts it
                for index, part in found.items()
                if part.start < size
            }
        )

    def change(self, change: Change) -> None:
        """As Linux block/ioctl.c and block/partitions/core.c: in memory, not in the table."""
        if not self.has_partitions or change.number <= 0:
            raise refuse(errno.EINVAL)
        if change.operation == ioctl.BLKPG_DEL_PARTITION:
            self._remove(change.number)
            return
        start, length = change.start, change.length
        if start < 0 or length <= 0 or (start | length) % SECTOR or start + length > self.size():
            raise refuse(errno.EINVAL)
        if change.operation == ioctl.BLKPG_ADD_PARTITION:
            self._add(change.number, start, length)
        elif change.operation == ioctl.BLKPG_RESIZE_PARTITION:
            self._resize(change.number, start, length)
        else:
            raise refuse(errno.EINVAL)

    def _remove(self, index: int) -> None:
        if index not in self.parts:
            raise refuse(errno.ENXIO)
        if self.parts[index].users:
            raise refuse(errno.EBUSY)
        self.parts = {i: part for i, part in self.parts.items() if i != index}

    def _add(self, index: int, start: int, length: int) -> None:
        if index in self.parts or self._overlaps(index, start, length):
            raise refuse(errno.EBUSY)
        present = {i: part.part for i, part in self.parts.items()}
        self._show({**present, index: Part(start, length, "", "")})

    def _resize(self, index: int, start: int, length: int) -> None:
        if index not in self.parts:
            raise refuse(errno.ENXIO)
        device = self.parts[index]
        if device.part.start != start:
            raise refuse(errno.EINVAL)
        if self._overlaps(index, start, length):
            raise refuse(errno.EBUSY)
        device.part = device.part._replace(size=length, extended=False)

    def _overlaps(self, index: int, start: int, length: int) -> bool:
        """Whether bytes from `start` on belong to a partition other than `index`."""
        others = (device.part for i, device in self.parts.items() if i != index)
        return any(p.start < start + length and start < p.start + p.shown for p in others)

    def _show(self, wanted: Mapping[int, Part]) -> None:
        self.parts = {index: self._device(index, wanted[index]) for index in sorted(wanted)}
        self._number()

    def _device(self, index: int, part: Part) -> Partition:
        """The device of a partition: the one that it has, if it is still the same."""
        old = self.parts.get(index)
        if old is None or (old.part.start, old.size()) != (part.start, part.shown):
            return Partition(self, index, part)
        if old.part.read_only != part.read_only:
            old.ro = old.fixed = part.read_only
        old.part = part
        return old

    def _number(self) -> None:
        """Names and numbers for those partitions that have none, once the disk has its own."""
        if not self.name:
            return
        major, minor = self.number
        for index, part in self.parts.items():
            part.name = part_name(self.name, index)
            if part.number == (0, 0):
                part.number = (major, minor + index) if index < self.minors else fresh(1)

    def companions(self, target: str) -> Mapping[str, Tree]:
        beside = super().companions(target)
        self._number()
        return {**{part_name(target, i): part for i, part in self.parts.items()}, **beside}


def part_name(whole: str, index: int) -> str:
    """The name of a partition, after that of its disk."""
    return f"{whole}{'p' if whole[-1:].isdigit() else ''}{index}"


class Mbr(Partitioned):
    """The file or device `source` as a disk, with the partitions of its MBR or GPT."""

    def __init__(self, below: Tree, source: str, *, ro: bool = False, **disk: Any) -> None:
        """Errors: those of open(2) on the source; EINVAL when it is shorter than a sector."""
        super().__init__(below, ro=ro, **disk)
        self.source = open_source(below, source, ro=ro, alone=True)
        self.slow = self.source.slow
        with if_it_fails(self.source.close):
            self._size = self.source.size() // SECTOR * SECTOR
            if not self._size:
                raise refuse(errno.EINVAL, f"{source}: shorter than a sector of a disk")
            self.scan()

    def pread(self, size: int, offset: int) -> bytes:
        return self.source.pread(size, offset)

    def pwrite(self, data: bytes, offset: int) -> int:
        return self.source.pwrite(data, offset)

    def linear(self) -> Linear | None:
        return within(self.source.linear(), 0, self._size)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        self.source.fallocate(mode, offset, length)

    def fsync(self) -> None:
        self.source.fsync()

    def size(self) -> int:
        return self._size

    def finish(self) -> None:
        try:
            if not self.fixed:
                self.source.fsync()
        finally:
            self.source.close()
