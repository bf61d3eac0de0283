# SPDX-License-Identifier: GPL-2.0-or-later
"""Descriptors of block devices that are the kernel's own open files: direct ones, and windows.

A direct one is the image of a whole device.  What is read, mapped, synchronized, or written within
the device then costs what it costs on the image itself.  What could tell the difference stops as on
any other emulated descriptor.  Of windows: pyview/windows.py.

The same of trees that have only texts (api.Tree.texts): of a file, one in memory with its bytes;
of a directory, some directory of the kernel's, of which nothing is seen but that it is one.

The core keeps no copy, so it hears nothing of the last close.  A lock on a byte that no file has
tells whether the open file is still there: it goes with it (fcntl(2), F_OFD_SETLK).
"""

from __future__ import annotations

import fcntl
import os
import random
import stat
import struct
from functools import cache

from pyview import core
from pyview.api import File, Linear, Tree
from pyview.kernel import BEYOND
from pyview.openfile import O_PATH
from pyview.pages import PAGE, rounded
from pyview.reach import CHUNK, EVERYWHERE, NOTHING, Reach

_FLOCK = struct.Struct("=hh4xqqi4x")
_SYNC = os.O_SYNC | os.O_DSYNC
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
DIRECTORY = "/sys"  # it behaves as one that nobody can write: for fsync(2), lseek(2)...
MOST_WARM, MOST_COLD = 128 << 20, 8 << 20  # bytes of an image; and those that are not in memory
HIGHEST = 1 << 46  # bytes: what addresses a process has free at least


def whole(file: File) -> Linear | None:
    """Where a device's bytes are, when they are all that a regular file has; else None."""
    found = None if file.slow else file.linear()
    if found is None or found.of is not None or found.start != 0 or found.size < 0:
        return None
    st = os.fstat(found.fd)
    return found if stat.S_ISREG(st.st_mode) and st.st_size == found.size else None


def in_pages(found: Linear) -> bool:
    """Whether bytes are whole pages of a regular file, which can be mapped in their place.

    Or all of it: behind its end there are zeroes, as behind a device's.
    """
    if found.of is not None or found.size <= 0 or found.start % PAGE:
        return False
    st = os.fstat(found.fd)
    ends = not found.size % PAGE or found.start + found.size == st.st_size
    return ends and stat.S_ISREG(st.st_mode)


def image(file: File) -> Linear | None:
    """Where a file's bytes are, when those can be mapped in its place; else None."""
    found = file.linear()
    return found if found is not None and in_pages(found) else None


@cache
def lowest() -> int:
    """The first address that can be mapped: proc(5), /proc/sys/vm/mmap_min_addr."""
    with open("/proc/sys/vm/mmap_min_addr", "rb", 0) as file:
        return max(PAGE, rounded(int(file.readall())))


@cache
def _is_traced() -> bool:
    """In another core's view, where what we map may be emulated itself."""
    with open("/proc/self/status", "rb", 0) as file:
        return b"\nTracerPid:\t0\n" not in file.readall()


def shown(file: File) -> Linear | None:
    """Where a file's bytes are, if windows can show them; else None."""
    found = None if file.slow or _is_traced() else file.linear()
    if found is None or not lowest() < found.size < HIGHEST:
        return None
    if found.of is None:
        return found if in_pages(found) else None
    moves = found.of.relocates and not found.of.moves_pages
    return None if moves or found.start % PAGE else found


def reach(file: File, flags: int) -> Reach:
    """What needs no stop with a device that is opened so (O_*).

    A limit for the size of files does not count here.
    """
    if flags & O_PATH or flags & os.O_ACCMODE == os.O_ACCMODE:
        return NOTHING
    found = whole(file)
    if found is not None:
        return Reach(False, EVERYWHERE, _writes(found, flags))
    found = shown(file)
    if found is None:
        return NOTHING
    writes = _writes(found, flags)
    if writes != EVERYWHERE and not is_warm(found):
        writes = 0
    return Reach(True, _within(found.size), writes, lowest())


def _within(size: int) -> int:
    """Where CHUNK bytes must begin to lie within `size`: before that."""
    return max(0, size - CHUNK + 1)


_warm: set[tuple[int, int]] = set()  # images


def is_warm(found: Linear) -> bool:
    """Whether who writes to windows need not wait, or hardly ever.

    The kernel reads a page first that is not in memory, even if all of it is to be written: that
    must be few bytes at first, and can't be many at any time.
    """
    if found.of is not None:
        return False
    st = os.fstat(found.fd)
    key, there = (st.st_dev, st.st_ino), st.st_blocks * 512
    if there > MOST_WARM:
        return False
    if key not in _warm and there - core.cached(found.fd, 0, st.st_size) <= MOST_COLD:
        _warm.add(key)
    return key in _warm


def _writes(found: Linear, flags: int) -> int:
    """The same for writing with a descriptor that is opened so.

    One that is only read is treated as if it were written, where that can be: to the kernel's EBADF
    it makes no difference, and who opens a device for reading first needs no second filter.
    """
    if not found.writes and flags & os.O_ACCMODE == os.O_RDONLY:
        return EVERYWHERE
    plain = found.writes and found.of is None and not flags & _SYNC
    return _within(found.size) if plain else 0


def is_texts(tree: Tree) -> bool:
    """Whether a tree says so of itself."""
    return getattr(tree, "texts", False) is True


def text(data: bytes) -> int:
    """A file with these bytes that nobody can write: a descriptor of the core.

    Errors: EMFILE, ENOMEM.
    """
    fd = os.memfd_create("pyview", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, data)
        os.fchmod(fd, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


def directory() -> int:
    """Some directory: a descriptor of the core.  Errors: those of open(2)."""
    return os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def reopened(name: str, flags: int) -> tuple[int, int]:
    """A file of the core's once more, by a name in proc, as `flags` (O_*) want it.

    A descriptor of the core, and the byte it locks.
    Errors: those of open(2); EAGAIN, EINVAL and ENOLCK of file systems without such locks.
    """
    access = flags & os.O_ACCMODE
    fd = os.open(name, access | flags & _SYNC | os.O_CLOEXEC)
    try:
        byte = BEYOND + random.getrandbits(61)
        kind = fcntl.F_WRLCK if access == os.O_WRONLY else fcntl.F_RDLCK
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    except OSError:
        os.close(fd)
        raise
    return fd, byte


def is_open(fd: int, byte: int) -> bool:
    """Whether some open file of what the core's `fd` is open for has this byte locked."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
    except OSError:
        return False  # the image is closed
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
