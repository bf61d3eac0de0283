# SPDX-License-Identifier: GPL-2.0-or-later
"""A file as tasks see it: C reads and writes where its bytes are said to lie, else Python does."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from pyview._core import lib
from pyview.api import File
from pyview.linear import Map

UNKNOWN = -(1 << 63)  # PV_UNKNOWN


class ThroughC:
    """`file`, whose extents C knows as far as they were asked for; this thread is the task.

    in_c  how many reads and writes C has answered
    """

    def __init__(self, file: File) -> None:
        where = file.linear()
        assert where is not None
        assert where.of is not None
        self.file, self.start = file, where.start
        self.map = Map(where.of)
        self.in_c = [0, 0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def close(self) -> None:
        self.map.close()
        self.file.close()

    def _call(self, function: Any, buffer: Any, offset: int, size: int) -> int:
        address = ctypes.addressof(buffer)
        tid = threading.get_native_id()
        return int(function(self.map.in_c, tid, address, self.start + offset, size))

    def pread(self, size: int, offset: int) -> bytes:
        """As csrc/linear.c and pyview/handlers/files.py do it; C and Python have to agree."""
        want = self.file.pread(size, offset)
        size = max(0, min(size, self.file.size() - offset))
        buffer = ctypes.create_string_buffer(size or 1)
        done = self._call(lib.pv_extents_read, buffer, offset, size)
        if done == UNKNOWN:
            self.map.missed(self.start + offset, size)
            return want
        self.in_c[0] += 1
        assert done == size
        assert buffer.raw[:size] == want
        return want

    def pwrite(self, data: bytes, offset: int) -> int:
        """The same."""
        if len(data) <= self.file.size() - offset:
            buffer = ctypes.create_string_buffer(data, len(data) or 1)
            done = self._call(lib.pv_extents_write, buffer, offset, len(data))
            if done != UNKNOWN:
                self.in_c[1] += 1
                return done
        moves = self.map.moves
        done = self.file.pwrite(data, offset)
        if self.map.moves == moves:
            self.map.missed(self.start + offset, done)
        return done
