# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop: stop -> handler -> verdict -> resume.

One thread does everything here: ptrace's rule.  It never waits for anything but the next stop.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyview import core
from pyview.asking import go_on
from pyview.control import Answer, Later
from pyview.emulation import Emulation
from pyview.handlers.table import handler_of
from pyview.installing import Installer
from pyview.parking import Parking
from pyview.patience import Parked
from pyview.procedures import RESTARTNOINTR, Procedure, Stop, revealed
from pyview.reach import Reach
from pyview.reports import Reports
from pyview.services import Services
from pyview.syscalls import BY_NAME, X32, Call, Route, ptr
from pyview.task import Task
from pyview.tracees import DEBUGGERS
from pyview.verdicts import (
    Asleep,
    At,
    Done,
    Emulate,
    Give,
    Handler,
    Opened,
    Ready,
    Real,
    Redirect,
    Request,
    Verdict,
    Work,
)
from pyview.view import View

#: Of calls that no table knows: six registers.
UNKNOWN = ptr(*(f"arg{n}" for n in range(1, 7)))
REFUSED_BY = {core.ROW: "core", core.ARCH: "core", core.OTHER: "its own filter"}
RESERVE = 2 << 20  # bytes for when there is no memory, of which nothing is used before
SIGKILL = 9  # signal's own module costs 3 ms


