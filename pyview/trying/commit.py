# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings what a view changed to the host: everything that was asked for, or nothing.

The order: look for conflicts and for what we may not do; make all that is new beside its place;
write the journal; do its steps; clean up.  Until the journal is written, and when a step fails,
everything is taken back.  After a kill -9 the next commit takes back or goes on.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from pyview.abi import upper
from pyview.api import if_it_fails
from pyview.modules.viewfs.copying import Told, silent
from pyview.trying import copying
from pyview.trying.changes import (
    ADDED,
    MODIFIED,
    RENAMED,
    Change,
    Scan,
    chosen,
)
from pyview.trying.conflicts import Conflict, conflicts
from pyview.trying.ignoring import Ignored
from pyview.trying.journal import EFFORT, Journal, Step
from pyview.trying.permissions import Problem, Rights
from pyview.trying.places import joined, parent_of, within
from pyview.trying.references import References
from pyview.trying.reshaping import apart, ours, seen_from
from pyview.trying.staging import Staging
from pyview.trying.state import LOCK, Directory
from pyview.trying.trees import Merged, Node, Plain, Tree, Upper


@dataclass(slots=True)
class Wish:
    """What is to be committed, and how.

    paths     only what lies at or below these; all when empty
    ignored   names that stay where they are
    force     over what the host has changed meanwhile; theirs: not where it has
    no_owner  files become ours, or stay whose they are
    told      called with a number of bytes that were copied, and EFFORT for each step
    sized     called with the number of bytes that will be, about
    """

    paths: list[bytes] = field(default_factory=list)
    ignored: Ignored = field(default_factory=lambda: Ignored([]))
    force: bool = False
    theirs: bool = False
    no_owner: bool = False
    told: Told = silent
    sized: Told = silent


@dataclass(slots=True)
class Outcome:
    """What has become of it; with conflicts or problems nothing has."""

    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    resumed: bool = False
    left: int = 0  # changes that are still in the directory

    @property
    def done(self) -> bool:
        return not self.conflicts and not self.problems


def commit(directory: Directory, wish: Wish) -> Outcome:
    """Commit; the directory is locked by the caller.

    Raises OSError when something fails on the way; the host is then as it was, or (when even that
    failed) the journal stays, and the next commit, or `undo`, goes on with it.
    """
    journal = Journal(directory)
    try:
        if journal.found():
            journal.run(wish.told)
            _complete(journal)
            return Outcome(resumed=True)
        if journal.begun():
            journal.clear()
        return _Commit(directory, journal, wish).run()
    finally:
        journal.close()


class TooLateError(Exception):
    """What an interrupted commit replaced has been removed already."""


def undo(directory: Directory) -> bool:
    """Take an interrupted commit back; False when there is none.

    Raises TooLateError when it can only be completed; it is then.
    """
    journal = Journal(directory)
    try:
        if journal.found():
            if journal.settled():
                _complete(journal)
                raise TooLateError
            touched = {os.fsencode(word) for _, *words in journal.steps for word in words[:2]
                       if isinstance(word, str)}  # fmt: skip
            journal.back()
            _touched_by_us(directory, touched)
            return True
        if journal.begun():
            journal.clear()
            return True
        return False
    finally:
        journal.close()


def _touched_by_us(directory: Directory, names: set[bytes]) -> None:
    """What we have taken back looks changed since, and is not."""
    top, lower = directory.top(), directory.lower()
    try:
        found = scan_for(directory, top, lower)
        own = [c for c in found.changes if names & {c.host, c.origin}]
        directory.again(own, lower)
    finally:
        top.close()
        lower.close()


def interrupted(directory: Directory) -> bool:
    """A commit has begun to change the host and has not ended."""
    journal = Journal(directory)
    try:
        return journal.found()
    finally:
        journal.close()


def wipe(directory: Directory) -> None:
    """Forget all changes; a directory of our own making goes, too."""
    journal = Journal(directory)
    if journal.begun():
        journal.clear()
    journal.close()
    if directory.about["temporary"]:
        copying.remove(directory.raw)
        return
    for name in os.listdir(directory.raw):
        if name != upper.OWN:
            copying.remove(directory.raw + b"/" + name)
    for name in os.listdir(directory.own(b"")):
        if name != LOCK:
            copying.remove(directory.own(name))


def _complete(journal: Journal) -> None:
    journal.finish()
    if journal.whole:
        for name in Upper(journal.directory.raw).names(b""):
            copying.remove(journal.directory.raw + b"/" + name)
    journal.erase()
    if journal.whole:
        wipe(journal.directory)


