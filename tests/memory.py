# SPDX-License-Identifier: GPL-2.0-or-later
"""A file of no tree, for tests of those who use files."""

from __future__ import annotations

from pyview.api import File


class Memory(File):
    """A file that is a bytearray."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def pread(self, size, offset):
        return bytes(self.data[offset : offset + size])

    def pwrite(self, data, offset):
        self._extend(offset + len(data))
        self.data[offset : offset + len(data)] = data
        return len(data)

    def size(self):
        return len(self.data)

    def truncate(self, size):
        self._extend(size)
        del self.data[size:]

    def fallocate(self, mode, offset, length):
        self._extend(offset + length)
        self.data[offset : offset + length] = bytes(length)

    def _extend(self, size):
        self.data.extend(bytes(max(0, size - len(self.data))))
