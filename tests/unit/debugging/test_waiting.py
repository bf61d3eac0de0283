# SPDX-License-Identifier: GPL-2.0-or-later
"""Who waits hears of what is shown, and of nothing else."""

from __future__ import annotations

import errno
import struct
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.debugging.waits import Want
from pyview.debugging.words import SIGCHLD, WNOHANG, WNOTHREAD, WNOWAIT
from pyview.verdicts import Real

DEBUGGER, CHILD, STRANGER = 10, 20, 30
INFO, WORD = 0x2000, 0x3000
USR1 = 10


def status(code):
    return code << 8 | 0x7F


def test_a_stop_wakes_who_waits_for_it(scene):
    scene.seized()
    scene.seized(0, STRANGER)
    want = scene.waits(STRANGER, 0)
    assert isinstance(want, Want)
    waiting = scene.room.waits(want, 61)
    next(waiting)
    scene.machine.said()
    scene.stops(core.SIGNAL, USR1)
    assert not scene.machine.said("interrupt")
    scene.stops(core.SIGNAL, USR1, tid=STRANGER)
    scene.stops(core.SIGNAL, USR1, tid=STRANGER)
    assert scene.machine.said("interrupt") == [("interrupt", DEBUGGER)]
    waiting.close()


@pytest.mark.parametrize(
    ("pid", "options", "told"),
    [
        (-1, WNOHANG, True),
        (CHILD, WNOHANG, True),
        (STRANGER, WNOHANG, False),
        (0, WNOHANG, True),
        (-5, WNOHANG, True),
        (-6, WNOHANG, False),
        (-1, WNOHANG | WNOTHREAD, True),
    ],
)
def test_whom_a_wait_means(scene, pid, options, told):
    scene.seized()
    scene.stops(core.SIGNAL, USR1)
    assert (scene.waits(pid, options) == (CHILD, status(USR1))) == told
    assert scene.waits(CHILD, WNOHANG, tid=STRANGER) == Real()


def test_waitid_tells_all_and_may_leave_it(scene):
    scene.seized()
    scene.stops(core.SIGNAL, USR1)
    for options in (2 | WNOWAIT, 2):
        answer = scene.room.wait(DEBUGGER, "waitid", (0, 0, INFO, options, WORD, 0))
        head, tail = answer.poke[0][1], answer.poke[1][1]
        assert answer.value == 0
        assert struct.unpack("=iii", head) == (SIGCHLD, 0, 4)
        assert struct.unpack("=iIi", tail) == (CHILD, 1000, USR1)
        assert answer.poke[2] == (WORD, b"u" * 144)
    assert isinstance(scene.room.wait(DEBUGGER, "waitid", (3, 7, INFO, 2, 0, 0)), Want)


# -- the kernel's own wait -------------------------------------------------------------------------


@pytest.fixture
def registers(monkeypatch):
    """The registers of whoever waits, and what was stored."""
    regs = SimpleNamespace(ip=100, nr=61, value=0, stored=[])
    monkeypatch.setattr(core, "registers", lambda tid: regs)
    monkeypatch.setattr(core, "copy_registers", lambda regs: SimpleNamespace(**vars(regs)))
    monkeypatch.setattr(core, "set_registers", lambda tid, new: vars(regs).update(vars(new)))
    monkeypatch.setattr(core, "poke", lambda tid, at, data: regs.stored.append(data) or True)
    return regs


def ended(value):
    return SimpleNamespace(kind=core.EXIT, value=value)


def goes(procedure, *stops):
    """Every stop in turn; is it over then?"""
    step = next(procedure)
    try:
        for stop in stops:
            assert step == (core.TO_EXIT, 0)
            step = procedure.send(stop)
    except StopIteration:
        return True
    return False


@pytest.mark.parametrize("value", [-512, -errno.ECHILD])
def test_news_that_came_meanwhile_is_the_result(scene, registers, value):
    scene.seized()
    waiting = scene.room.waits(scene.waits(CHILD, 0), 61)
    next(waiting)
    scene.stops(core.SIGNAL, USR1)
    with pytest.raises(StopIteration):
        waiting.send(ended(value))
    assert registers.value == CHILD
    assert registers.stored == [status(USR1).to_bytes(4, "little")]


def test_a_wait_of_the_kernels_ends_as_the_kernel_says(scene, registers):
    scene.seized()
    assert goes(scene.room.waits(scene.waits(-1, 0), 61), ended(99))
    assert goes(scene.room.waits(scene.waits(-1, 0), 61), ended(-512))
    assert (registers.value, registers.stored) == (0, [])


def test_without_a_child_of_the_kernels_it_sleeps(scene, registers):
    scene.seized()
    waiting = scene.room.waits(scene.waits(-1, 0), 61)
    assert not goes(waiting, ended(-errno.ECHILD))
    assert (registers.nr, registers.value) == (core.NO_CALL, scene.loop.numbers["pause"])
    scene.stops(core.SIGNAL, USR1)
    scene.machine.said()
    waiting.send(SimpleNamespace(kind=core.TRAP))  # before it has made the call: not again
    assert not scene.machine.said("interrupt")
    waiting.send(SimpleNamespace(kind=core.ENTRY))  # which takes an interrupt back
    assert scene.machine.said("interrupt") == [("interrupt", DEBUGGER)]
    with pytest.raises(StopIteration):
        waiting.send(ended(-514))
    assert registers.value == CHILD


def test_where_it_may_not_sleep_there_is_nothing(scene, registers):
    scene.seized()
    registers.value = 7
    assert goes(scene.room.waits(scene.waits(-1, WNOHANG), 61), ended(-errno.ECHILD))
    assert registers.value == 0


def test_a_jobs_stop_of_a_tracee_is_the_debuggers_news_only(scene, registers):
    scene.seized()
    assert goes(scene.room.waits(scene.waits(-1, 2), 61), ended(CHILD))
    assert (registers.nr, registers.value, registers.ip) == (
        core.NO_CALL, 61, 100 - core.CALL_LENGTH,
    )  # fmt: skip
