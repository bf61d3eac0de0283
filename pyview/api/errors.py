# SPDX-License-Identifier: GPL-2.0-or-later
"""How an operation fails."""

from __future__ import annotations

import os
from collections.abc import Callable


def refuse(number: int, *about: object) -> OSError:
    """An OSError to raise: `raise refuse(errno.EROFS, path)`."""
    return OSError(number, os.strerror(number), *about[:1])


class if_it_fails:
    """`with if_it_fails(file.close): ...` does that when what is inside raises anything.

    Really anything: the core ends an operation that nobody waits for any more by an exception that
    is no Exception.  It goes on to whoever catches it.
    """

    def __init__(self, undo: Callable[[], object]) -> None:
        self._undo = undo

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._undo()
