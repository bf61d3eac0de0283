# SPDX-License-Identifier: GPL-2.0-or-later
"""One attempt: run a command, look at what it changed, ask, and do as was said."""

from __future__ import annotations

import os
import stat
import sys

from pyview.abi.upper import OTHERS
from pyview.commands import Failure, canonical, warn
from pyview.commands.vu_moo import Bar
from pyview.trying import session
from pyview.trying.changes import Change
from pyview.trying.commit import Outcome, Wish, commit, interrupted, scan_for
from pyview.trying.ignoring import Ignored
from pyview.trying.kept import INTERRUPTED, drop, keep, locked, look, opened, whole
from pyview.trying.reporting import report, show_diff, tell
from pyview.trying.state import PATIENCE, Directory

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace

NOT_COMMITTED = 125  # the command ran; its changes were to be committed and could not be
QUESTION = "Commit these changes? [y]es [n]o, drop them [d]iff [e]xplore [k]eep for later: "
PREFIX = "vutry-"
MUCH = 64 << 20  # bytes that are copied with a bar


def attempt(program: str, given: Namespace, argv: list[str]) -> int:
    """Run a command in a directory, then ask, commit or tell.  The command's exit status."""
    layers = [layer_named(layer) for layer in given.layers]
    made = given.directory is None
    directory = new_directory() if made else named(given.directory)
    directory.about["temporary"] = made or directory.about["temporary"]
    ignored = Ignored(given.ignore)
    try:
        status = one_run(program, directory, argv, layers)
        changes = look(program, directory, ignored)
    except Failure:
        if made:
            drop(directory)
        raise
    if changes is None:
        return status
    never = given.never or (given.directory is not None and not given.yes)
    if not changes and made and not never:
        drop(directory)
        return status
    if changes:
        tell(program, changes)
    if given.yes and not status:
        return status if bring(program, directory, given.ignore) else NOT_COMMITTED
    if changes and not never and not given.yes and interactive():
        return status if ask(program, directory, given.ignore, changes) else NOT_COMMITTED
    if given.yes:
        warn(program, f"not committed: the command failed with status {status}")
    keep(program, directory, plain=given.never)
    return status


def new_directory() -> Directory:
    """One of our own making; where a view keeps changes itself, beside those."""
    from tempfile import gettempdir, mkdtemp

    keeper = session.kept_by_view(gettempdir())
    place = os.path.join(keeper, os.fsdecode(OTHERS)) if keeper else None
    if place is not None:
        os.makedirs(place, 0o700, exist_ok=True)
    return Directory(mkdtemp(prefix=PREFIX, dir=place))


def named(name: str) -> Directory:
    """That of -D, made if need be.  Raises Failure, OSError."""
    if session.kept_by_view(name):
        why = "changes of it are kept by a view, and it can keep none itself (go without -D)"
        raise Failure(1, f"{name}: {why}")
    return opened(name, make=True)


def layer_named(name: str) -> str:
    """A layer by its full name.  Raises Failure when it is none."""
    opened(name)
    return canonical(name)


def one_run(program: str, directory: Directory, argv: list[str], layers: list[str]) -> int:
    """Run a command in a directory that nobody uses."""
    if not directory.is_upper:
        os.makedirs(directory.own(b"i"), 0o700)
    locked(directory, 0)
    try:
        whole(directory)
        if directory.about["running"]:
            scan_for(directory, directory.top(), directory.lower())
        directory.begin(argv, layers or directory.about["layers"])
    finally:
        directory.unlock()
    status = session.run(program, directory, argv)
    directory.about["status"] = status
    return status


def interactive() -> bool:
    """There is somebody to ask, and nobody else reads the terminal: a pager behind a pipe, say."""
    if not os.isatty(2) or is_pipe(1):
        return False
    return os.isatty(0) or (is_pipe(0) and _terminal_is_input())


def is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _terminal_is_input() -> bool:
    """What the command has read from a pipe is over: from now on the terminal is read."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    os.dup2(terminal, 0)
    os.close(terminal)
    return True


def ask(program: str, directory: Directory, patterns: list[str], changes: list[Change]) -> bool:
    """Until there is an answer.  False when there was to be a commit, and there is none."""
    while True:
        os.write(2, f"{program}: {QUESTION}".encode())
        try:
            answer = sys.stdin.readline()
        except KeyboardInterrupt:
            answer = ""
        word = answer.strip().lower()[:1]
        if word == "y":
            return bring(program, directory, patterns)
        if word == "n":
            drop(directory)
            return True
        if not answer or word == "k":
            if not answer:
                os.write(2, b"\n")
            keep(program, directory, plain=False)
            return True
        if word == "d":
            show_diff(directory, patterns, [])
        if word == "e":
            one_run(program, directory, [shell()], [])
            found = look(program, directory, Ignored(patterns))
            if found is None:
                return True
            tell(program, found)


def shell() -> str:
    """The user's."""
    return os.environ.get("SHELL") or "/bin/sh"


def bring(program: str, directory: Directory, patterns: list[str]) -> bool:
    """Commit all; what stands in the way is told.  False when it could not be."""
    try:
        outcome = committed(directory, Wish(ignored=Ignored(patterns)))
    except (OSError, Failure) as error:
        place = os.fsdecode(getattr(error, "filename", b"") or b"")
        why = error.text if isinstance(error, Failure) else error.strerror or str(error)
        warn(program, ": ".join(filter(None, (place, why))))
        keep(program, directory, plain=False)
        return False
    report(program, directory, outcome)
    if not outcome.done:
        keep(program, directory, plain=False)
    elif outcome.left and directory.about["temporary"]:
        drop(directory)  # what is ignored is not wanted at all
    return outcome.done


def committed(directory: Directory, wish: Wish) -> Outcome:
    """Commit, with a bar on a terminal when it takes long.

    Raises OSError, Failure (130 when it was interrupted).
    """
    bars: list[Bar] = []
    done = [0]

    def sized(count: int) -> None:
        if count >= MUCH:
            bars.append(Bar(count))

    def told(count: int) -> None:
        done[0] += count
        for bar in bars:
            bar.show(min(done[0], bar.size))

    wish.sized, wish.told = sized, told
    locked(directory, PATIENCE)
    try:
        return commit(directory, wish)
    except KeyboardInterrupt:
        why = INTERRUPTED if interrupted(directory) else "interrupted; nothing was committed"
        raise Failure(130, f"{directory.name}: {why}") from None
    finally:
        for bar in bars:
            bar.__exit__()
        directory.unlock()
