# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees to compare: a plain one, the upper directory of a view, and what the two show together.

Read-only.  What may not be searched or listed by us shows nothing, as in the view.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pyview.abi import upper
from pyview.trying.places import Place, joined, parent_of

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
NO_ATTRIBUTES = (errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.ENOENT)


class Node(NamedTuple):
    """What stat(2) tells of something; `kind` is a key of abi.upper.KINDS, times are in ns."""

    kind: str
    mode: int  # permission bits
    uid: int
    gid: int
    rdev: int
    size: int
    mtime: int
    atime: int
    ctime: int
    dev: int
    ino: int
    nlink: int

    @property
    def is_dir(self) -> bool:
        return self.kind == "d"


class Entry(NamedTuple):
    """A name in an upper directory.  A whiteout has no node.

    `lower` is the lower inode that it was copied from (0: none), `inode` its own;
    `redirect` and `data` are paths in the lower; `recorded`: its attributes are those recorded.
    """

    node: Node | None
    opaque: bool = False
    redirect: bytes | None = None
    data: bytes | None = None
    lower: int = 0
    inode: int = 0
    recorded: bool = False


class Tree(Protocol):
    """What can be asked of a tree.  Paths as in places.py."""

    def look(self, path: bytes) -> Node | None:
        """What is there; None when nothing is."""

    def names(self, path: bytes) -> list[bytes]:
        """The names in a directory, sorted."""

    def content(self, path: bytes) -> bytes:
        """The name under which the kernel has the bytes of a regular file."""

    def target(self, path: bytes) -> bytes:
        """Where a symbolic link leads."""

    def xattrs(self, path: bytes) -> dict[str, bytes]:
        """The extended attributes that programs see."""

    def close(self) -> None:
        """No more questions."""


def node_of(st: os.stat_result) -> Node:
    return Node(
        upper.KIND_OF[stat.S_IFMT(st.st_mode)], stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid,
        st.st_rdev, st.st_size, st.st_mtime_ns, st.st_atime_ns, st.st_ctime_ns, st.st_dev,
        st.st_ino, st.st_nlink,
    )  # fmt: skip


