# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes put differently, because the host can't, or shall not, take them as they are."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyview.trying.changes import ADDED, DELETED, METADATA, MODIFIED, RENAMED, Change, walk
from pyview.trying.places import parent_of, within
from pyview.trying.trees import Merged, Node, Plain


def ours(change: Change) -> Node | None:
    """What is to be there, when owners are not to be changed."""
    if change.new is None:
        return None
    old = change.source if change.kind == RENAMED else change.old
    if old is not None and old.kind == change.new.kind:
        return change.new._replace(uid=old.uid, gid=old.gid)
    return change.new._replace(uid=os.geteuid(), gid=os.getegid())


def seen_from(host: Plain, changes: list[Change]) -> list[Change]:
    """Changes that were found over layers, as changes of the host, which the layers have made."""
    kept = []
    for change in changes:
        change.old = host.look(change.host) if change.host is not None else None
        change.source = host.look(change.origin) if change.origin is not None else None
        if change.kind in (ADDED, MODIFIED):
            change.kind = ADDED if change.old is None else MODIFIED
        if change.old is not None or change.kind not in (DELETED, METADATA):
            kept.append(change)
    return kept


def apart(changes: list[Change], view: Merged, mount_of: Callable[[bytes], bytes]) -> list[Change]:
    """Renames from one file system of the host to another: what is new there, and gone here."""
    across = [
        change
        for change in changes
        if change.kind == RENAMED
        and change.origin is not None
        and mount_of(parent_of(change.path)) != mount_of(change.origin)
    ]
    for change in across:
        assert change.origin is not None
        assert change.source is not None
        inner = {c for c in changes if within(c.path, change.path) and c is not change}
        origin, source = change.origin, change.source
        if source.is_dir:
            changes = [c for c in changes if c not in inner]
            new = [_made(view, path, node, change) for path, node in walk(view, change.path)]
            gone = [c.origin for c in inner if c.kind == RENAMED and c.origin is not None]
            gone = [path for path in gone if not within(path, origin)]
            new += [_gone(view, path) for path in gone]
        else:
            new = [_made(view, change.path, change.new or source, change)]
        changes = [*(c for c in changes if c is not change), *new, _gone(view, origin)]
    if across:
        changes.sort(key=lambda change: change.path.split(b"/"))
    return changes


def _made(view: Merged, path: bytes, node: Node, rename: Change) -> Change:
    where = view.where(path)
    entry = where.entry if where is not None else None
    top = path == rename.path
    old = rename.old if top else None
    kind = MODIFIED if old is not None else ADDED
    if entry is not None:  # that it is a copy of something matters no more
        entry = entry._replace(lower=0, redirect=None)
    change = Change(path, kind, rename.host if top else None, old, node, entry)
    change.inside = rename.inside if top else (0, 0)
    return change


def _gone(view: Merged, path: bytes) -> Change:
    return Change(path, DELETED, path, view.lower.look(path), None)
