# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reads a file that an overlay has just copied: his descriptors are changed for the copy's.

Each process puts them into its own place: it is stopped, makes a call that goes to the listener,
and is handed them there.  Offset, flags and locks stay.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Generator, Iterator
from typing import Any, Protocol

from pyview import core
from pyview.api import Overlay
from pyview.procedures import RED_ZONE, Procedure, Step, Stop, halted, let_go, run
from pyview.view import Cover, View

O_PATH = 0o10000000
#: What open(2) is told again; F_SETFL sets no other.
STATUS = os.O_APPEND | os.O_NONBLOCK | os.O_DIRECT | os.O_NOATIME
FLOCK = struct.Struct("=hhxxxxqqixxxx")  # struct flock: type, whence, start, length, pid
#: The filters of ours that a process may have, by the marks of its record.
FILTERS = (
    *("filtered", "messages", "descriptors", "layered", "mapping", "closing", "identified"),
    *("watching", "ptraces", "waits", "direct"),
)


class Loop(Protocol):
    """What is needed of the tracer's loop."""

    numbers: dict[str, int]
    awaited: set[int]
    calling: int  # the task whose call is being answered just now, 0: none

    def busy_with(self, tid: int) -> bool:
        """Whether a procedure is under way in a task."""

    def start(self, tid: int, procedure: Procedure) -> None:
        """Begin a procedure in a task."""

    def seen_by(self, record: Any) -> View | None:
        """The view of a task."""


class _Opened:
    """One open file of the lower's, and what takes its place."""

    def __init__(self, old: int, new: int, domain: int) -> None:
        self.old, self.new, self.domain = old, new, domain
        self.wanted = 0  # descriptors that have still to be changed
        self._moved = False

    def ready(self) -> None:
        """Give the new one the offset and the locks of the old one, which nobody uses just now."""
        if self._moved:
            return
        self._moved = True
        os.lseek(self.new, os.lseek(self.old, 0, os.SEEK_CUR), os.SEEK_SET)
        for kind, reads, start, end in locks(f"/proc/self/fdinfo/{self.old}"):
            try:
                if kind == "FLOCK":
                    fcntl.flock(self.new, (fcntl.LOCK_SH if reads else fcntl.LOCK_EX) | 4)
                elif kind == "OFDLCK":
                    kind_of = fcntl.F_RDLCK if reads else fcntl.F_WRLCK
                    lock = FLOCK.pack(kind_of, os.SEEK_SET, start, _length(start, end), 0)
                    fcntl.fcntl(self.new, fcntl.F_OFD_SETLK, lock)
            except OSError:
                pass  # somebody was faster

    def done(self) -> None:
        self.wanted -= 1
        if not self.wanted:
            os.close(self.old)
            os.close(self.new)


