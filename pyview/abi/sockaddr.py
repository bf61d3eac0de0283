# SPDX-License-Identifier: GPL-2.0-or-later
"""struct sockaddr_un: unix(7)."""

from __future__ import annotations

AF_UNIX = 1
PATH_AT = 2  # offset of sun_path
PATH_SIZE = 108  # bytes of sun_path


def unix_name(data: bytes) -> bytes | None:
    """The file a socket address names; None when it is of another family, unnamed or abstract."""
    if len(data) <= PATH_AT or int.from_bytes(data[:2], "little") != AF_UNIX or not data[PATH_AT]:
        return None
    return data[PATH_AT:].split(b"\0", 1)[0]


def unix_address(name: bytes) -> bytes:
    """The address of a socket file, with a NUL where there is room for one."""
    return AF_UNIX.to_bytes(2, "little") + (name + b"\0")[:PATH_SIZE]


def shown_address(name: bytes) -> bytes:
    """The same as getsockname(2) gives it: always with a NUL, also where none was given."""
    return AF_UNIX.to_bytes(2, "little") + name + b"\0"