def attributes(name: bytes) -> dict[str, bytes]:
    """All extended attributes of a name that we may read; none where there are none."""
    found = {}
    try:
        for key in os.listxattr(name, follow_symlinks=False):
            try:
                found[key] = os.getxattr(name, key, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (*NO_ATTRIBUTES, errno.ENODATA):
                    raise
    except OSError as error:
        if error.errno not in NO_ATTRIBUTES:
            raise
    return found


class Plain:
    """The kernel's own tree below a directory."""

    def __init__(self, root: bytes) -> None:
        self.place = Place(root)

    def look(self, path: bytes) -> Node | None:
        try:
            return node_of(os.lstat(self.place.name(path)))
        except OSError as error:
            if error.errno not in ABSENT:
                raise
        return None

    def names(self, path: bytes) -> list[bytes]:
        try:
            return sorted(os.listdir(self.place.name(path)))
        except OSError as error:
            if error.errno not in ABSENT:
                raise
        return []

    def content(self, path: bytes) -> bytes:
        return self.place.name(path)

    def target(self, path: bytes) -> bytes:
        return os.readlink(self.place.name(path))

    def xattrs(self, path: bytes) -> dict[str, bytes]:
        return attributes(self.place.name(path))

    def close(self) -> None:
        self.place.close()


class Upper:
    """An upper directory as it lies there (pyview/abi/upper.py)."""

    def __init__(self, directory: bytes) -> None:
        self.place = Place(directory)

    def names(self, path: bytes) -> list[bytes]:
        names = sorted(os.listdir(self.place.name(path)))
        return names if path else [name for name in names if name != upper.OWN]

    def entry(self, path: bytes) -> Entry | None:
        """What lies there.  Raises OSError(EUCLEAN) for a damaged one."""
        if path == upper.OWN:
            return None
        try:
            return self.read(self.place.name(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        return None

    def indexed(self) -> Iterator[tuple[bytes, Entry]]:
        """The copies of lower files that have several names."""
        try:
            names = os.listdir(self.place.name(upper.INDEX))
        except FileNotFoundError:
            return
        for name in sorted(names):
            path = joined(upper.INDEX, name)
            yield path, self.read(self.place.name(path))

    def read(self, name: bytes) -> Entry:
        node = node_of(os.lstat(name))
        if node.kind == "c" and node.rdev == 0:
            return Entry(None, inode=node.ino)
        inode = node.ino
        if node.kind not in "fd":
            return Entry(node, inode=inode)  # a real socket; or laid there by hand
        own = {key: value for key, value in attributes(name).items() if upper.is_own(key)}
        if upper.WHITEOUT in own:
            return Entry(None, inode=inode)
        record = None
        if upper.RECORD in own:
            try:
                record = upper.Record.parse(own[upper.RECORD])
            except ValueError:
                raise OSError(errno.EUCLEAN, "damaged attribute user.view", name) from None
            node = node._replace(
                kind=record.kind, mode=record.mode, uid=record.uid, gid=record.gid,
                rdev=record.rdev,
            )  # fmt: skip
        redirect, data = own.get(upper.REDIRECT), own.get(upper.DATA)
        return Entry(
            node,
            upper.OPAQUE in own,
            redirect.strip(b"/") if redirect is not None else None,
            data.strip(b"/") if data is not None else None,
            record.ino if record else 0,
            inode,
            record is not None,
        )

    def target(self, path: bytes) -> bytes:
        """A link's: the data of its placeholder, or its own when it is a real one."""
        name = self.place.name(path)
        try:
            return os.readlink(name)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        with open(name, "rb") as file:
            return file.read()

    def xattrs(self, path: bytes) -> dict[str, bytes]:
        found = {}
        for key, value in attributes(self.place.name(path)).items():
            if key.startswith(upper.FOREIGN):
                found[key.removeprefix(upper.FOREIGN)] = value
            elif not upper.is_own(key) and key.startswith("user."):
                found[key] = value
        return found

    def close(self) -> None:
        self.place.close()


class Where(NamedTuple):
    """What makes a name of the view: an entry of the upper, a lower path, both for a directory."""

    entry: Entry | None
    lower: bytes | None


class Merged:
    """What a view shows: an upper over a lower tree, which may be such a one itself."""

    def __init__(self, top: Upper, lower: Tree) -> None:
        self.top, self.lower = top, lower
        self._directories: dict[bytes, Where] = {}

    def where(self, path: bytes) -> Where | None:
        """What a name is made of; None when the view does not show it."""
        if path in self._directories:
            return self._directories[path]
        if not path:
            return self._joint(self.top.entry(path) or Entry(None), b"")
        parent, _, name = path.rpartition(b"/")
        above = self._directory(parent)
        return self._child(above, path, name) if above is not None else None

    def _directory(self, path: bytes) -> Where | None:
        """`where` of a directory, remembered; by a loop, for names may be deep."""
        todo: list[bytes] = []
        while path and path not in self._directories:
            todo.append(path)
            path = parent_of(path)
        for name in ([] if path in self._directories else [path]) + todo[::-1]:
            found = self.where(name)
            if found is None or not self._is_directory(found):
                return None
            self._directories[name] = found
            path = name
        return self._directories[path]

    def _is_directory(self, found: Where) -> bool:
        if found.entry is not None:
            return found.entry.node is not None and found.entry.node.is_dir
        node = self.lower.look(found.lower) if found.lower is not None else None
        return node is not None and node.is_dir

    def _child(self, above: Where, path: bytes, name: bytes) -> Where | None:
        entry = self.top.entry(path) if above.entry is not None else None
        low = joined(above.lower, name) if above.lower is not None else None
        if entry is not None:
            return self._joint(entry, low) if entry.node is not None else None
        if low is None or (not path.rpartition(b"/")[0] and name == upper.OWN):
            return None
        node = self.lower.look(low)
        if node is None:
            return None
        if node.nlink > 1 and not node.is_dir:
            copied = self.index(node)
            if copied is not None:
                return Where(copied, low)
        return Where(None, low)

    def _joint(self, entry: Entry, low: bytes | None) -> Where:
        """An entry, and the lower directory that shows through it."""
        if entry.node is None or not entry.node.is_dir:
            return Where(entry, None)
        if entry.redirect is not None:
            return Where(entry, entry.redirect)
        if entry.opaque or low is None:
            return Where(entry, None)
        node = self.lower.look(low)
        return Where(entry, low if node is not None and node.is_dir else None)

    def index(self, node: Node) -> Entry | None:
        """The copied-up inode of a lower one that has several names."""
        try:
            return self.top.read(self.top.place.name(upper.index_name(node.dev, node.ino)))
        except FileNotFoundError:
            return None

    def look(self, path: bytes) -> Node | None:
        found = self.where(path)
        return self._node(found) if found is not None else None

    def _node(self, found: Where) -> Node | None:
        if found.entry is None:
            return self.lower.look(found.lower) if found.lower is not None else None
        node = found.entry.node
        if node is not None and found.entry.data is not None:
            below = self.lower.look(found.entry.data)
            node = node._replace(size=below.size if below is not None else 0)
        return node

    def names(self, path: bytes) -> list[bytes]:
        found = self._directory(path)
        if found is None:
            return []
        names: set[bytes] = set()
        hidden: set[bytes] = set()
        if found.entry is not None:
            for name in self.top.names(path):
                entry = self.top.entry(joined(path, name))
                (names if entry is not None and entry.node is not None else hidden).add(name)
        if found.lower is not None:
            names |= set(self.lower.names(found.lower)) - hidden
        return sorted(names if path else names - {upper.OWN})

    def _source(self, path: bytes) -> tuple[Where, bytes]:
        """What a name is made of, and the upper's own name of it when it is the upper's."""
        found = self.where(path)
        if found is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if found.entry is not None and found.lower is not None and not self._is_directory(found):
            node = self.lower.look(found.lower)
            assert node is not None
            return found, upper.index_name(node.dev, node.ino)
        return found, path

    def content(self, path: bytes) -> bytes:
        found, name = self._source(path)
        if found.entry is None:
            return self.lower.content(found.lower or b"")
        if found.entry.data is not None:
            return self.lower.content(found.entry.data)
        return self.top.place.name(name)

    def target(self, path: bytes) -> bytes:
        found, name = self._source(path)
        if found.entry is None:
            return self.lower.target(found.lower or b"")
        return self.top.target(name)

    def xattrs(self, path: bytes) -> dict[str, bytes]:
        found, name = self._source(path)
        if found.entry is None:
            return self.lower.xattrs(found.lower or b"")
        return self.top.xattrs(name)

    def close(self) -> None:
        self.top.close()
        self.lower.close()
