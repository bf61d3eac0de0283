# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the loop meets the debuggers' room: who gets which stop."""

from __future__ import annotations

import pytest

from pyview import core
from pyview.debugging.waits import Want
from pyview.verdicts import Emulate, Real

TID = 0x7FFFFFF0
WANT = Want(TID, TID, 0, 0, 0, by_id=False, into=0, usage=0)


class Room:
    """A debuggers' room that says what the test wants, and remembers what it heard."""

    def __init__(self):
        self.said, self.heard = Emulate(5), []
        self.claims = self.keeps = False

    def ptrace(self, tid, args):
        return self._hear(self.said, "ptrace")

    def wait(self, tid, name, args):
        return self._hear(self.said, name)

    def waits(self, want, number):
        self.heard.append(("waits", number))
        yield core.TO_EXIT, 0

    def stopped(self, stop):
        return self._hear(self.claims, "stopped", stop.kind)

    def finished(self, tid, kind):
        return self._hear(self.keeps, "finished", kind)

    def ended(self, tid):
        self.heard.append("ended")

    def noted(self, stop):
        self.heard.append(("noted", stop.kind))

    def renamed(self, before, tid):
        self.heard.append(("renamed", before, tid))

    def died(self, tid, status):
        self.heard.append(("died", tid, status))

    def holds(self, tid):
        return self.keeps

    def _hear(self, answer, *words):
        self.heard.append(words if len(words) > 1 else words[0])
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def room(world):
    made = world.tracer.debugging = Room()
    return made


def call(world, name):
    return world.stop(core.TRACED, nr=world.tracer.numbers[name], message=core.OURS)


@pytest.mark.parametrize("name", ["ptrace", "wait4", "waitid"])
def test_calls_of_debuggers_go_to_their_room(world, room, name):
    assert world.runs(call(world, name)) == [("answer", TID, 5), ("resume", TID)]
    assert name in room.heard


def test_the_kernel_may_answer(world, room):
    room.said = Real()
    assert world.runs(call(world, "ptrace"))[-1] == ("resume", TID)


def test_what_takes_several_stops_is_a_procedure(world, room):
    room.said = WANT
    said = world.runs(call(world, "wait4"), world.stop(core.EXIT))
    number = world.tracer.numbers["wait4"]
    assert ("waits", number) in room.heard
    assert said == [("resume", TID, *(core.TO_EXIT, 0)), ("resume", TID)]
    assert room.heard[-2:] == [("finished", core.EXIT), "ended"]


def test_who_is_held_after_a_procedure_is_not_resumed(world, room):
    room.said, room.keeps = WANT, True
    assert world.runs(call(world, "wait4"), world.stop(core.EXIT)) == [("resume", TID, 1, 0)]
    assert world.tracer.holds(TID)


@pytest.mark.parametrize("answer", [True, core.Gone()])
def test_a_stop_that_is_shown_is_nobody_elses(world, room, answer):
    room.claims = answer
    assert world.runs(world.stop(core.SIGNAL, message=15)) == []


def test_others_go_on(world, room):
    said = world.runs(world.stop(core.SIGNAL, message=15))
    assert said == [("resume", TID, core.GO, 15)]


def test_the_room_hears_of_ends_and_of_programs(world, room):
    world.runs(world.stop(core.EXEC, message=7), world.stop(core.DEAD, message=9))
    assert ("renamed", 7, TID) in room.heard
    assert ("died", TID, 9) in room.heard


def test_a_program_that_may_call_ptrace_is_filtered(world, room, monkeypatch):
    def filtered(tid):
        yield core.TO_EXIT, 0

    monkeypatch.setattr(world.tracer._installer, "at_exec", filtered)
    said = world.runs(world.stop(core.EXEC, key=1), world.stop(core.EXIT))
    assert said == [("resume", TID, core.TO_EXIT, 0), ("resume", TID)]
    assert ("noted", core.EXEC) in room.heard


@pytest.mark.parametrize(("ours", "end"), [(False, "resume"), (True, "answer")])
def test_after_its_own_filters_word_a_call_may_be_ours(world, room, monkeypatch, ours, end):
    def again(stop):
        vars(stop).update(vars(call(world, "ptrace")))
        return ours

    monkeypatch.setattr(core, "new_stop", lambda: world.stop(0))
    monkeypatch.setattr(core, "again", again)
    world.said.clear()
    world.tracer.again(TID)
    assert world.said[0][0] == end


def test_the_room_is_made_with_the_first_call(world):
    assert world.tracer.debugging is None
    assert not world.tracer.holds(TID)
