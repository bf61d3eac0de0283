# SPDX-License-Identifier: GPL-2.0-or-later
"""What entries of an upper refer to on the host, and a commit of others renames or removes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from pyview.abi import upper
from pyview.trying.changes import DELETED, MODIFIED, RENAMED, Change
from pyview.trying.journal import Step, text
from pyview.trying.permissions import Problem
from pyview.trying.places import joined, parent_of
from pyview.trying.trees import Entry, Upper


class References:
    """What a commit of some changes does to the entries that stay in the upper."""

    def __init__(self, top: Upper, changes: list[Change], rest: list[Change]) -> None:
        self.top, self.after = top, list[Step]()
        self.problems: list[Problem] = []
        self.taken = {change.path for change in changes if change.index is None}
        self.left = {change.index for change in rest}
        self.moved = {c.origin: c.path for c in changes if c.kind == RENAMED}
        self.gone = {
            c.host
            for c in changes
            if c.host is not None and c.kind in (DELETED, MODIFIED) and c.host not in self.moved
        }
        self.indexed = dict(top.indexed())
        self._visit()

    def _visit(self) -> None:
        entries = list(self._entries())
        index = {entry.inode for entry in self.indexed.values()}
        taken = Counter(
            entry.inode for path, entry, opaque in entries if path in self.taken and not opaque
        )
        for path, entry, opaque in entries:
            if entry.node is not None and entry.node.is_dir:
                self._reference(path, upper.REDIRECT, entry.redirect)
            elif path in self.taken and not opaque and self._all(entry, taken, index):
                self.after.append(["drop", text(path)])
            else:
                self._reference(path, upper.DATA, entry.data)
        for path, entry in self.indexed.items():
            if self._all(entry, taken, index) and path not in self.left:
                self.after.append(["drop", text(path)])
            else:
                self._reference(path, upper.DATA, entry.data)

    def _entries(self) -> Iterator[tuple[bytes, Entry, bool]]:
        """Path, entry, and whether a directory above it hides the lower's."""
        todo = [(b"", False)]
        while todo:
            directory, opaque = todo.pop()
            for name in self.top.names(directory):
                path = joined(directory, name)
                entry = self.top.entry(path)
                if entry is None:
                    continue
                yield path, entry, opaque
                if entry.node is not None and entry.node.is_dir:
                    todo.append((path, opaque or entry.opaque))

    def _all(self, entry: Entry, taken: Counter[int], index: set[int]) -> bool:
        """Every name that an inode of the upper has is committed."""
        if entry.node is None:
            return True
        return entry.node.nlink - (entry.inode in index) <= taken[entry.inode]

    def _reference(self, path: bytes, key: str, value: bytes | None) -> None:
        if value is None:
            return
        above = value
        while True:
            if above in self.moved:
                new = b"/" + self.moved[above] + value[len(above) :]
                self.after.append(["refer", text(path), key, text(new)])
                return
            if above in self.gone:
                why = f"still needs {os.fsdecode(b'/' + above)}: commit both"
                self.problems.append(Problem(path, why))
                return
            if not above:
                return
            above = parent_of(above)
