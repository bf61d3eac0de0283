# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that have only texts (api.Tree.texts): C is told what is in them, and opens it itself.

csrc/texts.c answers for names relative to an open directory of such a tree.  What it has opened is
known here only when somebody asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pyview import core
from pyview.abi.stat import pack_stat
from pyview.api import File, Known
from pyview.openfile import OpenFile, completed
from pyview.view import Mount

MANY = 64  # trees that C is told of at a time


class Stored(File):
    """What C has opened: the bytes are in memory."""

    def __init__(self, image: int, st: os.stat_result) -> None:
        self._image, self._st = image, st

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._image, size, offset)

    def size(self) -> int:
        return self._st.st_size

    def stat(self) -> os.stat_result:
        return self._st

    def known(self) -> Known:
        return Known(self._st, text=self.pread(self._st.st_size, 0))


class _Told(NamedTuple):
    """A tree as C knows it: what the tree has said, `looks` of it by name, and C's own."""

    mount: Mount
    contents: Mapping[str, bytes | None]
    looks: Mapping[str, os.stat_result]
    in_c: Any


class Texts:
    """The trees of one session."""

    def __init__(self, replaced: Callable[[], None]) -> None:
        """`replaced()`: what C has opened of a tree must be known here before it is forgotten."""
        self._replaced = replaced
        self._told: dict[int, _Told] = {}
        self._next = 1

    def tell(self, entry: Any, opened: OpenFile) -> None:
        """Let C answer for what is in an open directory, when its tree tells all of it.

        Errors: the tree's; MemoryError.
        """
        contents = opened.tree.contents()
        told = None if contents is None else self._find(opened.mount, contents)
        inside = opened.rest.strip("/")
        core.texts_of(entry, told and told.in_c, inside and inside + "/")

    def _find(self, mount: Mount, contents: Mapping[str, bytes | None]) -> _Told:
        before = next((n for n, told in self._told.items() if told.mount is mount), None)
        if before is not None and self._told[before].contents is contents:
            return self._told[before]
        if before is None and len(self._told) >= MANY:
            before = next(iter(self._told))
        if before is not None:
            self._replaced()
            core.free_texts(self._told.pop(before).in_c)
        number, self._next = self._next, self._next + 1
        names = sorted((os.fsencode(path.strip("/")), path) for path in contents)
        looks = {path: completed(mount.tree.lstat(path), mount, path) for path in contents}
        made = core.new_texts(number, mount.target)
        told = self._told[number] = _Told(mount, contents, looks, made)
        for name, path in names:
            core.add_text(made, name, pack_stat(looks[path]), contents[path] or b"")
        return told

    def taken(self, known: int) -> tuple[OpenFile, int, int] | None:
        """What C has opened, from now on this one's affair: the image and the byte locked, too."""
        found = core.take_text(known)
        if found is None:
            return None
        number, flags, image, byte, name = found
        told = self._told[number]
        path = "/" + os.fsdecode(name)
        st = told.looks[path]
        shown = told.mount.target + path
        opened = OpenFile(Stored(image, st), told.mount, path, shown, flags, st)
        return opened, image, byte
