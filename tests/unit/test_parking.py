# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that are given up while they wait for a slow file."""

from __future__ import annotations

import errno
import threading

import pytest

from pyview import core
from pyview.verdicts import Emulate, Work

TID = 0x7FFFFFF0  # the task of the world's stops
LONG = 20  # seconds


@pytest.fixture
def waiting(world):
    """A task whose call waits for work; go() lets that be done, and `told` has what came of it."""
    gate, told = threading.Event(), []

    def handler(task):
        told.append((yield Work("file", lambda: gate.wait(LONG))))
        return Emulate(7)

    world.answers(handler)
    assert world.runs(world.stop(core.NOTICE)) == []
    assert world.tracer.busy_with(TID)

    def go():
        gate.set()
        heard(world)
        return told

    yield go
    gate.set()


def heard(world):
    """Hear of what other threads have done or want."""
    return world.runs(world.ready())


def test_who_is_about_to_die_gets_an_answer_at_once(world, waiting):
    world.tracer._give_up_soon(TID, world.tracer._parked[TID])
    assert heard(world) == [("reply", 4, 77, -errno.EINTR)]
    assert not world.tracer.busy_with(TID)
    assert world.record.watched == 0
    world.said.clear()
    assert waiting() == [True]  # the handler closes what it has opened; nobody is answered
    assert world.said == []


def test_who_waits_for_something_else_by_then_is_left_alone(world, waiting):
    world.tracer._give_up_soon(TID, world.tracer._parked[TID]._replace())
    assert heard(world) == []
    assert world.tracer.busy_with(TID)
    world.said.clear()
    waiting()
    assert world.said == [("reply", 4, 77, 7)]
