# SPDX-License-Identifier: GPL-2.0-or-later
"""vudevramdisk: a disk in memory, gone with its mount."""

from __future__ import annotations

import errno
import mmap
from typing import Any

from pyview.api import Tree, refuse
from pyview.modules.vudev.disk import SECTOR
from pyview.modules.vudev.mbr import Partitioned

SIZE = 32 << 20  # bytes, as VUOS
MAP_NORESERVE = 0x4000  # mmap has it from Python 3.12 on; memory is taken as it is written
PAGE = mmap.PAGESIZE


class RamDisk(Partitioned):
    """`size` bytes of zeroes, in whole sectors; with `mbr`, its partitions are shown."""

    def __init__(
        self,
        below: Tree,
        source: str,
        *,
        size: int = SIZE,
        mbr: bool = False,
        **disk: Any,
    ) -> None:
        """Errors: EINVAL for less than a sector, ENOMEM for more than the machine can hold."""
        super().__init__(below, **disk)
        self._size = size // SECTOR * SECTOR
        if self._size <= 0:
            raise refuse(errno.EINVAL, f"size={size}")
        self.has_partitions = mbr
        try:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
            self._memory = mmap.mmap(-1, self._size, flags)
        except (OverflowError, OSError):
            raise refuse(errno.ENOMEM, f"size={size}") from None

    def pread(self, size: int, offset: int) -> bytes:
        return self._memory[offset : offset + size]

    def pwrite(self, data: bytes, offset: int) -> int:
        self._memory[offset : offset + len(data)] = data
        return len(data)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """Zeroes, and whole pages go back to the machine."""
        end = offset + length
        first, last = -(-offset // PAGE) * PAGE, end // PAGE * PAGE
        if first >= last:
            self._memory[offset:end] = bytes(length)
            return
        self._memory[offset:first] = bytes(first - offset)
        self._memory[last:end] = bytes(end - last)
        self._memory.madvise(mmap.MADV_DONTNEED, first, last - first)

    def size(self) -> int:
        return self._size

    def finish(self) -> None:
        self._memory.close()
