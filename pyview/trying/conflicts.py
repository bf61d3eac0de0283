# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host changed meanwhile: names that a view changed, and somebody else, too."""

from __future__ import annotations

from typing import NamedTuple

from pyview.trying.changes import Change, Scan
from pyview.trying.places import parent_of
from pyview.trying.state import CHANGED, UNREAD, Directory, host_paths, is_deep, newest
from pyview.trying.trees import Node, Plain, Tree


class Conflict(NamedTuple):
    """A change that can't simply be brought to the host."""

    change: Change
    path: bytes  # on the host
    why: str


def conflicts(
    directory: Directory, found: Scan, changes: list[Change], lower: Tree, host: Plain
) -> list[Conflict]:
    """Compare what the host has now with what it had when the command ended.

    `changes` are some of those `found`.  `lower` is what the view was made over, `host` what is to
    be changed: another tree when there are layers between.
    """
    judge = _Judge(directory, lower, host)
    orphans = found.orphans()
    listed = []
    for change in changes:
        if change.path in orphans:
            listed.append(Conflict(change, change.path, "what it was made from was deleted"))
        elif not change.quiet:
            listed += judge.change(change)
    return listed


class _Judge:
    def __init__(self, directory: Directory, lower: Tree, host: Plain) -> None:
        self.directory, self.base = directory, directory.base()
        self.lower, self.host = lower, host
        self.layered = bool(directory.about["layers"])

    def change(self, change: Change) -> list[Conflict]:
        for key, path in host_paths(change):
            why = self._meanwhile(key, path, change) or (self.layered and self._layer(path))
            if why:
                return [Conflict(change, path, why)]
        if change.host:
            above = self.host.look(parent_of(change.host))
            if above is None or not above.is_dir:
                return [Conflict(change, change.host, "its directory is gone")]
        return []

    def _meanwhile(self, key: bytes, path: bytes, change: Change) -> str:
        """Why the host's object is not what the view has seen; "" when it is."""
        known = self.base.get(key)
        if known is None:
            late = self.directory.is_late(newest(self.lower, path, change))
            return "was changed" if late else ""
        if known == UNREAD:
            return "could not be read by the command, which saw something else"
        if known == CHANGED:
            return "was changed while the command ran"
        now = self.directory.signature(self.lower, path, change, deep=is_deep(known))
        if known == now:
            return ""
        if now == b"-":
            return "was deleted"
        return "appeared" if known == b"-" else "was changed"

    def _layer(self, path: bytes) -> str:
        """Why the host is not as its layers made it; "" when it is."""
        if alike(self.lower.look(path), self.host.look(path)):
            return ""
        return "a layer below changed it: commit that first"


def alike(one: Node | None, other: Node | None) -> bool:
    """The same for whoever looks at it: what a commit of a layer leaves behind."""
    if one is None or other is None or one.kind != other.kind:
        return one is other
    if one.is_dir:
        return True
    return (one.size, one.mtime, one.rdev) == (other.size, other.mtime, other.rdev)