class Tracer(Parking):
    """The core of one session: all its views, and the procedures under way in their tasks."""

    def __init__(self, reports: Reports, name: str, picture: Any) -> None:
        """`picture` is that of the first view, which has its first tasks already."""
        super().__init__()
        self.reports = reports
        self._running: dict[int, Procedure] = {}
        self._how: dict[int, int] = {}  # how each of them had its task resumed
        self._at: dict[int, int] = {}  # and the last stop it was told of
        self.numbers = core.numbers()
        self._calls: dict[int, Call] = {n: BY_NAME[name] for name, n in self.numbers.items()}
        self.emulation = Emulation(self)
        self._services = Services(self)
        self._installer = Installer(self)
        self._add(View(1, name), picture)

    def debug_from_start(self, words: list[str]) -> None:
        """Tags given on the command line, as vudebug has them."""
        tags = {letter for word in words for letter in word.lstrip("+")}
        self.debug(self._known[1].view, 0, frozenset(tags))

    def dispatch(self, pid: int, uid: int, words: Sequence[str]) -> Answer | Later:
        """Answer a request of the control channel."""
        answer: Answer | Later
        if len(self._known) > 1:
            self._forget_empty()
        try:
            answer = self._services.dispatch(pid, uid, words)
        except BaseException as error:  # the request fails, and nothing else
            self.reports.failed(f"the core cannot answer {words[0]!r}", error)
            answer = 1, f"internal error: {type(error).__name__}: {error}"
        view = self.view_of(pid)
        if view is not None:
            said = "later" if isinstance(answer, Later) else answer
            self.reports.debug("c", view, pid, *words, "->", said)
        return answer

    def run(self, stop: Stop, serve: Callable[[], None], alone: Callable[[], None]) -> None:
        """Until the last task is gone; the first stop is there.

        `serve` is called for control's sake, `alone` when the first process has ended.
        """
        reserve = b""
        while stop.kind != core.EMPTY:
            try:
                self._stopped(stop, serve, alone)
            except BaseException as error:  # whatever it is: all others live on
                if isinstance(error, MemoryError):
                    reserve = b""  # what is ready stays so: it must be done one day
                about = stop.kind not in (core.READY, core.DEAD)
                self.failed(error, int(stop.tid) if about else 0)
            else:
                reserve = reserve or _reserve()
            core.wait(stop)
        try:
            self._end()
        except BaseException as error:  # whatever it is: what is reported is still written
            self.failed(error)

    def _stopped(self, stop: Stop, serve: Callable[[], None], alone: Callable[[], None]) -> None:
        """Do what a stop asks for."""
        kind = stop.kind
        if self.debugging is not None and kind in (core.EXEC, core.DEAD):
            self._heard(stop)
        if kind in (core.DEAD, core.EXEC) and stop.value:
            self.emulation.memory_gone(int(stop.tid), int(stop.value), kind == core.DEAD)
        if kind == core.DEAD:
            self.emulation.descriptors.settle()
        if kind == core.EXEC:
            self._executed(stop)
        if kind == core.NOTICE:
            self._noticed(stop)
        elif stop.tid in self._running and kind != core.READY:
            self._advance(stop)
        elif kind == core.EXEC and stop.message in self._running:
            self._running[stop.tid] = self._running.pop(stop.message)
            self._how[stop.tid] = self._how.pop(stop.message)
            self._at.pop(int(stop.message), None)
            self._advance(stop)
        elif kind == core.EXEC and stop.key:
            self._may_debug(stop)
        elif self._shown(stop):
            pass
        elif kind == core.TRACED:
            self._call(stop, listener=False)
        elif kind in (core.TOLD, core.REFUSED):
            self._told(stop)
        elif kind == core.READY:
            if not self.emulation.ready(stop.tid):
                serve()
        elif kind == core.DEAD:
            self._died(stop, alone)
        else:
            go_on(stop)

    def _noticed(self, stop: Stop) -> None:
        """A call has come to the listener."""
        record = core.task(stop.tid)
        if stop.tid in self.awaited:  # it is about to stop: afterwards the call comes again
            core.reply(stop.listener, stop.id, RESTARTNOINTR)
        elif record is not None and record.takes and self._readers is not None:
            self._readers.fetched(stop)
        else:
            self._call(stop, listener=True)

    def failed(self, error: BaseException, tid: int = 0) -> None:
        """The one place for what nobody foresaw: a report, and the end of that task alone.

        `tid`: the task that the core was at; 0: the one whose call it was about, if any.
        """
        if isinstance(error, core.Gone):
            return  # killed meanwhile: DEAD will come
        tid = self.reports.inconsistent(error, tid)
        if tid and core.task(tid) is not None:
            try:
                os.kill(tid, SIGKILL)
            except OSError:
                pass  # it ended just now

    def _executed(self, stop: Stop) -> None:
        """A new program, before its first instruction: who is it?"""
        program = self.emulation.programs.pop(int(stop.message), None)
        record = core.task(stop.tid)
        if record is not None and record.identity:
            from pyview import identities  # not before it is needed

            try:
                identities.executed(int(stop.tid), record, program)
            except core.Gone:
                pass

    def _end(self) -> None:
        """No task is left: close and flush."""
        self.emulation.descriptors.settle()
        self._forget_empty()
        self.emulation.workers.finish_all()

    # -- calls -------------------------------------------------------------------------------
    def _told(self, stop: Stop) -> None:
        """C has decided on a call, and says so because all is to be told."""
        record = core.task(stop.tid)
        foreign = stop.kind == core.REFUSED and stop.message == core.ARCH
        known = None if foreign else self._calls.get(stop.nr)
        call = known or Call(_number_as_name(stop.nr, foreign), Route.REFUSE, UNKNOWN)
        if record is not None:
            task = self._task(record, call, stop)
            if stop.kind == core.REFUSED:
                self.reports.refused(task, REFUSED_BY[int(stop.message)])
            else:
                self.reports.call(task, self._decided(task, stop))
        if stop.listener < 0:
            core.resume(stop.tid)
        elif not stop.answered:
            core.let_run(stop.listener, stop.id)

    def _decided(self, task: Task, stop: Stop) -> Verdict:
        """What C did, as a handler would have said it."""
        if not stop.answered:
            return Real()
        if stop.listener >= 0 and task.known is None:
            return At("", int(stop.domain), {})
        if task.known is not None:
            task.object(task.known[0])  # whose file it is
        return Emulate(int(stop.value))

    def _task(self, record: Any, call: Call, stop: Stop) -> Task:
        task = Task(
            record, self._by_picture[record.view], call, tuple(stop.args), self.emulation,
            self.reports.debug,
        )  # fmt: skip
        if stop.object:
            task.known = (int(stop.object_fd), int(stop.object))
        return task

    def _call(self, stop: Stop, *, listener: bool) -> None:
        """Answer the call at which a task has stopped."""
        record = core.task(stop.tid)
        call = self._calls.get(stop.nr)
        if record is None or call is None:
            core.let_run(stop.listener, stop.id) if listener else core.resume(stop.tid)
            return
        if listener and stop.message:
            record.mm.hidden = 1
            prctl = self.numbers["prctl"]
            self._begin(
                int(stop.tid), revealed(stop.tid, stop.nr, stop.listener, stop.id, prctl), stop
            )
            return
        task = self._task(record, call, stop)
        self.calling = task.tid
        try:
            if call.name in DEBUGGERS:
                self._debugs(task, stop)
                return
            answer, handler = self._first(task, int(stop.value) if listener else 0)
            self._carry_on(task, handler, answer, stop, listener)
        except core.Gone:
            self.emulation.done(task.tid)  # there is nobody left to answer
        except MemoryError:
            if self.busy_with(task.tid):
                raise
            self.emulation.done(task.tid)
            self._settle(task, Emulate(-errno.ENOMEM), stop, listener)
        finally:
            self.calling = 0

    def _carry_on(
        self,
        task: Task,
        handler: Handler | None,
        answer: Verdict | Request,
        stop: Stop,
        listener: bool,
    ) -> None:
        """Do what a handler has said about a call that has not run."""
        if isinstance(answer, Work):
            assert handler is not None
            kept = core.copy_stop(stop)
            token = Parked(
                partial(self._carry_on, task, handler, stop=kept, listener=listener),
                partial(self._settle, task, stop=kept, listener=listener),
            )
            self._park(task, handler, answer, token)
        elif isinstance(answer, Request):
            assert handler is not None
            self._begin(int(stop.tid), self._ask(task, handler, answer, stop, listener), stop)
        else:
            if self._readers is not None:
                self._readers.stopping(task.tid)
            self._settle(task, answer, stop, listener)
            self.emulation.done(task.tid)
            if self._readers is not None:
                self.calling = 0
                self._readers.free(task.tid)

    def _died(self, stop: Stop, alone: Callable[[], None]) -> None:
        tid = int(stop.tid)
        if self._parked.pop(tid, None) is not None:
            self.emulation.done(tid)
            self._ended(tid)
        if stop.key:
            alone()

    def _first(self, task: Task, domain: int) -> tuple[Verdict | Request, Handler | None]:
        """What the call's handler says first; itself when it has more to say.

        `domain`: C has found already that the call only opens a file of it.
        """
        handler: Handler | None = None

        def say() -> Verdict | Request:
            nonlocal handler
            if domain:
                return At("", domain, {})
            said = handler_of(task.call)(task)
            if isinstance(said, Verdict):
                return said
            handler = said
            return next(said)

        return self._guarded(task, say), handler

    def _settle(self, task: Task, verdict: Verdict, stop: Stop, listener: bool) -> None:
        """Carry out a verdict on a call that has not run."""
        self.reports.call(task, verdict)
        if isinstance(verdict, At):
            if listener and verdict.real and core.serve(stop, verdict.domain, verdict.real):
                return
            if verdict.changes or task.call.op == "open":
                handler = _run_there(task, verdict)
                self._begin(
                    int(stop.tid), self._ask(task, handler, next(handler), stop, listener), stop
                )
                return
            verdict = Real()
        if isinstance(verdict, Real):
            if verdict.clean:
                core.clean(stop.key)
            core.let_run(stop.listener, stop.id) if listener else core.resume(stop.tid)
        elif isinstance(verdict, Emulate):
            value = self._stored(task, verdict)
            if listener:
                core.reply(stop.listener, stop.id, value)
            else:
                core.answer(stop.tid, value)
                core.resume(stop.tid)
        elif isinstance(verdict, Give) and verdict.alone:
            core.hand_over(stop.listener, stop.id, verdict.fd, verdict.cloexec)
        elif isinstance(verdict, Give):
            core.give(stop.listener, stop.id, verdict.fd, verdict.cloexec)
            os.close(verdict.fd)
        elif isinstance(verdict, Opened):
            if not self.emulation.give(stop, verdict):
                self._settle(task, Ready(), stop, listener)
        elif isinstance(verdict, Ready):
            stop_for = self._installer.stop_for_watches
            if not verdict.watches:
                stop_for = partial(self._installer.stop_beyond, reach=verdict.beyond)
            self._begin(int(stop.tid), self._prepared(stop, stop_for), stop)
        elif isinstance(verdict, Asleep):
            self._begin(int(stop.tid), self._sleep(int(stop.tid), verdict), stop)
        else:
            raise TypeError(f"{verdict!r} is no verdict")

    # -- procedures --------------------------------------------------------------------------
    def busy_with(self, tid: int) -> bool:
        return tid in self._running or tid in self._parked

    def start(self, tid: int, procedure: Procedure) -> None:
        self._begin(tid, procedure, None)

    def _begin(self, tid: int, procedure: Procedure, stop: Stop | None) -> None:
        """Start a procedure in a task, whose stops are all its own until it ends."""
        record = core.task(tid)
        if record is None:
            procedure.close()
            return
        record.watched = 1
        self._running[tid] = procedure
        self._step(tid, procedure, None, stop)

    def _advance(self, stop: Stop) -> None:
        tid = int(stop.tid)
        procedure = self._running[tid]
        if stop.kind == core.DEAD:
            del self._running[tid]
            self._how.pop(tid, None)
            try:
                procedure.close()
            except core.Gone:
                pass  # what it wanted to restore has gone too
            self._at.pop(tid, None)
            self._ended(tid)
        elif stop.kind == core.BORN:
            if self.debugging is not None:
                self.debugging.noted(stop)
            core.resume(tid, self._how[tid])
        else:
            if stop.kind == core.EXEC and self.debugging is not None:
                self.debugging.noted(stop)
            self._step(tid, procedure, stop, stop)

    def tells_all(self, picture: Any) -> bool:
        return self.reports.wants_all(self._by_picture[picture])

    def narrow(self, reach: Reach, then: Callable[[str], None]) -> bool:
        return self._installer.narrow(reach, then)

    def filtered(self, tid: int, instructions: int) -> None:
        view = self.view_of(tid)
        if view is not None:
            self.reports.debug("f", view, tid, instructions, "instructions")


def _number_as_name(number: int, foreign: bool) -> str:
    """What a call is called that no row describes."""
    if foreign:
        return f"i386_call_{number}"
    return f"x32_call_{number & ~X32}" if number > 0 and number & X32 else f"call_{number}"


def _reserve() -> bytes:
    """Address space: the kernel gives memory to who writes there."""
    try:
        return bytes(RESERVE)
    except MemoryError:
        return b""


def _run_there(task: Task, verdict: At) -> Handler:
    """The caller runs it itself; what it opens through a domain remembers that."""
    value = yield Redirect(verdict.changes)
    if task.call.op == "open" and value >= 0:
        task.mark(value, verdict.domain)
    return Done()
