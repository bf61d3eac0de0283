# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of attributes: owners, modes, times, labels; by name or by descriptor."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from pyview.abi.upper import is_own
from pyview.api import refuse
from pyview.modules.viewfs import acl
from pyview.modules.viewfs.copyup import CopyUp
from pyview.modules.viewfs.labels import kept_name, names_in, value_in
from pyview.modules.viewfs.look import permitted
from pyview.modules.viewfs.upper import Inode, Node, safe

SET_IDS = stat.S_ISUID | stat.S_ISGID


class Attributes(CopyUp):
    """Recorded in the upper; no data is copied for them."""

    def _record(self, path: str, mode: int | None, uid: int = -1, gid: int = -1) -> None:
        node = self._copy(path, False)
        inode = node.inode
        assert inode is not None
        self._set(self.real_of(node) or "/", inode, mode, uid, gid)

    def _set(self, real: str, inode: Inode, mode: int | None, uid: int, gid: int) -> None:
        if stat.S_ISSOCK(inode.mode) and not stat.S_ISREG(os.lstat(real).st_mode):
            os.chmod(real, stat.S_IMODE(inode.mode) if mode is None else mode)
        if mode is not None:
            inode.mode = stat.S_IFMT(inode.mode) | mode
        inode.uid = inode.uid if uid < 0 else uid
        inode.gid = inode.gid if gid < 0 else gid
        self.describe(inode)
        if stat.S_ISDIR(inode.mode):
            self.turned()
        st = os.stat(real)
        self.upper.write(real, inode)
        if mode is not None:
            os.chmod(real, safe(inode.mode))
            if inode.node is not None and inode.node.directory and inode.node.parent is not None:
                self.mark(inode.node)
        elif not stat.S_ISSOCK(inode.mode):
            os.chmod(real, stat.S_IMODE(st.st_mode))  # the time of the change

    def chmod(self, path: str, mode: int) -> None:
        st = self.lstat(path)
        if stat.S_ISLNK(st.st_mode):
            raise refuse(errno.EOPNOTSUPP, path)
        self._owns(path, st)
        self._record(path, self._allowed_mode(st, mode))

    def _allowed_mode(self, st: os.stat_result, mode: int) -> int:
        """Set-gid only for one's own groups: fs/attr.c."""
        who = self.who
        if who.virtual and who.uid and st.st_gid not in who.groups and stat.S_ISREG(st.st_mode):
            mode &= ~stat.S_ISGID
        return mode

    def chown(self, path: str, uid: int, gid: int) -> None:
        st = self.lstat(path)
        self._may_chown(path, st, uid, gid)
        mode = None
        if not stat.S_ISDIR(st.st_mode):
            mode = stat.S_IMODE(unprivileged(st.st_mode))
        self._record(path, mode, uid, gid)

    def _may_chown(self, path: str, st: os.stat_result, uid: int, gid: int) -> None:
        who = self.who
        if not who.virtual or who.uid == 0:
            return
        if who.uid != st.st_uid or uid not in (-1, st.st_uid):
            raise refuse(errno.EPERM, path)
        if gid not in (-1, st.st_gid) and gid not in who.groups:
            raise refuse(errno.EPERM, path)

    def utime(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        self._owns(path, self.lstat(path))
        real = self.real_of(self._copy(path, False)) or "/"
        _set_times(real, atime_ns, mtime_ns)

    def truncate(self, path: str, size: int) -> None:
        self._may(path, os.W_OK)
        node = self._copy(path, True, size)
        os.truncate(self.real_of(node), size)
        if node.inode is not None and node.inode.mode & SET_IDS:
            self._clear_privileges(node, node.inode)

    def _clear_privileges(self, node: Node, inode: Inode) -> None:
        """Who writes to a program takes its set-uid bit away."""
        if self.who.uid:
            inode.mode = unprivileged(inode.mode)
            self.upper.write(self.real_of(node), inode)
            self.describe(inode)

    # -- extended attributes ----------------------------------------------------------------------
    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        st = self.lstat(path)
        self._may_label(path, st, name)
        if name == acl.ACCESS:
            mode, plain = acl.mode_of(value, stat.S_IMODE(st.st_mode))
            self._record(path, mode)
            if plain:  # it says no more than the mode, so it is none
                if name in self.listxattr(path):
                    self.removexattr(path, name)
                return
        real = self.real_of(self._copy(path, False)) or "/"
        self.upper.labels.set(real, kept_name(name), value, flags)

    def removexattr(self, path: str, name: str) -> None:
        st = self.lstat(path)
        self._may_label(path, st, name)
        if name not in self.listxattr(path):
            raise refuse(errno.ENODATA, path)
        real = self.real_of(self._copy(path, False)) or "/"
        self.upper.labels.remove(real, kept_name(name))

    def _may_label(self, path: str, st: os.stat_result, name: str) -> None:
        """xattr(7): who may set which."""
        if is_own(name):
            raise refuse(errno.EPERM, path)
        if name.startswith("user."):
            if stat.S_IFMT(st.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                raise refuse(errno.EPERM, path)
            if not permitted(st, os.W_OK, self.who):
                raise refuse(errno.EACCES, path)
        elif name.startswith("system.posix_acl_"):
            self._owns(path, st)
        elif not name.startswith(("security.", "trusted.")):
            raise refuse(errno.EOPNOTSUPP, path)
        elif self.who.uid:
            raise refuse(errno.EPERM, path)

    # -- by descriptor ----------------------------------------------------------------------------
    def change(self, fd: int, operation: str, *values: Any) -> Any:
        st, inode = self.inode_of(fd)
        if inode is None:
            raise refuse(errno.EBADF)
        real = f"/proc/self/fd/{fd}"
        if inode.key != (st.st_dev, st.st_ino):
            kept = self.copy_of(inode)
            if kept is None:
                return self._forgotten(fd, inode, operation, *values)
            real = kept
        if operation == "chmod":
            self._set(real, inode, values[0], -1, -1)
        elif operation == "chown":
            self._set(real, inode, stat.S_IMODE(unprivileged(inode.mode)), *values)
        elif operation == "utime":
            _set_times(real, *values, follow=True)
        elif operation == "getxattr":
            return value_in(self.upper.labels, real, inode.mode, *values)
        elif operation == "listxattr":
            return names_in(self.upper.labels, real, inode.mode)
        elif operation == "setxattr" and inode.node is not None and values[0] == acl.ACCESS:
            self.setxattr(inode.node.path() or "/", *values)
        elif operation == "setxattr":
            self.upper.labels.set(real, kept_name(values[0]), values[1], values[2])
        elif operation == "removexattr":
            self.upper.labels.remove(real, kept_name(values[0]))
        return None

    def _forgotten(self, fd: int, inode: Inode, operation: str, *values: Any) -> Any:
        """The lower file of a name that is gone: only who has it open can see what changes."""
        if operation == "chmod":
            inode.mode = stat.S_IFMT(inode.mode) | values[0]
        elif operation == "chown":
            inode.uid, inode.gid = (
                old if new < 0 else new
                for old, new in zip((inode.uid, inode.gid), values, strict=True)
            )
            inode.mode = unprivileged(inode.mode)
        elif operation == "getxattr":
            return os.getxattr(fd, *values)
        elif operation == "listxattr":
            return os.listxattr(fd)
        return None

    def adopts(self, fd: int) -> None:
        st = os.fstat(fd)
        inode = Inode(st.st_mode, st.st_uid, st.st_gid, st.st_rdev, st.st_ino)
        inode.shown = (st.st_dev, st.st_ino)
        self.copies[inode.shown] = inode
        self.claims(*inode.shown)


def unprivileged(mode: int) -> int:
    """A mode without what a change of owner or of content takes away: fs/attr.c."""
    if stat.S_ISDIR(mode):
        return mode
    return mode & ~(SET_IDS if mode & stat.S_IXGRP else stat.S_ISUID)


def _set_times(
    real: str, atime_ns: int | None, mtime_ns: int | None, *, follow: bool = False
) -> None:
    st = os.stat(real, follow_symlinks=follow)
    atime = st.st_atime_ns if atime_ns is None else atime_ns
    mtime = st.st_mtime_ns if mtime_ns is None else mtime_ns
    os.utime(real, ns=(atime, mtime), follow_symlinks=follow)
