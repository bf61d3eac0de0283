# SPDX-License-Identifier: GPL-2.0-or-later
"""The first tree: the kernel's own files, with the core's own rights."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pyview.api import File, Linear, Tree, refuse

PATH_MAX = 4096  # bytes
BEYOND = 1 << 62  # bytes: what is locked from here on is no file's content (pyview/direct.py)


class Kernel(Tree):
    """The real files, at epoch 0 of every view; with the core's own rights.

    A name longer than PATH_MAX is looked up from a directory on the way, which stays open until
    another is needed.
    """

    def __init__(self) -> None:
        self._deep = -1  # a directory deep down

    def _short(self, path: str) -> str:
        """A name of at most PATH_MAX bytes for any name."""
        if len(path) < PATH_MAX // 4 or len(os.fsencode(path)) < PATH_MAX:
            return path
        rest, start = path, ""
        while len(os.fsencode(start + rest)) >= PATH_MAX:
            cut = rest.rfind("/", 1, PATH_MAX // 4 - len(start))  # 4 bytes a character, at most
            if cut < 0:
                raise refuse(errno.ENAMETOOLONG, path)
            here = os.open(start + rest[:cut], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            if self._deep >= 0:
                os.close(self._deep)
            self._deep = here
            rest, start = rest[cut:], f"/proc/self/fd/{here}"
        return start + rest

    @contextmanager
    def _both(self, old: str, new: str) -> Iterator[tuple[str, str]]:
        """Two such names, while both are needed."""
        first = self._short(old)
        kept, self._deep = self._deep, -1
        try:
            yield first, self._short(new)
        finally:
            if kept >= 0:
                os.close(kept)

    def real(self, path: str) -> str:
        return path

    def lstat(self, path: str) -> os.stat_result:
        return os.lstat(self._short(path))

    def readlink(self, path: str) -> str:
        return os.readlink(self._short(path))

    def listdir(self, path: str) -> list[str]:
        return os.listdir(self._short(path))

    def entries(self, path: str) -> list[tuple[str, int, int]]:
        with os.scandir(self._short(path)) as found:
            return [(e.name, e.inode(), _kind(e)) for e in found]

    def access(self, path: str, mode: int, uid: int, groups: frozenset[int]) -> None:
        if not os.access(self._short(path), mode, effective_ids=True, follow_symlinks=False):
            st = os.lstat(self._short(path))
            super().access(path, mode, uid, groups)
            if st.st_mode & 0o222 and mode & os.W_OK:
                raise refuse(errno.EROFS, path)
            raise refuse(errno.EACCES, path)

    def unlink(self, path: str) -> None:
        os.unlink(self._short(path))

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._short(path), mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._short(path))

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, self._short(path))

    def rename(self, old: str, new: str, flags: int) -> None:
        with self._both(old, new) as (source, target):
            if flags:
                _renameat2(source, target, flags)
            else:
                os.rename(source, target)

    def link(self, old: str, new: str) -> None:
        with self._both(old, new) as (source, target):
            os.link(source, target, follow_symlinks=False)

    def chmod(self, path: str, mode: int) -> None:
        if stat.S_ISLNK(os.lstat(self._short(path)).st_mode):
            raise refuse(errno.EOPNOTSUPP, path)
        os.chmod(self._short(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._short(path), uid, gid)

    def utime(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        st = os.lstat(self._short(path)) if atime_ns is None or mtime_ns is None else None
        atime = st.st_atime_ns if atime_ns is None and st else atime_ns
        mtime = st.st_mtime_ns if mtime_ns is None and st else mtime_ns
        os.utime(self._short(path), ns=(atime or 0, mtime or 0), follow_symlinks=False)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(self._short(path), size)

    def mknod(self, path: str, mode: int, device: int) -> None:
        os.mknod(self._short(path), mode, device)

    def socket(self, path: str) -> str:
        return path

    def backing(self, path: str) -> str:
        return path

    def statvfs(self, path: str) -> os.statvfs_result:
        return os.statvfs(self._short(path))

    def getxattr(self, path: str, name: str) -> bytes:
        return os.getxattr(self._short(path), name, follow_symlinks=False)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        os.setxattr(self._short(path), name, value, flags, follow_symlinks=False)

    def listxattr(self, path: str) -> list[str]:
        return os.listxattr(self._short(path), follow_symlinks=False)

    def removexattr(self, path: str, name: str) -> None:
        os.removexattr(self._short(path), name, follow_symlinks=False)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        return KernelFile(os.open(self._short(path), flags | os.O_CLOEXEC | os.O_NOCTTY, mode))

    def tmpfile(self, path: str, flags: int, mode: int) -> File:
        return KernelFile(os.open(self._short(path), flags | os.O_CLOEXEC, mode))

    def link_file(self, path: str, file: File) -> None:
        if not isinstance(file, KernelFile):
            raise refuse(errno.EXDEV, path)
        # With a directory given, and unused, Python calls linkat(2), which follows the link.
        os.link(f"/proc/self/fd/{file.fd}", self._short(path), src_dir_fd=file.fd)


class KernelFile(File):
    """A real file that a module has opened."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def pwrite(self, data: bytes, offset: int) -> int:
        return os.pwrite(self.fd, data, offset)

    def size(self) -> int:
        return os.lseek(self.fd, 0, os.SEEK_END)

    def linear(self) -> Linear:
        return Linear(self.fd, 0, -1, True, syncs=True)

    def stat(self) -> os.stat_result:
        return os.fstat(self.fd)

    def fstatvfs(self) -> os.statvfs_result:
        """Of the file system that it lies in."""
        return os.fstatvfs(self.fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def chmod(self, mode: int) -> None:
        os.fchmod(self.fd, mode)

    def chown(self, uid: int, gid: int) -> None:
        os.fchown(self.fd, uid, gid)

    def utime(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        st = os.fstat(self.fd)
        atime = st.st_atime_ns if atime_ns is None else atime_ns
        mtime = st.st_mtime_ns if mtime_ns is None else mtime_ns
        os.utime(self.fd, ns=(atime, mtime))

    def getxattr(self, name: str) -> bytes:
        return os.getxattr(self.fd, name)

    def setxattr(self, name: str, value: bytes, flags: int) -> None:
        os.setxattr(self.fd, name, value, flags)

    def listxattr(self) -> list[str]:
        return os.listxattr(self.fd)

    def removexattr(self, name: str) -> None:
        os.removexattr(self.fd, name)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        _fallocate(self.fd, mode, offset, length)

    def seek(self, offset: int, whence: int) -> int:
        return os.lseek(self.fd, offset, whence)

    def ioctl(self, request: int, data: bytes) -> bytes:
        import fcntl

        return fcntl.ioctl(self.fd, request, data)

    def lock(self, exclusive: bool) -> None:
        import fcntl

        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        whole = struct.pack("=hh4xqqi4x", kind, os.SEEK_SET, 0, BEYOND, 0)
        fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, whole)

    def fsync(self) -> None:
        os.fsync(self.fd)

    def close(self) -> None:
        os.close(self.fd)


def _kind(entry: os.DirEntry[str]) -> int:
    """The type of what is in a directory, as a mode; 0 when the directory does not say."""
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    try:
        return stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        return 0


def _renameat2(old: str, new: str, flags: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    here = -100  # AT_FDCWD
    if libc.renameat2(here, os.fsencode(old), here, os.fsencode(new), flags) < 0:
        raise refuse(ctypes.get_errno() or errno.EIO, old)


@cache
def _libc() -> Any:
    import ctypes  # slow, and only disks need it

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return libc


def _fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2), which Python's os has only for mode 0."""
    if _libc().fallocate(fd, mode, offset, length) < 0:
        import ctypes

        raise refuse(ctypes.get_errno() or errno.EIO)
