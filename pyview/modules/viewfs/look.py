# SPDX-License-Identifier: GPL-2.0-or-later
"""Two trees, one over the other, as they look: where names lead, attributes, directories."""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from pyview.api import Looks, Named, Overlay, Shown, Touch, Tree, Who, refuse
from pyview.modules.viewfs.labels import names_in, value_in
from pyview.modules.viewfs.special import device_for, pipe_for
from pyview.modules.viewfs.upper import PRIVATE, Inode, Node, Upper

FOREIGN = 1 << 62  # in the inode number of what lies on another file system than the lower
GONE = (errno.ENOENT, errno.ENOTDIR)


class Where(NamedTuple):
    """What a name leads to.

    node   of the upper (a whiteout too), or None
    lower  the lower path that shows, or could: None when something hides it
    above  the node of the directory it is in, None when that is only in the lower
    """

    node: Node | None
    lower: str | None
    above: Node | None


class Look(Overlay):
    """What is seen; nothing is changed here."""

    def __init__(self, below: Tree, target: str, upper: Upper, empty: bool) -> None:
        """`target`: where `below` is looked at; `empty`: what can't be read below looks empty."""
        super().__init__()
        self.world, self.below, self.target = below, below.at(target), target
        self.upper, self.empty = upper, empty
        self.kept = upper.root
        st = self.below.lstat("/")
        self.device = st.st_dev
        self.root, self.inodes = upper.scan()
        self.copies: dict[tuple[int, int], Inode] = {}  # of lower files and directories
        self._directories: dict[str, tuple[Node, str | None]] = {}  # as they were found
        self._turned = -1
        self._begin(st)

    def _begin(self, st: os.stat_result) -> None:
        """Learn what the lower has where the upper has something."""
        inode = self.root.inode
        assert inode is not None
        if not stat.S_ISDIR(st.st_mode):
            raise refuse(errno.ENOTDIR, self.target)
        if not inode.copied:
            inode.mode, inode.uid, inode.gid = st.st_mode, st.st_uid, st.st_gid
            inode.copied = st.st_ino
        devices = {"": st.st_dev}
        for node in self.root.all():
            path = node.path()
            if node.inode is None:
                self.mark(node)
                continue
            self.inodes[node.inode.key] = node.inode
            parent = path.rpartition("/")[0]
            device = devices[parent if path else ""]
            below = self._beneath(node, path) if node.directory else None
            if below is not None:
                device = below.st_dev
                self.copies[(below.st_dev, below.st_ino)] = node.inode
                self.claims(below.st_dev, below.st_ino)
            elif node.directory:
                node.cut = True
            devices[path] = device
            self.known(node, device)
        for inode in self.inodes.values():
            if inode.indexed:
                self.copies[inode.shown] = inode
                self.claims(*inode.shown)
                self.links(*inode.shown)

    def _beneath(self, node: Node, path: str) -> os.stat_result | None:
        """The lower directory that shows through one of the upper."""
        lower = self.find(path or "/").lower
        if lower is None:
            return None
        try:
            st = self.below.lstat(lower or "/")
        except OSError:
            return None
        shows = stat.S_ISDIR(st.st_mode) and (not self.empty or self.readable(lower or "/"))
        return st if shows else None

    def readable(self, lower: str) -> bool:
        """Whether the real user may read a lower file, or list and search a directory."""
        real = self.below.real(lower)
        if real is None or not os.path.lexists(real):
            return True
        return os.access(real, os.R_OK | (os.X_OK if os.path.isdir(real) else 0))

    def known(self, node: Node, device: int) -> None:
        """A node is new, or new to us; what is beside it lies on `device`."""
        inode = node.inode
        if inode is None:
            self.mark(node)
            return
        own = inode.key
        if inode.copied and not inode.indexed:
            inode.shown = (device, inode.copied)
        elif not inode.copied:
            inode.shown = own if own[0] == device else (device, own[1] | FOREIGN)
        self.mark(node)
        self.inodes[own] = inode
        self.describe(inode)
        if inode.copied and not node.directory:
            self.copies[inode.shown] = inode
            self.claims(*inode.shown)
            if inode.indexed:
                self.links(*inode.shown)

    def mark(self, node: Node) -> None:
        """Tell of a name of the upper; what not everybody may search is looked at each time."""
        inode = node.inode
        if node is self.root:
            return
        plain = inode is not None and stat.S_IFMT(inode.mode) in (stat.S_IFREG, stat.S_IFDIR)
        above = node.parent.inode if node.parent is not None else None
        told = plain and inode is not None and inode.shown == inode.key
        if above is not None and not above.odd and not told:
            above.odd = True
            self.describe(above)
        if inode is None:
            how = Touch.GONE
        elif not node.directory:
            how = Touch.FILE
        elif node.redirect is not None or not inode.mode & stat.S_IXUSR:
            how = Touch.CUT
        elif inode.mode & 0o111 == 0o111:
            how = Touch.OWN_DIRECTORY if node.cut else Touch.DIRECTORY
        else:
            how = Touch.CLOSED_OWN_DIRECTORY if node.cut else Touch.CLOSED_DIRECTORY
        self.touches(node.path(), how)
        if inode is None or not stat.S_ISREG(inode.mode):
            self.turned()

    def describe(self, inode: Inode) -> None:
        """Tell of the attributes of what is kept."""
        looks = None
        if inode.data is None and (not stat.S_ISDIR(inode.mode) or inode.node is not self.root):
            links = 1 if stat.S_ISDIR(inode.mode) and inode.copied else inode.names
            looks = Looks(
                *(*inode.shown, inode.rdev, inode.mode, inode.uid, inode.gid),
                *(links, inode.indexed, inode.odd),
            )
        self.claims(*inode.key, looks)

    # -- where names lead ----------------------------------------------------------------------
    def find(self, path: str) -> Where:
        """Errors: ENOENT, ENOTDIR for what is above the last name."""
        if self._turned != self.turns:
            self._directories.clear()
            self._turned = self.turns
        node: Node | None = self.root
        lower: str | None = ""
        above: Node | None = None
        rest = path.split("/")[1:] if path != "/" else []
        head = path.rpartition("/")[0]
        known = self._directories.get(head)
        if known is not None:
            node, lower = known
            del rest[:-1]
        for at, name in enumerate(rest):
            assert node is not None
            if not node.directory:
                raise refuse(errno.ENOENT if node.inode is None else errno.ENOTDIR, path)
            above = node
            if head and known is None and at + 1 == len(rest):
                self._directories[head] = node, lower
            lower = None if lower is None or node.cut else f"{lower}/{name}"
            node = node.children.get(name)
            if node is None:
                if lower is None and at + 1 < len(rest):
                    raise refuse(errno.ENOENT, path)
                if lower is not None and at + 1 < len(rest):
                    lower, above = "/".join((lower, *rest[at + 1 :])), None
                break
            if not node.directory:
                lower = None
            elif node.redirect is not None:
                lower = node.redirect
        if above is self.root and rest == [PRIVATE]:
            return Where(None, None, above)
        if node is not None and node.directory and node.cut:
            lower = None
        return self._linked(Where(node, lower, above))

    def _linked(self, where: Where) -> Where:
        """The same, but for another name of a lower file that has been copied."""
        if where.node is not None or where.lower is None or not self.linked:
            return where
        try:
            st = self.below.lstat(where.lower)
        except OSError:
            return where
        if st.st_nlink > 1 and (st.st_dev, st.st_ino) in self.linked:
            inode = self.copies[(st.st_dev, st.st_ino)]
            if inode.indexed:
                stranger = Node(None, "", None)
                stranger.inode = inode
                return Where(stranger, where.lower, where.above)
        return where

    def real_of(self, node: Node) -> str:
        """The kernel's name of what a node stands for."""
        if node.parent is None and node is not self.root:  # from the index
            assert node.inode is not None
            return self.upper.index(node.inode.shown)
        return self.upper.name(node)

    def copy_of(self, inode: Inode) -> str | None:
        """The kernel's name of what an object is to the upper; None: it has no name any more."""
        if inode.node is not None:
            return self.upper.name(inode.node) or "/"
        return self.upper.index(inode.shown) if inode.indexed else None

    def stat_of(self, where: Where, path: str) -> os.stat_result:
        """The attributes of what is there.  Errors: ENOENT."""
        node = where.node
        if node is None:
            if where.lower is None:
                raise refuse(errno.ENOENT, path)
            return self.below.lstat(where.lower or "/")
        if node.inode is None:
            raise refuse(errno.ENOENT, path)
        return self.dressed(os.lstat(self.real_of(node) or "/"), node.inode)

    def dressed(self, st: os.stat_result, inode: Inode) -> os.stat_result:
        """The kernel's attributes of an object, as they are shown."""
        size, blocks, names = st.st_size, st.st_blocks, inode.names
        kind = stat.S_IFMT(inode.mode)
        if kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO):
            size = blocks = 0
        elif inode.data is not None:
            try:
                lower = self.below.lstat(inode.data)
                size, blocks = lower.st_size, lower.st_blocks
            except OSError:
                pass  # the lower has changed behind our back
        if kind == stat.S_IFDIR and inode.copied:
            names = 1  # how many directories are in it nobody counts
        links = names or max(0, st.st_nlink - inode.indexed)
        times = (st.st_atime, st.st_mtime, st.st_ctime)
        exact = (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns)
        device, number = inode.shown
        return os.stat_result(
            (
                *(inode.mode, number, device, links, inode.uid, inode.gid, size),
                *(int(t) for t in times), *times, *exact,
                *(st.st_blksize, blocks, inode.rdev),
            )
        )  # fmt: skip

    # -- what the core asks --------------------------------------------------------------------
    def shown(self, path: str) -> Shown:
        try:
            where = self.find(path)
        except OSError:
            return Shown(None, True)
        node = where.node
        if node is None:
            if where.lower is None:
                above = where.above
                if above is None or path == f"/{PRIVATE}":
                    return Shown(None, True)
                return Shown(f"{self.upper.full(above)}/{path.rpartition('/')[2]}", True, True)
            return Shown(self.below.real(where.lower or "/"))
        if node.inode is None:
            return Shown(None, True)
        if node.directory:
            if node.cut or where.lower is None:
                return Shown(self.upper.full(node), True, True)
            return Shown(self.below.real(where.lower or "/"), True)
        return self._special(node, node.inode)

    def _special(self, node: Node, inode: Inode) -> Shown:
        kind = stat.S_IFMT(inode.mode)
        if kind == stat.S_IFREG and inode.data is not None:
            return Shown(self.below.real(inode.data), True)
        if kind in (stat.S_IFREG, stat.S_IFSOCK):
            stray = node.parent is None and node is not self.root
            return Shown(self.real_of(node) if stray else self.upper.full(node), True, True)
        if kind == stat.S_IFIFO:
            return Shown(pipe_for(self.upper, inode), True)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            return Shown(device_for(self.world, inode), True)
        return Shown(None, True)

    def lstat(self, path: str) -> os.stat_result:
        return self.stat_of(self.find(path), path)

    def readlink(self, path: str) -> str:
        where = self.find(path)
        if where.node is None:
            if where.lower is None:
                raise refuse(errno.ENOENT, path)
            return self.below.readlink(where.lower or "/")
        inode = where.node.inode
        if inode is None:
            raise refuse(errno.ENOENT, path)
        if not stat.S_ISLNK(inode.mode):
            raise refuse(errno.EINVAL, path)
        return target_in(self.real_of(where.node))

    def access(self, path: str, mode: int, uid: int, groups: frozenset[int]) -> None:
        if not allows(*self._rights(path), mode, self.who):
            raise refuse(errno.EACCES, path)

    def enter(self, path: str) -> None:
        rights = self._rights(path)
        if not stat.S_ISDIR(rights[0]):
            raise refuse(errno.ENOTDIR, path)
        if not allows(*rights, os.X_OK, self.who):
            raise refuse(errno.EACCES, path)

    def _rights(self, path: str) -> tuple[int, int, int]:
        """Mode and owners; of what is kept they are known."""
        where = self.find(path)
        inode = where.node.inode if where.node is not None else None
        if inode is not None:
            return inode.mode, inode.uid, inode.gid
        st = self.stat_of(where, path)
        return st.st_mode, st.st_uid, st.st_gid

    def statvfs(self, path: str) -> os.statvfs_result:
        where = self.find(path)
        found = self.below.statvfs(where.lower or "/") if where.lower is not None else None
        room = os.statvfs(self.kept or "/")
        if found is None:
            return room
        values = list(found)
        for at in (3, 4, 6, 7):  # free blocks and inodes
            values[at] = room[at]
        values[3] = room.f_bfree * room.f_frsize // (found.f_frsize or 4096)
        values[4] = room.f_bavail * room.f_frsize // (found.f_frsize or 4096)
        return os.statvfs_result(values)

    # -- extended attributes -------------------------------------------------------------------
    def getxattr(self, path: str, name: str) -> bytes:
        where = self.find(path)
        if where.node is None and where.lower is not None:
            return self.below.getxattr(where.lower or "/", name)
        if where.node is None or where.node.inode is None:
            raise refuse(errno.ENOENT, path)
        return value_in(self.upper.labels, self.real_of(where.node), where.node.inode.mode, name)

    def listxattr(self, path: str) -> list[str]:
        where = self.find(path)
        if where.node is None and where.lower is not None:
            return self.below.listxattr(where.lower or "/")
        if where.node is None or where.node.inode is None:
            raise refuse(errno.ENOENT, path)
        return names_in(self.upper.labels, self.real_of(where.node), where.node.inode.mode)

    # -- directories ---------------------------------------------------------------------------
    def listdir(self, path: str) -> list[str]:
        return [name for name, _, _ in self.entries(path)]

    def entries(self, path: str) -> list[Named]:
        where = self.find(path)
        if where.node is None:
            if where.lower is None:
                raise refuse(errno.ENOENT, path)
            return self._lower_entries(where.lower)
        if not where.node.directory:
            raise refuse(errno.ENOENT if where.node.inode is None else errno.ENOTDIR, path)
        own = [] if where.lower is None else self._lower_entries(where.lower)
        found = self.inside(path, own)
        known = {name for name, _, _ in found}
        added = [
            (child.name, child.inode.shown[1], stat.S_IFMT(child.inode.mode))
            for child in where.node.children.values()
            if child.inode is not None and child.name not in known
        ]
        return found + added

    def _lower_entries(self, lower: str) -> list[Named]:
        try:
            return self.below.entries(lower or "/")
        except PermissionError:
            if not self._looks_empty():
                raise
            return []

    def _looks_empty(self) -> bool:
        return self.empty and self.who.virtual and self.who.uid == 0

    def inside(self, path: str, found: list[Named]) -> list[Named]:
        node = self.find(path).node
        if node is None:
            return found
        kept: list[Named] = []
        for name, number, kind in found:
            if node is self.root and name == PRIVATE:
                continue
            child = node.children.get(name)
            if child is None:
                kept.append((name, number, kind))
            elif child.inode is not None:
                child.over = True
                kept.append((name, child.inode.shown[1], stat.S_IFMT(child.inode.mode)))
        return kept

    def beside(self, path: str) -> list[Named]:
        where = self.find(path)
        if where.node is None or where.lower is None:
            return []  # the kernel's directory is that of the upper
        for child in where.node.children.values():
            if child.over is None:
                child.over = self.exists_below(f"{where.lower}/{child.name}")
        return [
            (child.name, child.inode.shown[1], stat.S_IFMT(child.inode.mode))
            for child in where.node.children.values()
            if child.inode is not None and not child.over
        ]

    def exists_below(self, lower: str) -> bool:
        """Whether the lower has a name."""
        try:
            self.below.lstat(lower)
        except OSError as error:
            if error.errno in GONE or error.errno == errno.EACCES:
                return False
            raise
        return True

    def busy(self) -> bool:
        return False

    def unmounted(self) -> None:
        self.upper.close()


def permitted(st: os.stat_result, wanted: int, who: Who) -> bool:
    return allows(st.st_mode, st.st_uid, st.st_gid, wanted, who)


def allows(mode: int, uid: int, gid: int, wanted: int, who: Who) -> bool:
    """Whether the permission bits let `who` do that.

    Who has no virtual identity, and is not root, is taken for the owner of all: the copy is his.
    """
    if who.uid == 0:
        runs = mode & 0o111 or stat.S_ISDIR(mode)
        return bool(runs) or not wanted & os.X_OK
    if not who.virtual:
        return not wanted & ~(mode >> 6) & 7
    shift = 6 if who.uid == uid else 3 if gid in who.groups else 0
    return not wanted & ~(mode >> shift) & 7


def target_in(path: str) -> str:
    """The target of a symbolic link that is kept as a file."""
    with open(path, "rb", 0) as file:
        return os.fsdecode(file.readall())
