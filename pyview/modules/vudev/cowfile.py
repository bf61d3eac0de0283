# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk that a COW file of UML's and its image are together, and how the two are merged.

Knows files, not where they come from; the format's other half is cowheader.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from pyview.api import Extent, File, Linear, places, refuse
from pyview.modules.vudev.cowheader import Header, read, write

#: Bytes that become ours together.  UML 6.1 misreads what follows a page of which it owns a part
#: (ubd_kern.c, do_io: the offset moves on by the last run only).
PAGE = 4096
BITS_AT_ONCE = 4096  # bytes of the bitmap: what is written as one
PIECE = 1 << 20  # bytes copied at once
ZEROS = bytes(PIECE)
EMPTY, FULL = bytes(4096), b"\xff" * 4096  # bytes of the bitmap
FURTHEST = 1 << 19  # of them are looked at, no more, to tell where what is changed ends

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16  # <linux/falloc.h>

Done = Callable[[int], object]  # called with how many bytes are done


class CowFile(File):
    """The disk that a COW file and its image are together.

    Data is in the COW file before the bit that says so: bits stay in memory until `fsync` has made
    their data durable, so neither a crash of ours nor one of the machine shows a sector that is
    not there.  What was promised (fsync) stays; what was not may be lost, as in a disk's cache.

    One operation at a time, as with any file.  The two files are locked by who opened them, and
    end with this one.
    """

    def __init__(self, cow: File, backing: File, header: Header, name: str) -> None:
        """Errors: EINVAL, its strerror a line for the user, when the COW file is cut short."""
        self._cow, self._backing, self.header = cow, backing, header
        self.slow = cow.slow or backing.slow
        self._size, self._data_at = header.size, header.data_at
        self._sector = header.sector
        self._page = max(PAGE, header.sector)
        self.moves_pages = not (self._page | self._data_at) % PAGE
        self._dirty: set[int] = set()  # numbers of BITS_AT_ONCE bytes that are to be written
        self._failed = False
        length = cow.size()
        if length < header.bitmap_at + header.bitmap_size:
            raise OSError(errno.EINVAL, f"cut short: {length} bytes", name)
        self._bits = bytearray(read(cow, header.bitmap_size, header.bitmap_at))
        end = self._data_at + self._last()
        if length < end:
            raise OSError(errno.EINVAL, f"cut short: {length} bytes, of {end}", name)

    def _last(self) -> int:
        """Where the last sector that is here ends, in bytes."""
        full = self._bits.rstrip(b"\0")
        if not full:
            return 0
        sector = (len(full) - 1) * 8 + full[-1].bit_length()
        return min(sector * self._sector, self._size)

    @property
    def writable(self) -> bool:
        """False when some sectors have no bit: old versions, of some sizes."""
        return self.header.bitmap_size * 8 >= self.header.sectors

    def size(self) -> int:
        return self._size

    # -- whose a sector is -----------------------------------------------------------------
    def runs(self, start: int = 0, end: int | None = None) -> Iterator[tuple[bool, int, int]]:
        """(changed, from, to) in bytes, of what lies in a row in one of the two files."""
        end = self._size if end is None else end
        changed, at = False, start
        for here, sector in self._borders(start // self._sector, -(-end // self._sector)):
            border = min(max(sector * self._sector, start), end)
            if here != changed and border > at:
                yield changed, at, border
                at = border
            changed = here
        if end > at:
            yield changed, at, end

    def _borders(self, first: int, last: int) -> Iterator[tuple[bool, int]]:
        """(changed, sector): from that sector on it is so.  Neighbours may say the same."""
        bits = self._bits
        from_byte, to_byte = first >> 3, min(-(-last // 8), len(bits))
        at = from_byte
        while at < to_byte:
            byte = bits[at]
            if byte in (0, 255):
                yield byte > 0, at * 8
                at = _end_of_same(bits, at, to_byte)
            else:
                yield from ((byte >> bit & 1 > 0, at * 8 + bit) for bit in range(8))
                at += 1
        if last > len(bits) * 8:
            yield False, max(first, len(bits) * 8)

    def _all_ours(self, start: int, end: int) -> bool:
        """Whether all of these bytes are in the COW file; False, too, where that is hard to say."""
        low, high = start // self._sector >> 3, -(-end // self._sector) + 7 >> 3
        bits = self._bits
        return high <= len(bits) and bits[low] == 255 and _end_of_same(bits, low, high) == high

    def _ours(self, start: int, end: int) -> bool | None:
        """True when all these bytes are in the COW file, False when none is, None otherwise."""
        first, last = start // self._sector, -(-end // self._sector)
        bits = self._bits[first >> 3 : (last + 7) >> 3]
        if bits.count(0) == len(bits):
            return False
        if bits.count(255) == len(bits) and last <= len(self._bits) * 8:
            return True
        found = {changed for changed, _, _ in self.runs(start, end)}
        return found.pop() if len(found) == 1 else None

    def linear(self) -> Linear:
        return Linear(-1, 0, self._size, True, self)

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """What is changed may be changed again where it is; the first change is for `pwrite`.

        What is changed is told to its end, beyond what was asked: who asks next may be far away.
        """
        wanted = min(offset + length, self._size)
        for changed, start, end in self.runs(offset, wanted):
            if changed:
                end = self._goes_on(end) if end == wanted else end
                yield from places(self._cow, self._data_at + start, end - start)
            else:
                for extent in places(self._backing, start, end - start):
                    yield extent._replace(writes=False)

    def _goes_on(self, end: int) -> int:
        """How far what is changed just before `end` is so behind it, too: at least there."""
        bits, at = self._bits, (end - 1) // self._sector >> 3
        if at < len(bits) and bits[at] == 255:
            at = _end_of_same(bits, at, min(at + FURTHEST, len(bits)))
        return max(end, min(at * 8 * self._sector, self._size))

    # -- reading and writing ---------------------------------------------------------------
    def pread(self, size: int, offset: int) -> bytes:
        end = min(offset + size, self._size)
        if end <= offset:
            return b""
        ours = self._ours(offset, end)
        if ours is not None:
            return self._read(ours, offset, end)
        return b"".join(self._read(*run) for run in self.runs(offset, end))

    def _read(self, changed: bool, start: int, end: int) -> bytes:
        if changed:
            return read(self._cow, end - start, self._data_at + start)
        return read(self._backing, end - start, start)

    def pwrite(self, data: bytes, offset: int) -> int:
        if not data:
            return 0
        taken = min(len(data), self._size - offset)
        if taken <= 0:
            raise refuse(errno.ENOSPC)
        self._write(data if taken == len(data) else data[:taken], offset)
        return taken

    def _write(self, data: bytes, offset: int) -> None:
        """Write, and copy the rest of the first and the last page up when they are not ours."""
        end = offset + len(data)
        start, stop = self._whole(offset, end)
        ours = self._ours(start, stop)
        if ours is not True:
            head, tail = self.pread(offset - start, start), self.pread(stop - end, end)
            if head or tail:
                data, offset = b"".join((head, data, tail)), start
        write(self._cow, data, self._data_at + offset)
        if ours is not True:
            self._mark(start, stop)

    def _whole(self, start: int, end: int) -> tuple[int, int]:
        """The pages that some bytes lie in, the last one as far as it is there."""
        return start // self._page * self._page, min(-(-end // self._page) * self._page, self._size)

    def _mark(self, start: int, end: int) -> None:
        """These bytes are in the COW file from now on, at whole sectors."""
        first, last = start // self._sector, -(-end // self._sector) - 1
        low, high = first >> 3, last >> 3
        if high >= len(self._bits):
            raise refuse(errno.EROFS)  # not `writable`
        from_first, to_last = 0xFF << (first & 7) & 0xFF, 0xFF >> (7 - (last & 7))
        if low == high:
            self._bits[low] |= from_first & to_last
        else:
            self._bits[low] |= from_first
            self._bits[low + 1 : high] = b"\xff" * (high - low - 1)
            self._bits[high] |= to_last
        self._dirty.update(range(low // BITS_AT_ONCE, high // BITS_AT_ONCE + 1))
        self.relocated(start, end - start)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """Zeros, by a hole in the COW file where that is possible.  Errors: EOPNOTSUPP."""
        if mode & ~KEEP_SIZE not in (PUNCH_HOLE, ZERO_RANGE):
            raise refuse(errno.EOPNOTSUPP)
        end = min(offset + length, self._size)
        start = -(-offset // self._page) * self._page
        stop = end if end == self._size else end // self._page * self._page
        if start < stop:
            at = self._data_at + start
            self._cow.fallocate(PUNCH_HOLE | KEEP_SIZE, at, stop - start)
            if not self._all_ours(start, stop):
                self._mark(start, stop)
        for low, high in ((offset, min(start, end)), (max(stop, start, offset), end)):
            if low < high:
                self._write(bytes(high - low), low)

    def seek(self, offset: int, whence: int) -> int:
        if offset >= self._size:
            raise refuse(errno.ENXIO)
        for changed, start, end in self.runs(offset):
            file, base = (self._cow, self._data_at) if changed else (self._backing, 0)
            try:
                found = file.seek(base + start, whence) - base
            except OSError as error:
                if error.errno not in (errno.ENXIO, errno.EINVAL):
                    raise
                # Nothing but a hole follows; or a real block device, which cannot tell.
                hole = error.errno == errno.ENXIO
                found = start if hole is (whence == os.SEEK_HOLE) else end
            if found < end:
                return found
        if whence == os.SEEK_HOLE:
            return self._size
        raise refuse(errno.ENXIO)

    def fsync(self) -> None:
        """First the data, then the bits that say it is there.

        Errors: EIO; once data was lost no bit is written any more: Linux reports a failed write
        once, and calls the page clean.
        """
        if self._failed:
            raise refuse(errno.EIO)
        try:
            self._cow.fsync()
        except OSError:
            self._failed = True
            raise
        if self._dirty:
            for number in sorted(self._dirty):
                at = number * BITS_AT_ONCE
                bits = bytes(self._bits[at : at + BITS_AT_ONCE])
                write(self._cow, bits, self.header.bitmap_at + at)
            self._cow.fsync()
            self._dirty.clear()

    def close(self) -> None:
        self.relocated(0, -1)
        self._cow.close()
        self._backing.close()

    @property
    def pending(self) -> bool:
        """True when some sectors would be lost without an fsync."""
        return bool(self._dirty) and not self._failed


def _end_of_same(bits: bytearray, at: int, stop: int) -> int:
    """Where the bytes end, before `stop`, that are the one at `at`: 0 or 255."""
    alike = FULL if bits[at] else EMPTY
    while at + len(alike) <= stop and bits[at : at + len(alike)] == alike:
        at += len(alike)
    rest = bits[at : min(at + len(alike), stop)]
    return at + len(rest) - len(rest.lstrip(alike[:1]))


# -- merging -----------------------------------------------------------------------------------
def merge_into(disk: CowFile, backing: File, done: Done) -> None:
    """Write what is changed into the image itself, which `backing` is, open for writing."""
    for changed, start, end in disk.runs():
        if changed:
            for at in range(start, end, PIECE):
                stop = min(at + PIECE, end)
                write(backing, disk.pread(stop - at, at), at)
                done(stop)
    backing.fsync()


def copy(disk: File, new: File, done: Done) -> None:
    """Make an empty file what a disk is; where that is zero it gets holes."""
    at, size = 0, disk.size()
    while at < size:
        try:
            at = disk.seek(at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        end = min(disk.seek(at, os.SEEK_HOLE), size)
        while at < end:
            # Up to a border of pieces, so that pages lie as in the file.
            data = disk.pread(min(end, at // PIECE * PIECE + PIECE) - at, at)
            if not data:
                raise refuse(errno.EIO)
            _write_but_zeros(new, data, at)
            at += len(data)
            done(at)
    new.truncate(size)


def _write_but_zeros(file: File, data: bytes, offset: int) -> None:
    """Write the pages that are not all zero, neighbours together."""
    if data == ZEROS[: len(data)]:
        return
    start: int | None = None
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        if page == ZEROS[: len(page)]:
            if start is not None:
                write(file, data[start:at], offset + start)
                start = None
        elif start is None:
            start = at
    if start is not None:
        write(file, data[start:] if start else data, offset + start)
