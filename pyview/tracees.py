# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the tracer's loop meets the debuggers' room, pyview/debugging/, loaded when needed."""

from __future__ import annotations

from pyview import core
from pyview.procedures import Procedure, Stop
from pyview.task import Task
from pyview.verdicts import Emulate, Real, Verdict
from pyview.views import Views

TYPE_CHECKING = False  # the room is loaded when somebody debugs
if TYPE_CHECKING:
    from pyview.debugging.debugger import Debugging

#: Calls that are about tracees.
DEBUGGERS = frozenset({"ptrace", "wait4", "waitid"})
#: Stops of ptrace's, which a tracee's debugger may see.
DEBUGGED = frozenset(
    {
        core.TRACED, core.ENTRY, core.EXIT, core.SIGNAL, core.TRAP, core.GROUP, core.BORN,
        core.EXEC, core.EXITING, core.VFORKED,
    }
)  # fmt: skip


class Tracees(Views):
    """Calls of debuggers, and stops that they are to see."""

    debugging: Debugging | None = None  # made with the first call of ptrace(2)

    if TYPE_CHECKING:  # the loop's own (tracer.py)

        def _begin(self, tid: int, procedure: Procedure, stop: Stop | None) -> None: ...
        def _settle(self, task: Task, verdict: Verdict, stop: Stop, listener: bool) -> None: ...
        def _call(self, stop: Stop, *, listener: bool) -> None: ...

    def _debugs(self, task: Task, stop: Stop) -> None:
        """Answer a call that is about tracees."""
        if self.debugging is None:
            from pyview.debugging.debugger import Debugging
            from pyview.debugging.machine import Machine

            self.debugging = Debugging(self, Machine())
        if task.call.name == "ptrace":
            answer = self.debugging.ptrace(task.tid, task.args)
            if answer is not None:
                self._settle(task, answer, stop, listener=False)
            return
        said = self.debugging.wait(task.tid, task.call.name, task.args)
        if isinstance(said, Real | Emulate):
            self._settle(task, said, stop, listener=False)
        else:
            self.reports.call(task, Real())
            self._begin(task.tid, self.debugging.waits(said, int(stop.nr)), stop)

    def _may_debug(self, stop: Stop) -> None:
        """A program has been loaded that may call ptrace: that is to stop."""
        tid = int(stop.tid)
        if self.debugging is not None:
            self.debugging.noted(stop)
        self._begin(tid, self._installer.at_exec(tid), stop)

    def _heard(self, stop: Stop) -> None:
        """A task has another id, or none any more."""
        assert self.debugging is not None
        try:
            if stop.kind == core.EXEC:
                self.debugging.renamed(int(stop.message), int(stop.tid))
            else:
                self.debugging.died(int(stop.tid), int(stop.message))
        except core.Gone:
            pass  # which will be told

    def again(self, tid: int) -> None:
        stop = core.new_stop()
        stop.tid = tid
        if core.again(stop):
            self._call(stop, listener=False)
        else:
            core.resume(tid)

    def tier(self, tid: int, name: str) -> Procedure:
        return self._installer.stop_for(tid, name)

    def holds(self, tid: int) -> bool:
        return self.debugging is not None and self.debugging.holds(tid)

    def _shown(self, stop: Stop) -> bool:
        """Is a stop a tracee's, and so dealt with?"""
        if self.debugging is None or stop.kind not in DEBUGGED:
            return False
        try:
            return self.debugging.stopped(stop)
        except core.Gone:
            return True

    def _held(self, tid: int, at: int) -> bool:
        """A procedure has ended: does its task's debugger hold it now?"""
        try:
            return self.debugging is not None and self.debugging.finished(tid, at)
        except core.Gone:
            return True
