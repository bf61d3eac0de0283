# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring the filter of the path tier into every process of a view.

A filter can't be loosened, so there is none before something is mounted.  Each process installs it
itself, in a stopped task of it (TSYNC: for all its threads); whoever is asleep goes on sleeping.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Mapping
from typing import Any

from pyview import core
from pyview.procedures import WAIT, Lost, Procedure, Step, install, let_go

# linux/seccomp.h: SECCOMP_FILTER_FLAG_TSYNC, _NEW_LISTENER, _TSYNC_ESRCH, _WAIT_KILLABLE_RECV
SYNCED, SYNCED_LISTENER, WAIT_KILLABLE = 0x1, 0x1 | 0x8 | 0x10, 0x20


class _Round:
    """One change of a view: the processes that have still to follow, and who waits for it."""

    def __init__(self, then: Callable[[str], None]) -> None:
        self.pending: set[int] = set()
        self.then: Callable[[str], None] | None = then
        self.why = ""

    def done(self, tid: int, why: str = "") -> None:
        self.pending.discard(tid)
        self.why = self.why or why
        if not self.pending and self.then is not None:
            then, self.then = self.then, None
            then(self.why)


class Installing:
    """The part of the tracer that injects filters."""

    _numbers: Mapping[str, int]
    _running: dict[int, Procedure]

    def __init__(self) -> None:
        self._program = b""
        self._rounds: list[_Round] = []
        self._queued: dict[int, _Round] = {}
        self._message_program = b""
        self._messages: set[int] = set()  # processes that stop for messages

    def _filtered(self, tid: int, length: int) -> None:
        raise NotImplementedError

    def _start(self, tid: int, procedure: Procedure, stop: Any) -> None:
        raise NotImplementedError

    def install_in(self, picture: Any, then: Callable[[str], None]) -> None:
        """Have every process of a view filtered, then call `then("")`, or `then(why not)`."""
        if not self._program:
            from pyview.filter import path_tier

            self._program = path_tier(self._numbers)
        todo: dict[int, int] = {}
        for record in list(core.tasks()):
            if record.view == picture and not record.filtered:
                todo.setdefault(core.thread_group(record.tid), record.tid)
        turn = _Round(then)
        self._rounds = [one for one in self._rounds if one.pending] + [turn]
        turn.pending = {tid for tid in todo.values() if not _sleeps_deeply(tid)}
        for tid in todo.values():
            if tid in self._running:
                self._queued[tid] = turn
            else:
                self._start(tid, self._installation(tid, turn), None)
        turn.done(0)

    def _ended(self, tid: int) -> None:
        """The procedure of a task is over, or the task is."""
        turn = self._queued.pop(tid, None)
        if turn is not None and core.task(tid) is not None:
            self._start(tid, self._installation(tid, turn), None)
            return
        for one in self._rounds:
            if tid in one.pending:
                one.done(tid)

    def _stop_for_messages(self, tid: int) -> Generator[Step, Any, None]:
        """The process of a task that is stopped after a call stops for messages from now on."""
        process = core.thread_group(tid)
        if process in self._messages:
            return
        if not self._message_program:
            from pyview.filter import message_tier

            self._message_program = message_tier(self._numbers)
        self._messages.add(process)
        yield from install(tid, self._message_program, self._numbers, SYNCED)

    def _installation(self, tid: int, turn: _Round) -> Procedure:
        record = core.task(tid)
        if record is None or record.filtered:
            return
        core.interrupt(tid)
        stop = yield WAIT
        while stop.kind == core.SIGNAL:
            stop = yield core.GO, stop.message
        if stop.kind not in (core.TRAP, core.GROUP):
            self._queued[tid] = turn
            raise Lost
        try:
            try:
                flags = SYNCED_LISTENER | WAIT_KILLABLE
                listener = yield from install(tid, self._program, self._numbers, flags)
            except OSError as error:
                if error.errno != errno.EINVAL:  # Linux < 5.19 has no WAIT_KILLABLE
                    raise
                listener = yield from install(tid, self._program, self._numbers, SYNCED_LISTENER)
        except OSError as error:
            turn.why = f"cannot filter process {tid}: {os.strerror(error.errno or 0)}"
        else:
            core.listen(listener)
            self._filtered(tid, len(self._program) // 8)
            process = core.thread_group(tid)
            for other in list(core.tasks()):
                if other.tid == tid or core.thread_group(other.tid) == process:
                    other.filtered = 1
        yield from let_go(tid)


def _sleeps_deeply(tid: int) -> bool:
    """In a sleep that no stop ends (a parent in vfork): it can't run before it has stopped."""
    try:
        with open(f"/proc/{tid}/stat", "rb", 0) as file:
            return file.read().rpartition(b")")[2].split()[0] == b"D"
    except OSError:
        return True
