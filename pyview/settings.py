# SPDX-License-Identifier: GPL-2.0-or-later
"""What was asked of `pyview`: a plain record between the command line, the launch and the entry."""

from __future__ import annotations


class Settings:
    """One call of `pyview`.

    argv     the command and its arguments; never empty
    name     of the view, "" for none
    preload  module specifications ("name,key=value,flag"), paths made absolute
    needs    modules that must be there, whoever has loaded them
    mounts   "TYPE:SRC:TARGET[:OPTS]", as typed; or the words of a mount request
    rc       the file to run instead of the usual ones, or None
    norc     run no rc file at all
    debug    debug tags ("+s", "m"...), as typed
    output   the file that debug and trace lines go to, or None for stderr
    trace    print a line for each stopped call
    summary  print the counts at exit
    """

    __slots__ = (
        "argv", "debug", "mounts", "name", "needs", "norc", "output", "preload", "rc", "summary",
        "trace",
    )  # fmt: skip

    def __init__(self, argv: list[str]) -> None:
        self.argv = argv
        self.name = ""
        self.preload: list[str] = []
        self.needs: list[str] = []
        self.mounts: list[str | tuple[str, ...]] = []
        self.rc: str | None = None
        self.norc = False
        self.debug: list[str] = []
        self.output: str | None = None
        self.trace = False
        self.summary = False
