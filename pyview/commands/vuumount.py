# SPDX-License-Identifier: GPL-2.0-or-later
"""vuumount (viewumount): unmount in the view; the syntax is umount(8)'s."""

from __future__ import annotations

from pyview.commands import USAGE, Failure, canonical, parser, request

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace

ABOUT = "Unmount what was mounted in the view: all of it, or nothing."


def main(program: str, arguments: list[str]) -> int:
    given = parse(program, arguments)
    if not given.targets:
        raise Failure(USAGE, f"unmount what?  ({program} -h)")
    request("umount", flags(given), *map(canonical, given.targets))
    return 0


def flags(given: Namespace) -> str:
    """The flags of the umount request."""
    return ("l" if given.lazy else "") + ("f" if given.force else "")


def parse(program: str, arguments: list[str]) -> Namespace:
    made = parser(program, ABOUT, "[-fln] target...")
    add = made.add_argument
    add("-f", "--force", action="store_true", help="even when the mounted tree says it is busy")
    add("-l", "--lazy", action="store_true", help="even when it is in use: it goes from sight")
    add("-n", "--no-mtab", action="store_true", help="nothing: there is no mtab")
    add("targets", nargs="*", metavar="target")
    return made.parse_intermixed_args(arguments)
