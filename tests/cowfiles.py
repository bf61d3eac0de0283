# SPDX-License-Identifier: GPL-2.0-or-later
"""COW files for tests: of every version, and files that crash."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

from pyview.api import File
from pyview.kernel import KernelFile
from pyview.modules.vudev import cowheader
from pyview.modules.vudev.cowfile import CowFile

#: what a header may be like: version 1 in either byte order, 2, 3, and the broken 3
VERSIONS = ("1<", "1>", "2", "3", "3broken")
#: uml_moo reads a version 1 of its own byte order only
THEIRS = ("1<" if sys.byteorder == "little" else "1>", "2", "3", "3broken")


def header(version, backing, *, sector=512, align=4096):
    """A header as Linux (arch/um/drivers/cow_user.c) lays it out, and where the bitmap begins."""
    st, name = os.stat(backing), os.fsencode(backing)
    size, mtime = st.st_size, int(st.st_mtime_ns // 10**9)
    if version[0] == "1":
        data = struct.pack(version[1] + "II256sIQi", 0x4F4F4F4D, 1, name, mtime, size, sector)
        return data, len(data), sector
    if version == "2":
        data = struct.pack(">II4096sIQi", 0x4F4F4F4D, 2, name, mtime, size, sector)
        return data, len(data), sector
    if version == "3":
        form, length = ">IIIQIII4096s", 4128
    else:
        form, length = ">IIIxxxxQIII4096s", 4136
    data = struct.pack(form, 0x4F4F4F4D, 3, mtime, size, sector, align, 0, name)
    return data, -(-length // align) * align, align


def craft(path, version, backing, sectors):
    """A COW file made by hand: `sectors` maps numbers to 512 bytes each."""
    size = os.path.getsize(backing)
    data, bitmap_at, align = header(version, backing)
    count = -(-size // 512)
    length = (size + 511) // 4096 if version[0] in "12" else -(-count // 8)
    bits = bytearray(length)
    data_at = -(-(bitmap_at + length) // align) * align
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(data_at + size)
        for number, content in sectors.items():
            if number >> 3 < length:
                bits[number >> 3] |= 1 << (number & 7)
            file.seek(data_at + 512 * number)
            file.write(content)
        file.seek(bitmap_at)
        file.write(bits)


def opened(path, flags=os.O_RDWR):
    return KernelFile(os.open(path, flags | os.O_CLOEXEC, 0o644))


def disk(cow, backing, wrap=lambda file: file):
    """The disk that two files, by their names, are."""
    file = wrap(opened(cow))
    return CowFile(file, opened(backing, os.O_RDONLY), cowheader.header_of(file, cow), cow)


def new_cow(cow, backing):
    st = os.stat(backing)
    file = opened(cow, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    cowheader.create(file, str(backing), st.st_size, cowheader.mtime_of(st))
    file.close()


def moo(cow, out):
    """What UML's own tool makes of a COW file."""
    subprocess.run(["uml_moo", cow, out], check=True, capture_output=True)
    with open(out, "rb") as file:
        return file.read()


class Killed(Exception):
    """In place of SIGKILL."""


class Counted(File):
    """A file whose process is killed at one of its operations; what was done before stays done."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise Killed

    def pread(self, size, offset):
        return self.file.pread(size, offset)

    def size(self):
        return self.file.size()

    def pwrite(self, data, offset):
        self._step()
        return self.file.pwrite(data, offset)

    def fallocate(self, mode, offset, length):
        self._step()
        self.file.fallocate(mode, offset, length)

    def fsync(self):
        self._step()

    def close(self):
        self.file.close()


class Volatile(File):
    """A file in memory on a machine that may lose power: after it, of what was written since the
    last fsync, any sectors are there or not, each by itself."""

    def __init__(self, content):
        self.now = bytearray(content)
        self.safe = bytes(content)

    def pread(self, size, offset):
        return bytes(self.now[offset : offset + size])

    def pwrite(self, data, offset):
        self.now[offset : offset + len(data)] = data
        return len(data)

    def fallocate(self, mode, offset, length):
        self.now[offset : offset + length] = bytes(length)

    def size(self):
        return len(self.now)

    def fsync(self):
        self.safe = bytes(self.now)

    def after_power_loss(self, choose):
        """What is found later; `choose` says of each sector whether it had been written."""
        found = bytearray(self.safe)
        for at in range(0, len(found), 512):
            if self.now[at : at + 512] != found[at : at + 512] and choose():
                found[at : at + 512] = self.now[at : at + 512]
        return found
