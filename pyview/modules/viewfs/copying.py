# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy a file's bytes, the cheapest way there is: shared blocks, in the kernel, holes kept."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable

from pyview.api import File

FICLONE = 0x40049409
CHUNK = 1 << 20  # bytes taken through memory at a time
MOST = 16 << 20  # bytes that the kernel copies between two words to `told`
#: What copy_file_range(2) and FICLONE say when another way is left.
OTHER_WAY = frozenset(
    (
        *(errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EPERM),
        errno.ETXTBSY,
    )
)

Told = Callable[[int], None]


def silent(_count: int) -> None:
    """Tell nobody how many more bytes are copied."""


def copy(source: int, target: int, size: int, told: Told = silent) -> bool:
    """The first `size` bytes of the descriptor `source`; `target` is empty.  Errors: ENOSPC, EIO.

    A file that tells no size (of proc, say) is read to its end.  `told` is called with a number of
    bytes each time, holes too.  False: the file has become shorter meanwhile.
    """
    whole = os.fstat(source).st_size
    if not whole:
        _pump(source, target, size)
        return True
    if size >= whole:
        size = whole
        try:
            fcntl.ioctl(target, FICLONE, source)
            told(size)
            return True
        except OSError as error:
            if error.errno not in OTHER_WAY:
                raise
    at, all_there = 0, True
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
            end = min(os.lseek(source, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # a hole up to the end
            start, end = at, size  # a file system that knows no holes
        if start >= size:
            break
        told(start - at)
        all_there &= _range(source, target, start, end, told)
        at = end
    told(max(0, size - at))
    os.ftruncate(target, size)
    return all_there


def _range(source: int, target: int, start: int, end: int, told: Told) -> bool:
    while start < end:
        try:
            count = os.copy_file_range(source, target, min(MOST, end - start), start, start)
        except OSError as error:
            if error.errno not in OTHER_WAY:
                raise
            data = os.pread(source, min(CHUNK, end - start), start)
            count = os.pwrite(target, data, start)
        if not count:
            return False
        start += count
        told(count)
    return True


def _pump(source: int, target: int, size: int) -> None:
    at = 0
    while at < size and (data := os.pread(source, min(CHUNK, size - at), at)):
        at += write_all(target, data, at)


def copy_file(source: File, target: int, size: int) -> None:
    """The same from a file that is no descriptor."""
    at = 0
    while at < size and (data := source.pread(min(CHUNK, size - at), at)):
        at += write_all(target, data, at)


def write_all(target: int, data: bytes, at: int) -> int:
    """All of the bytes, however many writes that takes; how many there were.  Errors: ENOSPC."""
    done = 0
    while done < len(data):
        done += os.pwrite(target, data[done:], at + done)
    return done