class Readers:
    """Descriptors that are still to be changed, by the task that is to do it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._jobs: dict[int, list[tuple[int, bool, _Opened]]] = {}
        self._busy: set[int] = set()
        self._foreign = _filters(os.getpid())

    def follow(self, overlay: Overlay, key: tuple[int, int], real: str) -> None:
        """The kernel's file `key` has been copied by an overlay: to `real`."""
        opened: list[_Opened] = []
        for tid, record, covers in self._tasks(overlay):
            numbers = {number: cover.kept for cover in covers for number in _below(cover, overlay)}
            for fd in _open_for(tid, key):
                self._add(tid, record, fd, numbers, opened, real)
            if tid in self._jobs and tid != self._loop.calling and not self._loop.busy_with(tid):
                self._start(tid)
        for one in opened:
            if not one.wanted:
                os.close(one.old)
                os.close(one.new)

    def _tasks(self, overlay: Overlay) -> Iterator[tuple[int, Any, list[Cover]]]:
        """One task of each process that sees an overlay, and where it is seen."""
        found: dict[int, Any] = {}
        for record in list(core.tasks()):
            process = core.thread_group(record.tid)
            if process not in found or record.tid == self._loop.calling:
                found[process] = record
        for record in found.values():
            view = self._loop.seen_by(record)
            covers = view.covers() if view is not None else ()
            seen = [c for c in covers if any(layer.overlay is overlay for layer in c.layers)]
            if seen:
                yield int(record.tid), record, seen

    def _add(
        self,
        tid: int,
        record: Any,
        fd: int,
        numbers: dict[int, int],
        opened: list[_Opened],
        real: str,
    ) -> None:
        """Remember a descriptor, if it was opened through the overlay."""
        try:
            mine = core.descriptor(record, fd)
        except (OSError, core.Gone):
            return
        number, flags = core.domain_of(mine), fcntl.fcntl(mine, fcntl.F_GETFL)
        known = next((one for one in opened if core.same_file(one.old, mine)), None)
        if number not in numbers or flags & (O_PATH | os.O_ACCMODE):
            os.close(mine)
            return
        if known is None:
            try:
                new = os.open(real, os.O_RDONLY | os.O_CLOEXEC | flags & STATUS)
            except OSError:
                os.close(mine)
                return
            core.mark(new, numbers[number])
            known = _Opened(mine, new, numbers[number])
            opened.append(known)
        else:
            os.close(mine)
        known.wanted += 1
        self._jobs.setdefault(tid, []).append((fd, _cloexec(tid, fd), known))

    # -- the tasks -----------------------------------------------------------------------------
    def stopping(self, tid: int) -> None:
        """A task is about to go on: one that has descriptors to change stops again at once."""
        if tid in self._jobs and tid not in self._busy:
            try:
                core.interrupt(tid)
            except (OSError, core.Gone):
                pass  # its end will be told

    def free(self, tid: int) -> None:
        """No procedure is under way in a task any more, or it has ended."""
        self._busy.discard(tid)
        if tid not in self._jobs:
            return
        if core.task(tid) is None:
            self._drop(tid)
        elif not self._loop.busy_with(tid):
            self._start(tid)

    def _drop(self, tid: int) -> None:
        for _, _, opened in self._jobs.pop(tid, ()):
            opened.done()

    def _start(self, tid: int) -> None:
        self._busy.add(tid)
        self._loop.start(tid, self._change(tid))

    def _change(self, tid: int) -> Procedure:
        yield from halted(tid, self._loop.awaited)
        record = core.task(tid)
        # A filter of its own may forbid what it would have to do.
        if record is not None and _filters(tid) == self._foreign + _ours(record):
            yield from self._come(tid, record)
        self._drop(tid)
        yield from let_go(tid)

    def _come(self, tid: int, record: Any) -> Generator[Step, Stop, None]:
        """Let a stopped task make the call in which it is given its descriptors."""
        numbers, saved = self._loop.numbers, core.registers(tid)
        regs = core.copy_registers(saved)
        try:
            regs.ip = core.call_site(tid)
        except OSError:
            return
        held = [(fd, lock) for fd, _, _ in self._jobs[tid] for lock in _process_locks(tid, fd)]
        record.takes = 1
        try:
            yield from run(tid, regs, numbers["newfstatat"], (-1, 0, 0, 0))
            for fd, lock in held:
                at = (saved.sp - RED_ZONE - FLOCK.size) & ~15
                if core.poke(tid, at, lock):
                    yield from run(tid, regs, numbers["fcntl"], (fd, fcntl.F_SETLK, at))
        finally:
            record.takes = 0
            core.set_registers(tid, saved)

    def fetched(self, stop: Stop) -> None:
        """A task has come for its descriptors."""
        tid = int(stop.tid)
        for fd, cloexec, opened in self._jobs.pop(tid, ()):
            opened.ready()
            core.put(stop.listener, stop.id, opened.new, fd, cloexec)
            opened.done()
        core.reply(stop.listener, stop.id, -errno.EBADF)


def _below(cover: Cover, overlay: Overlay) -> list[int]:
    """The domains of what lies below an overlay, as it is seen through a cover."""
    at = next(i for i, layer in enumerate(cover.layers) if layer.overlay is overlay)
    return [cover.number, *(number for number, _ in cover.deeper[at:])]


def _open_for(tid: int, key: tuple[int, int]) -> list[int]:
    """The descriptors of a task that are open for a file."""
    found = []
    try:
        with os.scandir(f"/proc/{tid}/fd") as entries:
            for entry in entries:
                try:
                    st = os.stat(entry.path)
                except OSError:
                    continue
                if (st.st_dev, st.st_ino) == key:
                    found.append(int(entry.name))
    except OSError:
        pass  # it has gone, or never lets anyone look
    return found


def _cloexec(tid: int, fd: int) -> bool:
    try:
        with open(f"/proc/{tid}/fdinfo/{fd}") as file:
            flags = next((line for line in file if line.startswith("flags:")), "flags: 0")
    except OSError:
        return False
    return bool(int(flags.split()[1], 8) & os.O_CLOEXEC)


def locks(fdinfo: str) -> Iterator[tuple[str, bool, int, int]]:
    """Kind, whether it is shared, first and last byte (-1: none) of the locks that proc tells of.

    "lock:  1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF", cf. Linux fs/locks.c:lock_get_status.
    """
    try:
        with open(fdinfo) as file:
            lines = [line.split() for line in file if line.startswith("lock:")]
    except OSError:
        return
    for _, _, kind, _, how, *_, start, end in lines:
        yield kind, how == "READ", int(start), -1 if end == "EOF" else int(end)


def _length(start: int, end: int) -> int:
    return 0 if end < 0 else end - start + 1


def _process_locks(tid: int, fd: int) -> list[bytes]:
    """The POSIX locks of a process on a file, as fcntl(2) takes them."""
    found = [lock for lock in locks(f"/proc/{tid}/fdinfo/{fd}") if lock[0] == "POSIX"]
    return [
        FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, start, _length(start, end), 0)
        for _, _, start, end in found
    ]


def _filters(tid: int) -> int:
    """How many seccomp filters a task has; -1: it may read and write alone."""
    count = 0
    try:
        with open(f"/proc/{tid}/status") as file:
            for line in file:
                if line.startswith("Seccomp:") and line.split()[1] == "1":
                    return -1
                if line.startswith("Seccomp_filters:"):
                    count = int(line.split()[1])
    except OSError:
        return -1
    return count


def _ours(record: Any) -> int:
    return sum(1 for mark in FILTERS if getattr(record, mark))
