# SPDX-License-Identifier: GPL-2.0-or-later
"""vudevubd: a disk image, alone or below a COW file of UML's that takes all changes.

As UML's ubd0=IMAGE, ubd0=COW and ubd0=COW,IMAGE (Linux arch/um/drivers/ubd_kern.c): a COW file that
is not there is made, and an image that is not what it was is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
from functools import partial
from typing import Any

from pyview.api import File, Linear, Tree, if_it_fails, refuse
from pyview.modules.vudev import cowfile, cowheader
from pyview.modules.vudev.disk import SECTOR, Disk, open_source, within


class Ubd(Disk):
    """A disk of the bytes of an image, and of a COW file when there is one."""

    def __init__(
        self,
        below: Tree,
        source: str,
        *,
        cow: str = "",
        newbacking: bool = False,
        ro: bool = False,
        **disk: Any,
    ) -> None:
        """`source` is the image, or COW,IMAGE, or "none" for the one that the COW file names.

        cow         the COW file
        newbacking  let the COW file name this image from now on

        Errors: those of open(2); EBUSY when others use a file; EINVAL when the image is too short
        or another than the COW file was made over, or the COW file none.
        """
        super().__init__(below, ro=ro, **disk)
        self._unmounted = False
        self._file = content(below, source, cow, newbacking=newbacking, ro=ro)
        self.slow = self._file.slow
        self._size = self._file.size() // SECTOR * SECTOR
        if not self._size:
            self._file.close()
            raise OSError(errno.EINVAL, "shorter than a sector", source)

    def size(self) -> int:
        return self._size

    def pread(self, size: int, offset: int) -> bytes:
        return self._file.pread(size, offset)

    def pwrite(self, data: bytes, offset: int) -> int:
        return self._file.pwrite(data, offset)

    def linear(self) -> Linear | None:
        found = within(self._file.linear(), 0, self._size)
        if found is not None and found.syncs and self.fixed:
            return found._replace(syncs=False)
        return found

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        self._file.fallocate(mode, offset, length)

    def fsync(self) -> None:
        if not self.fixed:
            self._file.fsync()

    def close(self) -> None:
        """After the last user nothing is left in memory, as Linux' block/bdev.c has it."""
        super().close()
        if self.users:
            return
        with self.turn:
            try:
                if isinstance(self._file, cowfile.CowFile) and self._file.pending:
                    self._file.fsync()
            finally:
                if self._unmounted:
                    self._file.close()

    def unmounted(self) -> None:
        """Flush; close, unless it was unmounted in use (umount -l)."""
        self._unmounted = True
        with self.turn:
            try:
                self.fsync()
            finally:
                if not self.users:
                    self._file.close()


def content(below: Tree, source: str, cow: str, *, newbacking: bool, ro: bool) -> File:
    """What such a disk holds: the image's file, or a CowFile.  Errors: see Ubd."""
    if not cow and "," in source and not _is_there(below, source):
        cow, _, source = source.rpartition(",")
        newbacking = not ro
    if newbacking and ro:
        raise OSError(errno.EROFS, "newbacking would change it, ro forbids that", cow or source)
    with contextlib.ExitStack() as opened:
        if cow:
            file = _cow(below, cow, source, ro=ro)
            opened.callback(file.close)
        else:
            file = open_source(below, source, ro=ro, alone=True)
            opened.callback(file.close)
            if not cowheader.is_one(file):
                opened.pop_all()
                return file
            cow, source = source, "none"
        header = cowheader.header_of(file, cow)
        source = cowheader.image_of(header, cow) if source == "none" else source
        image = open_source(below, source, ro=True, alone=False)
        opened.callback(image.close)
        cowheader.check(header, cow, source, image.size(), _mtime(below, source, image))
        disk = cowfile.CowFile(file, image, header, cow)
        if not ro and not disk.writable:
            raise OSError(errno.EROFS, "some of its sectors have no bit: use ro", cow)
        if newbacking and header.backing != (name := _recorded(below, source)):
            cowheader.switch(file, header, name)
            file.fsync()
        opened.pop_all()
    return disk


def _cow(below: Tree, cow: str, source: str, *, ro: bool) -> File:
    """The COW file, open and locked; a new one over `source` when there is none."""
    try:
        return open_source(below, cow, ro=ro, alone=True)
    except OSError as error:
        if error.errno != errno.ENOENT or ro or source == "none":
            raise
    image = open_source(below, source, ro=True, alone=False)
    try:
        size, mtime = image.size(), _mtime(below, source, image)
        if size < SECTOR:
            raise OSError(errno.EINVAL, "shorter than a sector", source)
        file = _made(below, cow)
        with if_it_fails(partial(_removed, below, cow)), if_it_fails(file.close):
            file.lock(True)
            try:
                cowheader.create(file, _recorded(below, source), size, mtime)
            except OSError as error:
                raise error if error.filename else refuse(error.errno or errno.EIO, cow) from None
    finally:
        image.close()
    return file


def _made(below: Tree, name: str) -> File:
    try:
        return below.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise refuse(error.errno or errno.EIO, name) from None


def _removed(below: Tree, name: str) -> None:
    """Remove a file that was just made, if that can be."""
    with contextlib.suppress(OSError):
        below.unlink(name)


def _mtime(below: Tree, name: str, file: File) -> int:
    return cowheader.mtime_of(file.stat() or below.lstat(name))


def _recorded(below: Tree, name: str) -> str:
    """The name that UML finds an image by: the kernel's own, when it has one."""
    return below.real(name) or name


def _is_there(below: Tree, name: str) -> bool:
    try:
        below.lstat(name)
    except OSError:
        return False
    return True
