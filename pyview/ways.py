# SPDX-License-Identifier: GPL-2.0-or-later
"""Where names lead: remembered for a moment.

Of directories in names, through overlays: valid until an overlay says that a directory or a link
has come or gone (Overlay.turned), and for a second at most against what others change.  Of whole
names that lead to a device, or into a tree of texts: until mounts or devices change, and as long.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Generic, TypeVar

LIFETIME = 1.0  # seconds
ROOM = 4096  # names

State = TypeVar("State")


class Ways(Generic[State]):
    """Names, for whom and from where, and what is known of them."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[float, State]] = {}
        self._turns = -1

    def get(self, key: Hashable, turns: int) -> State | None:
        """`turns`: how often any of the view's overlays has turned."""
        if turns != self._turns:
            self._known.clear()
            self._turns = turns
        until, state = self._known.get(key, (0.0, None))
        return state if until > time.monotonic() else None

    def keep(self, key: Hashable, turns: int, state: State) -> None:
        if turns != self._turns or len(self._known) >= ROOM:
            self._known.clear()
            self._turns = turns
        self._known[key] = (time.monotonic() + LIFETIME, state)
