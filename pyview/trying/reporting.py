# SPDX-License-Identifier: GPL-2.0-or-later
"""What vutry tells its user: the summary after a command, differences, what a commit became."""

from __future__ import annotations

import os

from pyview.commands import warn
from pyview.trying.changes import Change, chosen
from pyview.trying.commit import Outcome, scan_for
from pyview.trying.diffs import differences, painted
from pyview.trying.ignoring import Ignored
from pyview.trying.kept import locked, within_root
from pyview.trying.paging import page
from pyview.trying.state import PATIENCE, Directory
from pyview.trying.summary import headline, tree
from pyview.trying.trees import Merged
from pyview.trying.wording import Paint, name, wants_colour

LINES = 60  # of the summary after a command


def tell(program: str, changes: list[Change]) -> None:
    """The summary, on stderr: stdout is the command's."""
    paint = Paint(wants_colour(2))
    lines = [f"{program}: {headline(changes, paint)}", *tree(changes, paint)]
    rest = len(lines) - LINES
    if rest > 1:
        lines[LINES:] = [f"  ... {rest:,} more lines (vutry summary shows them)"]
    os.write(2, os.fsencode("\n".join(lines) + "\n"))


def show_diff(directory: Directory, patterns: list[str], names: list[str]) -> None:
    """Through a pager, on a terminal."""
    locked(directory, PATIENCE)
    try:
        view = Merged(directory.top(), directory.lower())
        try:
            ignored = Ignored(patterns)
            changes = scan_for(directory, view.top, view.lower).visible()
            changes = [change for change in changes if not ignored.matches(change.path)]
            lines = differences(chosen(changes, within_root(directory, names)), view, view.lower)
            page(map(painted, lines) if wants_colour(1) else lines)
        finally:
            view.close()
    finally:
        directory.unlock()


def report(program: str, directory: Directory, outcome: Outcome) -> None:
    """What became of a commit, on stderr."""
    paint = Paint(wants_colour(2))
    for conflict in outcome.conflicts:
        warn(program, paint(f"{name(b'/' + conflict.path)}: {conflict.why}", "conflict"))
    for problem in outcome.problems:
        warn(program, paint(f"{name(b'/' + problem.path)}: {problem.why}", "conflict"))
    if outcome.conflicts:
        warn(program, "nothing was committed (--force: all the same; --theirs: the rest)")
    elif outcome.problems:
        warn(program, f"nothing was committed{_way_out(program, directory, outcome)}")
    elif outcome.resumed:
        warn(program, "the interrupted commit is complete")
    else:
        visible = [change for change in outcome.changes if not change.quiet]
        rest = f"; {outcome.left} left in {directory.name}" if outcome.left else ""
        warn(program, f"committed: {headline(visible, paint)}{rest}")


def _way_out(program: str, directory: Directory, outcome: Outcome) -> str:
    """What root may do, for who is not root."""
    if not os.geteuid() or not all(problem.rights for problem in outcome.problems):
        return ""
    import shlex
    import shutil

    words = ["sudo", shutil.which(program) or program, "commit", directory.name]
    return f" (root may: {shlex.join(words)})"
