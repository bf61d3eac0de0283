# SPDX-License-Identifier: GPL-2.0-or-later
"""What the core tells the user: debug lines, --trace, --summary, a module's mistakes."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from typing import Any

from pyview.paths import cover_of
from pyview.task import Task
from pyview.verdicts import At, Done, Emulate, Give, Real

MINE = ("pyview/tracer.py", "pyview/procedures.py")  # frames above a module's edge


class Reports:
    """One per core.  Lines go to `fd` in single writes, so that they never mix."""

    def __init__(self, fd: int, trace: bool, summary: bool) -> None:
        self._fd, self.trace, self.summary = fd, trace, summary
        self.tags: frozenset[str] = frozenset()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def write(self, text: str) -> None:
        """Some lines; that nobody reads them is no error."""
        try:
            os.write(self._fd, text.encode(errors="surrogateescape"))
        except OSError:
            pass

    def debug(self, tag: str, text: str) -> None:
        """A line for those who asked for `tag`."""
        if tag in self.tags:
            self.write(f"pyview[{tag}]: {text}\n")

    def mistake(self, task: Task, error: BaseException) -> None:
        """A module raised what is no OSError: its traceback, cut at the module's edge."""
        frames = traceback.extract_tb(error.__traceback__)
        inner = [f for f in frames if not f.filename.endswith(MINE)] or frames
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(inner)]
        lines += traceback.format_exception_only(error)
        self.write(f"pyview: {task.call.name} of task {task.tid} gets EIO:\n" + "".join(lines))

    def call(self, task: Task, verdict: Any) -> None:
        """A call has been answered."""
        who = _who(task, verdict)
        if self.summary:
            self._counts[(who, _what(verdict), task.call.name)] += 1
        if self.trace or "s" in self.tags:
            from pyview.printer import format_call, format_result

            line = format_call(task.call, task.args, _quiet_peek(task))
            value = verdict.value if isinstance(verdict, Emulate) else None
            end = "" if value is None else " " + format_result(task.call, value)
            self.write(f"[{task.tid}] {line}{end} <{_what(verdict)}: {who}>\n")

    def total(self, counts: tuple[int, int, int, int]) -> None:
        """The table of --summary."""
        if not self.summary:
            return
        listener, tracer, python, served = counts
        lines = [f"pyview: {listener + tracer} calls stopped ({listener} listener, {tracer} tracer)"
                 f", {served} served in C, {python} reports to Python\n"]  # fmt: skip
        for (who, what, name), n in sorted(self._counts.items(), key=lambda item: -item[1]):
            lines.append(f"{n:9}  {what:10}  {name:20}  {who}\n")
        self.write("".join(lines))


def _quiet_peek(task: Task) -> Any:
    def peek(address: int, length: int) -> bytes:
        try:
            return task.peek(address, length)
        except OSError:
            return b""

    return peek


def _what(verdict: Any) -> str:
    if isinstance(verdict, Real):
        return "kernel"
    return "redirected" if isinstance(verdict, At | Give | Done) else "emulated"


def _who(task: Task, verdict: Any) -> str:
    """The module that answered."""
    if isinstance(verdict, At) and verdict.domain:
        domain = task.view.domain(verdict.domain)
        if domain is not None:
            return cover_of(task.view, domain.prefix or "/").mount.kind or "bind"
    return "kernel" if isinstance(verdict, Real) else "core"
