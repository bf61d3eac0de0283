# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes, kept in the upper: seen from inside as changes to a private copy of the lower."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

from pyview.abi.upper import DATA, LINKS, OPAQUE, RECORD, REDIRECT, is_own
from pyview.abi.upper import FOREIGN as FOREIGN_NAMES
from pyview.api import Tree, refuse
from pyview.modules.viewfs import acl, copying
from pyview.modules.viewfs.look import (
    Look,
    Where,
    names_in,
    permitted,
    value_in,
)
from pyview.modules.viewfs.stand_ins import stand_in
from pyview.modules.viewfs.upper import Inode, Node, Upper, safe

LARGE = 1 << 20  # bytes: what is longer is copied in another thread
WRITES = os.W_OK | os.X_OK
NOREPLACE, EXCHANGE = 1, 2
SETUID_EXEC = stat.S_ISUID | stat.S_ISGID


class Cow(Look):
    """Every change goes to the upper."""

    def __init__(
        self, below: Tree, target: str, upper: Upper, *, empty: bool, sync: bool, first: bool
    ) -> None:
        """`first`: a change is tried on the lower first (mincow)."""
        super().__init__(below, target, upper, empty)
        self._syncs, self._first = sync, first
        self._made: dict[str, str] = {}  # copies by their lower path, made in another thread
        inode = self.root.inode
        assert inode is not None
        self.upper.write(self.upper.root or "/", inode)

    def syncs(self) -> bool:
        return self._syncs

    # -- mincow --------------------------------------------------------------------------------
    def attempts(self, path: str) -> bool:
        if not self._first or self.who.virtual:
            return False
        node: Node | None = self.root
        for name in path.split("/")[1:]:
            if node is None:
                break
            if node.cut and node is not self.root:
                return False
            node = node.children.get(name)
            if node is not None:
                return False
        return True

    def goes_on(self, error: int) -> bool:
        return error in (errno.EACCES, errno.EPERM, errno.EROFS)

    # -- what may be done ----------------------------------------------------------------------
    def _may(self, path: str, wanted: int, error: int = errno.EACCES) -> os.stat_result:
        st = self.lstat(path)
        if not permitted(st, wanted, self.who):
            raise refuse(error, path)
        return st

    def _may_enter(self, path: str) -> os.stat_result:
        """Whether names may be made or removed in the directory that `path` is in."""
        return self._may(_parent(path), WRITES)

    def _sticky(self, path: str, st: os.stat_result) -> None:
        """In a directory with the sticky bit only the owners may remove a name."""
        if self.who.virtual and self.who.uid not in (0, st.st_uid):
            above = self.lstat(_parent(path))
            if above.st_mode & stat.S_ISVTX and above.st_uid != self.who.uid:
                raise refuse(errno.EPERM, path)

    def _owns(self, path: str, st: os.stat_result) -> None:
        if self.who.virtual and self.who.uid not in (0, st.st_uid):
            raise refuse(errno.EPERM, path)

    # -- copying up ----------------------------------------------------------------------------
    def _directory(self, path: str) -> Node:
        """The directory's node; it and those above it are made in the upper when not there."""
        where = self.find(path)
        if where.node is not None:
            if not where.node.directory:
                raise refuse(errno.ENOENT if where.node.inode is None else errno.ENOTDIR, path)
            return where.node
        above = self._directory(_parent(path))
        where = self.find(path)
        if where.lower is None:
            raise refuse(errno.ENOENT, path)
        st = self.below.lstat(where.lower)
        if not stat.S_ISDIR(st.st_mode):
            raise refuse(errno.ENOTDIR, path)
        inode = Inode(st.st_mode, st.st_uid, st.st_gid, 0, st.st_ino)
        made = self.upper.temporary()
        os.mkdir(made, 0o700)
        self._attributes(where.lower, made, inode)
        self._dress(made, inode, st)
        os.rename(made, f"{self.upper.name(above)}/{_last(path)}")
        node = Node(above, _last(path), inode)
        node.over = True
        self._register(node, st.st_dev)
        self.copies[(st.st_dev, st.st_ino)] = inode
        self.claims(st.st_dev, st.st_ino)
        if self.empty and not self.readable(where.lower):
            node.cut = True
            self.mark(node)
        return node

    def reveals(self, path: str) -> bool:
        if not self._looks_empty():
            return False
        where = self.find(path)
        if where.node is not None or where.lower is None or self.readable(where.lower):
            return False
        self._copy(path, True)
        return True

    def _register(self, node: Node, device: int) -> None:
        """A node that has just been made."""
        inode = node.inode
        assert inode is not None
        st = os.lstat(self.upper.name(node))
        inode.key = (st.st_dev, st.st_ino)
        self.known(node, device)

    def _dress(self, made: str, inode: Inode, st: os.stat_result | None) -> None:
        """Give what was made in the upper its attributes, and its times last of all."""
        os.chmod(made, safe(inode.mode))
        self.upper.write(made, inode)
        if st is not None:
            os.utime(made, ns=(st.st_atime_ns, st.st_mtime_ns), follow_symlinks=False)

    def _attributes(self, lower: str, made: str, inode: Inode) -> None:
        """Copy the extended attributes."""
        if stat.S_ISLNK(inode.mode):
            return
        try:
            names = self.below.listxattr(lower)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EOPNOTSUPP):
                return
            raise
        for name in names:
            if is_own(name):
                continue
            try:
                value = self.below.getxattr(lower, name)
            except OSError:
                continue  # not the real user's to read
            os.setxattr(made, name if name.startswith("user.") else FOREIGN_NAMES + name, value)

    def _copy(self, path: str, data: bool, room: int = -1) -> Node:
        """The file's node, copied up when it is not there; of its data the first `room` bytes."""
        where = self.find(path)
        node = where.node
        if node is not None and node.inode is None:
            raise refuse(errno.ENOENT, path)
        if node is not None and node.parent is None and node is not self.root:
            node = self._own_name(path, where)  # from the index
        if node is not None:
            if data and node.inode is not None and node.inode.data is not None:
                self._fill(node, room)
            return node
        if where.lower is None:
            raise refuse(errno.ENOENT, path)
        st = self.below.lstat(where.lower or "/")
        if stat.S_ISDIR(st.st_mode):
            return self._directory(path)
        return self._copy_file(path, where.lower, st, data, room)

    def _copy_file(self, path: str, lower: str, st: os.stat_result, data: bool, room: int) -> Node:
        above = self._directory(_parent(path))
        rdev = st.st_rdev if stat.S_IFMT(st.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) else 0
        inode = Inode(st.st_mode, st.st_uid, st.st_gid, rdev, st.st_ino)
        inode.shown = (st.st_dev, st.st_ino)
        whole = data and stat.S_ISREG(st.st_mode)
        made = self._made.pop(lower, "") if whole and room < 0 else ""
        if not made:
            made = self._blank(st.st_mode)
        try:
            if stat.S_ISLNK(st.st_mode):
                _write(made, os.fsencode(self.below.readlink(lower)))
            elif whole:
                if room and not os.path.getsize(made):
                    self._copy_data(lower, made, st.st_size if room < 0 else room)
            elif stat.S_ISREG(st.st_mode):
                os.setxattr(made, DATA, os.fsencode(lower))
                inode.data = lower
            self._attributes(lower, made, inode)
            several = st.st_nlink > 1
            if several:
                inode.names = st.st_nlink
                os.setxattr(made, LINKS, str(inode.names).encode())
            self._dress(made, inode, st)
            if several:
                os.link(made, self.upper.index((st.st_dev, st.st_ino)))
                inode.indexed = True
            os.rename(made, f"{self.upper.name(above)}/{_last(path)}")
        except BaseException:
            _remove(made)
            raise
        node = Node(above, _last(path), inode)
        node.over = True
        self._register(node, st.st_dev)
        if whole:
            self._followed(lower, node)
        return node

    def _followed(self, lower: str, node: Node) -> None:
        """Who has the lower file open is to read what is written to its copy."""
        real = self.below.real(lower)
        if real is not None:
            try:
                st = os.stat(real)
            except OSError:
                return  # nobody can have it open
            self.replaces(st.st_dev, st.st_ino, self.real_of(node))

    def _blank(self, mode: int) -> str:
        made = self.upper.temporary()
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return made

    def _own_name(self, path: str, where: Where) -> Node:
        """A name of the upper for one that was found through the index."""
        assert where.node is not None
        assert where.node.inode is not None
        inode = where.node.inode
        above = self._directory(_parent(path))
        os.link(self.upper.index(inode.shown), f"{self.upper.name(above)}/{_last(path)}")
        node = Node(above, _last(path), inode)
        node.over = True
        self.known(node, inode.shown[0])
        return node

    def _copy_data(self, lower: str, made: str, size: int) -> None:
        """Bytes of a lower file.  Errors: EACCES, ENOSPC."""
        target = os.open(made, os.O_WRONLY | os.O_CLOEXEC)
        try:
            real = self.below.real(lower)
            if real is None:
                file = self.below.open(lower, os.O_RDONLY)
                try:
                    copying.copy_file(file, target, size)
                finally:
                    file.close()
                return
            try:
                source = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
            except PermissionError:
                copying.write_all(target, self._instead(lower), 0)
                return
            try:
                copying.copy(source, target, size)
            finally:
                os.close(source)
        finally:
            os.close(target)

    def _instead(self, lower: str) -> bytes:
        """What stands for a file that the real user may not read.  Errors: EACCES."""
        if self._looks_empty():
            data = stand_in(self.below, lower)
            if data is not None or not self.below.lstat(lower).st_size:
                return data or b""
        raise refuse(errno.EACCES, lower)

    def _fill(self, node: Node, room: int) -> None:
        """Give a file that has only its attributes here its data, at once or not at all."""
        inode = node.inode
        assert inode is not None
        assert inode.data is not None
        path = self.upper.name(node)
        lower, st = inode.data, os.lstat(path)
        size = self.below.lstat(lower).st_size
        if room:
            self._copy_data(lower, path, size if room < 0 else min(room, size))
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        os.removexattr(path, DATA)
        inode.data = None
        self.describe(inode)
        self._followed(lower, node)

    # -- opening -------------------------------------------------------------------------------
    def prepares(self, path: str, flags: int) -> Callable[[], None] | None:
        if flags & os.O_TRUNC or flags & os.O_ACCMODE == os.O_RDONLY:
            return None
        try:
            where = self.find(path)
            if where.node is not None or where.lower is None:
                return None
            st = self.below.lstat(where.lower)
        except OSError:
            return None
        if not stat.S_ISREG(st.st_mode) or st.st_size < LARGE or self._begins_anew(where, flags):
            return None
        return partial(self._prepare, where.lower, st.st_size)

    def _prepare(self, lower: str, size: int) -> None:
        """In another thread: only what nobody else looks at."""
        made = self._blank(0)
        try:
            self._copy_data(lower, made, size)
        except BaseException:
            _remove(made)
            raise
        other = self._made.pop(lower, None)
        if other is not None:
            _remove(other)
        self._made[lower] = made

    def opened(self, path: str, flags: int, mode: int) -> str:
        writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        try:
            where = self.find(path)
            st = self.stat_of(where, path)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            return self._create(path, mode)
        if not stat.S_ISREG(st.st_mode) or not writes:
            return self._readable_name(path, st)
        anew = bool(flags & os.O_TRUNC) or self._begins_anew(where, flags)
        node = self._copy(path, True, 0 if anew else -1)
        inode = node.inode
        if inode is not None and inode.mode & SETUID_EXEC:
            self._clear_privileges(node, inode)
        return self.real_of(node)

    def _begins_anew(self, where: Where, flags: int) -> bool:
        """Whether a log that the real user may not read is only written on: without what it had."""
        if flags & (os.O_ACCMODE | os.O_APPEND) != os.O_WRONLY | os.O_APPEND:
            return False
        lower = where.lower
        if where.node is not None:
            lower = where.node.inode.data if where.node.inode is not None else None
        if lower is None or not self._looks_empty() or self.readable(lower):
            return False
        return stand_in(self.below, lower) is None

    def _clear_privileges(self, node: Node, inode: Inode) -> None:
        """Who writes to a program takes its set-uid bit away."""
        if self.who.uid:
            inode.mode = _unprivileged(inode.mode)
            self.upper.write(self.real_of(node), inode)
            self.describe(inode)

    def _readable_name(self, path: str, st: os.stat_result) -> str:
        shown = self.shown(path)
        if shown.real is None:
            raise refuse(errno.ENXIO, path)
        return shown.real

    def _create(self, path: str, mode: int) -> str:
        above = self._may_enter(path)
        node, _ = self._place(path, stat.S_IFREG | stat.S_IMODE(mode), above)
        return self.upper.name(node)

    def _inherit(self, mode: int, above: os.stat_result) -> Inode:
        """The attributes of something new: credentials(7), and a directory's set-gid bit."""
        gid = self.who.gid
        if above.st_mode & stat.S_ISGID:
            gid = above.st_gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        return Inode(mode, self.who.uid, gid)

    def _place(
        self,
        path: str,
        mode: int,
        above: os.stat_result,
        *,
        rdev: int = 0,
        content: bytes = b"",
    ) -> tuple[Node, str]:
        """Something new under a name that is free: made aside, then put there in one step."""
        parent = self._directory(_parent(path))
        old = parent.children.get(_last(path))
        over = self._lower_has(path)
        inode = self._inherit(mode, above)
        inode.rdev = rdev
        place = f"{self.upper.name(parent)}/{_last(path)}"
        # Without a whiteout to replace it is made in its place: inotify(7) tells of that.
        made = place if old is None else self.upper.temporary()
        directory = stat.S_ISDIR(mode)
        if directory:
            os.mkdir(made, 0o700)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            fd = os.open(made, flags, 0o600)
            try:
                copying.write_all(fd, content, 0)
            except BaseException:
                os.unlink(made)
                raise
            finally:
                os.close(fd)
        try:
            self._dress(made, inode, None)
            if directory and over:
                os.setxattr(made, OPAQUE, b"y")
            if directory and old is not None:
                self.upper.exchange(made, place)
                os.unlink(made)
            elif old is not None:
                os.rename(made, place)
        except BaseException:
            _remove(made)
            raise
        if old is not None:
            old.gone()
        node = Node(parent, _last(path), inode)
        node.over, node.cut = over, directory
        self._register(node, above.st_dev)
        return node, place

    def _lower_has(self, path: str) -> bool:
        """Whether something below must stay hidden when this name is used or removed."""
        where = self.find(_parent(path))
        if where.lower is None or (where.node is not None and where.node.cut):
            return False
        node = where.node.children.get(_last(path)) if where.node is not None else None
        if node is not None and node.over is not None:
            return node.over
        return self.exists_below(f"{where.lower}/{_last(path)}")

    def nameless(self, path: str, flags: int, mode: int) -> int:
        above = self._may(path, WRITES)
        node = self._directory(path)
        fd = os.open(self.upper.name(node) or "/", flags | os.O_CLOEXEC, 0o600)
        inode = self._inherit(stat.S_IFREG | stat.S_IMODE(mode), above)
        try:
            os.fchmod(fd, safe(inode.mode))
            os.setxattr(fd, RECORD, inode.text())
            st = os.fstat(fd)
        except BaseException:
            os.close(fd)
            raise
        inode.key = (st.st_dev, st.st_ino)
        orphan = Node(None, "", inode)
        orphan.inode = inode
        inode.shown = inode.key if st.st_dev == above.st_dev else (above.st_dev, _far(st.st_ino))
        self.inodes[inode.key] = inode
        self.describe(inode)
        return fd

    def named(self, fd: int, path: str) -> None:
        st, inode = self.inode_of(fd)
        above = self._may_enter(path)
        if inode is None or inode.key != (st.st_dev, st.st_ino):
            raise refuse(errno.EXDEV, path)
        self._link_in(f"/proc/self/fd/{fd}", inode, path, above, True)

    def watched(self, path: str) -> str | None:
        real = self.real(path)
        mode = self.lstat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return real
        if real is not None and self.attempts(path) and os.access(real, os.W_OK):
            return real  # that is what will be changed
        try:
            return self.upper.full(self._copy(path, True))
        except OSError:
            return real

    def bound(self, path: str) -> str:
        self._may_enter(path)
        parent = self._directory(_parent(path))
        old = parent.children.get(_last(path))
        place = f"{self.upper.full(parent)}/{_last(path)}"
        if old is not None and old.inode is None:
            os.unlink(place)  # bind(2) makes the socket itself; the name below shows meanwhile
            old.gone()
            self.forgets(path)
        return place

    def was_bound(self, path: str) -> None:
        """A socket has been made there."""
        parent = self._directory(_parent(path))
        place = f"{self.upper.name(parent)}/{_last(path)}"
        st = os.lstat(place)
        inode = Inode(st.st_mode, st.st_uid, st.st_gid)
        node = Node(parent, _last(path), inode)
        self._register(node, self.lstat(_parent(path)).st_dev)

    # -- attributes ----------------------------------------------------------------------------
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
            mode = stat.S_IMODE(_unprivileged(st.st_mode))
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
        if node.inode is not None and node.inode.mode & SETUID_EXEC:
            self._clear_privileges(node, node.inode)

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
        os.setxattr(real, _kept_name(name), value, flags)

    def removexattr(self, path: str, name: str) -> None:
        st = self.lstat(path)
        self._may_label(path, st, name)
        if name not in self.listxattr(path):
            raise refuse(errno.ENODATA, path)
        real = self.real_of(self._copy(path, False)) or "/"
        os.removexattr(real, _kept_name(name))

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
            self._set(real, inode, stat.S_IMODE(_unprivileged(inode.mode)), *values)
        elif operation == "utime":
            _set_times(real, *values, follow=True)
        elif operation == "getxattr":
            return value_in(real, inode, *values)
        elif operation == "listxattr":
            return names_in(real, inode)
        elif operation == "setxattr" and inode.node is not None and values[0] == acl.ACCESS:
            self.setxattr(inode.node.path() or "/", *values)
        elif operation == "setxattr":
            os.setxattr(real, _kept_name(values[0]), values[1], values[2])
        elif operation == "removexattr":
            os.removexattr(real, _kept_name(values[0]))
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
            inode.mode = _unprivileged(inode.mode)
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

    # -- names ---------------------------------------------------------------------------------
    def mkdir(self, path: str, mode: int) -> None:
        self._place(path, stat.S_IFDIR | stat.S_IMODE(mode), self._may_enter(path))

    def symlink(self, target: str, path: str) -> None:
        above = self._may_enter(path)
        self._place(path, stat.S_IFLNK | 0o777, above, content=os.fsencode(target))

    def mknod(self, path: str, mode: int, device: int) -> None:
        above = self._may_enter(path)
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        device = device if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        if device and self.who.virtual and self.who.uid:
            raise refuse(errno.EPERM, path)
        self._place(path, kind | stat.S_IMODE(mode), above, rdev=device)

    def unlink(self, path: str) -> None:
        self._may_enter(path)
        self._sticky(path, self.lstat(path))
        self._take_away(path)

    def _take_away(self, path: str) -> None:
        """Remove a name that is no directory; what is below it stays hidden."""
        where = self.find(path)
        over = self._lower_has(path)
        if where.node is None and self._has_links(where):
            self._copy(path, False)  # its other names are to know
            where = self.find(path)
        if where.node is not None and where.node.inode is not None:
            self._fewer(where.node, where.node.inode)
        parent = self._directory(_parent(path))
        place = f"{self.upper.name(parent)}/{_last(path)}"
        node = parent.children.get(_last(path))
        if over:
            self.upper.whiteout(place)
        elif node is not None:
            os.unlink(place)
        if node is not None:
            node.gone()
            if node.inode is not None and not stat.S_ISREG(node.inode.mode):
                self.turned()
        if over:
            self._hide(parent, path)
        else:
            self.forgets(path)
        _touch(self.upper.name(parent))

    def _hide(self, parent: Node, path: str) -> None:
        """A whiteout has been made."""
        hidden = Node(parent, _last(path), None)
        hidden.over = True
        self.mark(hidden)

    def _has_links(self, where: Where) -> bool:
        """Whether a lower file has other names, which may be visible."""
        if where.lower is None:
            return False
        st = self.below.lstat(where.lower)
        return st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode)

    def _fewer(self, node: Node, inode: Inode) -> None:
        """One visible name less; the index goes with the last of them."""
        if not inode.names:
            return
        inode.names -= 1
        self.describe(inode)
        real = self.real_of(node)
        if inode.names:
            os.setxattr(real, LINKS, str(inode.names).encode())
        elif inode.indexed:
            _remove(self.upper.index(inode.shown))
            inode.indexed = False
            self.describe(inode)

    def rmdir(self, path: str) -> None:
        self._may_enter(path)
        st = self.lstat(path)
        self._sticky(path, st)
        if self.entries(path):
            raise refuse(errno.ENOTEMPTY, path)
        self._remove_directory(path)
        _touch(self.upper.name(self._directory(_parent(path))))

    def _remove_directory(self, path: str) -> None:
        """An empty one, at once: what is below it does not show in between."""
        over = self._lower_has(path)
        parent = self._directory(_parent(path))
        node = parent.children.get(_last(path))
        place = f"{self.upper.name(parent)}/{_last(path)}"
        if over:
            made = self.upper.temporary()
            self.upper.whiteout(made)
            if node is None:
                os.rename(made, place)
            else:
                self.upper.exchange(made, place)
                self._discard(made)
        elif node is not None:
            moved = self.upper.temporary()
            os.rename(place, moved)
            self._discard(moved)
        if node is not None:
            for below in node.all():
                self.forgets(f"{path}{below.path()[len(node.path()) :]}")
            node.gone()
        self.turned()
        if over:
            self._hide(parent, path)
        else:
            self.forgets(path)

    def _discard(self, path: str) -> None:
        """A directory of the upper that looks empty: whiteouts, and what others put there."""
        self.upper.clear(path)

    def link(self, old: str, new: str) -> None:
        above = self._may_enter(new)
        node = self._copy(old, False)
        assert node.inode is not None
        self._link_in(self.real_of(node), node.inode, new, above, False)

    def _link_in(
        self, real: str, inode: Inode, new: str, above: os.stat_result, follow: bool
    ) -> None:
        parent = self._directory(_parent(new))
        old = parent.children.get(_last(new))
        over = self._lower_has(new)
        made = self.upper.temporary()
        _link(real, made, follow)
        if inode.names:
            inode.names += 1
            self.describe(inode)
            os.setxattr(made, LINKS, str(inode.names).encode())
        os.rename(made, f"{self.upper.name(parent)}/{_last(new)}")
        if old is not None:
            old.gone()
        node = Node(parent, _last(new), inode)
        node.over = over
        if inode.copied:
            self.known(node, inode.shown[0])
        else:
            self._register(node, above.st_dev)
        _touch(self.upper.name(parent))

    # -- rename --------------------------------------------------------------------------------
    def rename(self, old: str, new: str, flags: int) -> None:
        self._may_enter(old)
        self._may_enter(new)
        st = self.lstat(old)
        self._sticky(old, st)
        there = self._maybe(new)
        if there is not None:
            self._sticky(new, there)
        if there is not None and not flags & EXCHANGE:
            _same_kind(st, there, new)
        if _parent(old) != _parent(new):  # a directory's ".." is changed, too
            for path, moved in ((old, st), (new, there if flags & EXCHANGE else None)):
                if moved is not None and stat.S_ISDIR(moved.st_mode):
                    self._may(path, os.W_OK)
        if flags & ~(NOREPLACE | EXCHANGE):
            raise refuse(errno.EINVAL, old)
        if flags & EXCHANGE:
            self._exchange(old, new)
            return
        if there is not None and self._replaced(old, new, st, there):
            return
        self._lift(old)
        self._put(old, new)

    def _maybe(self, path: str) -> os.stat_result | None:
        try:
            return self.lstat(path)
        except FileNotFoundError:
            return None

    def _replaced(self, old: str, new: str, st: os.stat_result, there: os.stat_result) -> bool:
        """Make room for a name that is there; whether both are names of one file already."""
        if (st.st_dev, st.st_ino) == (there.st_dev, there.st_ino):
            return True
        if stat.S_ISDIR(there.st_mode):
            if self.entries(new):
                raise refuse(errno.ENOTEMPTY, new)
            self._lift(old)
            self._remove_directory(new)
        else:
            self._lift(old)
            where = self.find(new)
            if where.node is None and self._has_links(where):
                self._copy(new, False)
                where = self.find(new)
            if where.node is not None and where.node.inode is not None:
                self._fewer(where.node, where.node.inode)
        return False

    def _lift(self, path: str) -> Node:
        """What is to be renamed must be in the upper, and find its lower part from there."""
        node = self._copy(path, False)
        if node.directory and not node.cut and node.redirect is None:
            lower = self.find(path).lower
            assert lower is not None
            os.setxattr(self.upper.name(node), REDIRECT, os.fsencode(lower))
            node.redirect = lower
            self.mark(node)
        return node

    def _put(self, old: str, new: str) -> None:
        """Rename what is in the upper."""
        source = self._directory(_parent(old))
        node = source.children[_last(old)]
        leaves = self._lower_has(old)
        parent = self._directory(_parent(new))
        over = self._lower_has(new)
        place = f"{self.upper.name(parent)}/{_last(new)}"
        name = self.upper.name(node)
        was = parent.children.get(_last(new))
        if node.directory:
            if over and node.cut:
                os.setxattr(name, OPAQUE, b"y")
            if was is not None:  # a whiteout, which a directory can't replace
                self.upper.exchange(name, place)
            else:
                os.rename(name, place)
        else:
            os.rename(name, place)
        if leaves:
            if not (node.directory and was is not None):
                self.upper.whiteout(name)
        elif node.directory and was is not None:
            os.unlink(name)
        paths = [(below, below.path()) for below in node.all()]
        if was is not None:
            was.gone()
        node.moved(parent, _last(new))
        node.over = over
        if node.directory or over or was is not None:
            self.turned()
        for _, path in paths:
            self.forgets(path)
        for below, _ in paths:
            self.mark(below)
        if leaves:
            self._hide(source, old)

    def _exchange(self, old: str, new: str) -> None:
        one, other = self._lift(old), self._lift(new)
        overs = self._lower_has(old), self._lower_has(new)
        for node, over in ((one, overs[1]), (other, overs[0])):
            if node.directory and node.cut and over:
                os.setxattr(self.upper.name(node), OPAQUE, b"y")
        self.upper.exchange(self.upper.name(one), self.upper.name(other))
        for node in (one, other):
            for below in node.all():
                self.forgets(below.path())
        first, second = one.parent, other.parent
        assert first is not None
        assert second is not None
        names = one.name, other.name
        one.gone()
        other.gone()
        one.moved(second, names[1])
        other.moved(first, names[0])
        one.over, other.over = overs[1], overs[0]
        for node in (one, other):
            for below in node.all():
                self.mark(below)


