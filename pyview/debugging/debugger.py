# SPDX-License-Identifier: GPL-2.0-or-later
"""All debuggers and tracees of a core: their stops, and what ptrace(2) asks.

A tracee's stop is held by not resuming it; everything else goes on meanwhile.  Stops for the core's
own purposes never come here: they belong to a procedure, which tells when it has ended.
"""

from __future__ import annotations

import errno
import struct
from typing import Any, Protocol

from pyview import core
from pyview.api import refuse
from pyview.debugging.machine import Machine
from pyview.debugging.requests import transfer
from pyview.debugging.tracee import Shown, Tracee, siginfo
from pyview.debugging.waiting import Waiting
from pyview.debugging.words import (
    ATTACH,
    DETACH,
    EXITKILL,
    INTERRUPT,
    KILL,
    LAST_SIGNAL,
    LISTEN,
    OPTIONS,
    ORIG_RAX,
    PEEKUSER,
    POKEUSER,
    RESUMES,
    SEIZE,
    SETSIGINFO,
    SI_USER,
    SIGKILL,
    SIGTRAP,
    SUSPEND_SECCOMP,
    SYSCALL,
    TRACEME,
    Event,
)
from pyview.procedures import WAIT, Lost, Procedure, let_go
from pyview.verdicts import Emulate, Real

Stop = Any  # struct pv_stop *


class Loop(Protocol):
    """What the debuggers' room needs of the tracer's loop."""

    numbers: dict[str, int]

    def busy_with(self, tid: int) -> bool:
        """Whether a procedure is under way in a task."""

    def start(self, tid: int, procedure: Procedure) -> None:
        """Begin a procedure in a task; it interrupts it, or is stopped already."""

    def again(self, tid: int) -> None:
        """A stopped task's own filter has had its say: is the call one of the core's?"""

    def tier(self, tid: int, name: str) -> Procedure:
        """Stack a tier on the process of a task that is stopped after a call."""


