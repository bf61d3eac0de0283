# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_rmmod (um_del_service): unload modules from the view."""

from __future__ import annotations

from pyview.commands import USAGE, Failure, parser, request, wants_parser

ABOUT = "Unload modules: all of those named, or none.  Busy while mounts or open files use one."


def main(program: str, arguments: list[str]) -> int:
    if wants_parser(arguments):
        made = parser(program, ABOUT, "MOD...")
        made.add_argument("modules", nargs="*", metavar="MOD")
        arguments = made.parse_args(arguments).modules
    if not arguments:
        raise Failure(USAGE, f"which module?  ({program} -h)")
    request("rmmod", *arguments)
    return 0
