# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring the filter of the path tier into every process of a view.

A filter can't be loosened, so there is none before something is mounted.  Each process installs it
itself, in a stopped task of it (TSYNC: for all its threads); whoever is asleep goes on sleeping.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from pyview import core
from pyview.procedures import Lost, Procedure, Step, halted, install, let_go, stacked

if TYPE_CHECKING:
    from pyview.reach import Reach

# linux/seccomp.h: SECCOMP_FILTER_FLAG_TSYNC, _NEW_LISTENER, _TSYNC_ESRCH, _WAIT_KILLABLE_RECV
SYNCED, SYNCED_LISTENER, WAIT_KILLABLE = 0x1, 0x1 | 0x8 | 0x10, 0x20

SIGKILL = 9


class _Round:
    """One change of a view, or for all that are beyond a reach, and who waits for it.

    pending  the processes that have still to follow
    """

    def __init__(
        self,
        picture: Any,
        then: Callable[[str], None],
        virtual: bool = False,
        identity: bool = False,
        layered: bool = False,
        reach: Reach | None = None,
    ) -> None:
        self.picture, self.virtual, self.identity = picture, virtual, identity
        self.layered, self.reach = layered, reach
        self.pending: set[int] = set()
        self.failed: set[int] = set()  # tasks that could not be filtered: not tried again
        self.then: Callable[[str], None] | None = then
        self.why = ""

    def lacks(self, record: Any) -> bool:
        """Whether a task still has to follow."""
        if self.reach is not None:
            return bool(record.direct and not self.reach.of(record))
        return record.view == self.picture and bool(
            not record.filtered
            or (self.virtual and not record.messages)
            or (self.identity and not record.identified)
            or (self.layered and not record.layered)
        )

    def end(self) -> None:
        then, self.then = self.then, None
        if then is not None:
            then(self.why)


class Loop(Protocol):
    """What the installer needs of the tracer's loop."""

    numbers: dict[str, int]
    awaited: set[int]  # tasks that have been interrupted and have not stopped yet

    def busy_with(self, tid: int) -> bool:
        """Whether a procedure is under way in a task."""

    def start(self, tid: int, procedure: Procedure) -> None:
        """Begin a procedure in a task that is not stopped."""

    def tells_all(self, picture: Any) -> bool:
        """Whether someone wants to hear of each call of a view, those too that are refused."""

    def filtered(self, tid: int, instructions: int) -> None:
        """A process has its filter."""

    def holds(self, tid: int) -> bool:
        """Whether a debugger in the view keeps a task stopped."""


