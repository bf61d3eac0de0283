# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters for the processes of a view, with tasks that are records and nothing else."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from pyview import core, installing
from pyview.filter import path_tier
from pyview.installing import SYNCED, SYNCED_LISTENER, WAIT_KILLABLE, Installer
from pyview.procedures import WAIT, Lost
from pyview.reach import ENOUGH, EVERYWHERE, NOTHING, READING, Reach


class Loop:
    """A tracer's loop whose procedures the test drives."""

    def __init__(self):
        self.numbers = core.numbers()
        self.awaited = set()
        self.running = {}
        self.steps = {}
        self.told = []
        self.all_told = False
        self.installed = []
        self.installer = Installer(self)

    def busy_with(self, tid):
        return tid in self.running

    def start(self, tid, procedure):
        self.running[tid] = procedure
        try:
            self.steps[tid] = next(procedure)
        except StopIteration:
            self.end(tid)

    def tells_all(self, picture):
        return self.all_told

    def holds(self, tid):
        return False

    def filtered(self, tid, instructions):
        self.installed.append((tid, instructions))

    def stops(self, tid, kind, message=0):
        """One stop of a task."""
        try:
            return self.running[tid].send(SimpleNamespace(kind=kind, message=message))
        except (StopIteration, Lost):
            self.end(tid)
            return None

    def end(self, tid):
        del self.running[tid]
        self.installer.ended(tid)

    def install_in(self, picture, then):
        self.installer.install_in(picture, then)


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
        outside = SimpleNamespace(nr=core.NO_CALL)
        monkeypatch.setattr(core, "registers", lambda tid: outside)
        monkeypatch.setattr(core, "listen", self.listeners.append)
        monkeypatch.setattr(installing, "install", self.install)
        monkeypatch.setattr(installing, "stacked", self.stack)
        monkeypatch.setattr(installing, "let_go", lambda tid: iter(()))
        monkeypatch.setattr(installing, "_sleeps_deeply", self.deep.__contains__)

    def add(self, tid, group, view="view"):
        self.records[tid] = SimpleNamespace(
            tid=tid,
            view=view,
            filtered=0,
            messages=0,
            descriptors=0,
            direct=0,
            windowed=0,
            reads_below=0,
            writes_below=0,
            mapping=0,
            identified=0,
            identity=None,
            debug=0,
            ptraces=0,
            waits=0,
        )
        self.groups[tid] = group

    def install(self, tid, program, numbers, flags):
        self.flags.append(flags)
        if self.refusals:
            raise OSError(self.refusals.pop(0), "no")
        return 50 + tid
        yield

    def stack(self, tid, program, numbers, flags):
        self.flags.append(flags)
        return None
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
def loop():
    return Loop()


def test_one_task_of_each_process_of_the_view_installs_the_filter(world, loop):
    loop.install_in("view", loop.told.append)
    assert set(loop.running) == {1, 3}
    assert loop.steps == {1: WAIT, 3: WAIT}
    loop.stops(1, core.TRAP)
    assert loop.told == []
    assert [world.records[tid].filtered for tid in (1, 2, 3, 4)] == [1, 1, 0, 0]
    loop.stops(3, core.GROUP)
    assert loop.told == [""]
    assert world.listeners == [51, 53]
    assert world.flags == [SYNCED_LISTENER | WAIT_KILLABLE] * 2
    assert [tid for tid, _ in loop.installed] == [1, 3]


def test_a_process_has_one_filter(world, loop):
    for record in world.records.values():
        record.filtered = 1
    loop.install_in("view", loop.told.append)
    assert loop.told == [""]
    assert loop.running == {}


def test_signals_reach_the_task_meanwhile(world, loop):
    loop.install_in("view", loop.told.append)
    assert loop.stops(1, core.SIGNAL, 15) == (core.GO, 15)
    assert loop.stops(1, core.TRAP) is None
    assert world.flags


def test_an_old_kernel_does_without_killable_waits(world, loop):
    world.refusals = [errno.EINVAL]
    loop.install_in("view", loop.told.append)
    loop.stops(1, core.TRAP)
    assert world.flags == [SYNCED_LISTENER | WAIT_KILLABLE, SYNCED_LISTENER]
    loop.stops(3, core.TRAP)
    assert loop.told == [""]


def test_a_process_that_cannot_be_filtered_is_named(world, loop):
    world.refusals = [errno.EACCES]
    loop.install_in("view", loop.told.append)
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == [f"cannot filter process 1: {os.strerror(errno.EACCES)}"]


def test_a_task_that_was_elsewhere_is_tried_again(world, loop):
    loop.install_in("view", loop.told.append)
    first = loop.running[1]
    loop.stops(1, core.TRACED)
    assert loop.running[1] is not first
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == [""]


def test_a_task_with_a_procedure_waits_for_its_end(world, loop):
    busy = iter(())
    loop.running[1] = busy
    loop.install_in("view", loop.told.append)
    assert loop.running[1] is busy
    loop.stops(3, core.TRAP)
    assert loop.told == []
    loop.end(1)
    loop.stops(1, core.TRAP)
    assert loop.told == [""]


def test_a_task_that_died_is_waited_for_no_longer(world, loop):
    loop.install_in("view", loop.told.append)
    loop.stops(3, core.TRAP)
    del world.records[1], world.records[2]
    loop.end(1)
    assert loop.told == [""]


