# SPDX-License-Identifier: GPL-2.0-or-later
"""A block device: what all of ours share, whatever holds their bytes.

A subclass gives `pread`, `pwrite`, `size`, `fsync`, and if it can, `fallocate` and `finish`.
Limits, O_EXCL, ioctls and turns are kept here, as Linux block/fops.c and block/ioctl.c keep them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from pyview.abi.ioctl import BLKDISCARD, BLKSECDISCARD, BLKZEROOUT, Change
from pyview.api import File, Known, Linear, Tree, if_it_fails, refuse
from pyview.modules.vudev import requests
from pyview.modules.vudev.node import Node

SECTOR = 512  # bytes
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10  # FALLOC_FL_*
NO_HIDE_STALE = 0x04
FALLOCATES = (ZERO_RANGE, ZERO_RANGE | KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE)
CHUNK = 1 << 20  # bytes written at a time when zeroes are
FOR_WRITERS = frozenset((BLKDISCARD, BLKSECDISCARD, BLKZEROOUT))


class Disk(Node):
    """A block device of whole sectors of 512 bytes.

    ro       whether writing is refused; `fixed` when it was mounted so
    turn     held while one of the content's operations runs: a slow disk's partitions and users
             each have a thread of their own
    holders  who has locked it or opened it with O_EXCL; True: for itself alone
    gone     no view shows it any more
    """

    soft_block = 4096  # bytes: what BLKBSZGET tells and BLKBSZSET sets
    read_ahead = 256  # sectors
    gone = False

    def __init__(self, below: Tree, *, ro: bool = False, **node: Any) -> None:
        super().__init__(below, **node)
        self.ro = self.fixed = ro
        self.turn = Lock()
        self.holders: dict[Opened, bool] = {}
        self.sequence: int = requests.next_sequence()
        self._shown: Mapping[str, Tree] = {}

    # -- what a subclass gives -------------------------------------------------------------------
    # pread, pwrite: the range lies within the disk; pwrite is only asked when it may be written.
    # fallocate: `mode` is PUNCH_HOLE or ZERO_RANGE, with KEEP_SIZE; the range lies within the disk.
    # With PUNCH_HOLE may come NO_HIDE_STALE: the range may then read as anything.
    def finish(self) -> None:
        """Flush and close: nobody uses it any more.  After `umount -l`, that is some time later."""

    # -- what it has from here -------------------------------------------------------------------
    def read_only(self) -> bool:
        """Whether writing is refused now."""
        return self.ro

    def close(self) -> None:
        super().close()
        self.leave()

    def unmounted(self) -> None:
        self.gone = True
        self.leave()

    def leave(self) -> None:
        """Finish, if that was the last of its users and of its mounts."""
        if self.gone and not self.busy():
            with self.turn:
                self.finish()

    def relatives(self) -> Iterable[Disk]:
        """Disks that share bytes with this one: who has one for itself alone has them, too."""
        return ()

    def pieces(self) -> Iterable[Piece]:
        """Its partitions."""
        return ()

    def start(self) -> int:
        """Where it begins on the whole disk, in bytes."""
        return 0

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        """Errors: ENOTDIR; EROFS to write a read-only one; EBUSY with O_EXCL when in use; ENXIO."""
        if path != "/":
            raise refuse(errno.ENOTDIR, path)
        if self.gone:
            raise refuse(errno.ENXIO, path)  # who mounted later may still see it below
        if flags & os.O_ACCMODE != os.O_RDONLY and self.read_only():
            raise refuse(errno.EROFS, path)
        file = Opened(self, flags & os.O_ACCMODE != os.O_RDONLY)
        if flags & os.O_EXCL and not self.hold(file, True):
            raise refuse(errno.EBUSY, path)
        self.users += 1
        return file

    def hold(self, file: Opened, alone: bool) -> bool:
        """Lock it, or change the lock that `file` has; False when others' locks forbid it."""
        for disk in (self, *self.relatives()):
            for other, others in disk.holders.items():
                if other is not file and (alone or others):
                    return False
        self.holders[file] = alone
        return True

    def ioctl(self, request: int, data: bytes) -> bytes:
        return requests.answer(self, request & 0xFFFFFFFF, data)

    def reread(self) -> None:
        """BLKRRPART.  Errors: EINVAL when it has no partitions, EBUSY when one is in use."""
        raise refuse(errno.EINVAL)

    def change(self, change: Change) -> None:
        """BLKPG.  Errors: EINVAL, EBUSY, ENXIO."""
        raise refuse(errno.EINVAL)

    def discard(self, offset: int, length: int) -> None:
        """Forget a range (bytes): it reads as anything.  Errors: EOPNOTSUPP."""
        self.clear(offset, length, (PUNCH_HOLE | NO_HIDE_STALE, PUNCH_HOLE))

    def zero(self, offset: int, length: int) -> None:
        """Make a range (bytes) read as zeroes."""
        self.clear(offset, length, (ZERO_RANGE, PUNCH_HOLE))

    def clear(self, offset: int, length: int, ways: tuple[int, ...]) -> None:
        """Clear a range (bytes) in the first of some ways, modes of `fallocate`, that is possible.

        When none is: with ZERO_RANGE among them zeroes are written.  Errors: EOPNOTSUPP without.
        """
        if not length:
            return
        for mode in ways:
            try:
                return self.fallocate(mode | KEEP_SIZE, offset, length)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                    raise
        if ZERO_RANGE not in ways:
            raise refuse(errno.EOPNOTSUPP)
        end = offset + length
        while offset < end:
            offset += self.pwrite(bytes(min(CHUNK, end - offset)), offset)

    def companions(self, target: str) -> Mapping[str, Tree]:
        """What lsblk and others read about a block device in /dev: cf. sysfs.py."""
        super().companions(target)
        if self.kind != stat.S_IFBLK or not target.startswith("/dev/"):
            return {}
        if f"/sys/devices/virtual/block/{self.name}" not in self._shown:
            from pyview.modules.vudev import sysfs  # it knows disks, too

            self._shown = sysfs.companions(self)
        return self._shown


