# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that nobody wants to see: patterns as .gitignore has them, the simple ones."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase

from pyview.trying.places import parent_of


class Ignored:
    """A list of patterns.

    One without a slash is for a name anywhere, one with a slash for a path from the root, where
    `**` stands for any number of directories.  What lies below an ignored directory is ignored.
    """

    def __init__(self, patterns: list[str]) -> None:
        patterns = [pattern.rstrip("/") or "/" for pattern in patterns]
        self._names = [pattern for pattern in patterns if "/" not in pattern]
        self._paths = [p.strip("/").split("/") for p in patterns if "/" in p]

    def __bool__(self) -> bool:
        return bool(self._names or self._paths)

    def matches(self, path: bytes) -> bool:
        """Whether this name, or a directory that it lies in, is to be ignored."""
        while self and path:
            parts = os.fsdecode(path).split("/")
            if any(fnmatchcase(parts[-1], pattern) for pattern in self._names):
                return True
            if any(_fits(pattern, parts) for pattern in self._paths):
                return True
            path = parent_of(path)
        return False


def _fits(pattern: list[str], parts: list[str]) -> bool:
    """Component by component."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(pattern[1:], parts[at:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(pattern[1:], parts[1:])
