# SPDX-License-Identifier: GPL-2.0-or-later
"""Who waits for a module that does not come back: a signal ends that wait, as it ends others.

A module's operation runs in the core's own thread unless its file is slow, and meanwhile nobody is
heard.  A thread looks once a second whether one is under way for that long, and whether its caller
has been killed or interrupted.  Then the operation is ended by an exception.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

SECOND = 1.0
CHLD, CONT, URG, WINCH = 17, 18, 23, 28  # these do nothing to who does not ask for them
STOPS = (19, 20, 21, 22)


def _bits(*numbers: int) -> int:
    return sum(1 << (number - 1) for number in numbers)


class Interrupted(BaseException):
    """In a module's operation, wherever it is: nobody waits for it any more."""


class Parked(NamedTuple):
    """How a call that waits for a slow file goes on: by what its handler says then, or a verdict.

    carry_on  told the handler's next request or verdict, when the work is done
    settle    told a verdict instead, when nobody waits for the work any more
    """

    carry_on: Callable[[Any], None]
    settle: Callable[[Any], None]


GiveUp = Callable[[int, Parked], None]


class Patience:
    """One per core.

    at      whose call the core's thread is busy with, if any
    parked  whose calls wait for slow files, by tid
    """

    def __init__(self, parked: Mapping[int, Parked], give_up: GiveUp) -> None:
        """`give_up(tid, parked[tid])`, in any thread: a signal will end this task."""
        self.at: Any = None
        self._parked, self._give_up = parked, give_up
        self._late: Any = None
        self._started = False
        self._everywhere = os.sched_getaffinity(0)  # the core itself follows its callers

    def start(self) -> None:
        """From now on modules are asked.  To be called in the core's thread."""
        if self._started:
            return
        import signal  # 3 ms, and only now needed

        self._started = True
        signal.signal(signal.SIGUSR1, self._interrupt)
        me, number = _thread.get_ident(), signal.SIGUSR1
        try:
            _thread.start_new_thread(self._watch, (lambda: signal.pthread_kill(me, number),))
        except RuntimeError:
            self._started = False  # there can be no more threads now

    def _interrupt(self, _number: int, _frame: object) -> None:
        if self.at is not None and self.at is self._late:
            raise Interrupted

    def _watch(self, interrupt: Callable[[], None]) -> None:
        os.sched_setaffinity(0, self._everywhere)
        clock = _thread.allocate_lock()
        clock.acquire()
        before: Any = None
        while not clock.acquire(True, SECOND):
            now = self.at
            if now is not None and now is before and is_called(now.tid):
                self._late = now
                interrupt()
            before = now
            for tid, token in list(self._parked.items()):
                if is_called(tid, to_die=True):
                    self._give_up(tid, token)


def is_called(tid: int, *, to_die: bool = False) -> bool:
    """Whether a signal waits for a task, or has ended it; `to_die`: one that will end it."""
    try:
        with open(f"/proc/{tid}/status", "rb", 0) as file:
            fields = dict(line.split(b":\t", 1) for line in file.read().splitlines() if line)
    except OSError:
        return True
    if fields[b"State"][:1] in b"ZX":
        return True
    own, shared, blocked, ignored, caught = (
        int(fields[name], 16) for name in (b"SigPnd", b"ShdPnd", b"SigBlk", b"SigIgn", b"SigCgt")
    )
    harmless = _bits(CHLD, CONT, URG, WINCH) & ~caught | _bits(*STOPS)
    pending = (own | shared) & ~blocked & ~ignored & ~harmless
    return bool(pending & ~caught if to_die else pending)
