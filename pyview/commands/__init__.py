# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands do, one file a command; pyview/cli.py chooses by argv[0].

Each file has `main(program, arguments) -> exit status`, its parser beside it.  The parser is made
only when there is an option to parse: argparse costs as much as Python's own start.
"""

from __future__ import annotations

import os

from pyview.control import ask

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser

USAGE = 2  # the exit status of a usage error; other failures give 1


class Failure(Exception):
    """What ends a command: an exit status and one line for stderr."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def request(verb: str, *words: str) -> str:
    """Ask the core; its text.  Raises Failure with what it answers when it refuses."""
    status, text = ask(verb, *words)
    if status:
        raise Failure(status, text)
    return text


def say(text: str) -> None:
    """Write to stdout, names byte for byte as they are."""
    _write(1, text)


def warn(program: str, text: str) -> None:
    """One line on stderr: who, what, why."""
    _write(2, f"{program}: {text}\n")


def _write(fd: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(fd, data) :]


def canonical(path: str) -> str:
    """A name as the core wants it: absolute, no symbolic link in it, resolved inside the view."""
    found = os.path.realpath(path)
    return found[1:] if found.startswith("//") else found


def wants_parser(arguments: list[str]) -> bool:
    """True when some argument looks like an option."""
    return any(argument.startswith("-") for argument in arguments)


def parser(program: str, about: str, usage: str) -> ArgumentParser:
    """An argparse parser whose errors are one line and status 2."""
    from argparse import ArgumentParser
    from typing import NoReturn

    class OneLine(ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise Failure(USAGE, message)

    return OneLine(prog=program, description=about, usage=f"%(prog)s {usage}", allow_abbrev=False)
