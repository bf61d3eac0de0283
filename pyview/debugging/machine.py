# SPDX-License-Identifier: GPL-2.0-or-later
"""What the debugger's room does to real tasks: the one file of it that reaches C and /proc."""

from __future__ import annotations

import os

from pyview import core
from pyview.debugging.waits import rusage
from pyview.debugging.words import SIGCHLD

_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")  # microseconds
_SYS_PTRACE = 1 << 19  # CAP_SYS_PTRACE


class Machine:
    """Tasks of this core by their thread ids.  `core.Gone`: it has been killed meanwhile."""

    def ptrace(self, request: int, tid: int, address: int, data: int | bytearray) -> int:
        return core.ptrace(request, tid, address, data)

    def options(self, tid: int, rare: int) -> None:
        core.options(tid, rare)

    def peek(self, tid: int, address: int, length: int) -> bytes:
        return core.peek(tid, address, length)

    def hides_filters(self, tid: int) -> bool:
        """Whether it has the path tier, whose calls to the listener no filter of its own traces."""
        return bool(core.task(tid).filtered)

    def known(self, tid: int) -> bool:
        """Is it a task of this core's views?"""
        return core.task(tid) is not None

    def numbers_differently(self, tid: int) -> bool:
        """It lives in a pid name space of its own, where tasks have other numbers."""
        return len(_status(tid)["NSpid"].split()) > 1

    def waits(self, tid: int) -> bool:
        """Whether it stops for wait4 and waitid, or has gone."""
        record = core.task(tid)
        return record is None or bool(record.waits)

    def place(self, tid: int) -> int:
        """Where a stopped task goes on."""
        return int(core.registers(tid).ip)

    def process(self, tid: int) -> int:
        return core.thread_group(tid)

    def group(self, tid: int) -> int:
        try:
            return os.getpgid(tid)
        except OSError:
            return 0

    def pointed(self, tid: int, fd: int) -> int:
        """The process that a pidfd of a task stands for.  Errors: EBADF."""
        try:
            with open(f"/proc/{tid}/fdinfo/{fd}", "rb", 0) as info:
                words = info.read().split()
            return int(words[words.index(b"Pid:") + 1])
        except (OSError, ValueError):
            return -1

    def parent(self, tid: int) -> tuple[int, int]:
        """The thread that made a task's process, and that one's process; 0: not of this core."""
        process = int(_status(tid)["PPid"])
        maker = int(core.task(tid).parent)
        if self.known(maker) and core.thread_group(maker) == process:
            return maker, process
        return (process, process) if self.known(process) else (0, 0)

    def is_child(self, tid: int, process: int) -> bool:
        status = _status(tid)
        return int(status["PPid"]) == process and int(status["Tgid"]) == tid

    def uid(self, tid: int) -> int:
        try:
            return os.stat(f"/proc/{tid}").st_uid
        except OSError:
            return 0

    def may_trace(self, tid: int, other: int) -> bool:
        """As the kernel asks for ATTACH: kernel/ptrace.c, __ptrace_may_access."""
        mine, its = _status(tid), _status(other)
        if mine["Tgid"] == its["Tgid"]:
            return False
        if int(mine["CapEff"], 16) & _SYS_PTRACE:
            return True
        uid, gid = mine["Uid"].split()[0], mine["Gid"].split()[0]
        same = set(its["Uid"].split()[:3]) == {uid} and set(its["Gid"].split()[:3]) == {gid}
        open_to_all = not core.task(other).mm.hidden and self.uid(other) == int(uid)
        return same and open_to_all

    def is_stopped_job(self, tid: int) -> bool:
        """It is in a job-control stop."""
        return bool(core.task(tid).stopped)

    def stands_still(self, tid: int) -> bool:
        """It is in some stop of the kernel's now."""
        try:
            with open(f"/proc/{tid}/stat", "rb", 0) as file:
                return file.read().rpartition(b")")[2].split()[0] in (b"t", b"T")
        except OSError:
            return False

    def usage(self, tid: int) -> bytes:
        """struct rusage of a task."""
        try:
            with open(f"/proc/{tid}/schedstat", "rb", 0) as file:
                ran = int(file.read().split()[0])
        except (OSError, IndexError):
            ran = 0
        try:
            with open(f"/proc/{tid}/stat", "rb", 0) as file:
                return rusage(file.read(), ran, _TICK)
        except OSError:
            return bytes(144)

    # -- what is done to it --------------------------------------------------------------------
    def resume(self, tid: int, how: int = core.GO, signal: int = 0) -> None:
        self.held(tid, False)
        core.resume(tid, how, signal)

    def held(self, tid: int, on: bool) -> None:
        """Its debugger keeps it stopped: what proc(5) tells of it."""
        record = core.task(tid)
        if record is not None:
            record.held = int(on)

    def goes(self, tid: int, request: int) -> None:
        """The ptrace request that resumes it from now on, 0: as any task."""
        record = core.task(tid)
        if record is not None:
            record.go = request

    def traced(self, tid: int, tracer: int) -> None:
        """From now on the stops of a task are told, and who traces it; 0: no longer."""
        record, debugger = core.task(tid), core.task(tracer)
        if record is not None:
            record.debug = record.debug & ~core.TRACEE | (core.TRACEE if tracer else 0)
            record.debugger = tracer
        if debugger is not None:
            debugger.debug |= core.DEBUGGER

    def interrupt(self, tid: int) -> None:
        core.interrupt(tid)

    def wants(self, tid: int, on: bool) -> None:
        """A stop of this task shall come, whatever other stops there are until then."""
        record = core.task(tid)
        if record is not None:
            record.wanted = int(on)
        if on:
            core.interrupt(tid)

    def answer(self, tid: int, value: int) -> None:
        core.answer(tid, value)

    def kill(self, tid: int, signal: int) -> None:
        """Send a signal to one thread."""
        core.kill(core.thread_group(tid), tid, signal)

    def tell(self, process: int, meaning: int, child: int, uid: int, status: int) -> None:
        """Send SIGCHLD about a tracee, as the kernel does."""
        core.tell(process, SIGCHLD, meaning, child, uid, status)


def _status(tid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{tid}/status") as file:
            return dict(line.split(":", 1) for line in file)
    except OSError:
        raise core.Gone from None
