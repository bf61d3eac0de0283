# SPDX-License-Identifier: GPL-2.0-or-later
"""What handlers ask for while their task is stopped: the tracer's procedures for that."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from pyview import core
from pyview.patience import Interrupted
from pyview.procedures import (
    MASK,
    PARK,
    RESTARTS,
    WAIT,
    Lost,
    Procedure,
    Step,
    Stop,
    asleep,
    named,
    redirected,
    skipped,
    stopped_by_us,
)
from pyview.reach import NOTHING
from pyview.stack import is_narrow, rename_on_stack
from pyview.task import Task
from pyview.tracees import Tracees
from pyview.verdicts import (
    Again,
    Asleep,
    Emulate,
    Handler,
    Locks,
    Mapped,
    Messages,
    Receives,
    Redirect,
    Renamed,
    Request,
    Verdict,
    Work,
)

ERRNOS = range(1, 134)  # up to EHWPOISON; what the kernel has beyond means other things
LOWEST, HIGHEST = -4095, (1 << 63) - 1  # results of calls


class Asking(Tracees):
    """Requests of handlers, and verdicts that take more than one stop."""

    _running: dict[int, Procedure]
    _how: dict[int, int]
    _at: dict[int, int]

    def _guarded(self, task: Task, say: Callable[[], Verdict | Request]) -> Verdict | Request:
        """A handler's next request, or its verdict; its errors are verdicts too."""
        try:
            self.patience.at = task
            try:
                return say()
            finally:
                self.patience.at = None
        except StopIteration as end:
            if isinstance(end.value, Verdict):
                return end.value
            return self._mistaken(task, end)  # no handler's end: a module raised it
        except OSError as error:
            number = error.errno or errno.EIO
            return Emulate(-number) if number in ERRNOS else self._mistaken(task, error)
        except core.Gone:
            raise
        except Interrupted as error:
            self.reports.failed(f"{task.call.name} of task {task.tid} was interrupted", error)
            return Emulate(-errno.EINTR)
        except BaseException as error:  # SystemExit too: the view lives on
            return self._mistaken(task, error)

    def _mistaken(self, task: Task, error: BaseException) -> Emulate:
        """What the caller gets when a module has made a mistake, which is logged."""
        if isinstance(error.__cause__, StopIteration):
            error = error.__cause__  # a generator made RuntimeError of it
        number = errno.ENOMEM if isinstance(error, MemoryError) else errno.EIO
        self.reports.mistake(task, error, number)
        return Emulate(-number)

    def _stored(self, task: Task, verdict: Emulate) -> int:
        """Store what the verdict says; the result, or -EFAULT; -EIO when a module made nonsense."""
        try:
            stored = all(core.poke(task.tid, address, data) for address, data in verdict.poke)
            if not isinstance(verdict.value, int) or not LOWEST <= verdict.value <= HIGHEST:
                raise TypeError(f"{verdict.value!r} is no result")
        except core.Gone:
            raise
        except BaseException as error:  # a module's mistake
            return self._mistaken(task, error).value
        return verdict.value if stored else -errno.EFAULT

    def _prepared(self, stop: Stop, prepare: Callable[[int], Procedure]) -> Procedure:
        """Make a process ready for what its call will get; it then comes again."""
        tid, number = int(stop.tid), int(stop.nr)
        if stop.listener < 0:
            yield from skipped(tid)
        else:
            yield from stopped_by_us(tid, stop.listener, stop.id)
        regs = core.registers(tid)
        try:
            yield from prepare(tid)
        except OSError as error:
            regs.value = -(error.errno or errno.EIO) & MASK
        else:
            regs.ip -= core.CALL_LENGTH
            regs.nr, regs.value = core.NO_CALL, number
        core.set_registers(tid, regs)

    def _sleep(self, tid: int, verdict: Asleep) -> Procedure:
        self.emulation.sleeps(tid, verdict.on)
        try:
            yield from asleep(tid, self.numbers)
        finally:
            self.emulation.awake(tid)

    def _ask(
        self, task: Task, handler: Handler, request: Any, stop: Stop, listener: bool
    ) -> Procedure:
        """A handler that needs the task to run something: its requests, then its verdict."""
        tid, number = task.tid, int(stop.nr)
        if listener:
            yield from stopped_by_us(tid, stop.listener, stop.id)
        answer: Any = request
        entry, executed = not listener, 0  # still before the call; the thread id after an exec
        try:
            while isinstance(answer, Request):
                value: Any = 0
                failure: BaseException | None = None
                try:
                    if isinstance(answer, Redirect):
                        other = self.numbers[answer.call] if answer.call else -1
                        value, executed = yield from redirected(
                            tid, number, answer.changes, self.numbers, entry, other
                        )
                        entry = False
                    elif isinstance(answer, Work):
                        value, failure = yield from self._worked(tid, answer)
                    else:
                        yield from self._granted(answer, executed or tid)
                except OSError as error:  # whatever was asked for: the core goes on
                    value = -(error.errno or errno.EIO)
                answer = self._guarded(task, partial(resumed, handler, value, failure))
            if not isinstance(answer, Verdict):
                raise TypeError(f"{answer!r} is no verdict")
            self.reports.call(task, answer)
            if isinstance(answer, Asleep):
                yield from self._sleep(tid, answer)
            elif isinstance(answer, Again):
                regs = core.registers(tid)
                regs.ip -= core.CALL_LENGTH
                regs.nr, regs.value = core.NO_CALL, number
                core.set_registers(tid, regs)
            elif isinstance(answer, Emulate) and entry:
                core.answer(tid, self._stored(task, answer))
            elif isinstance(answer, Emulate) and not executed:
                regs = core.registers(tid)
                value = self._stored(task, answer)
                regs.value = value & MASK
                core.set_registers(tid, regs)
                if value in RESTARTS:
                    core.interrupt(tid)  # the signal may be another thread's by now
        finally:
            self.emulation.done(tid)

    def _granted(self, request: Request, tid: int) -> Procedure:
        """Requests that change how a stopped task goes on, or how it looks."""
        if isinstance(request, Renamed):
            if is_narrow(tid):
                return
            rename_on_stack(tid, request.given, request.shown)
            if request.name:
                yield from named(tid, request.name, self.numbers)
        elif isinstance(request, Messages):
            yield from self._installer.stop_for_messages(tid)
        elif isinstance(request, Mapped):
            yield from self._installer.stop_for_mappings(tid)
        elif isinstance(request, Locks):
            yield from self._installer.stop_for_closing(tid)
        elif isinstance(request, Receives):
            record = core.task(tid)
            if record is not None and core.emulated(record, request.fd):
                yield from self._installer.stop_beyond(tid, NOTHING)

    def _worked(self, tid: int, work: Work) -> Generator[Step, Any, tuple[Any, Any]]:
        """Have something done in a slow file's thread while the task stays stopped."""
        procedure = self._running[tid]

        def then(value: Any, error: BaseException | None) -> None:
            if self._running.get(tid) is procedure:
                self._step(tid, procedure, (value, error), None)

        self.emulation.workers.submit(work.file, work.run, then)
        value, error = yield PARK
        return value, error

    def _step(self, tid: int, procedure: Procedure, sent: Any, stop: Stop | None) -> None:
        step: Step | None = None
        lost = gone = False
        if stop is not None:
            self._at[tid] = stop.kind
        try:
            step = next(procedure) if sent is None else procedure.send(sent)
        except StopIteration:
            pass
        except Lost:
            lost = True
        except core.Gone:
            gone = True
        if step is not None:
            self._how[tid] = step[0]
            if step not in (WAIT, PARK):
                core.resume(tid, *step)
            return
        del self._running[tid]
        self._how.pop(tid, None)
        at = self._at.pop(tid, 0)
        record = core.task(tid)
        if record is not None:
            record.watched = 0
        if self._readers is not None:
            self._readers.stopping(tid)
        if lost and stop is not None:
            if self._shown(stop):
                pass
            elif stop.kind == core.TRACED:  # it has come to a call before it was interrupted
                self._call(stop, listener=False)
                if self.busy_with(tid):
                    return
            else:
                go_on(stop)
        elif not gone and not self._held(tid, at):
            core.resume(tid)
        self._ended(tid)
        if self.debugging is not None:
            self.debugging.ended(tid)


def resumed(handler: Handler, value: Any, error: BaseException | None) -> Verdict | Request:
    """A handler goes on with what it has asked for."""
    return handler.send(value) if error is None else handler.throw(error)


def go_on(stop: Stop) -> None:
    """What C does with a stop that nobody claims."""
    if stop.kind == core.SIGNAL:
        core.resume(stop.tid, core.GO, stop.message)
    elif stop.kind == core.GROUP:
        core.resume(stop.tid, core.STAY_STOPPED)
    elif stop.kind not in (core.DEAD, core.READY, core.EMPTY):
        core.resume(stop.tid)
