# SPDX-License-Identifier: GPL-2.0-or-later
"""What a view changed: the names that it shows differently from the lower tree, one record each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyview import api
from pyview.abi import upper
from pyview.modules.viewfs.stand_ins import stand_in
from pyview.trying.places import joined, parent_of, within
from pyview.trying.trees import Entry, Merged, Node, Plain, Tree, Upper

ADDED, MODIFIED, DELETED, METADATA, RENAMED = "added", "modified", "deleted", "metadata", "renamed"
BLOCK = 1 << 20
#: Attributes that are compared though they are not the user's: ACLs.  Others the kernel makes.
COMPARED = ("user.", "system.posix_acl_")


@dataclass(slots=True, eq=False)
class Change:
    """One name that is different.

    path     in the view
    kind     ADDED, MODIFIED (bytes, target or type), DELETED, METADATA, RENAMED
    host     the lower path that it stands for; None below a directory that is new
    old, new what is there on the host and in the view; None when nothing is
    origin   of RENAMED: the lower path that it was; `source` what is there
    data     the bytes differ too, when RENAMED
    inside   of a directory that is deleted, or replaced: number of names in it, and their bytes
    quiet    only a directory's time differs: done, and not worth a line
    index    of a file whose name is gone: the entry of the upper that its other names show
    """

    path: bytes
    kind: str
    host: bytes | None
    old: Node | None
    new: Node | None
    entry: Entry | None = None
    origin: bytes | None = None
    source: Node | None = None
    data: bool = False
    inside: tuple[int, int] = (0, 0)
    quiet: bool = False
    index: bytes | None = None

    @property
    def retyped(self) -> bool:
        """True when one type of file took the place of another."""
        return self.old is not None and self.new is not None and self.old.kind != self.new.kind


@dataclass(slots=True)
class Scan:
    """All changes, parents first; and the inodes of the upper that are files of the host still.

    lost   names whose bytes are in a lower file that is not that file any more
    inner  inodes of the lower in directories that went as a whole
    """

    changes: list[Change] = field(default_factory=list)
    kept: dict[int, bytes] = field(default_factory=dict)
    lost: set[bytes] = field(default_factory=set)
    inner: set[int] = field(default_factory=set)

    def visible(self) -> list[Change]:
        """Those worth a line."""
        return [change for change in self.changes if not change.quiet]

    def orphans(self) -> set[bytes]:
        """Names of what was copied from the lower, where nothing is any more."""
        olds = self.inner | {
            node.ino for change in self.changes for node in (change.old, change.source) if node
        }
        known = {
            change.entry.inode
            for change in self.changes
            if change.entry is not None and (change.old is not None or change.source is not None)
        } | set(self.kept)
        return {
            change.path
            for change in self.changes
            if change.entry is not None
            and change.entry.lower
            and (change.old if change.kind != RENAMED else change.source) is None
            and change.entry.lower not in olds
            and change.entry.inode not in known
        } | self.lost


def scan(top: Upper, lower: Tree, since: int = 0) -> Scan:
    """Compare.  `since`: when the first command began, in ns.

    Raises OSError(EUCLEAN) for a damaged upper.
    """
    found = _Scanner(top, lower, since)
    found.root()
    found.look_through()
    found.find_replaced()
    found.find_renames()
    found.find_shared()
    found.changes.sort(key=lambda change: change.path.split(b"/"))
    return Scan(found.changes, found.kept, found.lost(), found.inner)


class _Scanner:
    def __init__(self, top: Upper, lower: Tree, since: int) -> None:
        self.top, self.lower, self.since = top, lower, since
        self.view = Merged(top, lower)
        self.changes: list[Change] = []
        self.kept: dict[int, bytes] = {}
        self.inner: set[int] = set()
        #: What the view has made where the lower has a directory: path, lower path, entry.
        self.opaque: list[tuple[bytes, bytes | None, Entry]] = []
        #: To be looked into: path, the lower path to compare with, whether that shows through.
        self.directories: list[tuple[bytes, bytes | None, bool]] = []

    def root(self) -> None:
        entry, old = self.top.entry(b""), self.lower.look(b"")
        if entry is None or entry.node is None or not entry.node.is_dir:
            raise OSError(errno.ENOTDIR, "not a directory", self.top.place.root)
        if old is not None and entry.recorded:
            self._attributes(b"", b"", entry, old)
        self.directories.append((b"", b"", not entry.opaque))

    def look_through(self) -> None:
        while self.directories:
            self.directory(*self.directories.pop())

    def find_replaced(self) -> None:
        """A directory in the place of one that was renamed is new, with all that is in it."""
        origins = {c.origin for c in self.changes if c.kind == RENAMED}
        new: list[bytes] = []
        for path, host, entry in self.opaque:
            if host in origins and host is not None and not any(within(path, n) for n in new):
                new.append(path)
                self.changes = [c for c in self.changes if not within(c.path, path)]
                self.kept = {i: name for i, name in self.kept.items() if not within(name, host)}
                self.changes.append(Change(path, ADDED, None, None, entry.node, entry))
                self.directories.append((path, None, False))
        self.look_through()

    def directory(self, path: bytes, was: bytes | None, merged: bool) -> None:
        names = self.top.names(path)
        if not merged and was is not None:
            names = sorted({*names, *self.lower.names(was)})
        for name in names:
            here = joined(path, name)
            host = joined(was, name) if was is not None else None
            old = self.lower.look(host) if host is not None else None
            entry = self.top.entry(here) if path or name != upper.OWN else None
            if entry is None or entry.node is None:
                if old is not None and (path or name != upper.OWN):
                    self._gone(here, host, old, entry)
            elif entry.node.is_dir:
                self._directory(here, host, entry, old)
            else:
                self._file(here, host, entry, old)

    def _gone(self, path: bytes, host: bytes | None, old: Node, entry: Entry | None) -> None:
        change = Change(path, DELETED, host, old, None, entry)
        change.inside = self._inside(host, old)
        self.changes.append(change)

    def _inside(self, host: bytes | None, old: Node) -> tuple[int, int]:
        if host is None or not old.is_dir:
            return (0, 0)
        nodes = [node for _, node in walk(self.lower, host)]
        self.inner.update(node.ino for node in nodes)
        sizes = [node.size if node.kind == "f" else 0 for node in nodes]
        return len(sizes) - 1, sum(sizes)

    def _directory(self, path: bytes, host: bytes | None, entry: Entry, old: Node | None) -> None:
        new, merged = entry.node, not entry.opaque
        source = self.lower.look(entry.redirect) if entry.redirect is not None else None
        if entry.redirect is not None and entry.redirect != host:
            change = Change(path, RENAMED, host, old, new, entry, entry.redirect, source)
            change.inside = self._inside(host, old) if old is not None else (0, 0)
            self.changes.append(change)
            self.directories.append((path, entry.redirect, True))
        elif old is not None and old.is_dir:
            if entry.opaque:
                self.opaque.append((path, host, entry))
            if entry.recorded:
                self._attributes(path, host, entry, old)
            self.directories.append((path, host, merged or entry.redirect is not None))
        else:
            kind = ADDED if old is None else MODIFIED
            self.changes.append(Change(path, kind, host, old, new, entry))
            self.directories.append((path, None, False))

    def _attributes(self, path: bytes, host: bytes | None, entry: Entry, old: Node) -> None:
        """A directory that is there still: is anything but its names different?"""
        assert entry.node is not None
        if self._differ(path, host, entry.node, old):
            self.changes.append(Change(path, METADATA, host, old, entry.node, entry))
        elif entry.node.mtime > old.mtime or (
            entry.node.mtime < old.mtime and old.ctime < self.since
        ):
            # Else the host's has changed since it was copied up.
            quiet = entry.node.mtime > old.mtime
            self.changes.append(Change(path, METADATA, host, old, entry.node, entry, quiet=quiet))

    def _differ(self, path: bytes, host: bytes | None, new: Node, old: Node) -> bool:
        """Other owners, permissions, or attributes."""
        if (new.mode, new.uid, new.gid) != (old.mode, old.uid, old.gid) and new.kind != "l":
            return True
        if (new.uid, new.gid) != (old.uid, old.gid):
            return True
        if new.kind not in "fd" or host is None:
            return False
        return compared(self.top.xattrs(path)) != compared(self.lower.xattrs(host))

    def _file(self, path: bytes, host: bytes | None, entry: Entry, old: Node | None) -> None:
        new = self.view.look(path)
        assert new is not None
        if old is None:
            self.changes.append(Change(path, ADDED, host, None, new, entry))
        elif old.kind != new.kind:
            change = Change(path, MODIFIED, host, old, new, entry)
            change.inside = self._inside(host, old)
            self.changes.append(change)
        elif self._other_content(path, host, entry, old, new):
            self.changes.append(Change(path, MODIFIED, host, old, new, entry))
        else:
            self._keep(path, host, entry, old, new)

    def _keep(self, path: bytes, host: bytes | None, entry: Entry, old: Node, new: Node) -> None:
        if host is not None and entry.lower == old.ino:
            self.kept[entry.inode] = host
        if new.mtime != old.mtime or self._differ(path, host, new, old):
            self.changes.append(Change(path, METADATA, host, old, new, entry))

    def _other_content(
        self, path: bytes, host: bytes | None, entry: Entry, old: Node, new: Node
    ) -> bool:
        assert host is not None
        if new.kind == "l":
            return self.view.target(path) != self.lower.target(host)
        if new.kind in "cb":
            return new.rdev != old.rdev
        if new.kind != "f" or entry.data == host:
            return False
        if entry.lower == old.ino and self._made_up(path, host):
            return False  # only read
        if new.size != old.size or not new.size:
            return new.size != old.size
        try:
            return not same_bytes(self.view.content(path), self.lower.content(host))
        except PermissionError:
            return True  # we may not know

    def _made_up(self, path: bytes, host: bytes) -> bool:
        """The view put it in place of what only root may read, and nobody changed it."""
        made = stand_in(_Below(self.lower), "/" + os.fsdecode(host))
        if made is None:
            return False
        with open(self.view.content(path), "rb") as file:
            return file.read() == made

    def find_renames(self) -> None:
        """Join what vanished in one place with what appeared in another."""
        deleted = {c.host: c for c in self.changes if c.kind == DELETED and c.host is not None}
        vanished = {
            change.old.ino: host
            for host, change in deleted.items()
            if change.old is not None and not change.old.is_dir
        }
        origins = {change.origin for change in self.changes}
        for change in self.changes:
            if change.entry is not None and self._may_be_moved(change):
                self._moved(change, change.entry, vanished, origins)
        folded = {id(deleted[origin]) for origin in origins if origin in deleted}
        self.changes = [change for change in self.changes if id(change) not in folded]

    def find_shared(self) -> None:
        """Lower files that were changed through a name which then went; other names show that."""
        seen = {change.entry.inode for change in self.changes if change.entry is not None}
        hidden = {
            (entry.lower, path): entry
            for path, entry in self.top.indexed()
            if entry.inode not in seen and entry.inode not in self.kept
        }
        if not hidden:
            return
        gone = [
            change.host
            for change in self.changes
            if change.old is not None
            and change.host is not None
            and not (change.kind == METADATA and change.old.is_dir)  # what is in it stays
        ]
        for host in gone:
            for path, node in walk(self.lower, host):
                entry = hidden.pop((node.ino, upper.index_name(node.dev, node.ino)), None)
                if entry is not None and node.nlink > 1:
                    self._shared(path, node, entry)

    def lost(self) -> set[bytes]:
        """Names whose bytes are in a lower file that is not that file any more."""
        if not isinstance(self.lower, Plain):
            return set()  # through layers inode numbers are others
        return {
            change.path
            for change in self.changes
            if change.entry is not None
            and change.entry.data is not None
            and ((node := self.lower.look(change.entry.data)) is None
                 or (node.kind, node.ino) != ("f", change.entry.lower))
        }  # fmt: skip

    def _shared(self, path: bytes, old: Node, entry: Entry) -> None:
        index, new = upper.index_name(old.dev, old.ino), entry.node
        assert new is not None
        if entry.data is not None:
            new = new._replace(size=old.size)
        elif new.size != old.size or not same_bytes(
            self.top.place.name(index), self.lower.content(path)
        ):
            self.changes.append(Change(path, MODIFIED, path, old, new, entry, index=index))
            return
        same = (new.mode, new.uid, new.gid, new.mtime) == (old.mode, old.uid, old.gid, old.mtime)
        if not same or compared(self.top.xattrs(index)) != compared(self.lower.xattrs(path)):
            self.changes.append(Change(path, METADATA, path, old, new, entry, index=index))

    def _may_be_moved(self, change: Change) -> bool:
        entry, new = change.entry, change.new
        if entry is None or new is None or new.is_dir or not entry.lower:
            return False
        if change.kind == ADDED:
            return True
        return change.kind == MODIFIED and change.old is not None and change.old.ino != entry.lower

    def _moved(
        self,
        change: Change,
        entry: Entry,
        vanished: dict[int, bytes],
        origins: set[bytes | None],
    ) -> None:
        assert change.new is not None
        if entry.inode in self.kept:
            return  # a further name of what is there still, in a directory that was renamed
        origin = entry.data if entry.data is not None else vanished.get(entry.lower)
        if origin is None or origin in origins or not self._has_left(origin, entry):
            return  # it is there still, or another name of it is what it became
        source = self.lower.look(origin)
        if source is None or source.ino != entry.lower or source.kind != change.new.kind:
            return
        change.kind, change.origin, change.source = RENAMED, origin, source
        change.data = entry.data is None and (
            self._other_content(change.path, origin, entry, source, change.new)
        )
        if not change.data or source.nlink > 1:
            self.kept[entry.inode] = origin
        origins.add(origin)

    def _has_left(self, origin: bytes, entry: Entry) -> bool:
        """The view does not show the lower file of this name under it any more."""
        found = self.view.where(origin)
        return found is None or (found.entry is not None and found.entry.inode != entry.inode)


class _Below(api.Tree):
    """As much of a lower tree as stand-ins are made from."""

    def __init__(self, lower: Tree) -> None:
        self._lower = lower

    def real(self, path: str) -> str | None:
        return os.fsdecode(self._lower.content(os.fsencode(path.lstrip("/"))))


def compared(attributes: dict[str, bytes]) -> dict[str, bytes]:
    """Those attributes by which two files can differ for a user."""
    return {key: value for key, value in attributes.items() if key.startswith(COMPARED)}


def walk(tree: Tree, path: bytes) -> Iterator[tuple[bytes, Node]]:
    """Everything in a tree from `path` on, directories before what is in them."""
    todo = [path]
    while todo:
        here = todo.pop()
        node = tree.look(here)
        if node is None:
            continue
        yield here, node
        if node.is_dir:
            todo += [joined(here, name) for name in reversed(tree.names(here))]


def same_bytes(one: bytes, other: bytes) -> bool:
    """Compare two files of one size.  Raises OSError when one can't be read."""
    with open(one, "rb", 0) as a, open(other, "rb", 0) as b:
        while True:
            left = a.read(BLOCK)
            if left != b.read(len(left) or 1):
                return False
            if not left:
                return True


def chosen(changes: list[Change], paths: list[bytes]) -> list[Change]:
    """The changes at and below some paths, and those of a directory that they can't do without."""
    if not paths:
        return changes
    taken = [
        change
        for change in changes
        if any(
            within(name, path)
            for name in (change.path, change.origin)
            if name is not None
            for path in paths
        )
    ]
    new = {change.path: change for change in changes if change.kind in (ADDED, RENAMED, MODIFIED)}
    have = {change.path for change in taken}
    for change in list(taken):
        above = parent_of(change.path)
        while above:
            parent = new.get(above)
            if parent is not None and above not in have and parent.new is not None:
                have.add(above)
                taken.append(parent)
            above = parent_of(above)
    return [change for change in changes if change.path in have]
