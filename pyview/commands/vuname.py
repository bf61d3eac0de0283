# SPDX-License-Identifier: GPL-2.0-or-later
"""vuname (viewname): the view's uname, its number and its name; sets the name."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, parser, request, say, wants_parser

#: letter -> what it prints, in the order of -a
LETTERS = {
    "s": "the kernel's name",
    "n": "the node's name",
    "r": "the kernel's release",
    "v": "the kernel's version",
    "m": "the machine",
    "o": "the operating system",
    "U": "the core's pid and the view's number, as PID.NUMBER",
    "V": "the view's name",
}
ABOUT = "Print what the system is called in this view (as uname), or set the view's name."


def main(program: str, arguments: list[str]) -> int:
    wanted = "V" if program == "viewname" else "s"
    prompt = False
    if wants_parser(arguments):
        made = parser(program, ABOUT, "[-asnrvmoUVP] [NAME]")
        made.add_argument("-a", action="store_true", help="all of the following")
        for letter, what in LETTERS.items():
            made.add_argument(f"-{letter}", action="store_true", help=what)
        made.add_argument("-P", action="store_true", help="NAME[PID.NUMBER], for a shell's prompt")
        made.add_argument("arguments", nargs="*", metavar="NAME")
        given = vars(made.parse_args(arguments))
        arguments, prompt = given["arguments"], given["P"]
        wanted = "".join(c for c in LETTERS if given["a"] or given[c]) or wanted
        if arguments and any(given[c] for c in "aP" + "".join(LETTERS)):
            raise Failure(USAGE, "a name is set alone")
    if len(arguments) > 1:
        raise Failure(USAGE, f"one name, not {len(arguments)}")
    if arguments:
        request("setname", arguments[0])
        return 0
    facts = _facts()
    line = " ".join(facts[c] for c in wanted).rstrip()  # a view may have no name
    say(f"{facts['V']}[{facts['U']}]\n" if prompt else line + "\n")
    return 0


def _facts() -> dict[str, str]:
    number, core, _parent, name = request("info").split("\n")[:4]
    here = os.uname()
    return {
        "s": here.sysname,
        "n": here.nodename,
        "r": here.release,
        "v": here.version,
        "m": here.machine,
        "o": "GNU/Linux",
        "U": f"{core}.{number}",
        "V": name,
    }
