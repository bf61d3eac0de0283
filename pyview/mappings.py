# SPDX-License-Identifier: GPL-2.0-or-later
"""What processes have mapped of emulated files: which, where, and who still needs it.

The pages themselves: pyview/pages.py.  C keeps a number for each memory that has, or may have,
something of these (pv_mm.maps); processes that share a memory, or were forked, have the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from pyview.openfile import OpenFile
from pyview.pages import Area, Pages, Part

REMEMBERED = 4096  # names of files that have been mapped


class Hold:
    """A call at work on what is mapped of a file."""

    def __init__(self, held: dict[tuple[int, int], int], key: tuple[int, int]) -> None:
        self._held, self._key = held, key
        held[key] = held.get(key, 0) + 1

    def close(self) -> None:
        self._held[self._key] -= 1
        if not self._held[self._key]:
            del self._held[self._key]


class Mappings:
    """Those of a session, by the files' keys: what fstat(2) says of them."""

    def __init__(
        self,
        changed: Callable[[tuple[int, int], Pages | None], None],
        tell: Callable[[OpenFile], None],
    ) -> None:
        """`changed(key, pages)`: somebody has mapped a file shared; None: nobody has any more.

        `tell(opened)`: a file is to be closed, which was kept because it was mapped.
        """
        self._changed, self._tell = changed, tell
        self._shared: dict[tuple[int, int], Pages] = {}
        self._memory: dict[int, str] = {}  # memfd -> the name of its file, for proc
        self._users: dict[int, set[tuple[int, int]]] = {}  # pv_mm.maps -> keys
        self._held: dict[tuple[int, int], int] = {}  # calls at work on what is mapped
        self._areas: dict[int, list[Area]] = {}  # pv_mm.maps -> where
        self._kept: dict[tuple[int, int], list[OpenFile]] = {}  # closed, but still mapped

    def shared(self, key: tuple[int, int]) -> Pages | None:
        """What is mapped shared in a file's place."""
        return self._shared.get(key)

    def keep(self, opened: OpenFile) -> None:
        """Nobody has an open file any more, but it is mapped: it stays until it is not."""
        self._kept.setdefault(opened.key, []).append(opened)

    def kept(self) -> Iterator[OpenFile]:
        """The open files that stay so."""
        for files in self._kept.values():
            yield from files

    def pages(self, opened: OpenFile, shared: bool, writable: bool) -> Pages:
        """What is mapped in the place of an emulated file.

        It is the caller's to close unless some process has it mapped and shared, and to be held
        while it is mapped.
        """
        pages = self._shared.get(opened.key)
        if pages is None:
            pages = Pages(opened.file, opened.tree)
            if shared:
                self._shared[opened.key] = pages
                self._changed(opened.key, pages)
        self.remember(pages.fd, opened.name)
        if writable:
            pages.file, pages.shared = opened.file, True
        return pages

    def remember(self, fd: int, name: str) -> None:
        """A memfd stands in for the file of this name, in memory too."""
        self._memory[os.fstat(fd).st_ino] = name
        if len(self._memory) > REMEMBERED:
            del self._memory[next(iter(self._memory))]

    def mapped_name(self, inode: int) -> str | None:
        """The name of the file that a memfd is mapped in the place of."""
        return self._memory.get(inode)

    def is_mapped(self, opened: OpenFile) -> bool:
        """Whether some process may have it mapped and shared."""
        return opened.key in self._shared

    def uses(self, maps: int, opened: OpenFile) -> int:
        """A process with this pv_mm.maps has a file mapped; its number from now on."""
        if not maps:
            maps = max(self._users, default=0) + 1
        self._users.setdefault(maps, set()).add(opened.key)
        return maps

    def holds_locks(self, maps: int) -> int:
        """The end of a process with this pv_mm.maps matters; its number from now on."""
        if not maps:
            maps = max(self._users, default=0) + 1
        self._users.setdefault(maps, set())
        return maps

    def inodes(self, maps: int) -> dict[int, tuple[int, int]]:
        """The memfds that may be mapped, and no call is at work on: inode -> the file's key."""
        keys = self._users.get(maps, set()) & self._shared.keys() - self._held.keys()
        return {os.fstat(self._shared[key].fd).st_ino: key for key in keys}

    def hold(self, key: tuple[int, int]) -> Hold:
        """A call is at work on what is mapped of a file, which stays until that is closed."""
        return Hold(self._held, key)

    def is_held(self, maps: int) -> bool:
        """Whether a call is at work on what processes with this pv_mm.maps may have mapped."""
        return not self._held.keys().isdisjoint(self._users.get(maps, ()))

    def unused(self) -> list[tuple[int, int]]:
        """The files of which nothing is mapped any more."""
        return [
            key
            for key in self._shared
            if key not in self._held and not any(key in keys for keys in self._users.values())
        ]

    def pages_of(self, key: tuple[int, int]) -> Pages:
        return self._shared[key]

    def drop(self, key: tuple[int, int]) -> Pages:
        """Forget what was mapped of a file; it is the caller's to close."""
        pages = self._shared.pop(key)
        self._changed(key, None)
        for opened in self._kept.pop(key, ()):
            self._tell(opened)
        return pages

    def mapped_at(self, maps: int, area: Area) -> None:
        """A process with this pv_mm.maps has a file mapped there, whoever else has."""
        self._areas.setdefault(maps, []).append(area)

    def areas(self, maps: int, start: int, end: int) -> list[Area]:
        """What of [start, end) may be a file's in processes with this pv_mm.maps."""
        found = []
        for area in self._areas.get(maps, ()):
            low, high = max(area.start, start), min(area.end, end)
            if low < high:
                found.append(Area(low, high, area.key, area.offset + low - area.start))
        return found

    def part(self, area: Area) -> Part | None:
        """The bytes of a mapped file that are there."""
        pages = self._shared.get(area.key)
        length = area.end - area.start
        return None if pages is None else Part(pages, area.offset, area.offset + length)

    def mapped(self, maps: int) -> list[Pages]:
        """What processes with this pv_mm.maps may have written by mapping."""
        keys = self._users.get(maps, ())
        return [self._shared[key] for key in keys if key in self._shared]

    def unmapped(self, maps: int, keys: set[tuple[int, int]]) -> None:
        """Nobody with this pv_mm.maps has these files mapped any more."""
        left = self._users.get(maps, set())
        left -= keys
        areas = self._areas.pop(maps, [])
        self._areas[maps] = [area for area in areas if area.key not in keys]

    def ended(self, maps: int) -> None:
        """The last memory with this pv_mm.maps has gone."""
        self.unmapped(maps, set(self._users.get(maps, ())))
        self._users.pop(maps, None)
        self._areas.pop(maps, None)
