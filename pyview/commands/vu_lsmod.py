# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_lsmod (um_ls_service): list the view's modules."""

from __future__ import annotations

from pyview.commands import parser, request, say

ABOUT = "List the modules of the view: name, how often in use, what it is."


def main(program: str, arguments: list[str]) -> int:
    if arguments:
        parser(program, ABOUT, "").parse_args(arguments)
    say(request("lsmod"))
    return 0
