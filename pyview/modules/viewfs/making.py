# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that are made and removed."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial

from pyview.abi.upper import LINKS, OPAQUE, RECORD
from pyview.api import if_it_fails, refuse
from pyview.modules.viewfs import acl, copying
from pyview.modules.viewfs.attributes import Attributes
from pyview.modules.viewfs.copyup import WRITES, removed
from pyview.modules.viewfs.labels import kept_name
from pyview.modules.viewfs.look import Where
from pyview.modules.viewfs.upper import Inode, Node, last_of, parent_of, safe


class Making(Attributes):
    """What is made is put in its place in one step; what is removed leaves a whiteout."""

    def _inherit(self, mode: int, above: os.stat_result) -> Inode:
        """The attributes of something new: credentials(7), and a directory's set-gid bit."""
        gid = self.who.gid
        if above.st_mode & stat.S_ISGID:
            gid = above.st_gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        return Inode(mode, self.who.uid, gid)

    def _default_list(self, directory: str) -> bytes | None:
        """The default access list of a directory, if it has one."""
        try:
            return self.getxattr(directory, acl.DEFAULT)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.EACCES):
                raise
        return None

    def masks(self, path: str) -> bool:
        return self._default_list(parent_of(path)) is None

    def _listed(self, directory: str, inode: Inode) -> dict[str, bytes]:
        """The access lists of something new, whose mode follows them: acl(5)."""
        default = None if stat.S_ISLNK(inode.mode) else self._default_list(directory)
        if default is None:
            return {}
        own, inode.mode = acl.inherited(default, inode.mode)
        lists = {} if own is None else {kept_name(acl.ACCESS): own}
        if stat.S_ISDIR(inode.mode):
            lists[kept_name(acl.DEFAULT)] = default
        return lists

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
        parent = self._directory(parent_of(path))
        old = parent.children.get(last_of(path))
        over = self._lower_has(path)
        inode = self._inherit(mode, above)
        inode.rdev = rdev
        lists = self._listed(parent_of(path), inode)
        place = f"{self.upper.name(parent)}/{last_of(path)}"
        # Without a whiteout to replace it is made in its place: inotify(7) tells of that.
        made = place if old is None else self.upper.temporary()
        directory = stat.S_ISDIR(mode)
        if directory:
            os.mkdir(made, 0o700)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            fd = os.open(made, flags, 0o600)
            try:
                with if_it_fails(partial(os.unlink, made)):
                    copying.write_all(fd, content, 0)
            finally:
                os.close(fd)
        with if_it_fails(partial(removed, made)):
            self.upper.labels.born(made)
            for name, value in lists.items():
                self.upper.labels.set(made, name, value)
            self._dress(made, inode, None)
            if directory and over:
                self.upper.labels.set(made, OPAQUE, b"y")
            if directory and old is not None:
                self.upper.exchange(made, place)
                os.unlink(made)
            elif old is not None:
                os.rename(made, place)
        if old is not None:
            old.gone()
        node = Node(parent, last_of(path), inode)
        node.over, node.cut = over, directory
        self._register(node, above.st_dev)
        return node, place

    def _lower_has(self, path: str) -> bool:
        """Whether something below must stay hidden when this name is used or removed."""
        where = self.find(parent_of(path))
        if where.lower is None or (where.node is not None and where.node.cut):
            return False
        node = where.node.children.get(last_of(path)) if where.node is not None else None
        if node is not None and node.over is not None:
            return node.over
        return self.exists_below(f"{where.lower}/{last_of(path)}")

    def _hide(self, parent: Node, path: str) -> None:
        """A whiteout has been made."""
        hidden = Node(parent, last_of(path), None)
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
            self.upper.labels.set(real, LINKS, str(inode.names).encode())
        elif inode.indexed:
            removed(self.upper.index(inode.shown))
            inode.indexed = False
            self.describe(inode)

    # -- making -----------------------------------------------------------------------------------
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

    def nameless(self, path: str, flags: int, mode: int) -> int:
        above = self._may(path, WRITES)
        node = self._directory(path)
        fd = os.open(self.upper.name(node) or "/", flags | os.O_CLOEXEC, 0o600)
        inode = self._inherit(stat.S_IFREG | stat.S_IMODE(mode), above)
        lists = self._listed(path, inode)
        with if_it_fails(partial(os.close, fd)):
            os.fchmod(fd, safe(inode.mode))
            self.upper.labels.born(fd)
            for name, value in lists.items():
                self.upper.labels.set(fd, name, value)
            self.upper.labels.set(fd, RECORD, inode.text())
            st = os.fstat(fd)
        inode.key = (st.st_dev, st.st_ino)
        inode.shown = inode.key if st.st_dev == above.st_dev else (above.st_dev, far(st.st_ino))
        self.inodes[inode.key] = inode
        self.describe(inode)
        return fd

    def named(self, fd: int, path: str) -> None:
        st, inode = self.inode_of(fd)
        above = self._may_enter(path)
        if inode is None or inode.key != (st.st_dev, st.st_ino):
            raise refuse(errno.EXDEV, path)
        self._link_in(f"/proc/self/fd/{fd}", inode, path, above, True)

    def bound(self, path: str) -> str:
        self._may_enter(path)
        parent = self._directory(parent_of(path))
        old = parent.children.get(last_of(path))
        place = f"{self.upper.full(parent)}/{last_of(path)}"
        if old is not None and old.inode is None:
            os.unlink(place)  # bind(2) makes the socket itself; the name below shows meanwhile
            old.gone()
            self.forgets(path)
        return place

    def was_bound(self, path: str) -> None:
        """A socket has been made there."""
        parent = self._directory(parent_of(path))
        place = f"{self.upper.name(parent)}/{last_of(path)}"
        st = os.lstat(place)
        inode = Inode(st.st_mode, st.st_uid, st.st_gid)
        node = Node(parent, last_of(path), inode)
        self._register(node, self.lstat(parent_of(path)).st_dev)

    def link(self, old: str, new: str) -> None:
        above = self._may_enter(new)
        node = self._copy(old, False)
        assert node.inode is not None
        self._link_in(self.real_of(node), node.inode, new, above, False)

    def _link_in(
        self, real: str, inode: Inode, new: str, above: os.stat_result, follow: bool
    ) -> None:
        parent = self._directory(parent_of(new))
        old = parent.children.get(last_of(new))
        over = self._lower_has(new)
        made = self.upper.temporary()
        linked(real, made, follow)
        if inode.names:
            inode.names += 1
            self.describe(inode)
            self.upper.labels.set(made, LINKS, str(inode.names).encode())
        os.rename(made, f"{self.upper.name(parent)}/{last_of(new)}")
        if old is not None:
            old.gone()
        node = Node(parent, last_of(new), inode)
        node.over = over
        if inode.copied:
            self.known(node, inode.shown[0])
        else:
            self._register(node, above.st_dev)
        touched(self.upper.name(parent))

    # -- removing ---------------------------------------------------------------------------------
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
        parent = self._directory(parent_of(path))
        place = f"{self.upper.name(parent)}/{last_of(path)}"
        node = parent.children.get(last_of(path))
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
        touched(self.upper.name(parent))

    def rmdir(self, path: str) -> None:
        self._may_enter(path)
        st = self.lstat(path)
        self._sticky(path, st)
        if self.entries(path):
            raise refuse(errno.ENOTEMPTY, path)
        self._remove_directory(path)
        touched(self.upper.name(self._directory(parent_of(path))))

    def _remove_directory(self, path: str) -> None:
        """An empty one, at once: what is below it does not show in between."""
        over = self._lower_has(path)
        parent = self._directory(parent_of(path))
        node = parent.children.get(last_of(path))
        place = f"{self.upper.name(parent)}/{last_of(path)}"
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


def far(inode: int) -> int:
    return inode | 1 << 62


def touched(directory: str) -> None:
    """Entries of a directory have changed, perhaps only in what is seen of it."""
    os.utime(directory or "/")


def linked(real: str, made: str, follow: bool) -> None:
    if follow:  # only with a descriptor does Python tell linkat(2) so
        here = os.open("/", os.O_PATH | os.O_CLOEXEC)
        try:
            os.link(real, made, src_dir_fd=here, follow_symlinks=True)
        finally:
            os.close(here)
    else:
        os.link(real, made, follow_symlinks=False)
