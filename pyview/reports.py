# SPDX-License-Identifier: GPL-2.0-or-later
"""What the core tells the user: debug lines, --trace, --summary, a module's mistakes."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pyview import core
from pyview.paths import cover_of
from pyview.task import Task
from pyview.verdicts import At, Done, Emulate, Give, Ready, Real
from pyview.view import View

HERE = os.path.dirname(__file__) + os.sep  # whose frames are above a module's edge
MODULES = os.path.join(HERE, "modules") + os.sep

#: What says that nobody answers such a call: a module that has no such operation, or the core.
REFUSALS = {errno.ENOSYS: "ENOSYS", errno.EOPNOTSUPP: "EOPNOTSUPP"}
#: Other errnos that say so, of calls that can't be where no directory of the kernel's is.
BY_DESIGN = {("chroot", errno.EPERM): "EPERM"}


class Reports:
    """One per core.  Lines go to `fd` in single writes, so that they never mix."""

    def __init__(self, fd: int, trace: bool, summary: bool) -> None:
        self._fd, self.trace, self.summary = fd, trace, summary
        self._tags: dict[tuple[int, int], frozenset[str]] = {}  # (view, process or 0 for all)
        self._quiet = not (trace or summary)  # nobody wants to hear of calls
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._refused: Counter[tuple[str, str, str]] = Counter()

    def write(self, text: str) -> None:
        """Some lines; that nobody reads them is no error."""
        try:
            os.write(self._fd, text.encode(errors="surrogateescape"))
        except OSError:
            pass

    def set_tags(self, view: View, pid: int, tags: frozenset[str]) -> None:
        """These debug tags hold in a view (pid 0), or for a process of it and its descendants."""
        self._tags[(view.number, pid)] = tags
        self._quiet = not (self.trace or self.summary or any(self._tags.values()))

    def wants_all(self, view: View) -> bool:
        """Whether someone wants a line for each call that stops in a view."""
        asked = (tags for (number, _), tags in self._tags.items() if number == view.number)
        return self.trace or self.summary or any("s" in tags for tags in asked)

    def _wanted(self, tag: str, view: View, tid: int) -> bool:
        number = view.number
        if tag in self._tags.get((number, 0), ()):
            return True
        pids = {pid for (n, pid), tags in self._tags.items() if pid and n == number and tag in tags}
        return bool(pids) and not pids.isdisjoint(_ancestry(tid))

    def debug(self, tag: str, view: View, tid: int, *words: object) -> None:
        """A line for those who asked for `tag` in this view, or for this task."""
        if not self._quiet and self._wanted(tag, view, tid):
            self.write(f"pyview[{tag}]: [{tid}] {' '.join(map(str, words))}\n")

    def mistake(self, task: Task, error: BaseException, number: int = errno.EIO) -> None:
        """A module raised what is no errno of a program's: `number` is told in its place."""
        name = errno.errorcode[number]
        self.failed(f"{task.call.name} of task {task.tid} gets {name}", error)

    def failed(self, what: str, error: BaseException) -> None:
        """Something of a module's went wrong: its traceback, cut at the module's edge."""
        self.write(f"pyview: {what}:\n" + _told(error, cut=True))

    def inconsistent(self, error: BaseException, tid: int) -> int:
        """The core itself went wrong, at a stop of task `tid` or in what it did for one.

        The task that it was about; 0: for none.
        """
        task = _task_of(error)
        tid = tid or (task.tid if task is not None else 0)
        about = "the core went wrong"
        if tid:
            call = f" in {task.call.name}" if task is not None else ""
            module = f", asked of {_module_of(task)}" if task is not None and task.asked else ""
            about += f"{call}{module}; task {tid} is killed"
        try:
            self.write(f"pyview: {about}:\n" + _told(error, cut=False))
        except MemoryError:
            self.write(f"pyview: {about}\n")
        return tid

    def call(self, task: Task, verdict: Any) -> None:
        """A call has been answered."""
        if self._quiet:
            return
        value = verdict.value if isinstance(verdict, Emulate) else None
        name = REFUSALS.get(-value, BY_DESIGN.get((task.call.name, -value), "")) if value else ""
        self._tell(task, value, "refused" if name else _what(verdict), name, _who(task, verdict))

    def refused(self, task: Task, who: str) -> None:
        """A call has got ENOSYS that never was to be answered."""
        if not self._quiet:
            self._tell(task, -errno.ENOSYS, "refused", "ENOSYS", who)

    def _tell(self, task: Task, value: int | None, what: str, refusal: str, who: str) -> None:
        if self.summary:
            counts = self._refused if refusal else self._counts
            counts[(who, refusal or what, task.call.name)] += 1
        if self.trace or (self._tags and self._wanted("s", task.view, task.tid)):
            from pyview.printer import format_call, format_result

            line = format_call(task.call, task.args, _quiet_peek(task))
            end = "" if value is None else " " + format_result(task.call, value)
            self.write(f"[{task.tid}] {line}{end} <{what}: {who}>\n")

    def total(self, counts: tuple[int, int, int, int]) -> None:
        """The table of --summary."""
        if not self.summary:
            return
        listener, tracer, python, served = counts
        lines = [f"pyview: {listener + tracer} calls stopped ({listener} listener, {tracer} tracer)"
                 f", {served} served in C, {python} reports to Python\n"]  # fmt: skip
        lines += _rows(self._counts)
        if self._refused:
            lines += [f"pyview: {self._refused.total()} calls refused\n", *_rows(self._refused)]
        self.write("".join(lines))