class Installer:
    """Filters for processes: the path tier's, and the one for messages."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._path_tiers: dict[bool, bytes] = {}  # with what is refused told, or not
        self._tiers: dict[str, bytes] = {}
        self._native_tiers: dict[Reach, bytes] = {}
        self._rounds: list[_Round] = []
        self._queued: dict[int, _Round] = {}

    def install_in(
        self,
        picture: Any,
        then: Callable[[str], None],
        virtual: bool = False,
        identity: bool = False,
        layered: bool = False,
    ) -> None:
        """Have every process of a view filtered, then call `then("")`, or `then(why not)`.

        `virtual`: emulated descriptors may reach any of them, so all stop for messages, too.
        `identity`: users and groups are the view's own.
        `layered`: there are overlays, so all stop where a descriptor is asked for attributes.
        """
        self._path_tier(picture)  # made before anybody is stopped for it
        turn = _Round(picture, then, virtual, identity, layered)
        self._rounds.append(turn)
        self._go_on(turn)

    def _go_on(self, turn: _Round) -> None:
        """Start with the processes that have no filter yet; end the round when there are none.

        Whoever was being forked when the others began comes with the next look.
        """
        todo: dict[int, int] = {}
        for record in list(core.tasks()):
            tid = record.tid
            tried = tid in turn.failed or self._has(tid)
            mine = record.view == turn.picture
            if mine and turn.identity and record.identified and not record.identity:
                _seed(record)  # it stops already; its identity was taken away
            if turn.lacks(record) and not tried:
                todo.setdefault(core.thread_group(tid), tid)
        turn.pending |= {tid for tid in todo.values() if not self._can_wait(tid)}
        for tid in todo.values():
            if self._loop.busy_with(tid):
                self._queued[tid] = turn
            else:
                self._loop.start(tid, self._installation(tid, turn))
        if not turn.pending and turn in self._rounds:
            self._rounds.remove(turn)
            turn.end()

    def _has(self, tid: int) -> bool:
        return tid in self._queued or any(tid in turn.pending for turn in self._rounds)

    def ended(self, tid: int) -> None:
        """The procedure of a task is over, or the task is."""
        queued = self._queued.pop(tid, None)
        if queued is not None and core.task(tid) is not None:
            self._loop.start(tid, self._installation(tid, queued))
            if not self._can_wait(tid):
                return
        for turn in list(self._rounds):
            if tid in turn.pending:
                turn.pending.discard(tid)
                if not turn.pending:
                    self._go_on(turn)

    def _can_wait(self, tid: int) -> bool:
        """It does not run before it has stopped for us: nobody need wait for that."""
        return self._loop.holds(tid) or _sleeps_deeply(tid)

    def at_exec(self, tid: int) -> Procedure:
        """A task has executed a program that may call ptrace; if it can't be filtered, EPERM."""
        stop = yield core.TO_EXIT, 0
        if stop.kind != core.EXIT:
            raise Lost
        from pyview.filter import ptrace_tier

        numbers = self._loop.numbers
        try:
            yield from install(tid, ptrace_tier(numbers), numbers, SYNCED)
        except OSError:
            return
        for other in _threads(tid):
            other.ptraces = 1

    def stop_for(self, tid: int, mark: str) -> Generator[Step, Any, None]:
        """The process of a task that is stopped after a call stops for wait4 and the like, too."""
        yield from self._more(tid, mark, {"waits": "wait_tier"}[mark])

    def stop_for_messages(self, tid: int) -> Generator[Step, Any, None]:
        """The process of a task that is stopped after a call stops for messages from now on."""
        yield from self._more(tid, "messages", "message_tier")

    def stop_beyond(self, tid: int, reach: Reach) -> Generator[Step, Any, None]:
        """The same, for calls with descriptors that are not within this reach."""
        record = core.task(tid)
        if record is None or reach.of(record):
            return
        from pyview import filter as programs
        from pyview.reach import ENOUGH, NOTHING

        if record.direct >= ENOUGH:
            reach = NOTHING
        numbers = self._loop.numbers
        if reach not in self._native_tiers:
            if reach == NOTHING:
                self._native_tiers[reach] = programs.descriptor_tier(numbers)
            else:
                self._native_tiers[reach] = programs.native_tier(numbers, reach)
        yield from stacked(tid, self._native_tiers[reach], numbers, SYNCED)
        for other in _threads(tid):
            reach.narrows(other)

    def narrow(self, reach: Reach, then: Callable[[str], None]) -> bool:
        """Have every process stop beyond a reach that would not; `then` as for install_in().

        False: there is none.
        """
        if all(reach.of(record) for record in core.tasks() if record.direct):
            return False
        turn = _Round(None, then, reach=reach)
        self._rounds.append(turn)
        self._go_on(turn)
        return True

    def stop_for_watches(self, tid: int) -> Generator[Step, Any, None]:
        """The same, for epoll_ctl."""
        yield from self._more(tid, "watching", "watching_tier")

    def stop_for_mappings(self, tid: int) -> Generator[Step, Any, None]:
        """The same, for munmap and its like."""
        yield from self._more(tid, "mapping", "mapping_tier")

    def stop_for_closing(self, tid: int) -> Generator[Step, Any, None]:
        """The same, for close and its like."""
        yield from self._more(tid, "closing", "closing_tier")

    def _more(self, tid: int, mark: str, tier: str) -> Generator[Step, Any, None]:
        """Stack another filter on a process, once."""
        record = core.task(tid)
        if record is None or getattr(record, mark):
            return
        if tier not in self._tiers:
            from pyview import filter as programs

            self._tiers[tier] = getattr(programs, tier)(self._loop.numbers)
        yield from stacked(tid, self._tiers[tier], self._loop.numbers, SYNCED)
        for other in _threads(tid):
            setattr(other, mark, 1)

    def _installation(self, tid: int, turn: _Round) -> Procedure:
        record = core.task(tid)
        if record is None or not turn.lacks(record):
            return
        try:
            yield from halted(tid, self._loop.awaited)
        except Lost:
            self._queued[tid] = turn
            raise
        try:
            if turn.reach is not None:
                yield from self.stop_beyond(tid, turn.reach)
            elif not record.filtered:
                yield from self._path(tid, self._path_tier(turn.picture))
            if turn.virtual:
                yield from self.stop_for_messages(tid)
            if turn.identity:
                yield from self._more(tid, "identified", "identity_tier")
                for other in _threads(tid):
                    if not other.identity:
                        _seed(other)
            if turn.layered:
                yield from self._more(tid, "layered", "overlay_tier")
        except OSError as error:
            turn.why = f"cannot filter process {tid}: {os.strerror(error.errno or 0)}"
            turn.failed |= {other.tid for other in _threads(tid)}
        yield from let_go(tid)

    def _path_tier(self, picture: Any) -> bytes:
        told = self._loop.tells_all(picture)
        if told not in self._path_tiers:
            from pyview.filter import path_tier

            self._path_tiers[told] = path_tier(self._loop.numbers, told=told)
        return self._path_tiers[told]

    def _path(self, tid: int, program: bytes) -> Generator[Step, Any, None]:
        """Put the path tier on the process of a stopped task."""
        try:
            listener = yield from self._install(tid, program)
        except OSError as error:
            if error.errno != errno.EBUSY:  # else it was forked by one that had it already
                raise
        else:
            try:
                core.listen(listener)
            except OSError:  # nobody will ever answer its calls
                os.close(listener)
                os.kill(tid, SIGKILL)
                raise
            self._loop.filtered(tid, len(program) // 8)
        for other in _threads(tid):
            other.filtered = 1

    def _install(self, tid: int, program: bytes) -> Generator[Step, Any, int]:
        numbers = self._loop.numbers
        try:
            flags = SYNCED_LISTENER | WAIT_KILLABLE
            return (yield from install(tid, program, numbers, flags))
        except OSError as error:
            if error.errno != errno.EINVAL:  # Linux < 5.19 has no WAIT_KILLABLE
                raise
        return (yield from install(tid, program, numbers, SYNCED_LISTENER))


def _seed(record: Any) -> None:
    """Who a task is in its view is at first whom the kernel says."""
    from pyview import identities  # not before it is needed

    identities.seed(record)


def _threads(tid: int) -> list[Any]:
    """Every task of the process that `tid` belongs to."""
    process = core.thread_group(tid)
    return [
        other
        for other in list(core.tasks())
        if other.tid == tid or core.thread_group(other.tid) == process
    ]


def _sleeps_deeply(tid: int) -> bool:
    """In a sleep that no stop ends (a parent in vfork): it can't run before it has stopped."""
    try:
        with open(f"/proc/{tid}/stat", "rb", 0) as file:
            return file.read().rpartition(b")")[2].split()[0] == b"D"
    except OSError:
        return True
