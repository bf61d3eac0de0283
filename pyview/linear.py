# SPDX-License-Identifier: GPL-2.0-or-later
"""What C may do itself with open files: read and write where their bytes lie, tell what is known.

csrc/linear.c has an entry for each open file, csrc/extents.c a map for each file whose bytes lie
here and there.  Both are told here, and told again when a file says that something has changed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NamedTuple

from pyview import core
from pyview.abi.stat import pack_stat
from pyview.api import NOWHERE, ZEROES, File, Linear
from pyview.openfile import (
    LARGEST,
    O_LARGEFILE,
    O_PATH,
    READS,
    WRITES,
    OpenFile,
    Position,
    completed,
)
from pyview.openfile import Map as Bytes

FIRST, WIDEST = 1 << 20, 64 << 20  # bytes of a file that are asked for at once
MANY = 512  # extents told at once
NOTHING = (-1, -1)
_ANSWER = struct.Struct(f"=IIi{core.ANSWER}s")

#: Calls the question; None when the file's author made a mistake, which is logged.
Asked = Callable[[OpenFile, str, Callable[[], Any]], Any]


class Map:
    """Where the bytes of one file lie, as far as it was asked.

    users  the sockets of the open files that need it
    moves  how often the file has said that bytes are elsewhere
    others who else hears that, by what it is known by: called with offset and length, in bytes
    stays  it is kept for those who will open the file again
    """

    def __init__(self, file: File, closed: Callable[[Map], None] = lambda one: None) -> None:
        """`closed`: called when the file has been closed."""
        self.file, self._closed = file, closed
        self.stays = False
        self.in_c = core.new_extents()
        self.users: set[int] = set()
        self.moves = 0
        self.others: dict[object, Callable[[int, int], None]] = {}
        self._told = NOTHING  # [from, to) of what was told last
        self._width = FIRST
        file._moved = self._relocated

    def close(self) -> None:
        self.file._moved = None
        core.free_extents(self.in_c)

    def _relocated(self, offset: int, length: int) -> None:
        self.moves += 1
        self._told = NOTHING
        core.forget_extents(self.in_c, offset, length if length >= 0 else LARGEST)
        for told in list(self.others.values()):
            told(offset, length)
        if length < 0:
            self.stays = False
            self._closed(self)

    def missed(self, offset: int, length: int) -> None:
        """C did not know of some bytes: tell it from there on.  Errors: the file's.

        More each time for who goes on where that ended.
        """
        low, high = self._told
        if low <= offset and offset + length <= high:
            return  # some are NOWHERE
        self._width = min(2 * self._width, WIDEST) if offset == high else FIRST
        width = max(self._width, length)
        at, end = offset, offset + width
        for extent in islice(self.file.extents(offset, width), MANY):
            if at >= end:
                break
            length, fd, start, writes = extent
            if length <= 0 or start < 0 or fd < NOWHERE:
                raise ValueError(f"{extent} is no place")
            length = min(length, LARGEST - at)
            if fd != NOWHERE:
                core.add_extent(self.in_c, at, length, fd, start, writes and fd != ZEROES)
            at += length
        self._told = offset, at


class InC:
    """The entries and maps of one session."""

    def __init__(self, asked: Asked, tell_texts: Callable[[Any, OpenFile], None]) -> None:
        """`tell_texts(entry, opened)`: let C answer for what is in a directory of texts."""
        self._asked, self._tell_texts = asked, tell_texts
        self._maps: dict[int, Map] = {}  # by the id of the file, which the map keeps

    def tell(self, inode: int, opened: OpenFile) -> None:
        """Let C do what it can with the open file behind a socket."""
        try:
            entry = core.linear(inode)
        except MemoryError:
            return  # Python does it all
        if not (opened.in_c or opened.direct):
            entry.offset = opened.offset
            opened.at = entry
        opened.in_c = True
        entry.how = entry.syncs = entry.looks = entry.nanswers = 0
        entry.extents = core.NULL
        entry.native = opened.direct
        opened.map = None
        path = opened.flags & O_PATH
        entry.flags = opened.flags | (0 if path else O_LARGEFILE)
        if path:
            return
        try:
            if opened.direct and opened.is_directory:
                core.texts_of(entry, None, "")
                self._asked(opened, "contents", partial(self._tell_texts, entry, opened))
            elif not opened.is_directory:
                self._tell(inode, entry, opened)
        except MemoryError:
            pass

    def _tell(self, inode: int, entry: Any, opened: OpenFile) -> None:
        known = self._asked(opened, "known", partial(_said, opened))
        if known is not None and known.looks:
            core.known_looks(entry, known.looks)
        if known is not None and known.many:
            core.known_answers(entry, known.answers, known.many)
        if opened.file.slow or opened.pages is not None:
            return
        if known is not None and known.text is not None:
            if opened.flags & os.O_ACCMODE == os.O_RDONLY:
                core.known_text(entry, known.text)
                entry.how = core.READS
            return
        found = self._asked(opened, "linear", partial(_linear, opened.file))
        if found is not None:
            self._tell_where(inode, entry, opened, found)

    def _tell_where(self, inode: int, entry: Any, opened: OpenFile, found: Linear) -> None:
        if found.of is not None:
            where = opened.map = self._map(inode, found.of)
            where.stays = where.stays or found.of is not opened.file
            opened.starts = found.start
            entry.extents = where.in_c
        entry.fd, entry.start, entry.size = found.fd, found.start, found.size
        access = opened.flags & os.O_ACCMODE
        entry.syncs = found.syncs and found.of is None
        if access in READS:
            entry.how |= core.READS
        plain = not opened.flags & (os.O_APPEND | os.O_SYNC | os.O_DSYNC)
        if access in WRITES and found.writes and plain:
            entry.how |= core.WRITES

    def _map(self, inode: int, file: File) -> Map:
        found = self._maps.get(id(file))
        if found is None:
            found = self._maps[id(file)] = Map(file, self._drop)
        found.users.add(inode)
        return found

    def hears(self, known: int, of: File, who: object, told: Callable[[int, int], None]) -> None:
        """Tell `who`, as long as this open file is there, where bytes have gone: Map.others."""
        self._map(known, of).others[who] = told

    def missed(self, opened: OpenFile, offset: int, length: int) -> None:
        """C could not read or write these bytes of the open file, and Python has."""
        if opened.map is not None:
            at = opened.starts + offset
            self._asked(opened, "extents", partial(_told, opened.map, at, length))

    def closed(self, inode: int, opened: OpenFile) -> None:
        """Its last descriptor has gone."""
        if not opened.in_c:
            return
        opened.at, opened.map = Position(), None
        core.forget_linear(inode)
        for one in list(self._maps.values()):
            one.users.discard(inode)
            self._drop(one)

    def _drop(self, one: Map) -> None:
        """Forget a map that nobody needs; a file may be closed in another thread (umount)."""
        if not (one.users or one.stays) and self._maps.pop(id(one.file), None) is one:
            one.close()


def _told(where: Bytes, offset: int, length: int) -> None:
    try:
        where.missed(offset, length)
    except OSError:
        pass  # who reads it is told


def _linear(file: File) -> Linear | None:
    """Where a file's bytes are, if C can use what it says."""
    found = file.linear()
    if found is None:
        return None
    fd, start, size, _, of, _ = found
    if start < 0 or size < (-1 if of is None else 0) or (fd >= 0) is (of is not None):
        raise ValueError(f"{found} are no bytes")
    return found


