# SPDX-License-Identifier: GPL-2.0-or-later
"""What a session keeps for the files of virtual trees: who sleeps, what is mapped, what is open."""

from __future__ import annotations

import os
import select
from types import SimpleNamespace

import pytest
import threads
from memory import Memory

from pyview import core, descriptors, emulation
from pyview.api import Device, Tree, attributes
from pyview.descriptors import StandIn
from pyview.emulation import Emulation
from pyview.locks import EVERYTHING, Locks, Wait
from pyview.openfile import OpenFile
from pyview.reach import READING
from pyview.verdicts import Opened
from pyview.view import View


class Told(Memory):
    """Remembers what it was told."""

    def __init__(self, *, slow=False):
        super().__init__(b"0123456789")
        self.slow, self.said = slow, []

    def fsync(self):
        self.said.append("fsync")

    def close(self):
        self.said.append("close")


class Loop:
    def __init__(self):
        self.failed, self.changed = [], []

    def farewell(self, name, action):
        try:
            action()
        except OSError as error:
            self.failed.append((name, error.errno))

    def mistaken(self, what, error):
        self.failed.append((what, type(error).__name__))

    def device_changed(self, opened):
        self.changed.append(opened)


class World:
    """An emulation and the tasks there are: tid -> record."""

    def __init__(self, monkeypatch):
        self.records, self.interrupted, self.gone, self.given = {}, [], set(), []
        self.locks = Locks()
        monkeypatch.setattr(descriptors, "LOCKS", self.locks)
        monkeypatch.setattr(emulation, "LOCKS", self.locks)
        monkeypatch.setattr(core, "watch_rung", lambda fd, on=1: None)
        monkeypatch.setattr(core, "rings", lambda fd: None)
        monkeypatch.setattr(core, "ring", lambda: None)
        monkeypatch.setattr(core, "mark_emulated", lambda fd: None)
        monkeypatch.setattr(core, "task", self.records.get)
        monkeypatch.setattr(core, "tasks", lambda: list(self.records.values()))
        monkeypatch.setattr(core, "interrupt", self._interrupt)
        monkeypatch.setattr(core, "give", self._give)
        self.loop = Loop()
        self.threads = threads.count()
        self.all = Emulation(self.loop)
        self.view = View()
        self.ends = []

    def _interrupt(self, tid):
        if tid in self.gone:
            raise core.Gone
        self.interrupted.append(tid)

    def _give(self, listener, cookie, fd, cloexec):
        self.given.append((listener, cookie, cloexec))
        self.ends.append(os.dup(fd))

    def task(self, tid, maps=0):
        record = self.records[tid] = SimpleNamespace(
            tid=tid,
            descriptors=1,
            fs=SimpleNamespace(domain=0, place=0),
            mm=SimpleNamespace(domain=0, place=0, maps=maps),
        )
        return record

    def open(self, file, name="/v/x", tree=None):
        """Some task has it open."""
        target = "/" + name.split("/")[1]
        if self.view.top(target) is None:
            self.view.mount(target, tree or Tree())
        mount = self.view.top(target)
        rest = name.removeprefix(target) or "/"
        number = sum(map(ord, name))
        st = attributes(0o100644, ino=number, dev=1)
        opened = OpenFile(file, mount, rest, name, os.O_RDWR, st)
        self.all.give(SimpleNamespace(listener=4, id=77, tid=7), Opened(opened, True))
        return opened

    def drop(self):
        """Everything is closed."""
        for fd in self.ends:
            os.close(fd)
        self.ends.clear()
        self.all.descriptors.settle()

    def unmaps(self, opened, maps):
        """A call of task 5 unmaps something."""
        self.all.keep_until_done(5, self.all.mappings.hold(opened.key))
        self.all.still_mapped(5, maps)

    def works(self):
        """Wait for the workers, and pass on what they have done."""
        while self.all.workers._due:
            assert select.select([self.all.workers.fd], [], [], 20)[0]
            assert self.all.ready(self.all.workers.fd)

    def close(self):
        self.drop()
        for maps in list(self.all.mappings._users):
            self.all.mappings.ended(maps)
        self.all._drop_unused()
        self.works()
        threads.close(self.all.workers, self.threads)
        self.all.descriptors._poll.close()


@pytest.fixture
def world(monkeypatch):
    made = World(monkeypatch)
    yield made
    made.close()


# -- open and close ------------------------------------------------------------------------------


def test_what_is_given_is_the_callers_alone(world):
    opened = world.open(Told())
    assert world.given == [(4, 77, True)]
    assert list(world.all.descriptors.opened()) == [opened]
    os.close(world.ends.pop())
    assert world.all.ready(world.all.descriptors.fileno())
    assert opened.file.said == ["close"]


def test_a_caller_who_has_gone_gets_nothing(world, monkeypatch):
    monkeypatch.setattr(core, "give", lambda *args: None)
    opened = world.open(Told())
    world.all.descriptors.settle()
    assert opened.file.said == ["close"]


def test_a_slow_file_is_closed_in_its_trees_thread(world):
    opened = world.open(Told(slow=True))
    world.drop()
    world.works()
    assert opened.file.said == ["close"]


