# SPDX-License-Identifier: GPL-2.0-or-later
"""memory_disk: a disk of memory, gone with its mount.

    pyview -p ./examples/05_memory_disk.py sh -c 'mount -t memdisk -o size=4M none /dev/mine &&
        /sbin/mkfs.ext2 -q /dev/mine && /sbin/dumpe2fs -h /dev/mine'

The fifth rung: a device.  Three operations are its own; opening, seeking, vectors, mmap, locks and
poll come from the core.  An ioctl is answered with bytes; those not known here stay ENOTTY.
"""

import errno
import struct
from typing import Any, ClassVar

from pyview.abi.ioctl import BLKGETSIZE64
from pyview.api import Device, Module, Tree, refuse


class MemoryDisk(Device):
    mode = 0o666  # everybody's: the owner is root unless `uid` says otherwise

    def __init__(self, below: Tree, source: str, *, size: int = 1 << 20) -> None:
        self.data = bytearray(size)

    def pread(self, size: int, offset: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def pwrite(self, data: bytes, offset: int) -> int:
        data = data[: max(0, self.size() - offset)]
        if not data:
            raise refuse(errno.ENOSPC)
        self.data[offset : offset + len(data)] = data
        return len(data)

    def size(self) -> int:
        return len(self.data)

    def ioctl(self, request: int, data: bytes) -> bytes:
        if request == BLKGETSIZE64:
            return struct.pack("=Q", self.size())
        return super().ioctl(request, data)


class Disks(Module):
    types: ClassVar[dict[str, Any]] = {"memdisk": MemoryDisk}
