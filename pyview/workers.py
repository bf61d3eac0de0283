# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads for files that are slow: each has one of its own, and the core's loop never waits.

Work never touches ptrace.  What is done is told through an eventfd, which the loop watches.
"""

from __future__ import annotations

import _thread
import errno
import os
from _queue import SimpleQueue  # not queue: that imports threading and more
from collections.abc import Callable, Hashable
from typing import Any

Then = Callable[[Any, BaseException | None], None]


class Workers:
    """The threads, and what they have finished."""

    def __init__(
        self,
        ring: Callable[[], object] = lambda: None,
        failed: Callable[[BaseException], object] = lambda error: None,
    ) -> None:
        """`ring` is called, in any thread, after `fd` has become readable.

        `failed` is told, in the loop's, what is wrong with what was to be done there.
        """
        self._ring, self._failed = ring, failed
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._everywhere = os.sched_getaffinity(0)  # the core itself follows its callers
        self._queues: dict[Hashable, SimpleQueue[Any]] = {}
        self._due = 0  # what is not finished
        self._done: SimpleQueue[tuple[Then, Any, BaseException | None]] = SimpleQueue()

    def submit(self, file: Hashable, run: Callable[[], Any], then: Then) -> None:
        """Call `run` in the thread of `file`; the loop then calls `then` with what came of it.

        That is EAGAIN when there can be no more threads.
        """

        def done(value: Any, error: BaseException | None) -> None:
            self._due -= 1
            then(value, error)

        self._due += 1
        queue = self._queues.get(file)
        if queue is None:
            queue = SimpleQueue()
            try:
                _thread.start_new_thread(self._serve, (queue,))
            except (RuntimeError, MemoryError):  # there can be no more threads
                error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                self._done.put((done, None, error))
                os.eventfd_write(self.fd, 1)
                return
            self._queues[file] = queue
        queue.put((run, done))

    def once(self, run: Callable[[], Any], then: Then) -> None:
        """The same, in a thread for this alone."""
        token = object()
        self.submit(token, run, then)
        self.forget(token)

    def forget(self, file: Hashable) -> None:
        """The file is closed: its thread ends after what it has to do."""
        queue = self._queues.pop(file, None)
        if queue is not None:
            queue.put(None)

    def _serve(self, queue: SimpleQueue[Any]) -> None:
        os.sched_setaffinity(0, self._everywhere)
        while (work := queue.get()) is not None:
            run, then = work
            value: Any = None
            error: BaseException | None = None
            try:
                value = run()
            except BaseException as caught:  # whatever it is, the one who asked gets it
                error = caught
            self._done.put((then, value, error))
            os.eventfd_write(self.fd, 1)
            self._ring()

    def tell(self, action: Callable[[], None]) -> None:
        """Have something done in the loop's own thread; may be called in any."""
        self._done.put((lambda value, error: action(), None, None))
        os.eventfd_write(self.fd, 1)
        self._ring()

    def finish_all(self) -> None:
        """Wait until all work is done."""
        os.set_blocking(self.fd, True)
        while self._due:
            self.finish()

    def finish(self) -> None:
        """Pass on what is done."""
        os.eventfd_read(self.fd)
        while not self._done.empty():
            then, value, error = self._done.get()
            try:
                then(value, error)
            except BaseException as wrong:  # the others are done all the same
                self._failed(wrong)
