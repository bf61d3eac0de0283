# SPDX-License-Identifier: GPL-2.0-or-later
"""mount, inside a view: vumount for what the view mounts, the system's mount for all else."""

from __future__ import annotations

import os

from pyview.commands import Failure, canonical, request, vumount
from pyview.control import NotInView, ask
from pyview.entry import ALIASES, DEFAULT_PATH, become

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from typing import NoReturn

OURS = ("vu", "um")  # how all our types begin, and those of view-os: also when none has that name


def main(program: str, arguments: list[str]) -> int:
    try:
        return _main(program, arguments)
    except NotInView:
        real(program, arguments)


def _main(program: str, arguments: list[str]) -> int:
    if not arguments:
        real(program, arguments)  # it reads the view's own mountinfo
    if "-h" in arguments or "--help" in arguments:
        real(program, arguments)
    try:
        given = vumount.parse(program, arguments)
    except Failure:
        real(program, arguments)  # an option that only the system's mount knows
    how = vumount.how_asked(given)
    if how == "move":
        ours = bool(given.places) and canonical(given.places[0]) in targets()
    else:
        kind = given.type or ""
        named = bool(kind) and (kind.startswith(OURS) or not ask("types", kind)[0])
        ours = how == "bind" or named
    if not ours or len(given.places) != 2:
        real(program, arguments)
    return vumount.main(program, arguments)


def targets() -> set[str]:
    """The view's mount points."""
    return set(request("targets").split("\0")[:-1])


def system(program: str) -> str:
    """The system's program of that name: the first on PATH that is not in our own directory."""
    path = f"{os.environ.get('PATH', '')}:{DEFAULT_PATH}".split(":")
    files = [os.path.join(part, program) for part in path if part not in ("", ALIASES)]
    return next((file for file in files if os.access(file, os.X_OK)), f"/bin/{program}")


def real(program: str, arguments: list[str]) -> NoReturn:
    """Become the system's program of that name."""
    become([system(program), *arguments], dict(os.environ))
