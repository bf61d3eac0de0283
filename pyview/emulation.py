# SPDX-License-Identifier: GPL-2.0-or-later
"""What a session keeps for the files of virtual trees: descriptors, mappings, sleepers, workers."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyview import core
from pyview.api import Device, File, Tree
from pyview.descriptors import Descriptors, StandIn
from pyview.locks import LOCKS
from pyview.mappings import Hold
from pyview.openfile import OpenFile
from pyview.pages import Pages
from pyview.reach import READING, Reach
from pyview.verdicts import Opened
from pyview.view import Mount, View
from pyview.workers import Workers

if TYPE_CHECKING:
    from pyview.credentials import Program


class Loop(Protocol):
    """What this needs of the tracer."""

    def farewell(self, name: str, action: Callable[[], None]) -> None:
        """Have a module write or close a file: what goes wrong in it stops nothing."""

    def failed(self, error: BaseException) -> None:
        """Something of the core's own went wrong."""

    def mistaken(self, what: str, error: BaseException) -> None:
        """A module has made a mistake: for the log."""

    def device_changed(self, opened: OpenFile) -> None:
        """What is mounted with a device may be another now."""

    def view_of(self, pid: int) -> View | None:
        """The view that a task is in."""

    def enters_root(self, record: Any, name: str) -> None:
        """A directory of its view becomes a task's root."""

    def narrow(self, reach: Reach, then: Callable[[str], None]) -> bool:
        """Have every process stop beyond a reach: Installer.narrow()."""


