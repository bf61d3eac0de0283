# SPDX-License-Identifier: GPL-2.0-or-later
"""What a task has of emulated files: descriptors, mappings, programs, directories, locks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from pyview import core
from pyview.api import Linear, Tree, if_it_fails, refuse
from pyview.descriptors import Descriptors, StandIn, name_of
from pyview.mappings import Hold, Mappings
from pyview.openfile import WRITES, OpenFile, completed
from pyview.pages import Area, Pages, Part, rounded
from pyview.paths import Found
from pyview.reach import READING, Reach
from pyview.verdicts import Asleep, Ready
from pyview.view import Mount, View

if TYPE_CHECKING:
    from pyview.abi.elf import Interpreter
    from pyview.credentials import Program


class Session(Protocol):
    """What a task needs of the core as a whole."""

    descriptors: Descriptors
    mappings: Mappings

    def wake(self, on: Hashable) -> None:
        """Who sleeps `on` this makes its call again."""

    def keep_until_done(self, tid: int, file: StandIn | Pages | Hold) -> None:
        """What the task needs during its present call, and not later; closed then."""

    def still_mapped(self, tid: int, maps: int) -> None:
        """A task whose process has this pv_mm.maps has unmapped something."""

    def unsynced(self, view: View) -> list[tuple[Tree | None, Callable[[], None]]]:
        """What makes durable what a view's devices and open files hold; with a slow one's tree."""

    def executes_as(self, tid: int, program: Program | None) -> None:
        """What a tree says of the program that a task is about to become."""

    def enters_root(self, record: Any, name: str) -> None:
        """A directory of its view becomes a task's root."""

    def device_changed(self, opened: OpenFile) -> None:
        """An ioctl on a device has been answered."""

    def view_of(self, pid: int) -> View | None:
        """The view that a task is in."""

    def hears_writes(self) -> Hashable | None:
        """Let no process write to a device without a stop: what to sleep on, if any can."""