@pytest.mark.parametrize("slow", [False, True])
def test_a_close_that_fails_is_told(world, slow):
    class Broken(Told):
        def close(self):
            raise OSError(5, "no")

    world.open(Broken(slow=slow))
    world.drop()
    world.works()
    assert world.loop.failed == [("/v/x", 5)]


def test_a_watched_descriptor_of_somebody_elses(world):
    assert not world.all.ready(12345)


def test_a_file_that_is_ready_wakes_who_sleeps_on_it(world):
    class Talks(Told):
        is_ready = False

        def poll(self):
            return select.POLLIN if self.is_ready else 0

    file = Talks()
    world.open(file)
    world.all.sleeps(11, file)
    assert select.select(world.ends, [], [], 0)[0] == []
    file.is_ready = True
    file.ready()
    assert world.interrupted == [], "not in a thread of the file's"
    assert select.select([world.all.workers.fd], [], [], 20)[0]
    world.all.ready(world.all.workers.fd)
    assert world.interrupted == [11]
    assert select.select(world.ends, [], [], 0)[0] == world.ends


# -- sleepers ------------------------------------------------------------------------------------


def test_sleepers_are_woken_by_what_they_sleep_on(world):
    world.all.sleeps(11, "a")
    world.all.sleeps(12, "a")
    world.all.sleeps(13, "b")
    world.gone.add(12)
    world.all.wake("a")
    assert world.interrupted == [11]
    world.all.wake("a")
    assert world.interrupted == [11]
    world.all.awake(13)
    world.all.wake("b")
    assert world.interrupted == [11]


def test_who_is_awake_waits_for_no_lock(world):
    me, you = ("process", 1), ("process", 2)
    world.locks.take("k", me, EVERYTHING, True, 0)
    world.locks.take("l", you, EVERYTHING, True, 0)
    with pytest.raises(Wait):
        world.locks.take("k", you, EVERYTHING, True, 22)
    world.all.sleeps(22, "k")
    world.all.awake(22)
    with pytest.raises(Wait):
        world.locks.take("l", me, EVERYTHING, True, 11)


def test_what_a_call_needs_is_kept_until_it_is_over(world):
    stand_in = StandIn(b"data")
    world.all.keep_until_done(11, stand_in)
    world.all.done(12)
    assert stand_in.pread(4, 0) == b"data"
    world.all.done(11)
    with pytest.raises(OSError):
        stand_in.pread(4, 0)
    world.all.done(11)


# -- sync ----------------------------------------------------------------------------------------


class Disk(Device):
    def __init__(self, *, slow=False, fails=False):
        self.slow, self.fails, self.synced = slow, fails, 0

    def fsync(self):
        self.synced += 1
        if self.fails:
            raise OSError(5, "no")


def test_sync_is_of_devices_and_open_files(world):
    quick, slow = Disk(), Disk(slow=True)
    world.view.mount("/dev/quick", quick)
    world.view.mount("/dev/slow", slow)
    opened = world.open(Told())
    found = world.all.unsynced(world.view)
    assert sorted(tree is not None for tree, _ in found) == [False, False, True]
    for tree, run in found:
        assert tree in (None, slow)
        run()
    assert (quick.synced, slow.synced, opened.file.said) == (1, 1, ["fsync"])


def test_what_was_written_by_mapping_is_synced_too(world):
    opened = world.open(Told())
    pages = world.all.mappings.pages(opened, True, True)
    world.all.mappings.uses(0, opened)
    pages.fill(0, 10)
    os.pwrite(pages.fd, b"MAPPED", 0)
    for _, run in world.all.unsynced(world.view):
        run()
    assert opened.file.data == b"MAPPED6789"
    assert opened.file.said == ["fsync"]


def test_a_device_that_is_open_is_synced_once(world):
    disk = Disk()
    world.open(disk, "/disk", disk)
    for _, run in world.all.unsynced(world.view):
        run()
    assert disk.synced == 1
    disk.users = 1  # for its close


def test_sync_has_no_errors(world):
    world.view.mount("/dev/x", Disk(fails=True))
    for _, run in world.all.unsynced(world.view):
        run()
    assert world.loop.failed == [("/dev/x", 5)]


# -- mappings ------------------------------------------------------------------------------------


@pytest.fixture
def mapped(world):
    """Gives an open file that a task has mapped and written to."""

    def make(*tids, slow=False):
        opened = world.open(Told(slow=slow))
        pages = world.all.mappings.pages(opened, True, True)
        pages.fill(0, 10)
        os.pwrite(pages.fd, b"MAPPED", 0)
        maps = world.all.mappings.uses(0, opened)
        for tid in tids:
            world.task(tid, maps)
        return opened, pages, maps

    return make


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("died", [False, True])
def test_the_end_of_the_last_memory_writes_it_back(world, mapped, died, slow):
    opened, pages, maps = mapped(slow=slow)
    world.drop()
    world.task(11)
    world.all.memory_gone(11, maps, died)
    world.works()
    assert opened.file.data == b"MAPPED6789"
    assert opened.file.said == ["close"]
    with pytest.raises(OSError):
        os.fstat(pages.fd)


