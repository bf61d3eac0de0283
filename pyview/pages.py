# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of a mapped file: a memfd that holds what a virtual tree's file holds.

The kernel maps a real file only, so whoever maps a virtual one gets this in its place, filled as
far as it is mapped.  What is mapped shared and writable is written back at msync(2), munmap(2) and
when the last who has it mapped has ended; until then whoever reads sees it, too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Hashable
from typing import NamedTuple

from pyview.api import File, if_it_fails, refuse

PAGE = 4096
CHUNK = 1 << 20  # bytes read at a time
WHOLE = 1 << 63  # bytes: more than any file has


def rounded(length: int) -> int:
    """Bytes, up to the end of their last page."""
    return -(-length // PAGE) * PAGE


class Part(NamedTuple):
    """What of a mapped file is at some addresses: [first, last) bytes of it."""

    pages: Pages
    first: int
    last: int


class Area(NamedTuple):
    """Where a process has mapped a file: from `start` up to `end`, the file from `offset` on."""

    start: int
    end: int
    key: tuple[int, int]
    offset: int


class Pages:
    """What is mapped of one file.

    tree    whose file it is: what a slow one does, mapped or not, is done in its tree's thread
    fd      the memfd, as long as the file
    told    called with [start, end) in bytes, whole pages, that have been filled
    shared  some process may write to it: reads come from here
    """

    def __init__(self, file: File, tree: Hashable = None) -> None:
        self.file, self.tree = file, tree
        self.shared = False
        self.fd = os.memfd_create("pyview", os.MFD_CLOEXEC)
        self.length = 0  # of the file, bytes
        self.told: Callable[[int, int], None] = lambda start, end: None
        self._filled: list[tuple[int, int]] = []  # [start, end) in bytes, sorted, apart
        with if_it_fails(self.close):
            self.grow()

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        os.close(fd)

    def grow(self) -> None:
        """Be as long as the file is by now."""
        self.length = self.file.size()
        os.ftruncate(self.fd, self.length)

    def fill(self, start: int, length: int) -> None:
        """Hold the file's bytes from `start` on, also those to come.  Errors: EIO, ENOMEM."""
        end = -(-(start + length) // PAGE) * PAGE
        start -= start % PAGE
        for low, high in self.missing(start, end):
            self._copy(low, min(high, self.length))
        self._note(start, end)

    def _copy(self, low: int, high: int) -> None:
        while low < high:
            low = self._after_hole(low)
            data = self.file.pread(min(CHUNK, high - low), low) if low < high else b""
            if not data:
                return  # it has become shorter
            if os.pwrite(self.fd, data, low) < len(data):
                raise refuse(errno.ENOMEM)
            low += len(data)

    def _after_hole(self, low: int) -> int:
        """Where the next byte is that need not be 0; holes are not read."""
        try:
            return self.file.seek(low, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return self.length  # nothing but a hole follows
            return low  # it does not tell

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of [start, end) is not filled."""
        found = []
        for low, high in self._filled:
            if high <= start or low >= end:
                continue
            if start < low:
                found.append((start, low))
            start = max(start, high)
        if start < end:
            found.append((start, end))
        return found

    def _note(self, start: int, end: int) -> None:
        """[start, end) is filled."""
        if end <= start:
            return
        self.told(start, end)
        apart = []
        for low, high in self._filled:
            if high < start or low > end:
                apart.append((low, high))
            else:
                start, end = min(start, low), max(end, high)
        self._filled = sorted([*apart, (start, end)])

    def filled(self) -> list[tuple[int, int]]:
        """What is filled: [start, end) in bytes, whole pages."""
        return list(self._filled)

    def _within(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of [start, end) is filled."""
        cut = [(max(start, low), min(end, high)) for low, high in self._filled]
        return [(low, high) for low, high in cut if low < high]

    def seen(self, data: bytes, offset: int) -> bytes:
        """`data`, read from the file at `offset`, with what has been written by mapping."""
        if not self.shared:
            return data
        whole = bytearray(data)
        for low, high in self._within(offset, offset + len(data)):
            newer = os.pread(self.fd, high - low, low)
            whole[low - offset : low - offset + len(newer)] = newer
        return bytes(whole)

    def wrote(self, data: bytes, offset: int) -> None:
        """The file was written at `offset`."""
        if offset + len(data) > self.length:
            self.grow()
        for low, high in self._within(offset, offset + len(data)):
            os.pwrite(self.fd, data[low - offset : high - offset], low)

    def changed(self, offset: int) -> None:
        """The file is another from `offset` on; nothing had been written by mapping."""
        self.grow()
        for low, high in self._within(offset, self.length):
            os.pwrite(self.fd, bytes(high - low), low)
            self._copy(low, high)

    def cut(self, size: int) -> None:
        """The file is `size` bytes long now."""
        os.ftruncate(self.fd, size)
        self.length = size

    def write_back(self, first: int = 0, last: int = WHOLE) -> None:
        """Bring what has been written by mapping to the file, within [first, last) bytes.

        Errors: EIO, ENOSPC.
        """
        if not self.shared or self.fd < 0:
            return
        for start, end in self._within(first, min(last, self.length)):
            for low in range(start, end, CHUNK):
                high = min(low + CHUNK, end)
                self._write_changed(os.pread(self.fd, high - low, low), low)

    def _write_changed(self, data: bytes, offset: int) -> None:
        """Write the pages of `data` that differ from the file's, in runs."""
        old = self.file.pread(len(data), offset)
        if old == data:
            return
        run = -1
        for at in range(0, len(data) + PAGE, PAGE):
            differs = at < len(data) and data[at : at + PAGE] != old[at : at + PAGE]
            if differs and run < 0:
                run = at
            elif not differs and run >= 0:
                piece = data[run:at]
                if self.file.pwrite(piece, offset + run) < len(piece):
                    raise refuse(errno.ENOSPC)
                run = -1