class Holder:
    """A task, as far as it is concerned with emulated files."""

    def __init__(self, record: Any, view: View, session: Session) -> None:
        self._record, self.view, self.session = record, view, session
        self.tid: int = record.tid
        self.asked: Mount | None = None  # whose tree or file the call is about
        #: an emulated descriptor among the arguments, as C has found it already: number, and what
        #: core.emulated() says
        self.known: tuple[int, int] | None = None

    def object(self, fd: int) -> OpenFile | None:
        if self.known is not None and fd == self.known[0]:
            found = self.session.descriptors.held(self._record, fd, self.known[1])
        else:
            found = self.session.descriptors.held(self._record, fd) if fd >= 0 else None
        if found is not None:
            self.asked = found.mount
        return found

    def polled(self, fd: int, opened: OpenFile) -> None:
        if self.session.descriptors.show_ready(opened):
            return
        mine = core.descriptor(self._record, fd)
        try:
            os.read(mine, 1)  # the byte that made it look ready; the core's end has the other side
            opened.shown_ready = False
        finally:
            os.close(mine)

    def can_hold(self, tree: Tree, flags: int) -> bool:
        if self._record.descriptors or not self._record.direct:
            return bool(self._record.descriptors)
        return self.reach(tree, flags).of(self._record)

    def reach(self, tree: Tree, flags: int) -> Reach:
        return self.session.descriptors.natives.reach_of(tree, flags, self.tid)

    def must_hear(self, pid: int = -1) -> Ready | Asleep | None:
        if self._record.direct and not READING.of(self._record):
            return Ready(READING)
        if pid in (0, core.thread_group(self.tid)):
            return None
        on = self.session.hears_writes()
        return None if on is None else Asleep(on)

    def pages(self, opened: OpenFile, shared: bool, writable: bool) -> tuple[Pages, str]:
        mappings = self.session.mappings
        pages = mappings.pages(opened, shared, writable)
        if mappings.is_mapped(opened):
            self.session.keep_until_done(self.tid, mappings.hold(opened.key))
        if shared:
            self._record.mm.maps = mappings.uses(int(self._record.mm.maps), opened)
        elif not mappings.is_mapped(opened):
            self.session.keep_until_done(self.tid, pages)
        return pages, name_of(pages.fd)

    def image(self, opened: OpenFile) -> tuple[str, Linear] | None:
        found = self.session.descriptors.natives.image_of(opened)
        return found and (name_of(found.fd), found)

    def mapped_at(self, opened: OpenFile, start: int, length: int, offset: int) -> None:
        area = Area(start, start + rounded(length), opened.key, offset)
        self.session.mappings.mapped_at(int(self._record.mm.maps), area)

    def mapped(self, start: int, length: int) -> list[Part]:
        mappings, maps = self.session.mappings, int(self._record.mm.maps)
        areas = mappings.areas(maps, start, start + rounded(length))
        parts = []
        for area in areas:
            if (part := mappings.part(area)) is not None:
                self.session.keep_until_done(self.tid, mappings.hold(area.key))
                parts.append(part)
        return parts

    def moved_mapping(self, start: int, length: int, now: int, size: int) -> None:
        mappings, maps = self.session.mappings, int(self._record.mm.maps)
        for area in mappings.areas(maps, start, start + rounded(length)):
            moved = now + area.start - start
            left = now + rounded(size) - moved
            mappings.mapped_at(maps, Area(moved, moved + left, area.key, area.offset))

    def unmapped(self) -> None:
        self.session.still_mapped(self.tid, int(self._record.mm.maps))

    def program_file(self, found: Found) -> str:
        return self._kept_program(found, self._copied_program(found))

    def program_with(self, found: Found, at: Interpreter, name: str) -> str:
        from pyview.abi.elf import PAGE, renamed  # not before it is needed

        real = found.real is not None
        stand_in = self._copied_real(found) if real else self._copied_program(found)
        with if_it_fails(stand_in.close):
            end, head = os.fstat(stand_in.fd).st_size, stand_in.pread(at.header + PAGE, 0)
            text = os.fsencode(name) + b"\0"
            os.pwrite(stand_in.fd, text, end)
            os.pwrite(stand_in.fd, renamed(head, at, end, text), at.header)
        return self._kept_program(found, stand_in)

    def _kept_program(self, found: Found, stand_in: StandIn) -> str:
        self.session.keep_until_done(self.tid, stand_in)
        self.session.mappings.remember(stand_in.fd, found.name)
        return stand_in.name

    def _copied_program(self, found: Found) -> StandIn:
        """A copy of a program that lies in a virtual tree."""
        file = found.tree.open(found.rest, os.O_RDONLY)
        stand_in = StandIn()
        try:
            with if_it_fails(stand_in.close):
                at = 0
                while data := file.pread(1 << 20, at):
                    at += os.pwrite(stand_in.fd, data, at)
        finally:
            file.close()
        return stand_in

    def _copied_real(self, found: Found) -> StandIn:
        """A copy of one of the kernel's files.  Errors: EACCES, as execve(2)."""
        from pyview import identities  # not before they are needed

        assert found.real is not None
        fd = os.open(found.real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        stand_in = StandIn()
        try:
            with if_it_fails(stand_in.close):
                if not os.access(f"/proc/self/fd/{fd}", os.X_OK):
                    raise refuse(errno.EACCES, found.name)
                if self._record.identity:
                    self.session.executes_as(self.tid, identities.program_at(f"/proc/self/fd/{fd}"))
                end, done = os.fstat(fd).st_size, 0
                while done < end and (count := os.sendfile(stand_in.fd, fd, done, end - done)):
                    done += count
        finally:
            os.close(fd)
        return stand_in

    def stand_in(self, data: bytes) -> StandIn:
        return StandIn(data)

    def place(self, found: Found) -> int:
        return self.session.descriptors.place(found.name)

    def fifo(self, st: os.stat_result) -> str:
        return name_of(self.session.descriptors.fifo((st.st_dev, st.st_ino)))

    def settle(self) -> None:
        self.session.descriptors.settle()

    def unsynced(self) -> list[tuple[Tree | None, Callable[[], None]]]:
        return self.session.unsynced(self.view)

    def wake(self, on: Hashable) -> None:
        self.session.wake(on)

    def holds_locks(self) -> None:
        mm = self._record.mm
        mm.maps = self.session.mappings.holds_locks(int(mm.maps))

    def stops_closing(self) -> bool:
        return bool(self._record.closing)

    def held(self, first: int, last: int) -> list[OpenFile]:
        numbers = (int(name) for name in os.listdir(f"/proc/{self.tid}/fd"))
        files = (self.object(fd) for fd in numbers if first <= fd <= last)
        return [file for file in files if file is not None]

    def missed(self, opened: OpenFile, offset: int, length: int) -> None:
        self.session.descriptors.in_c.missed(opened, offset, length)

    def looks_changed(self) -> None:
        self.session.descriptors.refresh()

    def changed(self, opened: OpenFile) -> None:
        self.session.device_changed(opened)

    def renamed(self, old: Found, new: Found) -> None:
        self.session.descriptors.renamed(old, new)

    def nameless(self, found: Found) -> OpenFile | None:
        if "/#" not in found.name:
            return None
        for opened in self.session.descriptors.opened():
            if opened.nameless and opened.name == found.name:
                return opened
        return None

    def runs(self, found: Found) -> bool:
        place = self.session.descriptors.known_place(found.name)
        return bool(place) and any(
            record.mm.place == place and record.mm.domain == core.VIRTUAL for record in core.tasks()
        )

    def _open_of(self, found: Found) -> Iterator[OpenFile]:
        """The open files of what a name leads to, by whatever name they were opened."""
        opened = list(self.session.descriptors.opened())
        if opened:
            st = completed(found.tree.lstat(found.rest), found.cover.mount, found.rest)
            yield from (one for one in opened if one.key == (st.st_dev, st.st_ino))

    def writes(self, found: Found) -> bool:
        self.session.descriptors.settle()
        return any(one.flags & os.O_ACCMODE in WRITES for one in self._open_of(found))

    def cut(self, found: Found, size: int) -> None:
        for one in self._open_of(found):
            if one.pages is not None:
                one.pages.cut(size)
                return