@pytest.mark.parametrize("slow", [False, True])
def test_a_child_may_still_have_it_mapped(world, mapped, slow):
    opened, pages, maps = mapped(12, slow=slow)
    world.all.memory_gone(11, maps, True)
    world.works()
    assert opened.file.data == b"MAPPED6789"
    assert opened.pages is pages
    assert os.fstat(pages.fd)


@pytest.mark.parametrize("slow", [False, True])
def test_what_cannot_be_written_back_is_told(world, mapped, slow):
    opened, _, maps = mapped(slow=slow)
    opened.file.pwrite = lambda data, offset: 0
    world.all.memory_gone(11, maps, True)
    world.works()
    assert world.loop.failed == [("/v/x", 28)]  # ENOSPC
    assert opened.pages is None


def test_what_is_no_longer_in_proc_is_unmapped(world, mapped):
    opened, pages, maps = mapped(os.getpid())
    world.unmaps(opened, maps)
    assert opened.pages is None, "this process has never mapped it"
    with pytest.raises(OSError):
        os.fstat(pages.fd)


def test_what_is_in_proc_is_mapped(world, mapped):
    import mmap

    opened, pages, maps = mapped(os.getpid())
    with mmap.mmap(pages.fd, 10):
        world.unmaps(opened, maps)
        assert opened.pages is pages
    world.unmaps(opened, maps)
    assert opened.pages is None


@pytest.mark.parametrize("slow", [False, True])
def test_what_another_call_is_at_work_on_is_unmapped_later(world, mapped, slow):
    opened, pages, maps = mapped(os.getpid(), slow=slow)
    world.all.keep_until_done(6, world.all.mappings.hold(opened.key))
    world.unmaps(opened, maps)
    world.works()
    assert opened.pages is pages
    world.all.done(6)
    world.works()
    assert opened.pages is None
    assert opened.file.data == b"MAPPED6789", "whoever unmapped it has not told what"


def test_what_is_mapped_again_while_it_is_written_back_stays(world, mapped):
    opened, pages, maps = mapped(0x7FFFFFF0, slow=True)
    world.unmaps(opened, maps)
    hold = world.all.mappings.hold(opened.key)
    world.works()
    assert opened.pages is pages
    hold.close()


def test_who_has_gone_has_nothing_mapped(world, mapped):
    opened, _, maps = mapped(0x7FFFFFF0)
    world.unmaps(opened, maps)
    assert opened.pages is None


def test_locks_end_with_their_process_but_not_by_exec(world):
    world.locks.take("k", ("process", 11), EVERYTHING, True, 0)
    world.all.sleeps(12, "k")
    record = world.task(11)
    maps = world.all.mappings.holds_locks(0)
    world.all.memory_gone(11, maps, False)
    assert world.locks.has(("process", 11))
    assert record.mm.maps, "its end still matters"
    del world.records[11]
    world.all.memory_gone(11, record.mm.maps, True)
    assert not world.locks.has(("process", 11))
    assert world.interrupted == [12]


# -- who uses a mount ----------------------------------------------------------------------------


def test_a_mount_is_used_by_open_files_directories_and_programs(world):
    opened = world.open(Told())
    mount = opened.mount
    other = world.view.mount("/vv", Tree())
    assert world.all.uses(mount)
    world.drop()
    assert not world.all.uses(mount)
    record = world.task(11)
    place = world.all.descriptors.place("/v/dir")
    for room in (record.fs, record.mm):
        room.domain, room.place = core.VIRTUAL, place
        assert world.all.uses(mount)
        assert not world.all.uses(other)
        room.domain = 0
        assert not world.all.uses(mount)


def test_an_ioctl_may_change_what_goes_with_a_device(world):
    opened = world.open(Told())
    world.all.device_changed(opened)
    assert world.loop.changed == [opened]


# -- what is written to devices --------------------------------------------------------------------


def test_who_wants_all_writes_heard_sleeps_until_all_stop_for_them(world):
    rounds = []
    world.loop.narrow = lambda reach, then: bool(rounds.append((reach, then)) or True)
    world.loop.failed = lambda error: failures.append(str(error))
    failures = []
    on = world.all.hears_writes()
    assert on is not None
    assert world.all.hears_writes() is on  # somebody else, meanwhile
    assert [reach for reach, _ in rounds] == [READING]
    world.all.sleeps(7, on)
    rounds[0][1]("")
    assert world.interrupted == [7]
    world.loop.narrow = lambda reach, then: False
    assert world.all.hears_writes() is None
    assert failures == []


def test_where_that_cannot_be_it_is_told_and_not_tried_for_ever(world):
    failures = []
    world.loop.narrow = lambda reach, then: bool(then("cannot filter process 7") or True)
    world.loop.failed = lambda error: failures.append(str(error))
    assert world.all.hears_writes() is None
    assert world.all.hears_writes() is None
    assert failures == ["[Errno 12] cannot filter process 7"]
