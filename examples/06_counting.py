# SPDX-License-Identifier: GPL-2.0-or-later
"""counting: a device that counts what is read from another one, or from a file, and written to it.

    truncate -s 1M /tmp/disk
    pyview -p ./examples/06_counting.py sh -c 'mount -t counting /tmp/disk /dev/counted &&
        head -c 5000 /dev/counted | wc -c && echo hello >/dev/counted && cat /dev/counted.count'

The sixth rung: a device over another.  What lies below is opened through `below`, so it may be
virtual, too.  A companion, mounted beside the device and gone with it, tells the counts.
"""

import os
import stat
from collections.abc import Mapping
from typing import Any, ClassVar

from pyview.api import Device, Module, Tree


class Counting(Device):
    mode = 0o666

    def __init__(self, below: Tree, source: str) -> None:
        self.file = below.open(source, os.O_RDWR)
        self.slow = self.file.slow  # if it may wait, so may we
        self.read = self.written = 0
        self.counts = Counts(self)

    def pread(self, size: int, offset: int) -> bytes:
        data = self.file.pread(size, offset)
        self.read += len(data)
        return data

    def pwrite(self, data: bytes, offset: int) -> int:
        count = self.file.pwrite(data, offset)
        self.written += count
        return count

    def size(self) -> int:
        return self.file.size()

    def fsync(self) -> None:
        self.file.fsync()

    def companions(self, target: str) -> Mapping[str, Tree]:
        return {target + ".count": self.counts}

    def unmounted(self) -> None:
        self.file.close()


class Counts(Device):
    """A text of size 0 as stat(2) has it, like those in /proc."""

    kind, mode = stat.S_IFREG, 0o444

    def __init__(self, device: Counting) -> None:
        self.device = device

    def pread(self, size: int, offset: int) -> bytes:
        text = b"read %d\nwritten %d\n" % (self.device.read, self.device.written)
        return text[offset : offset + size]


class Counters(Module):
    types: ClassVar[dict[str, Any]] = {"counting": Counting}
