# SPDX-License-Identifier: GPL-2.0-or-later
"""What was only in the lower comes to the upper: at once or not at all."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial

from pyview.abi.upper import DATA, LINKS, is_own
from pyview.api import Tree, if_it_fails, refuse
from pyview.modules.viewfs import copying
from pyview.modules.viewfs.descriptors import Descriptors
from pyview.modules.viewfs.labels import kept_name
from pyview.modules.viewfs.look import Where, permitted
from pyview.modules.viewfs.stand_ins import stand_in
from pyview.modules.viewfs.upper import Inode, Node, Upper, last_of, parent_of, safe

WRITES = os.W_OK | os.X_OK


class CopyUp(Descriptors):
    """Copies of lower files and directories, and who may have them made."""

    def __init__(self, below: Tree, target: str, upper: Upper, empty: bool) -> None:
        super().__init__(below, target, upper, empty)
        self._made: dict[str, str] = {}  # copies by their lower path, made in another thread

    # -- what may be done -------------------------------------------------------------------------
    def _may(self, path: str, wanted: int, error: int = errno.EACCES) -> os.stat_result:
        st = self.lstat(path)
        if not permitted(st, wanted, self.who):
            raise refuse(error, path)
        return st

    def _may_enter(self, path: str) -> os.stat_result:
        """Whether names may be made or removed in the directory that `path` is in."""
        return self._may(parent_of(path), WRITES)

    def _sticky(self, path: str, st: os.stat_result) -> None:
        """In a directory with the sticky bit only the owners may remove a name."""
        if self.who.virtual and self.who.uid not in (0, st.st_uid):
            above = self.lstat(parent_of(path))
            if above.st_mode & stat.S_ISVTX and above.st_uid != self.who.uid:
                raise refuse(errno.EPERM, path)

    def _owns(self, path: str, st: os.stat_result) -> None:
        if self.who.virtual and self.who.uid not in (0, st.st_uid):
            raise refuse(errno.EPERM, path)

    # -- copying up -------------------------------------------------------------------------------
    def _directory(self, path: str) -> Node:
        """The directory's node; it and those above it are made in the upper when not there."""
        where = self.find(path)
        if where.node is not None:
            if not where.node.directory:
                raise refuse(errno.ENOENT if where.node.inode is None else errno.ENOTDIR, path)
            return where.node
        above = self._directory(parent_of(path))
        where = self.find(path)
        if where.lower is None:
            raise refuse(errno.ENOENT, path)
        st = self.below.lstat(where.lower)
        if not stat.S_ISDIR(st.st_mode):
            raise refuse(errno.ENOTDIR, path)
        inode = Inode(st.st_mode, st.st_uid, st.st_gid, 0, st.st_ino)
        made = self.upper.temporary()
        os.mkdir(made, 0o700)
        self.upper.labels.born(made)
        self._attributes(where.lower, made, inode)
        self._dress(made, inode, st)
        os.rename(made, f"{self.upper.name(above)}/{last_of(path)}")
        node = Node(above, last_of(path), inode)
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
            self.upper.labels.set(made, kept_name(name), value)

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
        above = self._directory(parent_of(path))
        rdev = st.st_rdev if stat.S_IFMT(st.st_mode) in (stat.S_IFCHR, stat.S_IFBLK) else 0
        inode = Inode(st.st_mode, st.st_uid, st.st_gid, rdev, st.st_ino)
        inode.shown = (st.st_dev, st.st_ino)
        whole = data and stat.S_ISREG(st.st_mode)
        made = self._made.pop(lower, "") if whole and room < 0 else ""
        if not made:
            made = self._blank()
        with if_it_fails(partial(removed, made)):
            if stat.S_ISLNK(st.st_mode):
                _write(made, os.fsencode(self.below.readlink(lower)))
            elif whole:
                if room and not os.path.getsize(made):
                    self._copy_data(lower, made, st.st_size if room < 0 else room)
            elif stat.S_ISREG(st.st_mode):
                self.upper.labels.set(made, DATA, os.fsencode(lower))
                inode.data = lower
            self._attributes(lower, made, inode)
            several = st.st_nlink > 1
            if several:
                inode.names = st.st_nlink
                self.upper.labels.set(made, LINKS, str(inode.names).encode())
            self._dress(made, inode, st)
            if several:
                os.link(made, self.upper.index((st.st_dev, st.st_ino)))
                inode.indexed = True
            os.rename(made, f"{self.upper.name(above)}/{last_of(path)}")
        node = Node(above, last_of(path), inode)
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

    def _blank(self) -> str:
        """An empty file that has no name in the view yet."""
        made = self.upper.temporary()
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        self.upper.labels.born(made)
        return made

    def _own_name(self, path: str, where: Where) -> Node:
        """A name of the upper for one that was found through the index."""
        assert where.node is not None
        assert where.node.inode is not None
        inode = where.node.inode
        above = self._directory(parent_of(path))
        os.link(self.upper.index(inode.shown), f"{self.upper.name(above)}/{last_of(path)}")
        node = Node(above, last_of(path), inode)
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
        self.upper.labels.remove(path, DATA)
        inode.data = None
        self.describe(inode)
        self._followed(lower, node)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        copying.write_all(fd, data, 0)
    finally:
        os.close(fd)


def removed(path: str) -> None:
    """What was half-made."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        os.rmdir(path)
    except FileNotFoundError:
        pass
