# SPDX-License-Identifier: GPL-2.0-or-later
"""vumount (viewmount): mount in the view, or list its mounts; the syntax is mount(8)'s."""

from __future__ import annotations

from pyview.commands import USAGE, Failure, canonical, parser, request, say
from pyview.entry import option_named, source_name

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

ABOUT = "Mount something in the view.  Without arguments: list the view's mounts."


def main(program: str, arguments: list[str]) -> int:
    given = parse(program, arguments)
    if not given.places:
        say(request("mounts", *(given.type.split(",") if given.type else ())))
    else:
        words = mount_words(given)
        if not given.fake:
            request("mount", *words)
    return 0


def mount_words(given: Namespace) -> tuple[str, str, str, str, str]:
    """The words of the mount request that these arguments mean."""
    if len(given.places) != 2:
        raise Failure(USAGE, f"{given.places[0]}: a source and a target are needed")
    how = how_asked(given)
    if not how and not given.type:
        raise Failure(USAGE, f"{given.places[1]}: a type is needed (-t)")
    listed = [option for option in ",".join(given.options).split(",") if option]
    told = ("rw", "ro") if given.type else ("bind", "rbind", "move", "rw", "ro")
    kept = [option for option in listed if option not in told]
    writable = [option for option in listed if option in ("rw", "ro")][-1:] or ["rw"]
    if (given.access or writable[0]) == "ro":
        kept.append("ro")
    kept = [option_named(option) for option in kept]
    source, target = given.places
    source = canonical(source) if how else source_name(source)
    return how, given.type or "", ",".join(kept), source, canonical(target)


def how_asked(given: Namespace) -> str:
    """ "bind", "move" or "": asked by a flag or, without a type, among the -o options."""
    listed = ",".join(given.options).split(",")
    if given.how:
        return str(given.how)
    if given.type:
        return ""  # the type's own options
    if "bind" in listed or "rbind" in listed:
        return "bind"
    return "move" if "move" in listed else ""


def parse(program: str, arguments: list[str]) -> Namespace:
    return options(program).parse_intermixed_args(arguments)


def options(program: str) -> ArgumentParser:
    made = parser(program, ABOUT, "[-t type] [-o list] [-rwfnl] [-B|-M] [source target]")
    add = made.add_argument
    add("-t", "--types", dest="type", metavar="TYPE", help="the mount type")
    add("-o", "--options", action="append", default=[], metavar="LIST", help="a,b=c...")
    add("-r", "--read-only", dest="access", action="store_const", const="ro", help="as -o ro")
    add("-w", "--rw", dest="access", action="store_const", const="rw", help="as -o rw")
    add("-B", "--bind", dest="how", action="store_const", const="bind",
        help="show a directory or a file at a second place")  # fmt: skip
    add("-R", "--rbind", dest="how", action="store_const", const="bind",
        help="the same: what is mounted below is always seen")  # fmt: skip
    add("-M", "--move", dest="how", action="store_const", const="move",
        help="move a mount to another place")  # fmt: skip
    add("-f", "--fake", action="store_true", help="check the arguments, mount nothing")
    add("-l", "--show-labels", action="store_true", help="list the mounts")
    add("-n", "--no-mtab", action="store_true", help="nothing: there is no mtab")
    add("-v", "--verbose", action="store_true", help="nothing: there is nothing to tell")
    add("places", nargs="*", metavar="source target")
    return made
