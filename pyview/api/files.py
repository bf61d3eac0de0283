# SPDX-License-Identifier: GPL-2.0-or-later
"""Open files, and where their bytes are."""

# Annotations are evaluated here: NamedTuple compiles each that is a text, which every start pays.
import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pyview.api.errors import refuse

ALWAYS = 0x005  # POLLIN | POLLOUT


class Linear(NamedTuple):
    """Bytes of a descriptor of this process: `size` bytes of `fd` from `start` on.

    size    -1: up to its end, wherever that is
    writes  they may be written, too, if the file was opened for that
    of      they are bytes of this file instead, which tells its `extents`; `fd` is -1, `size` not
    syncs   fsync(2) of `fd` is all that there is to make them durable
    """

    fd: int
    start: int
    size: int
    writes: bool
    of: "File | None" = None
    syncs: bool = False


class Extent(NamedTuple):
    """Where the next `length` bytes of a file are: from `start` on in `fd`, open in this process.

    fd      ZEROES: they are all 0; NOWHERE: only `pread` can tell
    writes  they may be written there, too, and nothing else is to be done for that
    """

    length: int
    fd: int
    start: int = 0
    writes: bool = False


ZEROES, NOWHERE = -1, -2


class Known(NamedTuple):
    """What a file says of itself beforehand, so that the core need not ask each time.

    stat     its attributes, until chmod, chown or utime is asked of its tree, or an ioctl of it
    answers  requests of ioctl that do nothing but store these bytes, 16 at most, or get this errno,
             until another one
    text     all its bytes: nobody writes it
    """

    stat: os.stat_result | None = None
    answers: tuple[tuple[int, bytes | int], ...] = ()
    text: bytes | None = None


class File:
    """An open file: the descriptor calls of `os`, without the descriptor.

    Whoever writes `pread`, `pwrite` and `size` gets the rest from the core: offsets, vectors,
    O_APPEND, mmap, exec, poll, locks between processes, sendfile...  What changes attributes
    (fchmod, fsetxattr...) goes to the tree under the name the file was opened by, unless the
    file has a method of that name, without the path: `chmod(mode)`, `setxattr(name, value, flags)`.
    """

    #: Operations may wait (for a network, for another program): the core runs them in a thread of
    #: the file's own, one at a time, and only the caller waits.
    slow: bool = False

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` (bytes); b"" at or past the end.  Errors: EIO."""
        raise refuse(errno.EINVAL)

    def pwrite(self, data: bytes, offset: int) -> int:
        """Write at `offset` (bytes); how many bytes were taken.  Errors: ENOSPC, EIO."""
        raise refuse(errno.EINVAL)

    def size(self) -> int:
        """Its length in bytes.  Errors: ESPIPE when it has none."""
        raise refuse(errno.ESPIPE)

    def linear(self) -> Linear | None:
        """Where its bytes lie, one after the other, in a file that is really open here.

        The core then reads and writes them itself.  Asked when the file is opened, and again after
        an ioctl.
        """
        return None

    #: Whether bytes may be elsewhere later than `extents` has said: see `relocated`.
    relocates: bool = True
    #: What it relocates, and where that is then, are whole pages of 4096 bytes.
    moves_pages: bool = False

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """Where bytes from `offset` on are, each Extent right behind the one before.

        For a file whose `linear` says Linear(-1, 0, size, writes, of=self): the core reads, and
        writes, there itself, until `relocated` says that it is no longer so.  What is told may
        end anywhere, before the end or behind it; the core asks only when it comes to bytes that it
        does not know of.
        """
        yield from ()

    def relocated(self, offset: int, length: int) -> None:
        """To be called before an operation returns that has changed what `extents` tells.

        By `close` of a file that others are made of, with (0, -1): none of it is anywhere any more.
        """
        if self._moved is not None:
            self._moved(offset, length)

    _moved: Callable[[int, int], None] | None = None  # the core's

    def known(self) -> Known | None:
        """What need not be asked each time; also a slow file has to say it at once.

        Asked when the file is opened, and again when that may have changed.
        """
        return None

    def stat(self) -> os.stat_result | None:
        """The attributes of the open file; None: ask the tree for its name."""
        return None

    def truncate(self, size: int) -> None:
        """Make it `size` bytes long.  Errors: EINVAL when it can't be."""
        raise refuse(errno.EINVAL)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2): `mode` is FALLOC_FL_*.  Errors: EOPNOTSUPP."""
        raise refuse(errno.EOPNOTSUPP)

    def seek(self, offset: int, whence: int) -> int:
        """Where data (SEEK_DATA) or a hole (SEEK_HOLE) begins at or after `offset`, as lseek(2).

        Here: all is data.  Errors: ENXIO at or past the end.
        """
        if offset >= self.size():
            raise refuse(errno.ENXIO)
        return offset if whence == os.SEEK_DATA else self.size()

    def ioctl(self, request: int, data: bytes) -> bytes:
        """Answer an ioctl with the bytes to be stored where its argument points to.

        `data` is what the argument points to, as much as the request is known to read
        (pyview/abi/ioctl.py), or the argument itself, 8 bytes in machine order, when it is no
        pointer.  It is shorter than the request's number says when no more could be read: EFAULT,
        if the request is known here.  Errors: ENOTTY for one that is not.
        """
        raise refuse(errno.ENOTTY)

    def poll(self) -> int:
        """select.POLLIN when a read would not wait.  A file with no such method is always ready.

        An operation that would wait raises OSError(EAGAIN); the core lets the caller wait, also
        those in poll(2), until the file has called `ready`.
        """
        return ALWAYS

    def ready(self) -> None:
        """To be called, from any thread, when what would have waited may go on."""
        if self._told is not None:
            self._told()

    _told: Callable[[], None] | None = None  # the core's

    def lock(self, exclusive: bool) -> None:
        """Lock the whole file against other users of it, until it is closed.  Errors: EAGAIN."""

    def fsync(self) -> None:
        """Make what was written durable."""

    def close(self) -> None:
        """The last descriptor has gone."""


def places(file: File, offset: int, length: int) -> Iterator[Extent]:
    """Where bytes of a file are, for the extents of one that is made of it.

    They lie within it.  A file that may move them tells only those who have it open: NOWHERE.
    """
    where = file.linear()
    if where is None or (where.of is not None and where.of.relocates):
        yield Extent(length, NOWHERE)
    elif where.of is None:
        yield Extent(length, where.fd, where.start + offset, where.writes)
    else:
        for extent in where.of.extents(where.start + offset, length):
            if length <= 0:
                break
            here = min(extent.length, length)
            yield extent._replace(length=here, writes=extent.writes and where.writes)
            length -= here