class Piece(Disk):
    """A partition, as others see it; `index` is its number on the disk, from 1."""

    index: int

    def about(self) -> str:
        """Lines for its uevent file in sysfs."""
        return ""


class Opened(File):
    """One open description of a disk: it knows whether it may write, and what it has locked."""

    def __init__(self, disk: Disk, writes: bool) -> None:
        self.disk, self.writes, self.slow = disk, writes, disk.slow

    def pread(self, size: int, offset: int) -> bytes:
        disk = self.disk
        size = min(size, disk.size() - offset)
        if size <= 0:
            return b""
        with disk.turn:
            return disk.pread(size, offset)

    def pwrite(self, data: bytes, offset: int) -> int:
        """Errors: EPERM when it was made read-only since; ENOSPC past the end."""
        disk = self.disk
        if disk.read_only():
            raise refuse(errno.EPERM)
        if not data:
            return 0
        room = disk.size() - offset
        if room <= 0:
            raise refuse(errno.ENOSPC)
        data = data[:room]
        with disk.turn:
            return disk.pwrite(data, offset)

    def linear(self) -> Linear | None:
        found = self.disk.linear()
        if found is not None and found.writes and self.disk.read_only():
            return found._replace(writes=False)
        return found

    def known(self) -> Known:
        return Known(self.disk.lstat("/"), requests.known(self.disk))

    def size(self) -> int:
        return self.disk.size()

    def stat(self) -> os.stat_result:
        return self.disk.lstat("/")

    def seek(self, offset: int, whence: int) -> int:
        """Linux has no SEEK_DATA and SEEK_HOLE for block devices.  Errors: EINVAL."""
        raise refuse(errno.EINVAL)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """Errors: EOPNOTSUPP; EINVAL past the end or for parts of sectors; EPERM."""
        if mode & ~NO_HIDE_STALE not in FALLOCATES:
            raise refuse(errno.EOPNOTSUPP)
        size = self.disk.size()
        if offset >= size or (offset + length > size and not mode & KEEP_SIZE):
            raise refuse(errno.EINVAL)
        length = min(length, size - offset)
        if (offset | length) % SECTOR:
            raise refuse(errno.EINVAL)
        if self.disk.read_only():
            raise refuse(errno.EPERM)
        with self.disk.turn:
            if mode & ZERO_RANGE:
                self.disk.zero(offset, length)
            elif mode & NO_HIDE_STALE:
                self.disk.discard(offset, length)
            else:
                self.disk.clear(offset, length, (PUNCH_HOLE,))

    def ioctl(self, request: int, data: bytes) -> bytes:
        if request & 0xFFFFFFFF in FOR_WRITERS and not self.writes:
            raise refuse(errno.EBADF)
        with self.disk.turn:
            return self.disk.ioctl(request, data)

    def lock(self, exclusive: bool) -> None:
        """Errors: EAGAIN when others have locked it, or opened it with O_EXCL."""
        if not self.disk.hold(self, exclusive):
            raise refuse(errno.EAGAIN)

    def fsync(self) -> None:
        with self.disk.turn:
            self.disk.fsync()

    def close(self) -> None:
        self.disk.holders.pop(self, None)
        self.disk.close()


@lru_cache(maxsize=8)  # asked several times for each open
def within(whole: Linear | None, start: int, size: int) -> Linear | None:
    """Some bytes of what is linear: `size` from `start` on, as far as there are so many."""
    if whole is None:
        return None
    if whole.size >= 0:
        size = max(0, min(size, whole.size - start))
    return Linear(whole.fd, whole.start + start, size, whole.writes, whole.of, whole.syncs)


def open_source(below: Tree, source: str, *, ro: bool, alone: bool) -> File:
    """The file or device that a disk is made of, open and locked against other disks.

    `alone` locks it exclusively (when it may be written), else against those that do.
    Errors: those of open(2), with its name; ENOTBLK when it can't hold a disk; EBUSY when locked.
    """
    if not source.startswith("/"):
        raise refuse(errno.ENOENT, source)
    flags = (os.O_RDONLY if ro else os.O_RDWR) | os.O_NONBLOCK  # a FIFO must not hold up the core
    try:
        file = below.open(source, flags)
    except OSError as error:
        raise refuse(error.errno or errno.EIO, source) from None
    with if_it_fails(file.close):
        found = file.stat() or below.lstat(source)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISBLK(found.st_mode)):
            raise refuse(errno.ENOTBLK, source)
        try:
            file.lock(alone and not ro)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise refuse(errno.EBUSY, source) from None
    return file