class Emulation:
    """One per core."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.descriptors = Descriptors(self.wake, self.close, loop.mistaken)
        self.mappings = self.descriptors.mappings
        self.workers = Workers(core.ring, loop.failed)
        core.watch_rung(self.workers.fd)
        self._sleepers: dict[Hashable, set[int]] = {}
        self._kept: dict[int, list[StandIn | Pages | Hold]] = {}
        self._unmapping: set[int] = set()  # pv_mm.maps of who has unmapped something
        self._deaf = False  # to some process, in vain
        self._hearing: object | None = None  # on which sleeps who wants all writes heard
        self.programs: dict[int, Program] = {}  # what trees say of what tasks are about to execute

    # -- what a task asks ----------------------------------------------------------------------
    def wake(self, on: Hashable) -> None:
        for tid in self._sleepers.pop(on, ()):
            try:
                core.interrupt(tid)
            except core.Gone:
                pass  # it was killed in its sleep

    def keep_until_done(self, tid: int, file: StandIn | Pages | Hold) -> None:
        self._kept.setdefault(tid, []).append(file)

    def device_changed(self, opened: OpenFile) -> None:
        self._loop.device_changed(opened)
        core.forget_names()  # links in sysfs may lead elsewhere
        self.descriptors.refresh()

    def view_of(self, pid: int) -> View | None:
        return self._loop.view_of(pid)

    def unsynced(self, view: View) -> list[tuple[Tree | None, Callable[[], None]]]:
        """What makes durable what a view's devices and open files hold; with a slow one's tree."""
        found: list[tuple[Tree | None, Callable[[], None]]] = []

        def add(file: File, tree: Tree, name: str, run: Callable[[], None]) -> None:
            found.append((tree if file.slow else None, partial(self._loop.farewell, name, run)))

        devices = {mount.tree: mount.target for mount in view.mounts}
        for opened in self.descriptors.opened():
            if opened.pages is not None:
                add(opened.file, opened.tree, opened.name, opened.pages.write_back)
            if opened.tree not in devices or not isinstance(opened.tree, Device):
                add(opened.file, opened.tree, opened.name, opened.file.fsync)
        for tree, target in devices.items():
            if isinstance(tree, Device):
                add(tree, tree, target, tree.fsync)
        return found

    def still_mapped(self, tid: int, maps: int) -> None:
        self._unmapping.add(maps)
        self._let_go(tid)

    def _unmapped(self) -> None:
        """Find out what who has unmapped something no longer has mapped.

        What some call is at work on is found when that is done.
        """
        for maps in list(self._unmapping):
            left = self.mappings.inodes(maps)
            if not self.mappings.is_held(maps):
                self._unmapping.discard(maps)
            if not left:
                continue
            for record in list(core.tasks()):
                if record.mm.maps == maps:
                    for inode in _mapped_inodes(record.tid):
                        left.pop(inode, None)
            self.mappings.unmapped(maps, set(left.values()))
        self._drop_unused()

    def _drop_unused(self) -> None:
        """Write back and forget what nobody has mapped any more."""
        for key in self.mappings.unused():
            hold = self.mappings.hold(key)
            self._write_back(self.mappings.pages_of(key), partial(self._written_back, key, hold))

    def _written_back(self, key: tuple[int, int], hold: Hold) -> None:
        """The same, unless it has been mapped again meanwhile."""
        hold.close()
        if key in self.mappings.unused():
            pages = self.mappings.drop(key)
            self._for_file(pages.file, pages.tree, pages.close)

    def _write_back(self, pages: Pages, then: Callable[[], None] = lambda: None) -> None:
        """Bring to a file what was written by mapping: a slow one's thread does so."""
        of = next(
            (opened for opened in self.descriptors.opened() if opened.file is pages.file), None
        )
        name = of.name if of is not None else ""
        self._for_file(
            pages.file, pages.tree, partial(self._loop.farewell, name, pages.write_back), then
        )

    def _for_file(
        self,
        file: File,
        tree: Hashable,
        run: Callable[[], None],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Do something about a file that goes wrong nowhere, then something else in the loop."""
        if file.slow:
            self.workers.submit(tree, run, lambda value, error: then())
        else:
            run()
            then()

    # -- what the loop tells -------------------------------------------------------------------
    def ready(self, fd: int) -> bool:
        """Something happened to a watched descriptor; False: it is none of ours."""
        if fd == self.workers.fd:
            self.workers.finish()
            return True
        if fd == self.descriptors.fileno():
            self.descriptors.settle()
            return True
        needed = self.descriptors.lost(fd)
        if needed:
            self._windows_lost()
        return needed is not None

    def hears_writes(self) -> Hashable | None:
        """Let no process write to a device without a stop: what to sleep on, if any can."""
        if self._deaf:
            self._deaf = False
            return None
        if self._hearing is None:
            key = object()

            def done(why: str) -> None:
                self._hearing = None
                if why:  # it was tried
                    self._deaf = True
                    self._loop.failed(OSError(errno.ENOMEM, why))
                self.wake(key)

            self._hearing = key  # before: it may be done at once
            if not self._loop.narrow(READING, done):
                self._hearing = None
        return self._hearing

    def _windows_lost(self) -> None:
        """Somebody has killed what windows are made of: who reads one now would find it empty."""
        self._loop.failed(OSError(errno.EIO, "a process that shows devices was killed"))
        for record in core.tasks():
            if record.windowed:
                os.kill(record.tid, signal.SIGKILL)

    def sleeps(self, tid: int, on: Hashable) -> None:
        """A task is about to sleep."""
        self._sleepers.setdefault(on, set()).add(tid)

    def awake(self, tid: int) -> None:
        """It sleeps no more."""
        for on, tids in list(self._sleepers.items()):
            tids.discard(tid)
            if not tids:
                del self._sleepers[on]
        LOCKS.waits_no_more(tid)

    def executes_as(self, tid: int, program: Program | None) -> None:
        """What a tree says of the program that a task is about to become, with its present call."""
        if program is None:
            self.programs.pop(tid, None)
        else:
            self.programs[tid] = program

    def enters_root(self, record: Any, name: str) -> None:
        """A directory of its view becomes a task's root."""
        self._loop.enters_root(record, name)

    def done(self, tid: int) -> None:
        """A task's call is over."""
        self.programs.pop(tid, None)
        self._let_go(tid)

    def _let_go(self, tid: int) -> None:
        """A task needs nothing more of what was kept for its call."""
        kept = self._kept.pop(tid, ())
        for file in kept:
            file.close()
        if self._unmapping and kept:
            self._unmapped()

    def give(self, stop: Any, verdict: Opened) -> bool:
        """Answer an open with a new descriptor.

        False: its process is ready for a direct one alone, and the file can't have such a one.
        """
        assert verdict.object is not None
        opened = verdict.object
        file = opened.file
        if opened.polls:
            file._told = partial(self.workers.tell, partial(self._file_ready, file))
        record = core.task(stop.tid)
        fd = -1 if record is None else self.descriptors.give_native(opened, record)
        if fd < 0 and record is not None and not record.descriptors:
            self.close(opened)
            return False
        try:
            fd = fd if fd >= 0 else self.descriptors.give(opened)
        except OSError:  # the core has no descriptor left for it
            self.close(opened)
            core.reply(stop.listener, stop.id, -errno.ENFILE)
            return True
        try:
            core.give(stop.listener, stop.id, fd, verdict.cloexec)
        finally:
            os.close(fd)  # when the caller did not get it, that was the last one
        return True

    def _file_ready(self, file: File) -> None:
        """A file says that who waits for it may go on."""
        for opened in self.descriptors.opened():
            if opened.file is file and opened.socket >= 0:
                self.descriptors.show_ready(opened)
        self.wake(file)

    def memory_gone(self, tid: int, maps: int, died: bool) -> None:
        """The memory of a process that had this pv_mm.maps has gone: it died, or executes."""
        record = core.task(tid)
        if died:
            for key in LOCKS.forget(("process", tid)):
                self.wake(key)
        elif record is not None and LOCKS.has(("process", tid)):
            record.mm.maps = self.mappings.holds_locks(0)
        written = self.mappings.mapped(maps)
        if not any(record.mm.maps == maps for record in core.tasks()):
            self.mappings.ended(maps)
            unused = [self.mappings.pages_of(key) for key in self.mappings.unused()]
            written = [pages for pages in written if pages not in unused]
            self._drop_unused()
        for pages in written:
            self._write_back(pages)

    def close(self, opened: OpenFile) -> None:
        """Nobody has a file open any more."""
        close = partial(self._loop.farewell, opened.name, opened.file.close)
        self._for_file(opened.file, opened.tree, close)

    def uses(self, mount: Mount) -> bool:
        """Whether a file of a mount is open, or a task works or runs in it."""
        self.descriptors.let_go()
        if any(opened.mount is mount for opened in self.descriptors.opened()):
            return True
        prefix = mount.target
        for record in core.tasks():
            for where, place in (
                (record.fs.domain, record.fs.place),
                (record.mm.domain, record.mm.place),
            ):
                name = self.descriptors.place_name(place) if where < 0 else ""
                if name and (name == prefix or name.startswith(prefix + "/")):
                    return True
        return False


def _mapped_inodes(tid: int) -> set[int]:
    """The inodes of the files that a process has mapped."""
    try:
        with open(f"/proc/{tid}/maps", "rb") as maps:
            return {int(fields[4]) for line in maps if len(fields := line.split()) > 5}
    except OSError:
        return set()
