# SPDX-License-Identifier: GPL-2.0-or-later
"""A parent for the whole test run: it inherits every orphan, and outlasts every hang.

A tracer's bug is a hang or a process left behind, and the core of a view is an orphan by
design.  So the test runner runs as the child of a process that is its subreaper: orphans
become that process's children instead of init's, where the runner can see them
(`descendants`), and are killed when the run ends, however it ends.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import signal
import struct
import sys
from pathlib import Path
from time import monotonic  # the module's own may be a test's
from types import FrameType
from typing import NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
LOOK = 1.0  # seconds between two looks at the deadline


class Deadline:
    """A time of time.monotonic(), 0 for none, that the runner sets and the reaper reads."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)

    def set(self, seconds: float) -> None:
        """Let the reaper kill the run `seconds` from now, or never (0)."""
        when = monotonic() + seconds if seconds else 0.0
        self._shared[:8] = struct.pack("d", when)

    def passed(self) -> bool:
        when: float = struct.unpack("d", self._shared[:8])[0]
        return 0 < when < monotonic()


def split() -> Deadline:
    """Go on as the child of a reaper; return the deadline it watches.

    Only the child returns.  The parent ends with the child's status: 128 + the signal if one
    killed it, 124 when the deadline passed.
    Precondition: one thread.
    """
    deadline = Deadline()
    sys.stdout.flush()
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    runner = os.fork()
    if runner:
        _reap(runner, deadline)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return deadline


def _reap(runner: int, deadline: Deadline) -> NoReturn:
    """Collect children until the runner is one of them; leave with its status."""

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(runner, number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the runner as well
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    status = None
    while status is None:
        signal.sigtimedwait({signal.SIGCHLD}, LOOK)
        status = _collect(runner)
        if status is None and deadline.passed():
            os.write(2, b"\nthe test run hangs past its alarm: killed\n")
            os.kill(runner, signal.SIGKILL)
            os.waitpid(runner, 0)
            status = 124
    kill(descendants(os.getpid()))
    os._exit(status)


def _collect(runner: int) -> int | None:
    """Reap every child that has ended; return the runner's status for a shell, if it is one."""
    result = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return result
        if pid == 0:
            return result
        if pid == runner:
            code = os.waitstatus_to_exitcode(status)
            result = code if code >= 0 else 128 - code


def descendants(reaper: int) -> dict[int, str]:
    """The processes below `reaper`, with their command lines; not the caller and its ancestors.

    Zombies that the reaper is about to collect do not count, others do: nobody waited for them.
    """
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; state and parent follow it.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if (state, int(parent)) != ("Z", reaper):
            parents[int(entry.name)] = int(parent)
    mine = set(_ancestry(os.getpid(), parents))
    return {
        pid: _command(pid)
        for pid in parents
        if pid not in mine and reaper in _ancestry(pid, parents)[1:]
    }


def _ancestry(pid: int, parents: dict[int, int]) -> list[int]:
    """`pid`, its parent, and so on upwards."""
    line = [pid]
    while (parent := parents.get(line[-1], 0)) and parent not in line:
        line.append(parent)
    return line


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return "?"
    return b" ".join(words).decode(errors="replace").strip() or "(zombie)"


def gone(pids: dict[int, str], seconds: float) -> dict[int, str]:
    """Wait until these processes have ended; return those that have not after `seconds`."""
    end = monotonic() + seconds
    left = {}
    for pid, command in pids.items():
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with open(handle) as pidfd:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(max(0.0, end - monotonic()) * 1000):
                left[pid] = command
    return left


def kill(pids: dict[int, str]) -> None:
    """SIGKILL these processes, and collect those that are the caller's own children."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    gone(pids, 5)
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
