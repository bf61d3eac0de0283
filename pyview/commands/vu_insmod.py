# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_insmod (um_add_service): load modules into the view."""

from __future__ import annotations

from pyview.commands import USAGE, Failure, parser, request, wants_parser
from pyview.commands.pyview import located

ABOUT = (
    "Load modules: a name, a dotted Python name or a path of a .py file, each with its options.  "
    "All of them are loaded, or none."
)


def main(program: str, arguments: list[str]) -> int:
    permanent = ""
    if wants_parser(arguments):
        made = parser(program, ABOUT, "[-p] MOD[,opt...]...")
        made.add_argument("-p", "--permanent", action="store_true", help="cannot be unloaded")
        made.add_argument("modules", nargs="*", metavar="MOD[,opt...]")
        given = made.parse_args(arguments)
        arguments, permanent = given.modules, "permanent" if given.permanent else ""
    if not arguments:
        raise Failure(USAGE, f"which module?  ({program} -h)")
    request("insmod", permanent, *map(located, arguments))
    return 0
