# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes of what the upper keeps: by its file system, or beside it (sidecar.py).

They are the view's own (abi/upper.py) and those of programs.  What is not of the name space `user`
the real user could not set, so that it has another name there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import Protocol

from pyview.abi.upper import FOREIGN, is_own
from pyview.api import refuse

Place = str | int  # a name of the kernel's, or a descriptor


class Labels(Protocol):
    """The calls of xattr(7); a symbolic link is followed unless `follow` is False."""

    def get(self, place: Place, name: str, *, follow: bool = True) -> bytes:
        """The value of one.  Errors: ENODATA, EOPNOTSUPP."""

    def set(self, place: Place, name: str, value: bytes, flags: int = 0) -> None:
        """Give it a value.  Errors: EEXIST and ENODATA by the flags, ENOSPC."""

    def remove(self, place: Place, name: str) -> None:
        """Errors: ENODATA."""

    def names(self, place: Place) -> list[str]:
        """All that an object has."""

    def born(self, place: Place) -> None:
        """An object is new: whatever is known under its number was another's."""

    def keep(self, numbers: Iterable[int]) -> None:
        """These inodes there are, and no others."""

    def close(self) -> None:
        """Nothing more will be asked."""


class Kernels:
    """The file system of the upper keeps them."""

    def get(self, place: Place, name: str, *, follow: bool = True) -> bytes:
        if follow:
            return os.getxattr(place, name)
        return os.getxattr(place, name, follow_symlinks=False)

    def set(self, place: Place, name: str, value: bytes, flags: int = 0) -> None:
        os.setxattr(place, name, value, flags)

    def remove(self, place: Place, name: str) -> None:
        os.removexattr(place, name)

    def names(self, place: Place) -> list[str]:
        return os.listxattr(place)

    def born(self, place: Place) -> None:
        """They go with the object."""

    def keep(self, numbers: Iterable[int]) -> None:
        """They go with the object."""

    def close(self) -> None:
        """Nothing is open."""


def kept_name(name: str) -> str:
    """How an extended attribute is called in the upper."""
    return name if name.startswith("user.") else FOREIGN + name


def value_in(labels: Labels, place: Place, mode: int, name: str) -> bytes:
    """An extended attribute of an object of this mode, as it is shown.  Errors: ENODATA."""
    if is_own(name) or stat.S_ISSOCK(mode):
        raise refuse(errno.ENODATA, place)
    return labels.get(place, kept_name(name))


def names_in(labels: Labels, place: Place, mode: int) -> list[str]:
    """The names of the extended attributes of an object, as they are shown."""
    if stat.S_ISSOCK(mode):
        return []
    found = []
    for name in labels.names(place):
        if name.startswith(FOREIGN):
            found.append(name[len(FOREIGN) :])
        elif not is_own(name) and name.startswith("user."):
            found.append(name)
    return found
