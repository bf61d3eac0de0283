# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory that keeps what was changed: its layout on disk, and its picture in memory.

`UPPER/<path>` is the file itself; what the real user could not have made so (owner, special mode,
devices, links) is in extended attributes of it.  docs/viewfs.md describes the layout for readers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator

from pyview.abi.upper import (
    DATA,
    KIND_OF,
    KINDS,
    LINKS,
    OPAQUE,
    OWN,
    RECORD,
    REDIRECT,
    WHITEOUT,
    Record,
    index_name,
)
from pyview.api import Tree, if_it_fails, refuse
from pyview.modules.viewfs.labels import Kernels, Labels

PRIVATE = os.fsdecode(OWN)
LONG = 4096 - 300  # bytes of a name: one more component must fit
DEEP = 128  # directories kept open for longer names
EXCHANGE = 2  # RENAME_EXCHANGE


class Inode:
    """An object of the upper, with one name or several.

    mode      with its type, as it is shown
    shown     (device, inode) that are shown
    key       (device, inode) that it has
    copied    the inode number of the lower object it is a copy of, 0: it is new
    data      the lower path with its data while only its attributes have been copied
    names     how many names are visible, 0: as many as the kernel says
    indexed   it has one more name in the index of lower hard links
    nodes     its names in the upper; one from the index alone has none
    odd       of a directory: something in it is not to be told as the kernel does
    """

    __slots__ = (
        "copied", "data", "gid", "indexed", "key", "mode", "names", "nodes", "odd", "rdev",
        "shown", "uid",
    )  # fmt: skip

    def __init__(self, mode: int, uid: int, gid: int, rdev: int = 0, copied: int = 0) -> None:
        self.mode, self.uid, self.gid, self.rdev, self.copied = mode, uid, gid, rdev, copied
        self.key = self.shown = (0, 0)
        self.data: str | None = None
        self.names = 0
        self.indexed = self.odd = False
        self.nodes: list[Node] = []

    @property
    def node(self) -> Node | None:
        """One of its names in the upper; None: it has none there."""
        return self.nodes[-1] if self.nodes else None

    def text(self) -> bytes:
        """What the attribute `user.view` says."""
        kind, mode = KIND_OF[stat.S_IFMT(self.mode)], stat.S_IMODE(self.mode)
        return Record(kind, mode, self.uid, self.gid, self.rdev, self.copied).format()


class Node:
    """A name in the upper.  `inode` is None for a whiteout.

    cut       of a directory: what is below has nothing to do with what this name is in the lower
    redirect  of a directory: the lower path it shows; None: that of its parent's and its name
    over      whether the lower has this name, too; None: not looked yet
    """

    __slots__ = ("children", "cut", "inode", "name", "over", "parent", "redirect")

    def __init__(self, parent: Node | None, name: str, inode: Inode | None) -> None:
        self.parent, self.name, self.inode = parent, name, inode
        self.children: dict[str, Node] = {}
        self.cut = False
        self.redirect: str | None = None
        self.over: bool | None = None
        if parent is not None:
            parent.children[name] = self
        if inode is not None:
            inode.nodes.append(self)

    @property
    def directory(self) -> bool:
        return self.inode is not None and stat.S_ISDIR(self.inode.mode)

    def path(self) -> str:
        """Its name in the tree, "" for the root."""
        parts: list[str] = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            parts.append(node.name)
            node = node.parent
        return "".join("/" + part for part in reversed(parts))

    def gone(self) -> None:
        """It is no more a name of the upper."""
        if self.parent is not None and self.parent.children.get(self.name) is self:
            del self.parent.children[self.name]
        self.parent = None
        if self.inode is not None and self in self.inode.nodes:
            self.inode.nodes.remove(self)

    def moved(self, parent: Node, name: str) -> None:
        """It has another name now."""
        self.gone()
        self.parent, self.name = parent, name
        parent.children[name] = self
        if self.inode is not None:
            self.inode.nodes.append(self)

    def all(self) -> Iterator[Node]:
        """Itself and all below it, from the top."""
        yield self
        for child in list(self.children.values()):
            yield from child.all()


def safe(mode: int) -> int:
    """The permissions that an object has in the upper: its owner keeps access, nobody gains any."""
    return (mode & 0o777) | (0o700 if stat.S_ISDIR(mode) else 0o600)


def parent_of(path: str) -> str:
    """The directory that a name of a tree is in."""
    return path.rpartition("/")[0] or "/"


