# SPDX-License-Identifier: GPL-2.0-or-later
"""What was changed, at a glance: a tree for people, JSON for programs."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from typing import Any

from pyview.abi import upper
from pyview.trying.changes import ADDED, DELETED, METADATA, MODIFIED, RENAMED, Change
from pyview.trying.places import parent_of, within
from pyview.trying.trees import Node
from pyview.trying.wording import KINDS, LETTERS, Paint, count, name, size

ORDER = (ADDED, MODIFIED, RENAMED, METADATA, DELETED)
FOLD = 12  # a new directory with more in it is one line


def headline(changes: list[Change], paint: Paint) -> str:
    """ "3 added, 1 deleted (4.5 KiB)": how many names, and the bytes that are new."""
    parts = []
    for kind in ORDER:
        number = sum(change.kind == kind for change in changes)
        if number:
            parts.append(paint(f"{number:,} {kind}", kind))
    fresh = sum(bytes_of(change) for change in changes)
    return ", ".join(parts) + (f" ({size(fresh)})" if fresh else "") if parts else "no changes"


def bytes_of(change: Change) -> int:
    """How many bytes a change brings."""
    if change.new is None or change.new.kind != "f":
        return 0
    if change.kind in (ADDED, MODIFIED) or (change.kind == RENAMED and change.data):
        return change.new.size
    return 0


def tree(changes: list[Change], paint: Paint, everything: bool = False) -> Iterator[str]:
    """The lines of a tree; `everything`: new directories are never folded."""
    folded = {} if everything else _folds(changes)
    headings = _headings(changes)
    shown: list[bytes] = []  # the directories that we are in
    hidden: bytes | None = None
    for change in changes:
        if hidden is not None and within(change.path, hidden):
            continue
        hidden = change.path if change.path in folded else None
        while shown and not within(parent_of(change.path), shown[-1]):
            shown.pop()
        for heading in _missing(parent_of(change.path), shown, headings):
            above = shown[-1] if shown else b""
            label = ("" if shown else "/") + name(heading[len(above) :].lstrip(b"/")) + "/"
            yield _line(" ", len(shown), label, "")
            shown.append(heading)
        yield _change_line(change, shown, folded, paint)
        if change.path and hidden is None and change.new is not None and change.new.is_dir:
            shown.append(change.path)


def _change_line(
    change: Change, shown: list[bytes], folded: dict[bytes, tuple[int, int]], paint: Paint
) -> str:
    label = name(change.path.rpartition(b"/")[2])
    if not shown:
        label = "/" + label
    if _is_dir(change) and change.path:
        label += "/"
    what = describe(change, folded.get(change.path))
    letter = paint(LETTERS[change.kind], change.kind)
    return _line(letter, len(shown), paint(label, change.kind), paint(what, "dim"))


def _headings(changes: list[Change]) -> set[bytes]:
    """The directories that get a line: where there are changes, or ways part."""
    ways: dict[bytes, bytes] = {}  # directory -> the one name in it that leads to changes
    headings = {parent_of(change.path) for change in changes}
    for change in changes:
        below = change.path
        while below:
            above = parent_of(below)
            if ways.setdefault(above, below) != below:
                headings.add(above)
                break  # what is above has been seen on the other way
            below = above
    return headings - {b""}


def _missing(parent: bytes, shown: list[bytes], headings: set[bytes]) -> list[bytes]:
    """The headings between where we are and a directory."""
    found = []
    while parent and not (shown and parent == shown[-1]):
        if parent in headings:
            found.append(parent)
        parent = parent_of(parent)
    return found[::-1]


def _is_dir(change: Change) -> bool:
    node = change.new or change.old
    return node is not None and node.is_dir


def _line(letter: str, depth: int, label: str, what: str) -> str:
    return f"{letter} {'  ' * depth}{label}" + (f"  {what}" if what else "")


def _folds(changes: list[Change]) -> dict[bytes, tuple[int, int]]:
    """New directories in which there is too much to show: number and bytes of what is in each.

    Only where all that is in them is new, too.
    """
    inside: dict[bytes, list[int]] = {}
    mixed: set[bytes] = set()
    new = {c.path for c in changes if c.kind == ADDED and _is_dir(c)}
    for change in changes:
        above = parent_of(change.path)
        while above in new:
            tally = inside.setdefault(above, [0, 0])
            tally[0] += 1
            tally[1] += bytes_of(change)
            if change.kind != ADDED:
                mixed.add(above)
            above = parent_of(above)
    return {
        path: (number, total)
        for path, (number, total) in inside.items()
        if number > FOLD and path not in mixed
    }


def describe(change: Change, inside: tuple[int, int] | None = None) -> str:
    """What a line says after the name."""
    old, new = change.old, change.new
    words = ["under its other names"] if change.index is not None else []
    if change.kind == RENAMED and change.origin is not None:
        words.append(f"from {name(b'/' + change.origin)}")
    if change.kind == DELETED and old is not None:
        words.append(_contents(old, change.inside))
    elif change.retyped and old is not None and new is not None:
        words.append(f"{KINDS[old.kind]} -> {KINDS[new.kind]}")
    elif inside is not None:
        words.append(f"{count(inside[0], 'entry')}, {size(inside[1])}")
    elif change.kind == MODIFIED and old is not None and new is not None and new.kind == "f":
        words.append(_sizes(old, new))
    elif change.kind == RENAMED and change.data and change.source is not None and new is not None:
        words.append(_sizes(change.source, new))
    elif change.kind == ADDED and new is not None:
        words.append(
            size(new.size) if new.kind == "f" else KINDS[new.kind] if not new.is_dir else ""
        )
    before = change.source if change.kind == RENAMED else old
    if before is not None and new is not None and before.kind == new.kind:
        words += differences(before, new, change.kind == METADATA)
    return ", ".join(word for word in words if word)


def _sizes(old: Node, new: Node) -> str:
    if old.size == new.size:
        return f"{size(new.size)}, other bytes"
    if size(old.size) == size(new.size):
        less = old.size > new.size
        return f"{size(new.size)}, {size(abs(new.size - old.size))} {'less' if less else 'more'}"
    return f"{size(old.size)} -> {size(new.size)}"


def _contents(node: Node, inside: tuple[int, int]) -> str:
    if node.is_dir:
        return f"{count(inside[0], 'entry')}, {size(inside[1])}" if inside[0] else "empty"
    return size(node.size) if node.kind == "f" else KINDS[node.kind]


def differences(old: Node, new: Node, alone: bool) -> list[str]:
    """Permissions and owners that differ; `alone`: something else must, when these don't."""
    words = []
    if old.mode != new.mode and new.kind != "l":
        words.append(f"mode {old.mode:o} -> {new.mode:o}")
    if (old.uid, old.gid) != (new.uid, new.gid):
        words.append(f"owner {old.uid}:{old.gid} -> {new.uid}:{new.gid}")
    if alone and not words:
        words.append("times" if old.mtime != new.mtime else "attributes")
    return words


