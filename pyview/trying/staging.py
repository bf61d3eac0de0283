# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes everything new beside its place on the host, and plans the steps that put it there.

Objects of the host are called by their old path, whatever happens to them on the way, and new
ones by the name they are made under; `_Moves.now` tells where one is after the steps so far.
"""

from __future__ import annotations

import os
import stat

from pyview.modules.viewfs.copying import Told, silent
from pyview.trying import copying
from pyview.trying.changes import ADDED, DELETED, METADATA, MODIFIED, RENAMED, Change
from pyview.trying.journal import EFFORT, KEPT, Journal, Step, Undo, text
from pyview.trying.permissions import Rights
from pyview.trying.places import joined, parent_of
from pyview.trying.trees import Merged, Node, Plain


class _Moves:
    """Where the objects are."""

    def __init__(self) -> None:
        self._home: dict[bytes, tuple[bytes, bytes]] = {}

    def now(self, thing: bytes) -> bytes:
        """The present path of an object."""
        names: list[bytes] = []
        while thing:
            parent, name = self._home.get(thing) or (parent_of(thing), thing.rpartition(b"/")[2])
            names.append(name)
            thing = parent
        return b"/".join(reversed(names))

    def move(self, thing: bytes, parent: bytes, name: bytes) -> tuple[bytes, bytes]:
        """An object goes to another directory or name; its paths before and after."""
        before = self.now(thing)
        self._home[thing] = (parent, name)
        return before, self.now(thing)

    def moved(self, thing: bytes) -> bool:
        return thing in self._home


class Staging:
    """One commit's preparation."""

    def __init__(
        self, journal: Journal, view: Merged, host: Plain, rights: Rights, kept: dict[int, bytes]
    ) -> None:
        self.journal, self.view, self.host, self.rights = journal, view, host, rights
        self.undo = Undo(journal.directory)
        self.mark = b".vutry-%x-" % os.getpid()
        self.serial = 0
        self.moves = _Moves()
        self.links = dict(kept)  # inode of the upper -> the file of the host that is, or has, it
        self.spots: dict[bytes, bytes] = {b"": b""}  # directory of the view -> its object
        self.fresh: set[bytes] = set()  # directories of the view that are being made
        self.made: dict[bytes, bytes] = {}  # path -> what was made for it
        self.linked: dict[bytes, bytes] = {}  # of those, what is to be a further name of something
        self.own: set[bytes] = set()  # and what has such further names
        self.late: set[bytes] = set()  # directories that something is put into afterwards
        self.told: Told = silent

    # -- where -------------------------------------------------------------------------------------

    def spot(self, directory: bytes) -> bytes:
        """The object that a directory of the view is."""
        todo = []
        while directory not in self.spots:
            todo.append(directory)
            directory = parent_of(directory)
        for path in reversed(todo):
            name = path.rpartition(b"/")[2]
            self.spots[path] = joined(self.spots[parent_of(path)], name)
        return self.spots[todo[0] if todo else directory]

    def temporary(self, directory: bytes) -> bytes:
        """A name in a directory of the host for something that is about to be made there."""
        path = joined(directory, self._fresh_name())
        self._open(directory)
        self.undo.will_make(path)
        return path

    def _fresh_name(self) -> bytes:
        self.serial += 1
        return b"%s%d" % (self.mark, self.serial)

    def _open(self, directory: bytes) -> None:
        """Make a directory of ours writable until the end."""
        if not self.rights.closed(directory):
            return
        node = self.host.look(directory)
        assert node is not None
        self.undo.will_open(directory, node.mode)
        os.chmod(self.host.place.name(directory), node.mode | stat.S_IRWXU)
        self.journal.after.append(["dress", text(directory), self._of_host(directory, node), False])

    # -- making ------------------------------------------------------------------------------------

    def prepare(self, changes: list[Change]) -> None:
        """Make what is new.  Parents come first.  Raises what making it raises."""
        for change in changes:
            if change.kind == MODIFIED and self.rights.in_place(change) and change.entry:
                self.links[change.entry.inode] = change.host or b""
            if change.kind == RENAMED:
                self.late.add(parent_of(change.path))
        for change in changes:
            try:
                self._prepare(change)
            except OSError as error:
                raise OSError(error.errno, error.strerror, b"/" + change.path) from None
            self.told(EFFORT)
        self._dress_made(changes)

    def _prepare(self, change: Change) -> None:
        if change.kind in (ADDED, MODIFIED) and not self.rights.in_place(change):
            self._make(change)
        elif change.kind == MODIFIED:
            self._keep(change, change.host or b"")
        elif change.kind == RENAMED:
            self._moving(change)
        elif change.kind == DELETED:
            self._open(self.spot(parent_of(change.path)))

    def _make(self, change: Change) -> None:
        parent = parent_of(change.path)
        where = self.spot(parent)
        if parent in self.fresh:
            spot = joined(where, change.path.rpartition(b"/")[2])
        else:
            spot = self.temporary(where)
        self._create(change, spot)
        self.made[change.index or change.path] = spot
        if change.new is not None and change.new.is_dir:
            self.spots[change.path] = spot
            self.fresh.add(change.path)

    def _create(self, change: Change, spot: bytes) -> None:
        node, entry = change.new, change.entry
        assert node is not None
        name = self.host.place.name(spot)
        if entry is not None and entry.inode in self.links and not node.is_dir:
            other = self.links[entry.inode]
            self.linked[spot] = other
            if other not in self.own:
                self.late.add(parent_of(change.path))  # a step will make it: it touches the host
                return
            os.link(self.host.place.name(other), name, follow_symlinks=False)
            return
        copying.make(self.view, change.path, node, name, self.told)
        if entry is not None and node.nlink > 1 and not node.is_dir:
            self.links[entry.inode] = spot
            self.own.add(spot)

    def _moving(self, change: Change) -> None:
        assert change.origin is not None
        if change.new is not None and change.new.is_dir:
            self.spots[change.path] = change.origin
        self._open(parent_of(change.origin))
        if parent_of(change.path) not in self.fresh:
            self._open(self.spot(parent_of(change.path)))
        if change.data and change.source is not None and change.source.nlink > 1:
            self._keep(change, change.origin)
        elif change.data:
            self.made[change.index or change.path] = self.temporary(parent_of(change.origin))
            self._create(change, self.made[change.index or change.path])

    def _keep(self, change: Change, host: bytes) -> None:
        """Copy what a file is now, which will be written into."""
        directory = self.journal.directory.own(KEPT)
        os.makedirs(directory, 0o700, exist_ok=True)
        name = directory + b"/%d" % len(os.listdir(directory))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600)
        try:
            copying.copy_into(self.host.place.name(host), fd, self.told)
        finally:
            os.close(fd)
        self.made[change.index or change.path] = b".-/" + KEPT + b"/" + name.rpartition(b"/")[2]

    def _dress_made(self, changes: list[Change]) -> None:
        """Attributes of what was made; of directories when nothing more is put into them."""
        for change in reversed(changes):
            spot = self.made.get(change.index or change.path)
            if spot is None or spot.startswith(b".-/") or change.new is None:
                continue
            if spot in self.linked:
                continue
            if change.path not in self.late:
                copying.dress(self.host.place.name(spot), self.wanted(change))

    def wanted(self, change: Change) -> copying.Attributes:
        """The attributes that a name has in the view; the host's, where it can't have any."""
        assert change.new is not None
        xattrs = (
            self.view.xattrs(change.path) if change.new.kind in "fd" and not change.index else {}
        )
        if change.index is not None:
            xattrs = self.view.top.xattrs(change.index)
        before = change.origin if change.kind == RENAMED else change.host
        old = change.source if change.kind == RENAMED else change.old
        if before is not None and old is not None and old.kind == change.new.kind:
            for key, value in self.host.xattrs(before).items():
                if key.startswith("system.posix_acl_") and change.new.mode == old.mode:
                    xattrs.setdefault(key, value)
        return copying.attributes_of(change.new, xattrs)

    def _of_host(self, path: bytes, node: Node) -> copying.Attributes:
        return copying.attributes_of(node, self.host.xattrs(path) if node.kind in "fd" else {})

    # -- planning ----------------------------------------------------------------------------------

    def plan(self, changes: list[Change]) -> None:
        """Write down the steps."""
        shared = [change for change in changes if change.index is not None]
        changes = [change for change in changes if change.index is None]
        for change in shared:  # first, as long as they have these names
            self._place(change)
            self._dress(change)
        origins = [c.origin for c in changes if c.kind == RENAMED and c.origin is not None]
        for origin in sorted(origins, key=lambda path: -path.count(b"/")):
            self._rename(origin, parent_of(origin), self._fresh_name())
        removed = [change for change in changes if self._goes(change)]
        for change in removed:
            host = change.host or b""
            self._rename(host, parent_of(host), self._fresh_name())
        for change in changes:
            self._place(change)
        for change in changes:
            self._dress(change)
        after: list[Step] = [
            ["remove", text(self.moves.now(change.host or b""))] for change in removed
        ]
        self.journal.after = [*self.backups(), *after, *self._opened(), *self._directories(changes)]

    def _rename(self, thing: bytes, parent: bytes, name: bytes) -> None:
        before, after = self.moves.move(thing, parent, name)
        self.journal.steps.append(["rename", text(before), text(after)])

    def _goes(self, change: Change) -> bool:
        """What is on the host under this name must go first, by a step of its own."""
        if change.old is None or change.host is None or self.moves.moved(change.host):
            return False
        if change.kind in (DELETED, RENAMED):
            return True
        return change.retyped and (change.old.is_dir or change.new is None or change.new.is_dir)

    def _place(self, change: Change) -> None:
        parent, name = parent_of(change.path), change.path.rpartition(b"/")[2]
        spot = self.made.get(change.index or change.path)
        other = self.linked.get(spot) if spot is not None else None
        if spot is not None and other is not None and other not in self.own:
            step = ["link", text(self.moves.now(other)), text(self.moves.now(spot))]
            self.journal.steps.append(step)
        if change.kind == RENAMED and change.origin is not None:
            self._rename(change.origin, self.spot(parent), name)
            if spot is not None:
                self._bytes(change, spot, change.origin)
        elif change.kind not in (ADDED, MODIFIED) or spot is None:
            return
        elif change.kind == MODIFIED and self.rights.in_place(change):
            self._bytes(change, spot, change.host or b"")
        elif change.old is None or change.host is None or self.moves.moved(change.host):
            if parent not in self.fresh:
                self._rename(spot, self.spot(parent), name)
        else:
            self._replace(spot, change.host)

    def _bytes(self, change: Change, spot: bytes, host: bytes) -> None:
        """Give a file of the host other bytes, in place or by one that replaces it."""
        if spot.startswith(b".-/"):
            node = change.source if change.kind == RENAMED else change.old
            assert node is not None
            place, old = text(self.moves.now(host)), self._of_host(host, node)
            self.journal.steps.append(
                ["write", text(change.index or change.path), place, text(spot), old]
            )
        else:
            self._replace(spot, host)

    def _replace(self, spot: bytes, host: bytes) -> None:
        place = self.moves.now(host)
        backup = joined(parent_of(place), self._fresh_name())
        step = ["replace", text(self.moves.now(spot)), text(place), text(backup)]
        self.journal.steps.append(step)

    def _dress(self, change: Change) -> None:
        """Files that stay the same ones get other attributes."""
        old = change.source if change.kind == RENAMED else change.old
        thing = change.origin if change.kind == RENAMED else change.host
        stays = change.kind in (METADATA, RENAMED) or self.rights.in_place(change)
        if not stays or old is None or thing is None or change.new is None or change.new.is_dir:
            return
        name = text(self.moves.now(thing))
        step = ["dress", name, self.wanted(change), self._of_host(thing, old)]
        self.journal.steps.append(step)

    def backups(self) -> list[Step]:
        return [["remove", step[3]] for step in self.journal.steps if step[0] == "replace"]

    def _opened(self) -> list[Step]:
        """Directories that were made writable are again as they were, wherever they are now."""
        return [
            [kind, text(self.moves.now(os.fsencode(name))), *rest]
            for kind, name, *rest in self.journal.after
        ]

    def _directories(self, changes: list[Change]) -> list[Step]:
        """Directories get their attributes last, the deepest first: what is in them is done."""
        steps: list[tuple[int, Step]] = []
        for change in changes:
            if change.new is None or not change.new.is_dir:
                continue
            if change.kind in (METADATA, RENAMED) or change.path in self.late:
                path = self.moves.now(self.spot(change.path))
                step = ["dress", text(path), self.wanted(change), not change.quiet]
                steps.append((-path.count(b"/") - bool(path), step))
        return [step for _, step in sorted(steps, key=lambda pair: pair[0])]
