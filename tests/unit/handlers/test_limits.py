# SPDX-License-Identifier: GPL-2.0-or-later
"""RLIMIT_FSIZE: how much of a write is left, and the signal for who has none."""

from __future__ import annotations

import errno
import os
import signal

import pytest
from playbook import Nobody, play

from pyview.handlers import limits
from pyview.handlers.caller import AT_FDCWD
from pyview.verdicts import Emulate, Redirect

SIGNALLED = [Redirect({0: 100, 1: 100, 2: signal.SIGXFSZ}, "tgkill")]


def run(generator):
    """What a part of a handler gives, or its errno, and what it has asked for."""
    asked = []
    try:
        while True:
            asked.append(next(generator))
    except StopIteration as end:
        return end.value, asked
    except OSError as error:
        return -error.errno, asked


class File:
    kind = 0o100000


def test_what_is_left_is_up_to_the_limit():
    caller, file = Nobody(), File()
    assert run(limits.room(caller, file, 5, 7)) == (7, [])
    caller.most = 10
    assert run(limits.room(caller, file, 5, 7)) == (5, [])
    assert run(limits.room(caller, file, 9, 1)) == (1, [])
    assert run(limits.room(caller, file, 10, 1)) == (-errno.EFBIG, SIGNALLED)
    assert run(limits.room(caller, file, 10, 0)) == (0, [])
    file.kind = 0o060000
    assert run(limits.room(caller, file, 10, 1)) == (1, [])  # a device


def test_a_file_may_shrink_whatever_the_limit():
    caller = Nobody()
    caller.most = 10
    assert run(limits.grows(caller, 20, 15)) == (None, [])
    assert run(limits.grows(caller, 5, 10)) == (None, [])
    assert run(limits.grows(caller, 5, 11)) == (-errno.EFBIG, SIGNALLED)


@pytest.mark.parametrize(
    ("call", "words"),
    [("write", (b"x" * 9, 9)), ("ftruncate", (13,)), ("fallocate", (0, 0, 13)),
     ("pwrite64", (b"x", 1, 12))],
)  # fmt: skip
def test_calls_that_make_a_file_larger_mind_the_limit(emulated, call, words):
    verdict, _ = play(emulated.calls("openat", AT_FDCWD, "/e/file", os.O_RDWR | os.O_APPEND, 0))
    emulated.objects[5] = verdict.object
    emulated.most = 12
    if call == "write":
        assert play(emulated.calls(call, 5, *words)) == (Emulate(2), [])
        assert verdict.object.end() == 12
        return
    if call == "pwrite64":
        verdict.object.flags &= ~os.O_APPEND
    with pytest.raises(OSError) as raised:
        play(emulated.calls(call, 5, *words), 0)
    assert raised.value.errno == errno.EFBIG
    assert verdict.object.end() == 10


def test_truncate_minds_it_too(emulated, top):
    emulated.most = 12
    assert play(emulated.calls("truncate", "/e/file", 12)) == (Emulate(0), [])
    with pytest.raises(OSError) as raised:
        play(emulated.calls("truncate", "/e/file", 13), 0)
    assert raised.value.errno == errno.EFBIG
    assert (top / "file").stat().st_size == 12