def last_of(path: str) -> str:
    """The last component of a name."""
    return path.rpartition("/")[2]


class Upper:
    """One such directory, in use by this view alone."""

    def __init__(self, tree: Tree, root: str, holder: str, read_only: bool = False) -> None:
        """`tree`, whose kernel's name is `root`; `holder`: who uses it, for who finds it locked.

        Errors: EBUSY, EACCES, EOPNOTSUPP when its file system can't keep attributes in any way.
        """
        self.tree, self.root = tree, root.rstrip("/")
        self.serial = 0
        self._deep: list[int] = []  # directories deep down, the last ones needed
        self.lock = -1
        self.labels: Labels = Kernels()
        if not read_only:
            self._prepare(holder)
        with if_it_fails(self.close):
            self.device = os.stat(root).st_dev
            self.labels = self._choose_labels(read_only)
            self._whiteouts = read_only or self._device_allowed()

    def private(self, *names: str) -> str:
        """A name in the private directory."""
        return "/".join((self.root, PRIVATE, *names))

    def _prepare(self, holder: str) -> None:
        if not stat.S_ISDIR(os.stat(self.root or "/").st_mode):
            raise refuse(errno.ENOTDIR, self.root)
        os.makedirs(self.private("i"), 0o700, exist_ok=True)
        self.lock = os.open(self.private("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(self.lock, 200, 0).decode(errors="replace").strip()
            self.close()
            why = f"{os.strerror(errno.EBUSY)}: in use by {other or 'another program'}"
            raise OSError(errno.EBUSY, why, self.root) from None
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, holder.encode() + b"\n", 0)
        for name in os.listdir(self.private()):
            if name.startswith("tmp"):
                self.clear(self.private(name))

    def clear(self, path: str) -> None:
        """Remove what nobody sees: what was left half-made, or an empty directory's whiteouts."""
        if stat.S_ISDIR(os.lstat(path).st_mode):
            for name in os.listdir(path):
                self.clear(f"{path}/{name}")
            os.rmdir(path)
        else:
            os.unlink(path)

    def _choose_labels(self, read_only: bool) -> Labels:
        """Where extended attributes are kept.  Errors: EOPNOTSUPP, EUCLEAN."""
        from pyview.modules.viewfs import sidecar  # not before it is needed

        if not os.path.lexists(self.private(sidecar.NAME)):
            if read_only or self._has_attributes():
                return Kernels()
            if sidecar.is_forgetful(self.device):
                why = f"{sidecar.kind_of(self.device)} has neither attributes nor lasting numbers"
                raise OSError(errno.EOPNOTSUPP, why, self.root)
        return sidecar.Sidecar(self.private(), read_only=read_only)

    def _has_attributes(self) -> bool:
        probe = self.temporary()
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.setxattr(probe, WHITEOUT, b"y")
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                return False
            raise
        finally:
            os.unlink(probe)
        return True

    def _device_allowed(self) -> bool:
        """Whether a whiteout can be a device 0:0 here."""
        probe = self.temporary()
        try:
            os.mknod(probe, stat.S_IFCHR, 0)
        except OSError:
            return False
        os.unlink(probe)
        return True

    def close(self) -> None:
        """Let others use it."""
        self.labels.close()
        while self._deep:
            os.close(self._deep.pop())
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    # -- making --------------------------------------------------------------------------------
    def temporary(self) -> str:
        """A fresh name for what will be renamed into its place."""
        self.serial += 1
        return self.private(f"tmp{self.serial}")

    def full(self, node: Node) -> str:
        """The kernel's name of a node."""
        return self.root + node.path() or "/"

    def name(self, node: Node) -> str:
        """The same for the calls of this process: no longer than they take, "" for "/"."""
        name = self.root + node.path()
        return name if len(name) < LONG // 4 else self._short(name)

    def _short(self, name: str) -> str:
        """A name by a descriptor of a directory on the way."""
        rest, start = name, ""
        while len(os.fsencode(start + rest)) >= LONG:
            cut = rest.rfind("/", 1, LONG // 4)
            if cut < 0:
                raise refuse(errno.ENAMETOOLONG, name)
            fd = os.open(start + rest[:cut], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._deep.append(fd)
            if len(self._deep) > DEEP:
                os.close(self._deep.pop(0))
            rest, start = rest[cut:], f"/proc/self/fd/{fd}"
        return start + rest

    def whiteout(self, path: str) -> None:
        """Hide what the lower has under this name; in the place of what the upper has."""
        made = self.temporary()
        if self._whiteouts:
            os.mknod(made, stat.S_IFCHR, 0)
        else:
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self.labels.born(made)
            self.labels.set(made, WHITEOUT, b"y")
        os.rename(made, path)

    def is_whiteout(self, path: str, st: os.stat_result) -> bool:
        """Whether an entry of the upper only hides one of the lower."""
        if stat.S_ISCHR(st.st_mode):
            return st.st_rdev == 0
        empty = stat.S_ISREG(st.st_mode) and not st.st_size
        return empty and self.attribute(path, WHITEOUT) is not None

    def index(self, key: tuple[int, int]) -> str:
        """The name in the index of the copy of a lower file that has several names."""
        return f"{self.root}/{os.fsdecode(index_name(*key))}"

    def write(self, path: str, inode: Inode) -> None:
        """Record the attributes of an object; a real socket has only its own."""
        try:
            self.labels.set(path, RECORD, inode.text())
        except PermissionError:
            if not stat.S_ISSOCK(inode.mode):
                raise

    def exchange(self, one: str, other: str) -> None:
        """Let two names change places, at once.  Errors: EINVAL where the kernel can't."""
        if one.startswith(self.root + "/") and other.startswith(self.root + "/"):
            at = len(self.root)
            self.tree.rename(one[at:], other[at:], EXCHANGE)
        else:  # one of them is deep down
            raise refuse(errno.ENAMETOOLONG, one)

    def attribute(self, path: str, name: str) -> str | None:
        """An extended attribute; None when there is none."""
        try:
            return os.fsdecode(self.labels.get(path, name, follow=False))
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM):
                return None
            raise

    # -- reading -------------------------------------------------------------------------------
    def read(self, path: str, st: os.stat_result) -> Inode:
        """What the attributes of an object say; the kernel's own where they say nothing."""
        text = (
            self.attribute(path, RECORD) if st.st_mode & 0o170000 in (0o100000, 0o040000) else None
        )
        inode = Inode(st.st_mode, st.st_uid, st.st_gid, st.st_rdev)
        if text is not None:
            try:
                said = Record.parse(os.fsencode(text))
                inode = Inode(KINDS[said.kind] | said.mode, said.uid, said.gid, said.rdev, said.ino)
                if stat.S_ISDIR(inode.mode) is not stat.S_ISDIR(st.st_mode):
                    raise ValueError
            except ValueError:
                why = f"damaged attribute {RECORD}: {text!r}"
                raise OSError(errno.EUCLEAN, why, path) from None
        inode.key = inode.shown = (st.st_dev, st.st_ino)
        if text is not None and not stat.S_ISDIR(st.st_mode):
            inode.data = self.attribute(path, DATA)
            inode.names = int(self.attribute(path, LINKS) or 0)
        return inode

    def scan(self) -> tuple[Node, dict[tuple[int, int], Inode]]:
        """The picture of all that is there.  Errors: EUCLEAN for what nobody could have written."""
        inodes: dict[tuple[int, int], Inode] = {}
        root = Node(None, "", self.read(self.root or "/", os.stat(self.root or "/")))
        todo = [(self.root, root)]
        while todo:
            where, parent = todo.pop()
            with os.scandir(where or "/") as found:
                entries = [entry.name for entry in found]
            for name in entries:
                path = f"{where}/{name}"
                if parent is root and name == PRIVATE:
                    continue
                node = self._node(parent, name, path, inodes)
                if node.directory:
                    todo.append((path, node))
        for name in os.listdir(self.private("i")) if os.path.isdir(self.private("i")) else ():
            st = os.lstat(self.private("i", name))
            key = (st.st_dev, st.st_ino)
            if key not in inodes:
                inodes[key] = self.read(self.private("i", name), st)
            inodes[key].indexed = True
            device, _, number = name.partition("-")
            inodes[key].shown = int(device, 16), int(number, 16)
        self.labels.keep(number for _, number in inodes)
        return root, inodes

    def _node(
        self, parent: Node, name: str, path: str, inodes: dict[tuple[int, int], Inode]
    ) -> Node:
        st = os.lstat(path)
        if self.is_whiteout(path, st):
            return Node(parent, name, None)
        key = (st.st_dev, st.st_ino)
        inode = inodes.get(key) or self.read(path, st)
        inodes[key] = inode
        node = Node(parent, name, inode)
        if node.directory:
            node.redirect = self.attribute(path, REDIRECT)
            node.cut = self.attribute(path, OPAQUE) is not None
        return node
