# SPDX-License-Identifier: GPL-2.0-or-later
"""Record locks end with any descriptor of the file that their process closes."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import Nobody, play

from pyview.handlers import closing, controls
from pyview.handlers.caller import AT_FDCWD
from pyview.locks import EVERYTHING, Locks
from pyview.verdicts import Again, Done, Emulate, Real, Redirect
from pyview.verdicts import Locks as StopsClosing

SETLK = 6


@pytest.fixture
def held(emulated, monkeypatch):
    """The caller, with the file open as 5 and as 6, and the locks; it has locked 10 bytes."""
    made = Locks()
    monkeypatch.setattr(controls, "LOCKS", made)
    monkeypatch.setattr(closing, "LOCKS", made)
    for fd in (5, 6):
        verdict, _ = play(emulated.calls("openat", AT_FDCWD, "/e/file", os.O_RDWR, 0))
        emulated.objects[fd] = verdict.object
    assert play(locking(emulated)) == (Emulate(0), [])
    return emulated, made


def locking(caller):
    return caller.calls("fcntl", 5, SETLK, struct.pack("=hh4xqqi4x", 1, 0, 0, 10, 0))


def is_locked(held):
    caller, locks = held
    return locks.conflict(caller.objects[5].key, ("process", 1), EVERYTHING, True) is not None


@pytest.mark.parametrize(
    ("call", "words"),
    [("close", (6,)), ("dup2", (3, 6)), ("dup3", (3, 6, 0)), ("close_range", (6, 0xFFFFFFFF, 0))],
)
def test_the_locks_end_with_any_descriptor(held, call, words):
    caller, _ = held
    key = caller.objects[5].key
    assert play(caller.calls(call, *words), -errno.EIO) == (Done(), [Redirect({})])
    assert is_locked(held)
    assert play(caller.calls(call, *words), 0) == (Done(), [Redirect({})])
    assert not is_locked(held)
    assert ("wake", key) in caller.notes


@pytest.mark.parametrize(
    ("call", "words"),
    [("close", (3,)), ("dup2", (6, 6)), ("dup2", (6, 3)), ("close_range", (6, 9, 4)),
     ("close_range", (7, 9, 0))],
)  # fmt: skip
def test_what_closes_nothing_of_it_is_the_kernels(held, call, words):
    caller, _ = held
    assert play(caller.calls(call, *words)) == (Real(), [])
    assert is_locked(held)


def test_before_its_first_lock_a_process_is_made_to_stop(held):
    caller, _ = held
    caller.closing = False
    asked = [Redirect({}, "getpid"), StopsClosing()]
    assert play(locking(caller), 7) == (Again(), asked)
    own = caller.calls("fcntl", 5, 37, struct.pack("=hh4xqqi4x", 1, 0, 20, 10, 0))
    assert play(own) == (Emulate(0), [])


def test_who_can_not_be_stopped_gets_no_lock():
    caller = Nobody()
    steps = controls._ready_to_close()
    next(steps)
    steps.send(caller.tid)
    with pytest.raises(OSError) as raised:
        steps.send(-errno.ENOMEM)
    assert raised.value.errno == errno.ENOLCK