# -- for programs --------------------------------------------------------------------------------


def as_json(about: dict[str, Any], directory: str, changes: list[Change]) -> dict[str, Any]:
    """What `vutry summary --json` prints; docs/vutry.md says what the keys mean."""
    return {
        "version": 1,
        "directory": directory,
        "command": about["command"],
        "status": about["status"],
        "layers": about["layers"],
        "counts": {kind: sum(c.kind == kind for c in changes) for kind in ORDER},
        "bytes": sum(bytes_of(change) for change in changes),
        "changes": [_record(change) for change in changes],
    }


def _record(change: Change) -> dict[str, Any]:
    record: dict[str, Any] = {**_path("path", change.path), "change": change.kind}
    if change.origin is not None:
        record |= _path("from", change.origin)
        record["content_changed"] = change.data
    for key, node in (("old", change.old or change.source), ("new", change.new)):
        if node is not None:
            record[key] = _node(node)
    if change.inside[0]:
        record["inside"] = {"entries": change.inside[0], "bytes": change.inside[1]}
    return record


def _path(key: str, path: bytes) -> dict[str, str]:
    """A name; in base64 too when it is no UTF-8."""
    full = b"/" + path
    try:
        return {key: full.decode()}
    except UnicodeDecodeError:
        return {
            key: full.decode(errors="replace"),
            key + "_base64": base64.b64encode(full).decode(),
        }


def _node(node: Node) -> dict[str, Any]:
    record: dict[str, Any] = {
        "type": KINDS[node.kind], "mode": f"{node.mode:04o}", "uid": node.uid, "gid": node.gid,
        "mtime_ns": node.mtime,
    }  # fmt: skip
    if node.kind == "f":
        record["size"] = node.size
    if node.kind in "cb":
        record["device"] = f"{os.major(node.rdev)}:{os.minor(node.rdev)}"
    return record


def filemode(node: Node) -> str:
    """The mode with its type, in octal, as git has it."""
    return f"{upper.KINDS[node.kind] | stat.S_IMODE(node.mode):06o}"
