# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy a file's bytes, the cheapest way there is: shared blocks, in the kernel, holes kept."""

from __future__ import annotations

import errno
import fcntl
import os

from pyview.api import File

FICLONE = 0x40049409
CHUNK = 1 << 20  # bytes
#: What copy_file_range(2) and FICLONE say when another way is left.
OTHER_WAY = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
)


def copy(source: int, target: int, size: int) -> None:
    """The first `size` bytes of the descriptor `source`; `target` is empty.  Errors: ENOSPC, EIO.

    A file that tells no size (of proc, say) is read to its end.
    """
    whole = os.fstat(source).st_size
    if not whole:
        _pump(source, target, size)
        return
    if size >= whole:
        size = whole
        try:
            fcntl.ioctl(target, FICLONE, source)
            return
        except OSError as error:
            if error.errno not in OTHER_WAY:
                raise
    at = 0
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
        _range(source, target, start, end)
        at = end
    os.ftruncate(target, size)


def _range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        try:
            count = os.copy_file_range(source, target, end - start, start, start)
        except OSError as error:
            if error.errno not in OTHER_WAY:
                raise
            data = os.pread(source, min(CHUNK, end - start), start)
            count = os.pwrite(target, data, start)
        if not count:
            return  # it has become shorter meanwhile
        start += count


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
