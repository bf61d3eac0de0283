# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories of changes, as commands open, lock, look at and drop them."""

from __future__ import annotations

import os

from pyview.commands import Failure, canonical, say, warn
from pyview.trying.changes import Change
from pyview.trying.commit import interrupted, scan_for, wipe
from pyview.trying.ignoring import Ignored
from pyview.trying.state import PATIENCE, Directory, InUse

INTERRUPTED = (
    "a commit of it was interrupted; vutry commit completes it, vutry commit --undo takes it back"
)


def opened(name: str, *, make: bool = False) -> Directory:
    """A directory of changes.  Raises Failure when it is none."""
    if make and not os.path.lexists(name):
        os.mkdir(name, 0o700)
    directory = Directory(name)
    if not make and not directory.is_upper:
        raise Failure(1, f"{name}: keeps no changes of a view")
    return directory


def locked(directory: Directory, patience: float) -> None:
    """Keep others off.  Raises Failure when they are there."""
    try:
        directory.lock(patience)
    except InUse as error:
        who = f" by {error}" if str(error) else ""
        raise Failure(1, f"{directory.name}: in use{who}") from None


def whole(directory: Directory) -> None:
    """Raises Failure when a commit of it has been interrupted."""
    if interrupted(directory):
        raise Failure(1, f"{directory.name}: {INTERRUPTED}")


def look(program: str, directory: Directory, ignored: Ignored) -> list[Change] | None:
    """What has been changed; None, and a line, while something of it still runs."""
    try:
        directory.lock(PATIENCE)
    except InUse:
        warn(program, f"processes of it still run; the changes are in {directory.name}")
        return None
    try:
        top, lower = directory.top(), directory.lower()
        try:
            found = scan_for(directory, top, lower)
        finally:
            top.close()
            lower.close()
        return [change for change in found.visible() if not ignored.matches(change.path)]
    finally:
        directory.unlock()


def drop(directory: Directory) -> None:
    """Forget all of it."""
    wipe(directory)


def keep(program: str, directory: Directory, *, plain: bool) -> None:
    """Say where the changes are: on stdout when that was asked for."""
    if plain:
        say(directory.name + "\n")
    else:
        warn(program, f"the changes are in {directory.name}")


def within_root(directory: Directory, names: list[str]) -> list[bytes]:
    """Names as changes have them: the last component may be a link, or be gone."""
    root = directory.about["root"].rstrip("/")
    found = []
    for name in names:
        parent, last = os.path.split(os.path.abspath(name))
        path = os.path.join(canonical(parent), last)
        if root and not path.startswith(root + "/"):
            raise Failure(1, f"{name}: not below {root}")
        found.append(os.fsencode(path.removeprefix(root).strip("/")))
    return found
