# SPDX-License-Identifier: GPL-2.0-or-later
"""wait4(2) and waitid(2) about tracees: who is meant, and how it is told.  Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from pyview.debugging.words import (
    CLD_DUMPED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    CLD_TRAPPED,
    P_ALL,
    P_PGID,
    P_PID,
    SIGCHLD,
    WEXITED,
    WNOHANG,
    WNOTHREAD,
    WNOWAIT,
)


class Want(NamedTuple):
    """What a call waits for: the thread `tid` of `process`; P_ALL, P_PID or P_PGID of `number`."""

    tid: int
    process: int
    which: int
    number: int
    options: int
    by_id: bool  # waitid
    into: int  # where the status, or the siginfo_t, goes; 0: nowhere
    usage: int  # where struct rusage goes; 0: nowhere

    @property
    def blocks(self) -> bool:
        return not self.options & WNOHANG

    @property
    def keeps(self) -> bool:
        """The news stays to be told again."""
        return bool(self.options & WNOWAIT)

    @property
    def ends(self) -> bool:
        """It wants to hear of those that have ended."""
        return not self.by_id or bool(self.options & WEXITED)

    def means(self, tid: int, tracer: int, owner: int, group: Callable[[int], int]) -> bool:
        """Is the tracee `tid` of the thread `tracer` of the process `owner` meant?"""
        if owner != self.process or (self.options & WNOTHREAD and tracer != self.tid):
            return False
        if self.which == P_PID:
            return tid == self.number
        return self.which == P_ALL or (self.which == P_PGID and group(tid) == self.number)


class News(NamedTuple):
    """What wait(2) tells of a task: that it is stopped (a wait status), or how it ended.

    `job`: for SIGCHLD it is a job-control stop, of this signal or of none.
    """

    tid: int
    uid: int
    status: int
    usage: bytes = b""
    job: int | None = None

    @property
    def meaning(self) -> int:
        """si_code."""
        if self.status & 0xFF == 0x7F:
            return CLD_TRAPPED
        if self.status & 0x7F:
            return CLD_DUMPED if self.status & 0x80 else CLD_KILLED
        return CLD_EXITED

    @property
    def detail(self) -> int:
        """si_status."""
        stopped_or_exited = self.meaning in (CLD_TRAPPED, CLD_EXITED)
        return self.status >> 8 if stopped_or_exited else self.status & 0x7F


def signal_words(news: News) -> tuple[int, int]:
    """si_code and si_status of the SIGCHLD: kernel/signal.c, do_notify_parent_cldstop."""
    if news.job is not None:
        return CLD_STOPPED, news.job
    if news.meaning == CLD_TRAPPED:
        return CLD_TRAPPED, news.detail & 0x7F
    return news.meaning, news.detail


Groups = Callable[[int], int]  # the process group of a task


def wait4(tid: int, process: int, group: Groups, args: tuple[int, ...]) -> Want:
    """The words of a wait4."""
    pid = _signed(args[0])
    which = P_PID if pid > 0 else P_ALL if pid == -1 else P_PGID
    number = abs(pid) or group(tid)
    return Want(tid, process, which, number, args[2] & 0xFFFFFFFF, False, args[1], args[3])


def waitid(
    tid: int, process: int, group: Groups, args: tuple[int, ...], named: Callable[[int], int]
) -> Want:
    """The words of a waitid; `named`: the process that a pidfd of the caller stands for."""
    which, number = _signed(args[0]), _signed(args[1])
    if which == 3:
        which, number = P_PID, named(number)
    elif which == P_PGID:
        number = number or group(tid)
    return Want(tid, process, which, number, args[3] & 0xFFFFFFFF, True, args[2], args[4])


def told(want: Want, news: News | None) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """The call's result and what goes to the caller's memory; None: there is nothing to tell."""
    poke: list[tuple[int, bytes]] = []
    if want.by_id and want.into:
        head = struct.pack("=iii", SIGCHLD, 0, news.meaning) if news else bytes(12)
        tail = struct.pack("=iIi", news.tid, news.uid, news.detail) if news else bytes(12)
        poke += [(want.into, head), (want.into + 16, tail)]
    elif want.into and news:
        poke.append((want.into, struct.pack("=i", news.status)))
    if want.usage and news:
        poke.append((want.usage, news.usage))
    return news.tid if news and not want.by_id else 0, tuple(poke)


def rusage(stat: bytes, ran: int, tick: int) -> bytes:
    """struct rusage of a task, from /proc/TID/stat and the nanoseconds it ran.

    The kernel divides the time it ran as its ticks say (kernel/sched/cputime.c).
    """
    fields = stat.rpartition(b")")[2].split()
    minor, major, user, system = (int(fields[i]) for i in (7, 9, 11, 12))
    total = max(ran // 1000, (user + system) * tick) if ran else (user + system) * tick
    kernel = total * system // (user + system) if user + system else 0
    mine = total - kernel
    words = (*divmod(mine, 10**6), *divmod(kernel, 10**6), 0, 0, 0, 0, minor, major)
    return struct.pack("=10q", *words).ljust(144, b"\0")


def _signed(word: int) -> int:
    """An int in a register."""
    return (word & 0xFFFFFFFF) - ((word & 0x80000000) << 1)
