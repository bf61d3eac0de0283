# SPDX-License-Identifier: GPL-2.0-or-later
"""umount, inside a view: vuumount for what the view mounted, the system's umount for all else."""

from __future__ import annotations

from pyview.commands import Failure, canonical, request, vuumount
from pyview.commands.mount import real, targets
from pyview.control import NotInView


def main(program: str, arguments: list[str]) -> int:
    if "-h" in arguments or "--help" in arguments:
        real(program, arguments)
    try:
        given = vuumount.parse(program, arguments)
        here = targets()
    except (Failure, NotInView):
        real(program, arguments)  # an option that only the system's umount knows, or no view
    ours = [name for target in given.targets if (name := canonical(target)) in here]
    if ours:
        request("umount", vuumount.flags(given), *ours)
    others = [target for target in given.targets if canonical(target) not in here]
    if others or not given.targets:
        dashed = [word for word in arguments if word.startswith("-")]
        real(program, [*dashed, *others])
    return 0