_looks: dict[int, tuple[os.stat_result, bytes]] = {}  # by the id of what was packed


def _look(st: os.stat_result) -> bytes:
    """The struct stat; of the same object it is the same."""
    before, packed = _looks.get(id(st), (None, b""))
    if before is not st:
        if len(_looks) >= MANY:
            _looks.clear()
        packed = pack_stat(st)
        _looks[id(st)] = st, packed
    return packed


class Said(NamedTuple):
    """A Known as C takes it: struct stat or b"", `many` structs pv_answer, all the bytes."""

    looks: bytes
    answers: bytes
    many: int
    text: bytes | None


def _said(opened: OpenFile) -> Said | None:
    """What a file says beforehand, if it can be."""
    found = opened.file.known()
    if found is None:
        return None
    stat, answers, text = found
    for _, told in answers:
        if len(told) > core.ANSWER if isinstance(told, bytes) else not 0 < told < 134:
            raise ValueError(f"{told!r} is no answer")
    if text is not None and not isinstance(text, bytes):
        raise TypeError(f"{text!r} are no bytes")
    looks = b"" if stat is None else _look(completed(stat, opened.mount, opened.rest))
    return Said(looks, _packed(answers), len(answers), text)


@lru_cache(maxsize=256)
def _packed(answers: tuple[tuple[int, bytes | int], ...]) -> bytes:
    return b"".join(
        _ANSWER.pack(request, len(told), 0, told)
        if isinstance(told, bytes)
        else _ANSWER.pack(request, 0, told, b"")
        for request, told in answers
    )
