# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters for the processes of a view, with tasks that are records and nothing else."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from pyview import core, installing
from pyview.installing import SYNCED, SYNCED_LISTENER, WAIT_KILLABLE, Installing
from pyview.procedures import WAIT, Lost


class Half(Installing):
    """The half of a tracer that starts procedures, and lets the test drive them."""

    def __init__(self):
        super().__init__()
        self._numbers = core.numbers()
        self._running = {}
        self.told = []
        self.installed = []

    def _start(self, tid, procedure, stop):
        self._running[tid] = procedure
        self.steps = getattr(self, "steps", {})
        try:
            self.steps[tid] = next(procedure)
        except StopIteration:
            self.end(tid)

    def _filtered(self, tid, length):
        self.installed.append((tid, length))

    def stops(self, tid, kind, message=0):
        """One stop of a task."""
        try:
            return self._running[tid].send(SimpleNamespace(kind=kind, message=message))
        except (StopIteration, Lost):
            self.end(tid)
            return None

    def end(self, tid):
        del self._running[tid]
        self._ended(tid)


class World:
    """The tasks there are: tid -> record; and what was done to them."""

    def __init__(self, monkeypatch):
        self.records = {}
        self.groups = {}
        self.flags = []
        self.refusals = []
        self.listeners = []
        self.deep = set()
        monkeypatch.setattr(core, "task", self.records.get)
        monkeypatch.setattr(core, "tasks", lambda: list(self.records.values()))
        monkeypatch.setattr(core, "thread_group", lambda tid: self.groups[tid])
        monkeypatch.setattr(core, "interrupt", lambda tid: None)
        monkeypatch.setattr(core, "listen", self.listeners.append)
        monkeypatch.setattr(installing, "install", self.install)
        monkeypatch.setattr(installing, "let_go", lambda tid: iter(()))
        monkeypatch.setattr(installing, "_sleeps_deeply", self.deep.__contains__)

    def add(self, tid, group, view="view"):
        self.records[tid] = SimpleNamespace(tid=tid, view=view, filtered=0)
        self.groups[tid] = group

    def install(self, tid, program, numbers, flags):
        self.flags.append(flags)
        if self.refusals:
            raise OSError(self.refusals.pop(0), "no")
        return 50 + tid
        yield


@pytest.fixture
def world(monkeypatch):
    made = World(monkeypatch)
    made.add(1, 1)
    made.add(2, 1)
    made.add(3, 3)
    made.add(4, 4, "another view")
    return made


@pytest.fixture
def half():
    return Half()


def test_one_task_of_each_process_of_the_view_installs_the_filter(world, half):
    half.install_in("view", half.told.append)
    assert set(half._running) == {1, 3}
    assert half.steps == {1: WAIT, 3: WAIT}
    half.stops(1, core.TRAP)
    assert half.told == []
    assert [world.records[tid].filtered for tid in (1, 2, 3, 4)] == [1, 1, 0, 0]
    half.stops(3, core.GROUP)
    assert half.told == [""]
    assert world.listeners == [51, 53]
    assert world.flags == [SYNCED_LISTENER | WAIT_KILLABLE] * 2
    assert [tid for tid, _ in half.installed] == [1, 3]


def test_a_process_has_one_filter(world, half):
    for record in world.records.values():
        record.filtered = 1
    half.install_in("view", half.told.append)
    assert half.told == [""]
    assert half._running == {}


def test_signals_reach_the_task_meanwhile(world, half):
    half.install_in("view", half.told.append)
    assert half.stops(1, core.SIGNAL, 15) == (core.GO, 15)
    assert half.stops(1, core.TRAP) is None
    assert world.flags


def test_an_old_kernel_does_without_killable_waits(world, half):
    world.refusals = [errno.EINVAL]
    half.install_in("view", half.told.append)
    half.stops(1, core.TRAP)
    assert world.flags == [SYNCED_LISTENER | WAIT_KILLABLE, SYNCED_LISTENER]
    half.stops(3, core.TRAP)
    assert half.told == [""]


def test_a_process_that_cannot_be_filtered_is_named(world, half):
    world.refusals = [errno.EBUSY]
    half.install_in("view", half.told.append)
    half.stops(1, core.TRAP)
    half.stops(3, core.TRAP)
    assert half.told == [f"cannot filter process 1: {os.strerror(errno.EBUSY)}"]
    assert [world.records[tid].filtered for tid in (1, 2, 3)] == [0, 0, 1]


def test_a_task_that_was_elsewhere_is_tried_again(world, half):
    half.install_in("view", half.told.append)
    first = half._running[1]
    half.stops(1, core.TRACED)
    assert half._running[1] is not first
    half.stops(1, core.TRAP)
    half.stops(3, core.TRAP)
    assert half.told == [""]


def test_a_task_with_a_procedure_waits_for_its_end(world, half):
    busy = iter(())
    half._running[1] = busy
    half.install_in("view", half.told.append)
    assert half._running[1] is busy
    half.stops(3, core.TRAP)
    assert half.told == []
    half.end(1)
    half.stops(1, core.TRAP)
    assert half.told == [""]


def test_a_task_that_died_is_waited_for_no_longer(world, half):
    half.install_in("view", half.told.append)
    half.stops(3, core.TRAP)
    del world.records[1], world.records[2]
    half.end(1)
    assert half.told == [""]


def test_a_task_in_a_deep_sleep_follows_when_it_can_and_nobody_waits(world, half):
    world.deep.add(1)
    half.install_in("view", half.told.append)
    half.stops(3, core.TRAP)
    assert half.told == [""]
    half.stops(1, core.TRAP)
    assert world.records[1].filtered
    assert half.told == [""]


def test_a_view_without_tasks_has_its_answer_at_once(world, half):
    half.install_in("a view of nobody", half.told.append)
    assert half.told == [""]


def test_two_changes_have_two_answers(world, half):
    half.install_in("view", half.told.append)
    half.install_in("view", lambda why: half.told.append("second" + why))
    for _ in range(2):
        for tid in (1, 3):
            if tid in half._running:
                half.stops(tid, core.TRAP)
    assert sorted(half.told) == ["", "second"]


def test_messages_are_stopped_for_once_in_a_process(world, half):
    for tid in (1, 2, 1):
        with pytest.raises(StopIteration):
            next(half._stop_for_messages(tid))
    assert world.flags == [SYNCED]


def test_who_sleeps_deeply():
    assert not installing._sleeps_deeply(os.getpid())
    assert installing._sleeps_deeply(0x7FFFFFF0)