class Debugging(Waiting):
    """Made with the first call of ptrace(2)."""

    def __init__(self, loop: Loop, machine: Machine) -> None:
        super().__init__(machine, loop.numbers)
        self._loop = loop
        self._unfiltered: set[int] = set()  # debuggers that could not be given the wait tier yet
        self._apart: dict[int, bool] = {}  # in a pid name space of their own
        self._owed: dict[int, int] = {}  # whose ATTACH ends when this stopped job has stopped anew

    # -- calls -----------------------------------------------------------------------------------
    def ptrace(self, tid: int, args: tuple[int, ...]) -> Emulate | Real | None:
        """Answer a ptrace(2) at which a task is stopped; None: a procedure answers it."""
        request, pid = args[0] & 0xFFFFFFFFFFFFFFFF, (args[1] & 0xFFFFFFFF)
        try:
            if tid not in self._apart:
                self._apart[tid] = self._machine.numbers_differently(tid)
            if self._apart[tid]:
                return Real()  # EPERM
            if request == TRACEME:
                return self._trace_me(tid)
            if not self._machine.known(pid):
                return Real()  # no task of ours: the kernel knows
            if request in (ATTACH, SEIZE):
                return self._attach(tid, pid, request == SEIZE, args[2], args[3])
            return Emulate(*self._request(tid, pid, request, args[2], args[3]))
        except OSError as error:
            return Emulate(-(error.errno or errno.EIO))
        except core.Gone:
            return Emulate(-errno.ESRCH)

    def _trace_me(self, tid: int) -> Emulate:
        tracer, owner = self._machine.parent(tid)
        if tid in self._tracees or not tracer:
            raise refuse(errno.EPERM)
        natural = self._machine.is_child(tid, owner)
        self._adopt(Tracee(tid, tracer, owner, natural=natural, seized=False))
        self._filter(tracer)
        return Emulate(0)

    def _attach(self, tid: int, pid: int, seized: bool, addr: int, data: int) -> Emulate | None:
        if seized and (addr or data & ~OPTIONS):
            raise refuse(errno.EIO)
        if seized and data & SUSPEND_SECCOMP:
            raise refuse(errno.EPERM)
        if seized and data >> Event.SECCOMP & 1 and self._machine.hides_filters(pid):
            raise refuse(errno.EIO)
        if pid in self._tracees or not self._machine.may_trace(tid, pid):
            raise refuse(errno.EPERM)
        owner = self._process(tid)
        natural = self._machine.is_child(pid, owner)
        tracee = Tracee(pid, tid, owner, natural=natural, seized=seized)
        tracee.options = data if seized else 0
        tracee.attaching = not seized
        self._adopt(tracee)
        if not seized or tracee.rare() or self._machine.stands_still(pid):
            self._machine.wants(pid, True)
        if self._machine.is_stopped_job(pid):  # kernel/ptrace.c: JOBCTL_TRAPPING
            self._owed[pid] = tid
            return None
        if self._machine.waits(tid):
            return Emulate(0)
        self._loop.start(tid, self._answered(tid))
        return None

    def _pay(self, pid: int) -> None:
        """Whoever attached to a stopped job goes on."""
        tid = self._owed.pop(pid, 0)
        if not tid or not self._machine.known(tid):
            return
        if self._machine.waits(tid) or self._loop.busy_with(tid):
            self._machine.answer(tid, 0)
            self._machine.resume(tid)
            self._filter(tid)
        else:
            self._loop.start(tid, self._answered(tid))

    def _adopt(self, tracee: Tracee) -> None:
        tracee.uid = self._machine.uid(tracee.tid)
        self._tracees[tracee.tid] = tracee
        self._machine.traced(tracee.tid, tracee.tracer)

    def _request(self, tid: int, pid: int, request: int, addr: int, data: int) -> tuple[Any, ...]:
        """A request to a tracee; the result and what is stored."""
        tracee = self._tracees.get(pid)
        if tracee is None or tracee.tracer != tid:
            raise refuse(errno.ESRCH)
        if request == KILL:
            self._machine.kill(pid, SIGKILL)
            return (0,)
        if request == INTERRUPT:
            if not tracee.seized:
                raise refuse(errno.EIO)
            tracee.wanted = True
            self._machine.wants(pid, True)
            return (0,)
        if tracee.stop is None or tracee.listening:
            raise refuse(errno.ESRCH)
        if request == DETACH or request in RESUMES:
            if data > LAST_SIGNAL:
                raise refuse(errno.EIO)
            if request == DETACH:
                self._release(tracee, data)
            else:
                self._resume(tracee, request, data)
            return (0,)
        if request == LISTEN:
            if tracee.stop.code >> 8 != Event.STOP:
                raise refuse(errno.EIO)
            tracee.listening = True
            self._machine.resume(pid, core.STAY_STOPPED)
            return (0,)
        return transfer(self._machine, tracee, request, addr, data)

    # -- going on --------------------------------------------------------------------------------
    def _resume(self, tracee: Tracee, request: int, signal: int) -> None:
        """The debugger lets its tracee go on with this request."""
        tid = tracee.tid
        tracee.mode = request
        if request != SYSCALL:
            tracee.open = False
        self._machine.goes(tid, request)
        self._go(tracee, signal)

    def _go(self, tracee: Tracee, signal: int) -> None:
        """Show the next stop that waits, or let it run."""
        tid, stop = tracee.tid, tracee.stop
        if stop is not None and stop.sent and signal:
            tracee.silent.add(signal)
            self._machine.kill(tid, signal)
        if tracee.next():
            self._announce(tracee)
            return
        if tracee.kind == core.TRACED:
            self._machine.held(tid, False)
            self._loop.again(tid)
            return
        if tracee.kind == core.ENTRY:  # the debugger may have changed the call
            tracee.nr = self._number(tid)
        passes = tracee.kind in (core.SIGNAL, core.ENTRY, core.EXIT)
        real = stop is None or not stop.sent
        self._machine.resume(tid, core.GO, signal if passes and real else 0)

    def _number(self, tid: int) -> int:
        """The call at which a task is stopped, -1: none."""
        room = bytearray(8)
        self._machine.ptrace(PEEKUSER, tid, ORIG_RAX, room)
        return int(struct.unpack("=q", room)[0])

    def _release(self, tracee: Tracee, signal: int) -> None:
        """It is no tracee any more; a stopped one goes on, or stays stopped as a job."""
        tid = tracee.tid
        self._tracees.pop(tid, None)
        self._machine.goes(tid, 0)
        self._machine.wants(tid, False)
        self._machine.traced(tid, 0)
        if tracee.stop is None:
            return
        if tracee.reported:
            self._machine.options(tid, 0)
        tracee.queue.clear()
        if tracee.kind == core.GROUP:
            self._machine.resume(tid, core.STAY_STOPPED)
        else:
            self._go(tracee, signal)

    # -- stops of tracees ------------------------------------------------------------------------
    def stopped(self, stop: Stop) -> bool:
        """A stop that belongs to no procedure: is it a tracee's, and so dealt with?"""
        tid, kind = int(stop.tid), stop.kind
        tracee = self._tracees.get(tid)
        if tracee is None or (kind == core.TRACED and stop.message == core.OURS):
            return False
        if tracee.rare() != tracee.reported:
            self._machine.options(tid, tracee.rare())
            tracee.reported = tracee.rare()
        shown = self._meaning(tracee, stop)
        shown, tracee.notes = [*tracee.notes, *shown], []
        if shown:
            self._hold(tracee, kind, shown)
        elif kind == core.TRACED:
            self._machine.answer(tid, -errno.ENOSYS)  # nobody wants it: seccomp(2)
            self._machine.resume(tid)
        else:
            self._machine.resume(tid, core.GO, stop.message if kind == core.SIGNAL else 0)
        return True

    def _meaning(self, tracee: Tracee, stop: Stop) -> list[Shown]:
        kind, message = stop.kind, int(stop.message)
        if kind == core.ENTRY:
            return tracee.entered(int(stop.nr), int(stop.ip))
        if kind == core.EXIT:
            self._name_call(tracee)
            return tracee.left()
        if kind == core.SIGNAL:
            if message == SIGTRAP and tracee.trap_of_exec:
                tracee.trap_of_exec = False
                info = siginfo(SIGTRAP, SI_USER, tracee.tid, tracee.uid)
                self._machine.ptrace(SETSIGINFO, tracee.tid, 0, bytearray(info))
            return tracee.signalled(message)
        if kind in (core.GROUP, core.TRAP):
            self._machine.wants(tracee.tid, False)
            return tracee.grouped(message) if kind == core.GROUP else tracee.trapped()
        if kind == core.BORN:
            return self._born(tracee, stop)
        if kind == core.EXEC:
            return self._executed(tracee, message)
        events = {core.TRACED: Event.SECCOMP, core.EXITING: Event.EXIT}
        return tracee.told(events.get(kind, Event.VFORK_DONE), message)

    def _born(self, tracee: Tracee, stop: Stop) -> list[Shown]:
        child, stopped = int(stop.message), bool(stop.value)
        shown = tracee.bore(int(stop.nr), child)
        if not shown:
            self._machine.traced(child, 0)
            if stopped:
                if tracee.reported:
                    self._machine.options(child, 0)
                self._machine.resume(child)
            return []
        own = Tracee(
            child, tracee.tracer, tracee.owner, natural=False, seized=tracee.seized,
            options=tracee.options,
        )  # fmt: skip
        own.reported, own.born = tracee.reported, True
        self._adopt(own)
        if stopped:
            self._hold(own, core.TRAP, own.trapped())
        return shown

    def _executed(self, tracee: Tracee, before: int) -> list[Shown]:
        shown = tracee.executed(before)
        if not shown and not tracee.seized:  # as fs/exec.c has it
            tracee.trap_of_exec = True
            self._machine.kill(tracee.tid, SIGTRAP)
        return shown

    def _name_call(self, tracee: Tracee) -> None:
        """A call that the core has answered is none to the kernel: name it for the debugger."""
        if tracee.nr >= 0 and self._number(tracee.tid) == -1:
            self._machine.ptrace(POKEUSER, tracee.tid, ORIG_RAX, tracee.nr)

    def _hold(self, tracee: Tracee, kind: int, shown: list[Shown]) -> None:
        tracee.hold(kind, shown)
        self._machine.held(tracee.tid, True)
        if not tracee.attaching:
            self._machine.wants(tracee.tid, False)
        self._announce(tracee)
        self._pay(tracee.tid)

    def holds(self, tid: int) -> bool:
        """Is this task stopped until its debugger lets it go on?"""
        tracee = self._tracees.get(tid)
        return tracee is not None and tracee.stop is not None

    # -- procedures ------------------------------------------------------------------------------
    def noted(self, stop: Stop) -> None:
        """A tracee's event within a procedure: it is shown when that has ended."""
        tracee = self._tracees.get(int(stop.tid))
        if tracee is not None:
            tracee.notes += self._meaning(tracee, stop)

    def finished(self, tid: int, kind: int) -> bool:
        """A procedure has ended with the task stopped so: does its debugger hold it now?"""
        tracee = self._tracees.get(tid)
        if tracee is None:
            return False
        shown, tracee.notes = tracee.notes, []
        if kind == core.EXIT:
            shown += tracee.finished(self._machine.place(tid), core.CALL_LENGTH)
            if shown and not tracee.open:
                self._name_call(tracee)
        if shown:
            self._hold(tracee, kind, shown)
        return bool(shown)

    def ended(self, tid: int) -> None:
        """No procedure is under way in this task any more."""
        if tid in self._unfiltered:
            self._unfiltered.discard(tid)
            self._filter(tid)

    def _filter(self, tid: int) -> None:
        """A debugger's process stops for wait4 and waitid from now on."""
        if self._machine.waits(tid):
            return
        if self._loop.busy_with(tid):
            self._unfiltered.add(tid)
        else:
            self._loop.start(tid, self._filtered(tid))

    def _filtered(self, tid: int) -> Procedure:
        core.interrupt(tid)
        stop = yield WAIT
        if stop.kind not in (core.TRAP, core.GROUP):
            self._unfiltered.add(tid)
            raise Lost
        yield from self._loop.tier(tid, "waits")
        yield from let_go(tid)

    def _answered(self, tid: int) -> Procedure:
        """The same, after its call has been answered."""
        core.answer(tid, 0)
        stop = yield core.TO_EXIT, 0
        if stop.kind != core.EXIT:
            raise Lost
        yield from self._loop.tier(tid, "waits")

    # -- ends ------------------------------------------------------------------------------------
    def renamed(self, before: int, tid: int) -> None:
        """A thread has executed a program and taken its leader's id, whose own end nobody tells."""
        if before == tid:
            return
        self._abandon(tid)
        for tracee in self._tracees.values():
            if tracee.tracer == before:
                tracee.tracer = tid
                self._machine.traced(tracee.tid, tid)
        self._tracees.pop(tid, None)
        mine = self._tracees.pop(before, None)
        if mine is not None:
            mine.tid = tid
            mine.natural = self._machine.is_child(tid, mine.owner)
            self._tracees[tid] = mine

    def died(self, tid: int, status: int) -> None:
        """A task has gone: who traced it hears of it, and whom it traced is free."""
        self._unfiltered.discard(tid)
        self._apart.pop(tid, None)
        self._waiters.pop(tid, None)
        self._processes.pop(tid, None)
        tracee = self._tracees.pop(tid, None)
        if tracee is not None and not tracee.natural:
            self._obituary(tracee, status)
        self._pay(tid)
        self._abandon(tid)

    def _abandon(self, tracer: int) -> None:
        """This thread traces nobody any more."""
        self._forget(tracer)
        for tracee in [t for t in self._tracees.values() if t.tracer == tracer]:
            try:
                if tracee.options & EXITKILL:
                    self._machine.kill(tracee.tid, SIGKILL)
                unseen = None if tracee.waited else tracee.stop
                passes = unseen is not None and tracee.kind == core.SIGNAL
                self._release(tracee, unseen.code & 0x7F if unseen and passes else 0)
            except core.Gone:
                pass  # its own end will be told
