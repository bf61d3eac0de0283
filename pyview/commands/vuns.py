# SPDX-License-Identifier: GPL-2.0-or-later
"""vuns: print a view as the commands that would make it again."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, parser, request, say, wants_parser

ABOUT = "Print the view of a process, or one's own, as the commands that would make it again."


def main(program: str, arguments: list[str]) -> int:
    if wants_parser(arguments):
        parser(program, ABOUT, "[pid]").parse_args(arguments)
    if len(arguments) > 1:
        raise Failure(USAGE, "one process at a time")
    pid = arguments[0] if arguments else str(os.getpid())
    if not pid.isdecimal():
        raise Failure(USAGE, f"{pid}: not a process id")
    say(request("commands", pid))
    return 0
