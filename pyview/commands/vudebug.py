# SPDX-License-Identifier: GPL-2.0-or-later
"""vudebug: debug tags, for the view, or for one command and its children."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, parser, request, say

ABOUT = (
    "Set debug tags (+TAG, -TAG) or show them (?, or nothing).  With -- and a command they hold "
    "for it and its children, else for the view.  Several letters may follow a sign: +ps."
)


def main(program: str, arguments: list[str]) -> int:
    if arguments[:1] in (["-h"], ["--help"]):
        parser(program, ABOUT, "[+-?TAG]... [-- cmd [arg...]]").parse_args(arguments)
    tags, command = arguments, None
    if "--" in arguments:
        at = arguments.index("--")
        tags, command = arguments[:at], arguments[at + 1 :]
        if not command:
            raise Failure(USAGE, "-- needs a command")
        if not tags:
            raise Failure(USAGE, "which tags?")
    for tag in tags:
        if tag.startswith("--"):
            raise Failure(USAGE, f"unknown option: {tag}")
    say(request("debug", "view" if command is None else "task", *tags))
    if command is not None:
        from pyview.entry import become

        become(command, dict(os.environ))
    return 0
