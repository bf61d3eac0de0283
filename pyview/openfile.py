# SPDX-License-Identifier: GPL-2.0-or-later
"""An open file of a virtual tree: what open(2) calls an open file description.

Pure: knows no process and no descriptor.  It is shared by whoever shares the descriptor (dup, fork,
SCM_RIGHTS), and ends with the last of them.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable
from typing import Protocol

from pyview.api import File, Tree, refuse
from pyview.pages import Pages
from pyview.view import Mount

O_PATH = 0o10000000
O_LARGEFILE = 0o100000  # what fcntl(F_GETFL) shows of every file that open(2) made
SETTABLE = os.O_APPEND | os.O_NONBLOCK | os.O_ASYNC | os.O_DIRECT | os.O_NOATIME  # by F_SETFL
TMPFILE_BIT = os.O_TMPFILE & ~os.O_DIRECTORY
KEPT_OF_PATHS = O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
KEPT = SETTABLE | KEPT_OF_PATHS | TMPFILE_BIT | os.O_ACCMODE | os.O_SYNC | os.O_DSYNC
# What the access mode lets: with O_ACCMODE itself, which open(2) takes, nothing.
READS, WRITES = (os.O_RDONLY, os.O_RDWR), (os.O_WRONLY, os.O_RDWR)
MANY = 256  # attributes remembered
LARGEST = (1 << 63) - 1  # MAX_LFS_FILESIZE, bytes


class Directory(File):
    """An open directory: nothing can be read from it but its entries."""

    def pread(self, size: int, offset: int) -> bytes:
        raise refuse(errno.EISDIR)


class Map(Protocol):
    """Where the bytes lie of a file that some of this one's are of: pyview/linear.py.

    moves  how often it has said that some are elsewhere
    """

    moves: int

    def missed(self, offset: int, length: int) -> None:
        """Bytes of that file were asked for that need not have been."""


class Position:
    """Where the next read(2) begins."""

    __slots__ = ("offset",)

    def __init__(self) -> None:
        self.offset = 0


class KernelPosition(Position):
    """The same of a direct descriptor: the kernel counts.  It is asked by a task's descriptor."""

    __slots__ = ("look",)

    def __init__(self) -> None:
        self.look: Callable[[], int] = lambda: -1  # a descriptor of the core, to be closed

    def _seek(self, offset: int, whence: int) -> int:
        fd = self.look()
        try:
            return os.lseek(fd, offset, whence)
        finally:
            os.close(fd)

    @property
    def offset(self) -> int:
        return self._seek(0, os.SEEK_CUR)

    @offset.setter
    def offset(self, value: int) -> None:
        self._seek(value, os.SEEK_SET)


