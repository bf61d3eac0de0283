# SPDX-License-Identifier: GPL-2.0-or-later
"""Files with names, their attributes, and trees that are one special file.

Paths given to a tree are absolute within it, canonical (no `.`, `..`, `//`, and no symbolic link
but perhaps the last component), and "/" for its root: the core resolves names, modules never do.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import Any

from pyview.api.errors import refuse
from pyview.api.files import File


def attributes(
    mode: int, *, size: int = 0, ino: int = 0, dev: int = 0, nlink: int = 1,
    uid: int = 0, gid: int = 0, rdev: int = 0,
    atime_ns: int = 0, mtime_ns: int = 0, ctime_ns: int = 0,
    blksize: int = 4096, blocks: int | None = None,
) -> os.stat_result:  # fmt: skip
    """Attributes of a file: `mode` with its type, `size` in bytes, times in ns since the epoch.

    An `ino` or `dev` of 0 is filled in by the core; `blocks` counts 512 bytes each.
    """
    blocks = -(-size // 512) if blocks is None else blocks
    times = (atime_ns, mtime_ns, ctime_ns)
    whole = tuple(t // 10**9 for t in times)
    exact = tuple(t / 1e9 for t in times)
    return os.stat_result(
        (mode, ino, dev, nlink, uid, gid, size, *whole, *exact, *times, blksize, blocks, rdev)
    )


class Tree:
    """Files with names: what can be mounted.  Every operation may be left out (ENOSYS)."""

    #: Nobody writes here: there are directories, links, and files that have their bytes in
    #: File.known.  Such directories and files are given to programs as some of the kernel's own.
    texts: bool = False

    def real(self, path: str) -> str | None:
        """The kernel's own name of `path` when this tree only renames it, else None.

        With a name, the kernel does the work: the caller gets real descriptors, permissions are
        checked with the caller's credentials, and no other operation of this tree is asked.
        The name need not exist.  A tree that answers for "/" renames as a whole: `real(path)` is
        `real("/") + path`, and the core asks for "/" alone.  One that answers None for "/" is
        asked for each name.
        """
        return None

    def lstat(self, path: str) -> os.stat_result:
        """The attributes of `path`, a last symbolic link not followed.  Errors: ENOENT, ENOTDIR."""
        raise refuse(errno.ENOSYS, path)

    def contents(self) -> Mapping[str, bytes | None] | None:
        """Of a tree with `texts`: all that is in it, but its root, by path; of a file its bytes.

        The same object as before when it still holds: the core asks when a directory is opened, and
        after an ioctl of a device.  Then it answers for what is there, and for what is not, itself.
        None: not everything can be told.
        """
        return None

    def readlink(self, path: str) -> str:
        """The target of a symbolic link.  Errors: EINVAL when it is none, ENOENT."""
        raise refuse(errno.EINVAL, path)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, without "." and "..".  Errors: ENOTDIR, ENOENT."""
        raise refuse(errno.ENOSYS, path)

    def entries(self, path: str) -> list[tuple[str, int, int]]:
        """(name, inode number or 0, mode) of what is in a directory, of the mode only the type."""
        found = []
        for name in self.listdir(path):
            try:
                st = self.lstat(path.rstrip("/") + "/" + name)
                found.append((name, st.st_ino, stat.S_IFMT(st.st_mode)))
            except OSError:
                found.append((name, 0, 0))  # it is listed, and nobody can say what it is
        return found

    def access(self, path: str, mode: int, uid: int, groups: frozenset[int]) -> None:
        """access(2) for these ids; here: what the permission bits say.  Errors: EACCES, EROFS."""
        st = self.lstat(path)
        if uid == 0:
            executable = st.st_mode & 0o111 or stat.S_ISDIR(st.st_mode)
            refused = 0 if executable else mode & os.X_OK
        else:
            shift = 6 if uid == st.st_uid else 3 if st.st_gid in groups else 0
            refused = mode & ~(st.st_mode >> shift) & 7
        if refused:
            raise refuse(errno.EACCES, path)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        """A file opened as open(2) would.

        The core has seen to O_DIRECTORY, O_NOFOLLOW and to O_EXCL of a file that is there, and
        opens no directory; O_CREAT, O_TRUNC and the access mode are the tree's.  `mode` has the
        caller's umask applied.  Errors: those of open(2).
        """
        raise refuse(errno.ENOSYS, path)

    def unlink(self, path: str) -> None:
        """Remove a name that is no directory."""
        raise refuse(errno.ENOSYS, path)

    def masks(self, path: str) -> bool:
        """Whether a caller's umask applies to what he makes under this name, as usual: acl(5).

        Otherwise `mode` is, wherever one is given, what was asked for.
        """
        return True

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory; `mode` has the caller's umask applied."""
        raise refuse(errno.ENOSYS, path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        raise refuse(errno.ENOSYS, path)

    def symlink(self, target: str, path: str) -> None:
        """Make `path` a symbolic link to `target`."""
        raise refuse(errno.ENOSYS, path)

    def rename(self, old: str, new: str, flags: int) -> None:
        """renameat2(2) within this tree; across trees the core has answered EXDEV already."""
        raise refuse(errno.ENOSYS, old)

    def link(self, old: str, new: str) -> None:
        """Give the file `old` a second name."""
        raise refuse(errno.ENOSYS, old)

    def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits."""
        raise refuse(errno.ENOSYS, path)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Set owner and group; -1 leaves one as it is."""
        raise refuse(errno.ENOSYS, path)

    def utime(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Set the times, in ns since the epoch; None leaves one as it is."""
        raise refuse(errno.ENOSYS, path)

    def truncate(self, path: str, size: int) -> None:
        """Make the file `size` bytes long."""
        raise refuse(errno.ENOSYS, path)

    def mknod(self, path: str, mode: int, device: int) -> None:
        """Make a special file or a regular one; `mode` has its type."""
        raise refuse(errno.EPERM, path)

    def socket(self, path: str) -> str | None:
        """The kernel's name where a unix socket of this name is, or is to be bound; None: nowhere.

        No tree can be a socket's file itself.
        """
        return None

    def backing(self, path: str) -> str | None:
        """The kernel's file that `path` shows, for what only the kernel can do; None: none.

        Watch it (inotify(7), fanotify(7)), tell a handle of it, execute it when it can't be read.
        """
        return None

    def tmpfile(self, path: str, flags: int, mode: int) -> File:
        """A new file without a name, where the directory `path` is: O_TMPFILE.

        `flags` and `mode` as for `open`.  Errors: EOPNOTSUPP.
        """
        raise refuse(errno.EOPNOTSUPP, path)

    def link_file(self, path: str, file: File) -> None:
        """Give a file that `tmpfile` has made a name.  Errors: ENOENT."""
        raise refuse(errno.ENOENT, path)

    def statvfs(self, path: str) -> os.statvfs_result:
        """How large the file system is.  Here: nothing is known."""
        return os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))

    def getxattr(self, path: str, name: str) -> bytes:
        """An extended attribute.  Errors: ENODATA, EOPNOTSUPP."""
        raise refuse(errno.EOPNOTSUPP, path)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        """Set an extended attribute; `flags` as setxattr(2)."""
        raise refuse(errno.EOPNOTSUPP, path)

    def listxattr(self, path: str) -> list[str]:
        """The names of the extended attributes."""
        return []

    def removexattr(self, path: str, name: str) -> None:
        """Remove an extended attribute."""
        raise refuse(errno.EOPNOTSUPP, path)

    def at(self, path: str) -> Tree:
        """This tree as it is seen from one of its directories, or a file as a tree."""
        return _Part(self, path)

    def busy(self) -> bool:
        """True when it must not be unmounted now (EBUSY)."""
        return False

    def unmounted(self) -> None:
        """Called once after the last mount of this tree has gone: flush and close."""


class _Part(Tree):
    """A tree from one of its directories: what Tree.at gives when the tree knows no better."""

    def __init__(self, whole: Tree, start: str) -> None:
        self._whole, self._start = whole, start.rstrip("/")

    def __getattribute__(self, operation: str) -> Any:
        found = object.__getattribute__(self, operation)
        if operation.startswith("_") or operation in ("at", "busy", "unmounted"):
            return found
        whole, start = self._whole, self._start
        both = operation in ("rename", "link")

        def moved(path: str, *arguments: Any) -> Any:
            if both:
                arguments = (start + arguments[0], *arguments[1:])
            elif operation == "symlink":
                return whole.symlink(path, start + arguments[0])
            return getattr(whole, operation)((start + path).rstrip("/") or "/", *arguments)

        return moved


class Device(Tree, File):
    """A tree that is one special file, at its mount point: "/" is its only name.

    Its open file is, as it stands, the device itself: `users` counts them, and a device with users
    can't be unmounted.
    """

    kind: int = stat.S_IFBLK  # or S_IFCHR
    mode: int = 0o660
    uid: int = 0
    gid: int = 0
    number: tuple[int, int] = (0, 0)  # major, minor
    users: int = 0

    def lstat(self, path: str) -> os.stat_result:
        if path != "/":
            raise refuse(errno.ENOTDIR, path)
        return attributes(
            self.kind | self.mode, uid=self.uid, gid=self.gid, rdev=os.makedev(*self.number)
        )

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        if path != "/":
            raise refuse(errno.ENOTDIR, path)
        self.users += 1
        return self

    def close(self) -> None:
        self.users -= 1

    def truncate(self, *_: object) -> None:
        """No device can be made shorter: the core answers truncate(2) itself."""
        raise refuse(errno.EINVAL)

    def busy(self) -> bool:
        return self.users > 0

    def companions(self, target: str) -> Mapping[str, Tree]:
        """What else is mounted while this is mounted at `target`: canonical names and trees.

        A disk's partitions, for instance.  Asked when it is mounted and again after each ioctl on
        it; what is no longer named is unmounted.
        """
        return {}
