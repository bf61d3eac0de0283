# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads that Python's threading does not know of: the workers' own."""

from __future__ import annotations

import os


def count() -> int:
    """How many threads this process has, whoever started them."""
    return len(os.listdir("/proc/self/task"))


def close(workers, before: int) -> None:
    """Let workers finish, and close what they tell through when only `before` threads are left."""
    workers.finish_all()
    for file in list(workers._queues):
        workers.forget(file)
    while count() > before:
        os.sched_yield()  # one may not have told yet that it was done
    os.close(workers.fd)