def test_a_task_in_a_deep_sleep_follows_when_it_can_and_nobody_waits(world, loop):
    world.deep.add(1)
    loop.install_in("view", loop.told.append)
    loop.stops(3, core.TRAP)
    assert loop.told == [""]
    loop.stops(1, core.TRAP)
    assert world.records[1].filtered
    assert loop.told == [""]


def test_a_view_without_tasks_has_its_answer_at_once(world, loop):
    loop.install_in("a view of nobody", loop.told.append)
    assert loop.told == [""]


def test_two_changes_have_two_answers(world, loop):
    loop.install_in("view", loop.told.append)
    loop.install_in("another view", lambda why: loop.told.append("second" + why))
    for tid in (4, 1, 3):
        loop.stops(tid, core.TRAP)
    assert loop.told == ["second", ""]


def test_who_is_born_meanwhile_is_waited_for_too(world, loop):
    loop.install_in("view", loop.told.append)
    world.add(9, 9)
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == []
    loop.stops(9, core.TRAP)
    assert loop.told == [""]


def test_who_has_the_filter_from_its_parent_is_no_failure(world, loop):
    world.refusals = [errno.EBUSY]
    loop.install_in("view", loop.told.append)
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == [""]
    assert world.records[1].filtered


@pytest.mark.parametrize("tier", ["messages", "mapping"])
def test_more_is_stopped_for_once_in_a_process(world, loop, tier):
    stop = getattr(loop.installer, f"stop_for_{tier}" + "s" * (tier == "mapping"))
    for tid in (1, 2, 1):
        with pytest.raises(StopIteration):
            next(stop(tid))
    assert world.flags == [SYNCED]
    assert [getattr(world.records[tid], tier) for tid in (1, 2, 3)] == [1, 1, 0]


def test_a_process_stops_beyond_what_it_may_do_unheard(world, loop):
    window = Reach(True, 1 << 30, 1 << 30, 4096)
    for reach, stacked in ((window, 1), (window, 1), (Reach(False, EVERYWHERE, 1 << 40), 1),
                           (READING, 2), (NOTHING, 3), (window, 3)):  # fmt: skip
        with pytest.raises(StopIteration):
            next(loop.installer.stop_beyond(1, reach))
        assert len(world.flags) == stacked
        assert all(reach.of(world.records[tid]) for tid in (1, 2))
    assert not window.of(world.records[3])


def test_who_opens_one_disk_after_the_other_stops_for_everything_at_last(world, loop):
    for number in range(9):
        with pytest.raises(StopIteration):
            next(loop.installer.stop_beyond(1, Reach(True, 1 << 30 - number, 0)))
    assert len(world.flags) == ENOUGH + 1
    assert world.records[2].descriptors


def test_all_that_could_write_unheard_are_narrowed(world, loop):
    assert not loop.installer.narrow(READING, loop.told.append)
    Reach(False, EVERYWHERE, 1 << 30).narrows(world.records[1])
    READING.narrows(world.records[2])
    world.records[4].direct = world.records[4].descriptors = 1
    assert loop.installer.narrow(READING, loop.told.append)
    assert list(loop.running) == [1]
    loop.stops(1, core.TRAP)
    assert loop.told == [""]
    assert READING.of(world.records[1])
    assert not loop.installer.narrow(READING, loop.told.append)


def test_where_descriptors_are_emulated_all_stop_for_messages_too(world, loop):
    loop.installer.install_in("view", loop.told.append, True)
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == [""]
    assert [world.records[tid].messages for tid in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert world.flags == [SYNCED_LISTENER | WAIT_KILLABLE, SYNCED] * 2
    loop.installer.install_in("view", loop.told.append, True)
    assert loop.told == ["", ""]


def test_who_has_the_path_tier_gets_the_rest(world, loop):
    for record in world.records.values():
        record.filtered = 1
    loop.installer.install_in("view", loop.told.append, True)
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == [""]
    assert world.flags == [SYNCED] * 2


def test_who_sleeps_deeply():
    assert not installing._sleeps_deeply(os.getpid())
    assert installing._sleeps_deeply(0x7FFFFFF0)


def test_where_all_is_told_what_is_refused_stops(world, loop, monkeypatch):
    """The tier that tells is made once, and not for those who did not ask."""
    programs = []
    install = world.install

    def noted(tid, program, *more):
        programs.append(program)
        return install(tid, program, *more)

    monkeypatch.setattr(installing, "install", noted)
    for told in (False, True):
        loop.all_told = told
        world.records[4].filtered = 0
        loop.install_in("another view", loop.told.append)
        loop.stops(4, core.TRAP)
    assert programs == [path_tier(loop.numbers), path_tier(loop.numbers, told=True)]


def test_where_users_are_the_views_own_all_stop_for_that(world, loop, monkeypatch):
    seeded = []

    def seed(record):
        seeded.append(record.tid)
        record.identity = "somebody"

    monkeypatch.setattr(installing, "_seed", seed)
    world.records[1].filtered = world.records[2].filtered = 1
    loop.installer.install_in("view", loop.told.append, False, True)
    assert set(loop.running) == {1, 3}
    loop.stops(1, core.TRAP)
    loop.stops(3, core.TRAP)
    assert loop.told == [""]
    assert [world.records[tid].identified for tid in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert seeded == [1, 2, 3]
    loop.installer.install_in("view", loop.told.append, False, True)
    assert (loop.told, loop.running) == (["", ""], {})
    assert len(seeded) == 3
    world.records[3].identity = None  # it was unloaded meanwhile
    loop.installer.install_in("view", loop.told.append, False, True)
    assert seeded == [1, 2, 3, 3]
