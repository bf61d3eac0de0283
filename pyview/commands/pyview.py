# SPDX-License-Identifier: GPL-2.0-or-later
"""pyview: run a command in a new view; inside a view, in a child view of it."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, canonical, parser, request, say
from pyview.control import NotInView
from pyview.settings import Settings

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import NoReturn

ABOUT = "Run a command (default: $SHELL) in its own view of the system."
ONLY_OUTERMOST = ("trace", "summary", "output")  # the core has one trace, for all its views


def main(program: str, arguments: list[str]) -> int:
    settings = parse(program, arguments)
    return settings if isinstance(settings, int) else start(settings)


def start(settings: Settings) -> NoReturn:
    """Become the command in a new view; inside a view, in a child view."""
    if _outermost():
        from pyview.launch import run

        run(settings)
    _enter_child(settings)


def _outermost() -> bool:
    try:
        request("info")
    except NotInView:
        return True
    return False


def _enter_child(settings: Settings) -> NoReturn:
    """Become a child view's first process, and the command."""
    for option in ONLY_OUTERMOST:
        if getattr(settings, option):
            raise Failure(USAGE, f"--{option}: only for the outermost view")
    request("child", settings.name)
    if settings.debug:
        request("debug", "view", *settings.debug)
    from pyview.entry import enter

    enter(settings, child=True)


def parse(program: str, arguments: list[str]) -> Settings | int:
    """The settings asked for; an exit status when the answer has been given already."""
    if not arguments or not arguments[0].startswith("-"):
        return Settings(arguments or [_shell()])  # no option, no parser
    given = options(program).parse_args(arguments)
    if given.version:
        from pyview import __version__

        say(f"pyview {__version__}\n")
        return 0
    if given.doctor:
        from pyview import doctor

        return doctor.main()
    argv = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
    settings = Settings(argv or [_shell()])
    settings.name = given.name
    settings.preload = [located(spec) for spec in given.preload]
    settings.mounts = given.mount
    settings.rc, settings.norc = given.rc, given.norc
    settings.debug = given.debug.split() if given.debug else []
    settings.output = given.output
    settings.trace, settings.summary = given.trace, given.summary
    return settings


def located(spec: str) -> str:
    """A module's specification, the path in it made absolute."""
    name, comma, rest = spec.partition(",")
    if "/" in name or name.endswith(".py"):
        name = canonical(name)
    return name + comma + rest


def _shell() -> str:
    return os.environ.get("SHELL") or "/bin/sh"


def options(program: str) -> ArgumentParser:
    from argparse import REMAINDER, SUPPRESS

    made = parser(program, ABOUT, "[options] [cmd [arg...]]")
    add = made.add_argument
    add("-V", "--name", default="", metavar="NAME", help="the view's name")
    add("-p", "--preload", action="append", default=[], metavar="MOD[,opt...]",
        help="load a module first (repeat)")  # fmt: skip
    add("-m", "--mount", action="append", default=[], metavar="TYPE:SRC:TARGET[:OPTS]",
        help="mount first (repeat); TYPE may be bind")  # fmt: skip
    add("-f", "--rc", metavar="FILE",
        help="run this rc file instead of /etc/pyviewrc and ~/.pyviewrc")  # fmt: skip
    add("-N", "--norc", action="store_true", help="run no rc file")
    add("-d", "--debug", metavar="TAGS", help="debug tags, as vudebug has them")
    add("-o", "--output", metavar="FILE", help="where debug and trace lines go (default: stderr)")
    add("--trace", action="store_true", help="a line for each stopped call, and who answered it")
    add("--summary", action="store_true", help="at exit: how many calls were stopped, by module")
    add("--doctor", action="store_true", help="what this machine lets a view do, with remedies")
    add("--version", action="store_true", help="print the version")
    add("argv", nargs=REMAINDER, help=SUPPRESS)
    return made
