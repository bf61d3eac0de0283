# SPDX-License-Identifier: GPL-2.0-or-later
"""wait4(2) and waitid(2) of processes that have tracees.

The kernel knows of their real children, and it does the waiting; the core knows of stops that it
shows, and interrupts the wait when there is one.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from typing import Any

from pyview import core
from pyview.debugging.machine import Machine
from pyview.debugging.tracee import Tracee
from pyview.debugging.waits import News, Want, signal_words, told, wait4, waitid
from pyview.procedures import MASK, RESTARTSYS, Lost, Procedure, Step
from pyview.verdicts import Emulate, Real


class Waiting:
    """Who waits, and for which news."""

    def __init__(self, machine: Machine, numbers: dict[str, int]) -> None:
        self._machine, self._numbers = machine, numbers
        self._tracees: dict[int, Tracee] = {}
        self._dead: list[tuple[News, Tracee]] = []  # ended, and their debugger has not been told
        self._waiters: dict[int, Want] = {}
        self._woken: set[int] = set()
        self._processes: dict[int, int] = {}  # of threads that wait

    def wait(self, tid: int, name: str, args: tuple[int, ...]) -> Emulate | Real | Want:
        """Answer a wait at which a task is stopped; a Want is for waits()."""
        machine, process = self._machine, self._process(tid)
        if name == "wait4":
            want = wait4(tid, process, machine.group, args)
        else:
            want = waitid(tid, process, machine.group, args, lambda fd: machine.pointed(tid, fd))
        news = self._take(want)
        if news is not None:
            return Emulate(*told(want, news))
        return want if want.blocks or self._has_any(want) else Real()

    def _process(self, tid: int) -> int:
        if tid not in self._processes:
            self._processes[tid] = self._machine.process(tid)
        return self._processes[tid]

    def waits(self, want: Want, number: int) -> Procedure:
        """The kernel waits, for real children; the procedure of a task stopped before its wait."""
        tid = want.tid
        self._waiters[tid] = want
        try:
            value = yield from self._run(tid)
            news = self._take(want) if value in (RESTARTSYS, -errno.ECHILD) else None
            if news is None and value == -errno.ECHILD and self._has_any(want):
                if not want.blocks:
                    self._answer(want, None)
                    return
                yield from self._pause(tid, number)
                news = self._take(want)
            if news is not None:
                self._answer(want, news)
            elif value >= 0 and not want.keeps and self._real(want, value) in self._tracees:
                self._repeat(tid, number)  # a job-control stop: its debugger is shown it
        finally:
            self._waiters.pop(tid, None)
            self._woken.discard(tid)

    def _run(self, tid: int) -> Generator[Step, Any, int]:
        stop = yield core.TO_EXIT, 0
        while stop.kind in (core.ENTRY, core.TRACED, core.TRAP):
            if tid in self._woken and stop.kind == core.ENTRY:
                self._machine.interrupt(tid)  # this stop has taken the last one back
            stop = yield core.TO_EXIT, 0
        if stop.kind != core.EXIT:
            raise Lost
        return int(stop.value)

    def _pause(self, tid: int, number: int) -> Procedure:
        """There is no child for the kernel to wait for: sleep until somebody wakes it."""
        saved = core.registers(tid)
        regs = core.copy_registers(saved)
        regs.ip -= core.CALL_LENGTH
        regs.nr, regs.value = core.NO_CALL, self._numbers["pause"]
        core.set_registers(tid, regs)
        try:
            yield from self._run(tid)
        finally:
            saved.nr, saved.value = number, RESTARTSYS & MASK
            core.set_registers(tid, saved)

    def _repeat(self, tid: int, number: int) -> None:
        regs = core.registers(tid)
        regs.ip -= core.CALL_LENGTH
        regs.nr, regs.value = core.NO_CALL, number
        core.set_registers(tid, regs)

    def _answer(self, want: Want, news: News | None) -> None:
        """Give the wait, which has been run, this result instead."""
        value, poke = told(want, news)
        if not all(core.poke(want.tid, address, data) for address, data in poke):
            value = -errno.EFAULT
        regs = core.registers(want.tid)
        regs.value = value & MASK
        core.set_registers(want.tid, regs)

    def _real(self, want: Want, value: int) -> int:
        """Of whom a wait of the kernel's has told; 0: of nobody, or that can't be said."""
        if not want.by_id:
            return value
        if not want.into:
            return 0
        return int.from_bytes(core.peek(want.tid, want.into + 16, 4), "little")

    # -- news ------------------------------------------------------------------------------------
    def _means(self, want: Want, tracee: Tracee) -> bool:
        return want.means(tracee.tid, tracee.tracer, tracee.owner, self._machine.group)

    def _has_any(self, want: Want) -> bool:
        """Is there anybody whom such news could be about?"""
        dead = any(self._means(want, tracee) for _, tracee in self._dead)
        return dead or any(self._means(want, tracee) for tracee in self._tracees.values())

    def _take(self, want: Want) -> News | None:
        """The first news that this wait is about; it is told once, unless the wait keeps it."""
        for index, (news, tracee) in enumerate(self._dead):
            if want.ends and self._means(want, tracee):
                if not want.keeps:
                    del self._dead[index]
                return news
        for tracee in self._tracees.values():
            stop = tracee.stop
            if stop is None or tracee.waited or tracee.listening or not self._means(want, tracee):
                continue
            tracee.waited = not want.keeps
            usage = self._machine.usage(tracee.tid) if want.usage else b""
            return News(tracee.tid, tracee.uid, stop.code << 8 | 0x7F, usage)
        return None

    def _announce(self, tracee: Tracee) -> None:
        """A stop is shown to its debugger."""
        assert tracee.stop is not None
        status = tracee.stop.code << 8 | 0x7F
        self._spread(News(tracee.tid, tracee.uid, status, job=tracee.stop.job), tracee)

    def _obituary(self, tracee: Tracee, status: int) -> None:
        """One that is no child of its debugger has ended."""
        if self._machine.known(tracee.tracer):
            news = News(tracee.tid, tracee.uid, status, bytes(144))
            self._dead.append((news, tracee))
            self._spread(news, tracee)

    def _spread(self, news: News, tracee: Tracee) -> None:
        meaning, status = signal_words(news)
        self._machine.tell(tracee.owner, meaning, news.tid, news.uid, status)
        for tid, want in self._waiters.items():
            if tid not in self._woken and self._means(want, tracee):
                self._woken.add(tid)
                try:
                    self._machine.interrupt(tid)
                except core.Gone:
                    pass  # its end will be told

    def _forget(self, tracer: int) -> None:
        """Nobody will ask for the news of this thread's tracees any more."""
        self._dead = [(news, tracee) for news, tracee in self._dead if tracee.tracer != tracer]