def _rows(counts: Counter[tuple[str, str, str]]) -> Iterator[str]:
    for (who, what, name), n in sorted(counts.items(), key=lambda item: -item[1]):
        yield f"{n:9}  {what:10}  {name:20}  {who}\n"


def _told(error: BaseException, *, cut: bool) -> str:
    """An error with its stack; `cut`: without what lies above the module's edge."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    first = 0
    if cut:
        outer = (f.filename.startswith(HERE) and not f.filename.startswith(MODULES) for f in frames)
        first = next((at for at, core in enumerate(outer) if not core), len(frames) - 1)
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames[first:])]
    return "".join([*lines, *traceback.format_exception_only(error)])


def _task_of(error: BaseException) -> Task | None:
    """The task that the core was at when it went wrong: some function has it in its hands."""
    at, found = error.__traceback__, None
    while at is not None:
        task = at.tb_frame.f_locals.get("task")
        found = task if isinstance(task, Task) else found
        at = at.tb_next
    return found


def _module_of(task: Task) -> str:
    """The name of the module that was asked last."""
    mount = task.asked
    if mount is None:
        return ""
    return mount.sort or mount.target


def _quiet_peek(task: Task) -> Any:
    def peek(address: int, length: int) -> bytes:
        try:
            return task.peek(address, length)
        except (OSError, core.Gone):  # it may be over already, and the task with it
            return b""

    return peek


def _ancestry(tid: int) -> Iterator[int]:
    """A task's process, its parent, and so on: /proc/PID/status."""
    while tid > 1:
        try:
            with open(f"/proc/{tid}/status") as status:
                fields = dict(line.split(":", 1) for line in status)
        except OSError:
            return
        yield int(fields["Tgid"])
        tid = int(fields["PPid"])


def _what(verdict: Any) -> str:
    if isinstance(verdict, Real):
        return "kernel"
    if isinstance(verdict, Ready):
        return "prepared"
    return "redirected" if isinstance(verdict, At | Give | Done) else "emulated"


def _who(task: Task, verdict: Any) -> str:
    """The module that answered."""
    if isinstance(verdict, At) and verdict.domain:
        domain = task.view.domain(verdict.domain)
        if domain is not None:
            return cover_of(task.view, domain.prefix or "/").mount.sort or "bind"
    if task.asked is not None and not isinstance(verdict, Real):
        return _module_of(task)
    return "kernel" if isinstance(verdict, Real) else "core"
