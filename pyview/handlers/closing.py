# SPDX-License-Identifier: GPL-2.0-or-later
"""Closing, in a process that has locked an emulated file: fcntl(2), record locks.

They end with the first descriptor of the file that their process closes, however it was opened.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyview.abi.words import as_fd
from pyview.handlers.caller import Caller
from pyview.handlers.files import opened
from pyview.locks import EVERYTHING, LOCKS
from pyview.openfile import OpenFile
from pyview.verdicts import Done, Handler, Real, Redirect, Verdict

CLOEXEC = 4  # CLOSE_RANGE_CLOEXEC: nothing is closed


def close(caller: Caller) -> Handler | Verdict:
    """close."""
    file = opened(caller)
    return Real() if file is None else _closed(caller, [file])


def dup(caller: Caller) -> Handler | Verdict:
    """dup2, dup3: what had the new number is closed."""
    old, new = (as_fd(word) for word in caller.args[:2])
    file = caller.object(new) if old != new else None
    return Real() if file is None else _closed(caller, [file])


def close_range(caller: Caller) -> Handler | Verdict:
    """close_range."""
    first, last = (word & 0xFFFFFFFF for word in caller.args[:2])
    files = [] if caller.args[2] & CLOEXEC else caller.held(first, last)
    return _closed(caller, files) if files else Real()


def _closed(caller: Caller, files: Iterable[OpenFile]) -> Handler:
    value = yield Redirect({})
    if value >= 0:
        for file in files:
            LOCKS.release(file.key, ("process", caller.process()), EVERYTHING)
            caller.wake(file.key)
    return Done()
