# SPDX-License-Identifier: GPL-2.0-or-later
"""What a module author subclasses: Module, Tree, File, Device, Stack, Socket.

Operations are shaped like the ones of `os`; an error is `OSError(errno.X)`; an operation left out
answers ENOSYS.  Any other exception is logged with its traceback, the caller gets EIO, and the
view lives on.  This file imports nothing of pyview, and nothing that is slow to import.

Paths given to a tree are absolute within it, canonical (no `.`, `..`, `//`, and no symbolic link
but perhaps the last component), and "/" for its root: the core resolves names, modules never do.
"""

from __future__ import annotations

import errno
import os
from typing import Any, ClassVar, Protocol


def refuse(number: int, *about: object) -> OSError:
    """An OSError to raise: `raise refuse(errno.EROFS, path)`."""
    return OSError(number, os.strerror(number), *about[:1])


class Tree:
    """Files with names: what can be mounted.  Every operation may be left out (ENOSYS)."""

    def real(self, path: str) -> str | None:
        """The kernel's own name of `path` when this tree only renames, else None.

        With a name, the kernel does the work: the caller gets real descriptors, permissions are
        checked with the caller's credentials, and no other operation of this tree is asked.
        The name need not exist.  Renaming is uniform: `real(path)` is `real("/") + path`, and the
        core may ask for "/" alone.
        """
        return None

    def lstat(self, path: str) -> os.stat_result:
        """The attributes of `path`, a last symbolic link not followed.  Errors: ENOENT, ENOTDIR."""
        raise refuse(errno.ENOSYS, path)

    def readlink(self, path: str) -> str:
        """The target of a symbolic link.  Errors: EINVAL when it is none, ENOENT."""
        raise refuse(errno.EINVAL, path)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, without "." and "..".  Errors: ENOTDIR, ENOENT."""
        raise refuse(errno.ENOSYS, path)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        """A file opened as open(2) would.  Errors: those of open(2)."""
        raise refuse(errno.ENOSYS, path)

    def unlink(self, path: str) -> None:
        """Remove a name that is no directory."""
        raise refuse(errno.ENOSYS, path)

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

    def busy(self) -> bool:
        """True when it must not be unmounted now (EBUSY)."""
        return False

    def unmounted(self) -> None:
        """Called once after the last mount of this tree has gone: flush and close."""


class File:
    """An open file: the descriptor calls of `os`, without the descriptor."""

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` (bytes); b"" at or past the end.  Errors: EIO."""
        raise refuse(errno.EINVAL)

    def pwrite(self, data: bytes, offset: int) -> int:
        """Write at `offset` (bytes); how many bytes were taken.  Errors: ENOSPC, EIO."""
        raise refuse(errno.EINVAL)

    def size(self) -> int:
        """Its length in bytes."""
        raise refuse(errno.ESPIPE)

    def ioctl(self, request: int, data: bytes) -> bytes:
        """Answer an ioctl with the bytes to be stored.  Errors: ENOTTY."""
        raise refuse(errno.ENOTTY)

    def fsync(self) -> None:
        """Make what was written durable."""

    def close(self) -> None:
        """The last descriptor has gone."""


class Device(Tree, File):
    """A tree that is one special file: at its mount point, and perhaps numbered parts beside it."""


class Socket:
    """The socket calls: bytes and addresses in, bytes and addresses out.

    An operation that would block raises OSError(EAGAIN); the core makes the caller wait.
    """

    def bind(self, address: Any) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def connect(self, address: Any) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def accept(self) -> tuple[Socket, Any]:
        raise refuse(errno.EOPNOTSUPP)

    def send(self, data: bytes, flags: int, address: Any) -> int:
        raise refuse(errno.EOPNOTSUPP)

    def recv(self, size: int, flags: int) -> tuple[bytes, Any]:
        raise refuse(errno.EOPNOTSUPP)


class Stack:
    """A network stack: where sockets come from."""

    families: ClassVar[frozenset[int]] = frozenset()

    def socket(self, family: int, kind: int, protocol: int) -> Socket | int:
        """A socket, or a real descriptor made elsewhere that is handed to the caller."""
        raise refuse(errno.EAFNOSUPPORT)


class View(Protocol):
    """What a module sees of the view it is loaded into."""

    name: str

    def now(self) -> Tree:
        """This view as it stands, frozen: what is mounted later is not seen through it."""

    def mount(
        self, target: str, tree: Tree, *, source: str = "none", kind: str = "", options: str = ""
    ) -> object:
        """Show `tree` at `target` (canonical, absolute).  Newer mounts hide older ones."""


class Module:
    """A loadable module; the first line of its file's docstring is what vu_lsmod prints.

    `vu_insmod name,key=value,flag` calls `__init__(key="value", flag=True)`: annotations convert
    (int, bool, str, list[str]), and a keyword that is not there is a usage error.
    """

    #: Mount types this module offers: name -> called as f(below, source, **options), gives a Tree.
    types: ClassVar[dict[str, Any]] = {}

    def load(self, view: View) -> None:
        """Called once, when loaded into `view`.  What it mounts goes when it is unloaded."""

    def unload(self, view: View) -> None:
        """Called before the module goes, after its mounts have gone."""