class OpenFile:
    """One open(2).

    file     what the tree gave; a Directory for one
    tree     whose file it is, under the name `rest` (in the tree) and `name` (in the view)
    mount    the mount it was opened through
    flags    O_*: the access mode, and what F_SETFL may change
    created  whether the open made the file, for F_CREATED_QUERY
    offset   bytes; of a directory: how many entries have been read
    listing  a directory's entries since it was opened or rewound, packed when asked for
    """

    __slots__ = (
        "at", "created", "direct", "file", "flags", "in_c", "key", "kind", "listing", "lockers",
        "map", "mount", "name", "nameless", "pages", "polls", "rest", "shown_ready", "socket",
        "starts", "tree",
    )  # fmt: skip

    def __init__(
        self, file: File, mount: Mount, rest: str, name: str, flags: int, st: os.stat_result
    ) -> None:
        self.file, self.mount, self.rest, self.name = file, mount, rest, name
        self.tree: Tree = mount.tree
        self.flags = flags & (KEPT_OF_PATHS if flags & O_PATH else KEPT)
        self.created = False
        self.nameless = False  # made by O_TMPFILE
        self.kind = stat.S_IFMT(st.st_mode)
        self.key = (st.st_dev, st.st_ino)
        self.at: Position = Position()
        self.polls = type(file).poll is not File.poll  # it may have to be waited for
        self.shown_ready = False  # what poll(2) says of its descriptors
        self.socket = -1  # the core's end of the socket pair
        self.direct = False  # its descriptors are the kernel's own of an image (pyview/direct.py)
        self.in_c = False  # C has an entry for it, which is `at`
        self.map: Map | None = None  # of the file that its bytes are of, from `starts` on
        self.starts = 0
        self.listing: list[tuple[str, int, int]] | None = None
        self.lockers: set[int] = set()  # processes that have locked something through it
        self.pages: Pages | None = None  # while the file is mapped somewhere

    @property
    def offset(self) -> int:
        return self.at.offset

    @offset.setter
    def offset(self, value: int) -> None:
        self.at.offset = value

    @property
    def is_directory(self) -> bool:
        return self.kind == stat.S_IFDIR

    def get_name(self, rest: str) -> None:
        """A file that was made without a name gets one; proc goes on to show that it had none.

        Errors: ENOENT when it can't.
        """
        self.tree.link_file(rest, self.file)
        self.rest = rest

    def attributes(self) -> os.stat_result:
        """What fstat(2) says."""
        st = self.file.stat()
        if st is None:
            st = self.tree.lstat(self.rest)
        return completed(st, self.mount, self.rest)

    # -- what read(2) and write(2) need ------------------------------------------------------
    def readable(self) -> None:
        """Errors: EBADF."""
        if self.flags & O_PATH or self.flags & os.O_ACCMODE not in READS:
            raise refuse(errno.EBADF)

    def writable(self) -> None:
        """Errors: EBADF."""
        if self.flags & O_PATH or self.flags & os.O_ACCMODE not in WRITES:
            raise refuse(errno.EBADF)

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes as every process sees them: what is mapped and shared comes first."""
        data = self.file.pread(size, offset)
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if len(data) > size:
            raise ValueError(f"{len(data)} bytes were read where {size} were wanted")
        pages = self.pages  # in a slow file's thread it may change meanwhile
        return pages.seen(data, offset) if pages is not None else data

    def pwrite(self, data: bytes, offset: int) -> int:
        """Write, also to what is mapped."""
        if offset + len(data) > LARGEST:
            raise refuse(errno.EFBIG)
        count = self.file.pwrite(data, offset)
        if not 0 <= count <= len(data):
            raise ValueError(f"{count!r} bytes of {len(data)} were written")
        pages = self.pages
        if pages is not None:
            pages.wrote(data[:count], offset)
        return count

    def truncate(self, size: int) -> None:
        """ftruncate(2)."""
        self.file.truncate(size)
        pages = self.pages
        if pages is not None:
            pages.cut(size)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2)."""
        pages = self.pages
        if pages is None:
            self.file.fallocate(mode, offset, length)
            return
        pages.write_back()
        self.file.fallocate(mode, offset, length)
        pages.changed(offset)

    def end(self) -> int:
        """Its size in bytes, 0 for what has none."""
        try:
            size = self.file.size()
        except OSError as error:
            if error.errno != errno.ESPIPE:
                raise
            return 0
        if not 0 <= size <= LARGEST:
            raise ValueError(f"{size!r} is no size")
        return size

    def seek(self, offset: int, whence: int) -> int:
        """lseek(2).  Errors: EINVAL, ENXIO, ESPIPE, EBADF."""
        if self.flags & O_PATH:
            raise refuse(errno.EBADF)
        if whence == os.SEEK_CUR:
            offset += self.offset
        elif whence == os.SEEK_END:
            offset += LARGEST if self.is_directory else self.file.size()
        elif whence in (os.SEEK_DATA, os.SEEK_HOLE):
            if self.is_directory:
                raise refuse(errno.EINVAL)
            if not 0 <= offset < self.file.size():
                raise refuse(errno.ENXIO)
            offset = self.file.seek(offset, whence)
        elif whence != os.SEEK_SET:
            raise refuse(errno.EINVAL)
        if not 0 <= offset <= LARGEST:
            raise refuse(errno.EINVAL)
        if self.is_directory and offset == 0:
            self.listing = None
        self.offset = offset
        return offset


# Many trees tell the same of a file each time, with the same object.
_completed: dict[tuple[int, int, str], tuple[os.stat_result, os.stat_result]] = {}


def completed(st: os.stat_result, mount: Mount, rest: str) -> os.stat_result:
    """Attributes with the numbers that a tree left out: stable, and different for other files."""
    if st.st_ino and st.st_dev:
        return st
    key = (id(st), mount.epoch, rest)
    before, found = _completed.get(key, (None, st))
    if before is not st:
        if len(_completed) >= MANY:
            _completed.clear()
        found = _with_numbers(st, mount, rest)
        _completed[key] = st, found
    return found


def _with_numbers(st: os.stat_result, mount: Mount, rest: str) -> os.stat_result:
    values = list(st) + [st.st_atime, st.st_mtime, st.st_ctime]
    values += [st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns]
    values += [st.st_blksize, st.st_blocks, st.st_rdev]
    if not st.st_ino:
        values[1] = number_of(rest)
    if not st.st_dev:
        values[2] = os.makedev(0, 0x40000 + mount.epoch)
    return os.stat_result(values)


def number_of(rest: str) -> int:
    """The inode number of a file whose tree has none, by its name in the tree."""
    name = rest.encode(errors="surrogateescape")
    return 1 + zlib.crc32(name) + (zlib.adler32(name) << 32)