def _same_kind(st: os.stat_result, there: os.stat_result, path: str) -> None:
    """Errors: ENOTDIR, EISDIR when a directory and something else would replace each other."""
    if stat.S_ISDIR(st.st_mode) is not stat.S_ISDIR(there.st_mode):
        raise refuse(errno.ENOTDIR if stat.S_ISDIR(st.st_mode) else errno.EISDIR, path)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _far(inode: int) -> int:
    return inode | 1 << 62


def _kept_name(name: str) -> str:
    """How an extended attribute is called in the upper."""
    return name if name.startswith("user.") else FOREIGN_NAMES + name


def _unprivileged(mode: int) -> int:
    """A mode without what a change of owner or of content takes away: fs/attr.c."""
    if stat.S_ISDIR(mode):
        return mode
    return mode & ~(SETUID_EXEC if mode & stat.S_IXGRP else stat.S_ISUID)


def _touch(directory: str) -> None:
    """Entries of a directory have changed, perhaps only in what is seen of it."""
    os.utime(directory or "/")


def _set_times(
    real: str, atime_ns: int | None, mtime_ns: int | None, *, follow: bool = False
) -> None:
    st = os.stat(real, follow_symlinks=follow)
    atime = st.st_atime_ns if atime_ns is None else atime_ns
    mtime = st.st_mtime_ns if mtime_ns is None else mtime_ns
    os.utime(real, ns=(atime, mtime), follow_symlinks=follow)


def _link(real: str, made: str, follow: bool) -> None:
    if follow:  # only with a descriptor does Python tell linkat(2) so
        here = os.open("/", os.O_PATH | os.O_CLOEXEC)
        try:
            os.link(real, made, src_dir_fd=here, follow_symlinks=True)
        finally:
            os.close(here)
    else:
        os.link(real, made, follow_symlinks=False)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        copying.write_all(fd, data, 0)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    """What was half-made."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        os.rmdir(path)
    except FileNotFoundError:
        pass
