# SPDX-License-Identifier: GPL-2.0-or-later
"""sudo, inside a view: viewsudo where users are the view's own, the system's sudo elsewhere.

The system's own could not become anybody there: the kernel gives set-user-id programs nothing.
"""

from __future__ import annotations

from pyview.commands import Failure, viewsudo
from pyview.commands.mount import real
from pyview.control import NotInView, ask


def main(program: str, arguments: list[str]) -> int:
    if not _ours():
        real(program, arguments)
    try:
        viewsudo.parse(program, arguments)
    except Failure:
        real(program, arguments)  # an option that only the system's sudo knows
    return viewsudo.main(program, arguments)


def _ours() -> bool:
    """Whether this view has users of its own."""
    try:
        return ask("identity") == (0, "1")
    except NotInView:
        return False
