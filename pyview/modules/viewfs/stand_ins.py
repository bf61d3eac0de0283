# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands for files that only root may read, in a copy that root is virtual in."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyview.api import Tree

DAY = 19000  # of the last change of the password, counted from 1970


def stand_in(below: Tree, path: str) -> bytes | None:
    """The bytes for such a file; None for any other.

    Programs that add users read the password files: every account is there, locked ("*").
    """
    made = _MADE.get(path.rstrip("-"))
    if made is None:
        return None
    source, line = made
    text = _read(below, source)
    return b"".join(line(fields) for row in text.splitlines() if (fields := row.split(b":")))


def _shadow(fields: list[bytes]) -> bytes:
    return b"%s:*:%d:0:99999:7:::\n" % (fields[0], DAY)


def _gshadow(fields: list[bytes]) -> bytes:
    return b"%s:*::%s\n" % (fields[0], fields[3] if len(fields) > 3 else b"")


_MADE: dict[str, tuple[str, Callable[[list[bytes]], bytes]]] = {
    "/etc/shadow": ("/etc/passwd", _shadow),
    "/etc/gshadow": ("/etc/group", _gshadow),
}


def _read(below: Tree, path: str) -> bytes:
    try:
        real = below.real(path)
        if real is not None:
            with open(real, "rb") as file:
                return file.read()
        lower = below.open(path, os.O_RDONLY)
        try:
            return lower.pread(1 << 20, 0)
        finally:
            lower.close()
    except OSError:
        return b""
