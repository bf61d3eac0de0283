# SPDX-License-Identifier: GPL-2.0-or-later
"""Handlers that ask for something, with stops that a test makes up."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from pyview import asking, core
from pyview.procedures import WAIT, Lost
from pyview.reach import NOTHING
from pyview.verdicts import Asleep, At, Done, Emulate, Ready, Redirect, Work

TID = 0x7FFFFFF0  # the task of the world's stops


@pytest.fixture
def redirections(world, monkeypatch):
    """Redirected calls: what they are asked to change; their results are in `results`."""
    seen = SimpleNamespace(changes=[], results=[])

    def redirected(tid, number, changes, numbers, at_entry, other):
        seen.changes.append((changes, at_entry))
        yield core.TO_EXIT, 0
        result = seen.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    def stopped(tid, listener, cookie):
        world.said.append("stopped")
        yield WAIT

    monkeypatch.setattr(asking, "redirected", redirected)
    monkeypatch.setattr(asking, "stopped_by_us", stopped)
    return seen


def test_what_the_core_cannot_serve_the_caller_runs(world, redirections):
    world.answers(At("/etc", 3, {0: b"/etc\0"}))
    redirections.results = [(0, 0)]
    said = world.runs(world.stop(core.NOTICE), world.stop(core.TRAP), world.stop(core.EXIT))
    assert said == [("serve", 3, "/etc"), "stopped", ("resume", TID, *RUN), ("resume", TID)]
    assert redirections.changes == [({0: b"/etc\0"}, False)]
    assert world.record.watched == 0


RUN = (core.TO_EXIT, 0)


def test_a_handler_gets_the_results_of_what_it_asks(world, redirections):
    got = []

    def handler(task):
        got.append((yield Redirect({0: 1})))
        got.append((yield Redirect({0: 2})))
        got.append((yield Redirect({0: 3})))
        return Done()

    world.answers(handler)
    redirections.results = [(5, 0), (-2, 0), OSError(errno.ENOMEM, "no")]
    said = world.runs(*[world.stop(core.TRACED)], *[world.stop(core.EXIT)] * 3)
    assert got == [5, -2, -errno.ENOMEM]
    assert said == [("resume", TID, *RUN)] * 3 + [("resume", TID)]
    assert [at_entry for _, at_entry in redirections.changes] == [True, False, False]


def test_the_kernel_looks_again_whether_an_interrupted_call_is_made_again(
    world, redirections, monkeypatch
):
    """Another thread may have got the signal while the handler ran something else."""
    regs, woken = SimpleNamespace(ip=100, nr=2, value=0), []
    monkeypatch.setattr(core, "registers", lambda tid: regs)
    monkeypatch.setattr(core, "set_registers", lambda tid, given: None)
    monkeypatch.setattr(core, "interrupt", woken.append)

    def handler(task):
        value = yield Redirect({})
        yield Redirect({}, "close")
        return Emulate(value)

    for value, expected in ((-512, [TID]), (7, []), (-4, [])):
        woken.clear()
        world.answers(handler)
        redirections.results = [(value, 0), (0, 0)]
        world.runs(world.stop(core.TRACED), *[world.stop(core.EXIT)] * 2)
        assert regs.value == value & (1 << 64) - 1
        assert woken == expected


def test_while_a_procedure_runs_every_stop_is_its_own(world, redirections):
    def handler(task):
        yield Redirect({})
        return Done()

    world.answers(handler)
    redirections.results = [(0, 0)]
    said = world.runs(world.stop(core.TRACED), world.stop(core.BORN), world.stop(core.READY),
                      world.stop(core.EXIT))  # fmt: skip
    assert said == [("resume", TID, *RUN), ("resume", TID, core.TO_EXIT), "serve", ("resume", TID)]


def test_a_procedure_ends_with_its_task(world, redirections):
    closed = []

    def handler(task):
        try:
            yield Redirect({})
        finally:
            closed.append(True)
        return Done()

    world.answers(handler)
    assert world.runs(world.stop(core.TRACED), world.stop(core.DEAD)) == [("resume", TID, *RUN)]
    assert closed == [True]
    assert not world.tracer.busy_with(TID)


def test_a_lost_task_goes_its_own_way(world, redirections):
    def handler(task):
        yield Redirect({})
        return Done()

    world.answers(handler)
    redirections.results = [Lost()]
    said = world.runs(world.stop(core.TRACED), world.stop(core.SIGNAL, message=15))
    assert said[-1] == ("resume", TID, core.GO, 15)


def test_exec_in_a_thread_takes_the_procedure_with_it(world, redirections):
    def handler(task):
        yield Redirect({})
        return Done()

    world.answers(handler)
    redirections.results = [(0, 0)]
    leader = world.records[7] = world.task(7)
    world.runs(world.stop(core.TRACED), world.stop(core.EXEC, tid=7, message=TID))
    assert world.said[-1] == ("resume", 7)
    assert leader.watched == 0


def test_who_can_hold_no_descriptor_yet_is_made_ready_and_asks_again(
    world, redirections, monkeypatch
):
    regs = SimpleNamespace(ip=100, nr=0, value=0)
    monkeypatch.setattr(core, "registers", lambda tid: regs)
    monkeypatch.setattr(core, "set_registers", lambda tid, given: world.said.append("again"))

    def made_ready(tid, reach):
        assert reach == NOTHING
        world.said.append("ready")
        yield from ()

    monkeypatch.setattr(world.tracer._installer, "stop_beyond", made_ready)
    world.answers(Ready())
    said = world.runs(world.stop(core.NOTICE), world.stop(core.TRAP))
    assert said == ["stopped", "ready", "again", ("resume", TID)]
    assert (regs.ip, regs.nr) == (100 - core.CALL_LENGTH, core.NO_CALL)
    assert regs.value == world.tracer.numbers["stat"]


def test_who_sleeps_is_woken_by_what_he_sleeps_on(world, monkeypatch):
    woken = []

    def asleep(tid, numbers):
        yield core.TO_EXIT, 0

    monkeypatch.setattr(asking, "asleep", asleep)
    monkeypatch.setattr(core, "interrupt", woken.append)
    world.answers(Asleep("key"))
    world.runs(world.stop(core.TRACED))
    emulation = world.tracer.emulation
    emulation.wake("another")
    assert woken == []
    emulation.wake("key")
    assert woken == [TID]
    world.runs(world.stop(core.EXIT))
    emulation.wake("key")
    assert woken == [TID]
    assert not world.tracer.busy_with(TID)


def test_work_after_a_request_keeps_the_task_stopped(world, redirections):
    told = []

    def handler(task):
        yield Redirect({})
        told.append((yield Work("file", lambda: "done")))
        return Done()

    world.answers(handler)
    redirections.results = [(0, 0)]
    world.runs(world.stop(core.TRACED), world.stop(core.EXIT))
    assert world.said == [("resume", TID, *RUN)]
    assert world.runs(world.ready()) == [("resume", TID)]
    assert told == ["done"]
