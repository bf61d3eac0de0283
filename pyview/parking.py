# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that wait for slow files: their tasks stay where they are, and all others go on."""

from __future__ import annotations

import errno
from functools import partial
from typing import Any

from pyview import core
from pyview.asking import Asking, resumed
from pyview.patience import Parked, Patience
from pyview.task import Task
from pyview.verdicts import Emulate, Handler, Opened, Work


class Parking(Asking):
    """The parked tasks of one session."""

    def __init__(self) -> None:
        super().__init__()
        self._parked: dict[int, Parked] = {}
        self.patience = Patience(self._parked, self._give_up_soon)

    def _park(self, task: Task, handler: Handler, work: Work, token: Parked) -> None:
        """The task waits in its call until a slow file has done something."""
        tid = task.tid
        record = core.task(tid)
        if record is None:
            return
        record.watched = 1
        self._parked[tid] = token

        def then(value: Any, error: BaseException | None) -> None:
            alive = self._parked.get(tid) is token
            answer = self._guarded(task, partial(resumed, handler, value, error))
            if not alive:  # killed meanwhile: what was opened for it is to be closed
                if isinstance(answer, Opened) and answer.object is not None:
                    self.emulation.close(answer.object)
                handler.close()
                return
            del self._parked[tid]
            record.watched = 0
            try:
                token.carry_on(answer)
            except core.Gone:
                self.emulation.done(tid)
            self._ended(tid)

        self.emulation.workers.submit(work.file, work.run, then)

    def _give_up_soon(self, tid: int, token: Parked) -> None:
        self.emulation.workers.tell(partial(self._give_up, tid, token))

    def _give_up(self, tid: int, token: Parked) -> None:
        """The task is about to die by a signal: its call ends, whatever becomes of the work."""
        if self._parked.get(tid) is not token:
            return
        del self._parked[tid]
        record = core.task(tid)
        if record is not None:
            record.watched = 0
            token.settle(Emulate(-errno.EINTR))
        self.emulation.done(tid)
        self._ended(tid)