class _Commit:
    """One attempt."""

    def __init__(self, directory: Directory, journal: Journal, wish: Wish) -> None:
        self.directory, self.journal, self.wish = directory, journal, wish
        self.top, self.lower = directory.top(), directory.lower()
        self.host = Plain(os.fsencode(directory.about["root"]))
        self.view = Merged(self.top, self.lower)
        self.rights = Rights(self.host)

    def run(self) -> Outcome:
        try:
            found = scan_for(self.directory, self.top, self.lower)
            wanted = [c for c in found.changes if not self.wish.ignored.matches(c.path)]
            outcome = Outcome(chosen(wanted, self.wish.paths))
            self._look_for_conflicts(found, outcome)
            rest = _rest(found.changes, outcome.changes)
            outcome.left = sum(not change.quiet for change in rest)
            if self.wish.theirs and not self.wish.paths and not self.wish.ignored:
                outcome.left = 0
            if not outcome.conflicts:
                outcome.changes = self._put(outcome.changes)
                self._carry_out(found, outcome, rest)
            return outcome
        finally:
            self.view.close()
            self.host.close()

    def _put(self, changes: list[Change]) -> list[Change]:
        """The changes as the host can take them."""
        if self.directory.about["layers"]:
            changes = seen_from(self.host, changes)
        changes = apart(changes, self.view, self.rights.mount_of)
        if self.wish.no_owner:
            for change in changes:
                change.new = ours(change)
        return changes

    def _look_for_conflicts(self, found: Scan, outcome: Outcome) -> None:
        if self.wish.force:
            return
        listed = conflicts(self.directory, found, outcome.changes, self.lower, self.host)
        if self.wish.theirs:
            names = [conflict.change.path for conflict in listed]
            outcome.changes = [
                change
                for change in outcome.changes
                if not any(within(change.path, name) for name in names)
            ]
        else:
            outcome.conflicts = listed

    def _carry_out(self, found: Scan, outcome: Outcome, rest: list[Change]) -> None:
        changes = outcome.changes
        self.journal.whole = not outcome.left
        after = self._problems(outcome, rest)
        if outcome.problems:
            return
        fresh = sum(c.new.size for c in changes if _copied(c) and c.new is not None)
        self.wish.sized(fresh + 2 * EFFORT * len(changes))
        with if_it_fails(self.journal.clear):
            staging = Staging(self.journal, self.view, self.host, self.rights, found.kept)
            try:
                staging.told = self.wish.told
                staging.prepare(changes)
                staging.plan(changes)
            finally:
                staging.undo.close()
            self.journal.after += after
            self._verify(changes)
            self.host.place.forget()
            self.journal.write()
        try:
            self.journal.run(self.wish.told)
        except BaseException:  # a signal's too: all that was done is taken back
            self.journal.back()
            self._again(found.changes)
            raise
        _complete(self.journal)
        if not self.journal.whole:
            self._again(rest)

    def _again(self, changes: list[Change]) -> None:
        """Our own touch is no conflict for the next attempt."""
        lower = self.directory.lower()
        try:
            self.directory.again(changes, lower)
        finally:
            lower.close()

    def _problems(self, outcome: Outcome, rest: list[Change]) -> list[Step]:
        fresh = {c.path for c in outcome.changes if c.new is not None and c.new.is_dir and _new(c)}
        directories: dict[bytes, bytes] = {b"": b""}
        for change in outcome.changes:
            parent = parent_of(change.path)
            where = None if parent in fresh else _host_of(parent, outcome.changes, directories)
            outcome.problems += self.rights.problems(change, where)
            if change.kind == RENAMED and self.host.look(change.origin or b"") is None:
                outcome.problems.append(Problem(change.path, "what it was renamed from is gone"))
            elif change.kind == ADDED and change.entry is not None:
                data = change.entry.data
                source = self.lower.look(data) if data is not None else None
                if data is not None and (source is None or source.kind != "f"):
                    outcome.problems.append(Problem(change.path, "its data is gone"))
        if self.journal.whole:
            return []
        references = References(self.top, outcome.changes, rest)
        outcome.problems += references.problems
        return references.after

    def _verify(self, changes: list[Change]) -> None:
        """The host is still as it was when we looked."""
        for change in changes:
            for path, node in ((change.host, change.old), (change.origin, change.source)):
                if path is not None and _essence(self.host.look(path)) != _essence(node):
                    why = "was changed just now; nothing was committed"
                    raise OSError(errno.EAGAIN, why, b"/" + path)


def _essence(node: Node | None) -> tuple[object, ...] | None:
    """What links and permissions of our own making do not touch."""
    if node is None:
        return None
    if node.is_dir:
        return node.dev, node.ino
    return node.dev, node.ino, node.size, node.mtime


def scan_for(directory: Directory, top: Upper, lower: Tree) -> Scan:
    """All changes; what the host was is remembered if the command's end was missed."""
    from pyview.trying.changes import scan

    found = scan(top, lower, directory.about["first"])
    if directory.about["running"]:
        try:
            directory.ended(directory.about["status"], found, lower)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise  # else: the run's beginning is what conflicts are told by
    return found


def _rest(changes: list[Change], taken: list[Change]) -> list[Change]:
    """The changes that are not among those taken."""
    names = {change.path for change in taken}
    return [change for change in changes if change.path not in names]


def _new(change: Change) -> bool:
    return change.kind == ADDED or change.retyped


def _copied(change: Change) -> bool:
    node = change.new
    if node is None or node.kind != "f":
        return False
    return change.kind in (ADDED, MODIFIED) or (change.kind == RENAMED and change.data)


def _host_of(directory: bytes, changes: list[Change], known: dict[bytes, bytes]) -> bytes:
    """Where a directory of the view is on the host now."""
    if len(known) == 1:
        for change in changes:
            if change.kind == RENAMED and change.origin is not None:
                known[change.path] = change.origin
    todo = []
    while directory not in known:
        todo.append(directory)
        directory = parent_of(directory)
    for path in reversed(todo):
        known[path] = joined(known[parent_of(path)], path.rpartition(b"/")[2])
    return known[todo[0] if todo else directory]
