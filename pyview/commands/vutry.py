# SPDX-License-Identifier: GPL-2.0-or-later
"""vutry: run a command on a copy of the system, see what it changed, keep that or drop it."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, parser, say, warn

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from pyview.trying.state import Directory

ABOUT = (
    "Run a command as if it could change everything, and change nothing: what it writes goes to a\n"
    "directory.  Then show what it changed, and commit that to the system or drop it."
)
USAGES = (
    "[-n | -y] [-D DIR] [-L DIR]... [-i GLOB]... cmd [arg...]\n"
    "       %(prog)s summary [-a] [--json] [-i GLOB]... DIR [path...]\n"
    "       %(prog)s diff [-i GLOB]... DIR [path...]\n"
    "       %(prog)s commit [--force | --theirs] [--no-owner] [-i GLOB]... DIR [path...]\n"
    "       %(prog)s commit --undo DIR\n"
    "       %(prog)s discard DIR\n"
    "       %(prog)s explore DIR"
)
EXIT_STATUS = """\
exit status: the command's, 128+N when signal N killed it, 127 when it was not found, 126 when it
could not be executed; 125 when it ran and its changes could not be committed.  Of the words: 0,
1 for a failure, 2 for wrong usage, 3 for conflicts of a commit.  `man vutry` has it all."""
CONFLICT = 3  # of `vutry commit`: the host has changed meanwhile


def main(program: str, arguments: list[str]) -> int:
    word = arguments[0] if arguments else ""
    if word in WORDS:
        given = options(f"{program} {word}", word).parse_args(arguments[1:])
        return WORDS[word](program, given)
    given = options(program, "").parse_args(arguments)
    argv = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
    if not argv:
        raise Failure(USAGE, "a command is needed (see --help)")
    if given.never and given.yes:
        raise Failure(USAGE, "-n and -y: one of them")
    from pyview.trying.attempts import attempt

    return attempt(program, given, argv)


def options(program: str, word: str) -> ArgumentParser:
    """The parser of the command, or of one of its words."""
    from argparse import REMAINDER, SUPPRESS, RawDescriptionHelpFormatter

    usage = USAGES.replace("%(prog)s", program) if not word else f"{WORD_USAGE[word]}"
    made = parser(program, ABOUT if not word else WORD_ABOUT[word], usage)
    add = made.add_argument
    if word in ("", "summary", "diff", "commit"):
        add("-i", "--ignore", action="append", default=[], metavar="GLOB",
            help="leave out such names, and what is below them (repeat)")  # fmt: skip
    if not word:
        add("-n", dest="never", action="store_true", help="don't ask; print DIR, and keep it")
        add("-y", dest="yes", action="store_true", help="commit when the command succeeds")
        add("-D", dest="directory", metavar="DIR",
            help="keep the changes there (made when not there); don't ask")  # fmt: skip
        add("-L", dest="layers", action="append", default=[], metavar="DIR",
            help="run over what DIR keeps already (repeat: the newest last)")  # fmt: skip
        add("argv", nargs=REMAINDER, help=SUPPRESS)
        made.formatter_class = RawDescriptionHelpFormatter
        words = "".join(f"  {name:9} {about}\n" for name, about in WORD_ABOUT.items())
        made.epilog = (
            f"of what is in a directory DIR, `vutry WORD --help` says more:\n{words}\n{EXIT_STATUS}"
        )
        return made
    if word == "summary":
        add("-a", "--all", action="store_true", help="show all that is in new directories")
        add("--json", action="store_true", help="for programs")
    if word == "commit":
        add("--force", action="store_true", help="also over what was changed meanwhile")
        add("--theirs", action="store_true", help="leave alone what was changed meanwhile")
        add("--no-owner", action="store_true", help="files become yours, or stay whose they are")
        add("--undo", action="store_true", help="take an interrupted commit back")
    add("directory", metavar="DIR", help="where the changes are")
    if word in ("summary", "diff", "commit"):
        add(
            "paths", metavar="path", nargs="*", default=[], help="only these and what is below them"
        )
    return made


# -- words ---------------------------------------------------------------------------------------


def summary(program: str, given: Namespace) -> int:
    from pyview.trying.changes import chosen
    from pyview.trying.ignoring import Ignored
    from pyview.trying.kept import look, opened, within_root
    from pyview.trying.paging import page
    from pyview.trying.summary import as_json, headline, tree
    from pyview.trying.wording import Paint, wants_colour

    directory = opened(given.directory)
    changes = look(program, directory, Ignored(given.ignore))
    if changes is None:
        return 1
    changes = chosen(changes, within_root(directory, given.paths))
    if given.json:
        import json

        say(json.dumps(as_json(directory.about, directory.name, changes), indent=1) + "\n")
        return 0
    paint = Paint(wants_colour(1))
    lines = [headline(changes, paint), *tree(changes, paint, given.all)]
    page(os.fsencode(line) + b"\n" for line in lines)
    return 0


def diff(program: str, given: Namespace) -> int:
    from pyview.trying.kept import opened
    from pyview.trying.reporting import show_diff

    directory = opened(given.directory)
    show_diff(directory, given.ignore, given.paths)
    return 0


def commit(program: str, given: Namespace) -> int:
    from pyview.trying.attempts import committed
    from pyview.trying.commit import Wish
    from pyview.trying.ignoring import Ignored
    from pyview.trying.kept import opened, within_root
    from pyview.trying.reporting import report

    directory = opened(given.directory)
    if given.force and given.theirs:
        raise Failure(USAGE, "--force and --theirs: one of them")
    if given.undo:
        return undo(program, directory)
    wish = Wish(within_root(directory, given.paths), Ignored(given.ignore))
    wish.force, wish.theirs, wish.no_owner = given.force, given.theirs, given.no_owner
    outcome = committed(directory, wish)
    report(program, directory, outcome)
    return 0 if outcome.done else CONFLICT if outcome.conflicts else 1


def undo(program: str, directory: Directory) -> int:
    from pyview.trying.commit import TooLateError
    from pyview.trying.commit import undo as take_back
    from pyview.trying.kept import locked

    locked(directory, 0)
    try:
        if not take_back(directory):
            raise Failure(1, f"{directory.name}: no commit of it was interrupted")
    except TooLateError:
        why = "that commit had been made but for cleaning up, and is complete now"
        raise Failure(1, f"{directory.name}: {why}") from None
    finally:
        directory.unlock()
    warn(program, "the commit is taken back")
    return 0


def discard(program: str, given: Namespace) -> int:
    from pyview.trying.kept import drop, locked, opened, whole

    directory = opened(given.directory)
    locked(directory, 0)
    try:
        whole(directory)
        drop(directory)
    finally:
        directory.unlock()
    return 0


def explore(program: str, given: Namespace) -> int:
    """A shell that sees the changes, and may make more."""
    from pyview.trying.attempts import one_run, shell
    from pyview.trying.ignoring import Ignored
    from pyview.trying.kept import look, opened
    from pyview.trying.reporting import tell

    directory = opened(given.directory)
    status = one_run(program, directory, [shell()], [])
    changes = look(program, directory, Ignored([]))
    if changes:
        tell(program, changes)
    return status


WORDS = {
    "summary": summary, "diff": diff, "commit": commit, "discard": discard, "explore": explore,
}  # fmt: skip
WORD_USAGE = {
    "summary": "[-a] [--json] [-i GLOB]... DIR [path...]",
    "diff": "[-i GLOB]... DIR [path...]",
    "commit": "[--force | --theirs] [--no-owner] [-i GLOB]... DIR [path...]\n"
    "       %(prog)s --undo DIR",
    "discard": "DIR",
    "explore": "DIR",
}
WORD_ABOUT = {
    "summary": "Show what was changed, as a tree.",
    "diff": "Show what was changed, line by line.",
    "commit": "Make the changes on the system: all of them, those at some paths, or none.",
    "discard": "Drop the changes.",
    "explore": "Run a shell that sees the changes, and may make more.",
}
