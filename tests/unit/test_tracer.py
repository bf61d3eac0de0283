# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop with stops that a test makes up, and a core that writes down what it is told."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from pyview import core, tracer
from pyview.reports import Reports
from pyview.tracer import Tracer
from pyview.verdicts import At, Done, Emulate, Give, Real, Redirect
from pyview.view import View

TID = 0x7FFFFFF0  # of no thread
TOLD = ("let_run", "resume", "reply", "answer", "give", "clean", "free_view", "join")


class World:
    def __init__(self, monkeypatch, fd):
        self.said = []
        self.served = False
        self.poked = True
        self.picture = core.new_view()
        self.record = self.task(TID)
        self.records = {TID: self.record}
        for name in TOLD:
            monkeypatch.setattr(core, name, self._note(name))
        monkeypatch.setattr(core, "task", self.records.get)
        monkeypatch.setattr(core, "tasks", lambda: list(self.records.values()))
        monkeypatch.setattr(core, "thread_group", lambda tid: tid // 10 * 10)
        monkeypatch.setattr(core, "serve", self._serve)
        monkeypatch.setattr(core, "poke", self._poke)
        monkeypatch.setattr(core, "wait", self._wait)
        monkeypatch.setattr(core, "mark_of", lambda record, fd: record.marks.get(fd, 0))
        self.tracer = Tracer(Reports(fd, False, False), "first", self.picture)
        self.view = self.tracer.views()[0]
        self.monkeypatch = monkeypatch
        self.queue = []

    def task(self, tid):
        return SimpleNamespace(
            tid=tid, view=self.picture, watched=0, let_next=0, filtered=0, messages=0, marks={},
            fs=SimpleNamespace(domain=0, foreign=0), mm=SimpleNamespace(domain=0, hidden=0),
        )  # fmt: skip

    def _note(self, name):
        return lambda *args: self.said.append((name, *args))

    def _serve(self, stop, domain, real):
        self.said.append(("serve", domain, real))
        return self.served

    def _poke(self, tid, address, data):
        self.said.append(("poke", address, data))
        return self.poked

    def _wait(self, stop):
        vars(stop).update(vars(self.queue.pop(0)))
        return stop.kind

    def answers(self, verdict):
        """From now on every handler says this, or does it."""

        def handler(task):
            if isinstance(verdict, BaseException):
                raise verdict
            return verdict(task) if callable(verdict) else verdict

        self.monkeypatch.setattr(tracer, "handler_of", lambda call: handler)

    def stop(self, kind, **more):
        start = {"kind": kind, "tid": TID, "message": 0, "listener": 4, "id": 77, "value": 0}
        nr = self.tracer.numbers["stat"]
        return SimpleNamespace(**{**start, "nr": nr, "args": [0] * 6, "key": 99, **more})

    def runs(self, *stops):
        """Let the loop have these stops; what the core was told."""
        self.said.clear()
        self.queue = [*stops[1:], self.stop(core.EMPTY)]
        self.tracer.run(stops[0], lambda: self.said.append("serve"), lambda: self.said.append(0))
        return self.said


@pytest.fixture
def world(monkeypatch, tmp_path):
    fd = os.open(tmp_path / "lines", os.O_RDWR | os.O_CREAT)
    made = World(monkeypatch, fd)
    yield made
    os.close(fd)


# -- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [False, True])
def test_a_real_call_runs(world, clean):
    world.answers(Real(clean))
    noted = [("clean", 99)] * clean
    assert world.runs(world.stop(core.NOTICE)) == [*noted, ("let_run", 4, 77)]
    assert world.runs(world.stop(core.TRACED)) == [*noted, ("resume", TID)]


def test_an_emulated_call_has_its_result(world):
    world.answers(Emulate(5, ((0x1000, b"data"),)))
    stored = ("poke", 0x1000, b"data")
    assert world.runs(world.stop(core.NOTICE)) == [stored, ("reply", 4, 77, 5)]
    answered = [stored, ("answer", TID, 5), ("resume", TID)]
    assert world.runs(world.stop(core.TRACED)) == answered


def test_a_result_that_cannot_be_stored_is_EFAULT(world):
    world.poked = False
    world.answers(Emulate(5, ((0x1000, b"data"),)))
    assert world.runs(world.stop(core.NOTICE))[-1] == ("reply", 4, 77, -errno.EFAULT)


def test_an_error_is_the_callers(world):
    world.answers(OSError(errno.EXDEV, "across"))
    assert world.runs(world.stop(core.NOTICE)) == [("reply", 4, 77, -errno.EXDEV)]
    world.answers(OSError("without a number"))
    assert world.runs(world.stop(core.NOTICE)) == [("reply", 4, 77, -errno.EIO)]


def test_a_mistake_is_EIO_and_the_view_lives(world, tmp_path):
    world.answers(ValueError("oops"))
    said = world.runs(world.stop(core.NOTICE), world.stop(core.READY))
    assert said == [("reply", 4, 77, -errno.EIO), "serve"]
    assert "ValueError: oops" in (tmp_path / "lines").read_text()


def test_who_has_gone_needs_no_answer(world):
    world.answers(core.Gone())
    assert world.runs(world.stop(core.NOTICE), world.stop(core.TRACED)) == []
    world.records.clear()
    said = world.runs(world.stop(core.NOTICE), world.stop(core.TRACED))
    assert said == [("let_run", 4, 77), ("resume", TID)]


def test_a_call_that_nobody_knows_runs(world):
    assert world.runs(world.stop(core.TRACED, nr=100000)) == [("resume", TID)]


def test_a_given_descriptor_is_closed_afterwards(world, tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    world.answers(Give(fd, True))
    assert world.runs(world.stop(core.NOTICE)) == [("give", 4, 77, fd, True)]
    with pytest.raises(OSError):
        os.fstat(fd)


def test_what_the_core_can_serve_is_served(world):
    world.served = True
    world.answers(At("/etc", 3, {0: b"/etc\0"}))
    assert world.runs(world.stop(core.NOTICE)) == [("serve", 3, "/etc")]


@pytest.fixture
def redirections(world, monkeypatch):
    """Redirected calls: what they are asked to change; their results are in `results`."""
    seen = SimpleNamespace(changes=[], results=[])

    def redirected(tid, number, changes, numbers, at_entry):
        seen.changes.append((changes, at_entry))
        yield core.TO_EXIT, 0
        result = seen.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    def stopped(tid, listener, cookie):
        world.said.append("stopped")
        yield tracer.WAIT

    monkeypatch.setattr(tracer, "redirected", redirected)
    monkeypatch.setattr(tracer, "stopped_by_us", stopped)
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
    assert all(at_entry for _, at_entry in redirections.changes)


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
    redirections.results = [tracer.Lost()]
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


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (core.SIGNAL, [("resume", TID, core.GO, 15)]),
        (core.GROUP, [("resume", TID, core.STAY_STOPPED)]),
        (core.TRAP, [("resume", TID)]),
        (core.BORN, [("resume", TID)]),
        (core.EXEC, [("resume", TID)]),
        (core.DEAD, [0]),
        (core.READY, ["serve"]),
    ],
)
def test_a_stop_that_nobody_claims(world, kind, said):
    assert world.runs(world.stop(kind, message=15)) == said


# -- views ---------------------------------------------------------------------------------------


def test_a_child_view_has_the_whole_process(world):
    for tid in (41, 42, 51):
        world.records[tid] = world.task(tid)
    child = world.tracer.child(42, "inner")
    joined = [args[0].tid for name, *args in world.said if name == "join"]
    assert sorted(joined) == [41, 42]
    assert (child.number, child.name, child.parent) == (2, "inner", world.view)
    assert world.tracer.views() == [world.view, child]


def test_a_stranger_gets_no_child(world):
    assert world.tracer.view_of(1) is None
    with pytest.raises(OSError) as raised:
        world.tracer.child(1, "x")
    assert raised.value.errno == errno.EINVAL


def test_a_view_without_tasks_is_forgotten(world):
    first = world.tracer.child(TID, "one")  # joined only in name: its picture has no task
    world.tracer.child(TID, "two")
    assert first not in world.tracer.views()
    assert len([one for one in world.said if one[0] == "free_view"]) == 1


def test_a_mount_is_busy_while_something_of_it_is_used(world):
    mount = world.view.mount("/unreal", world.view.now(), kind="unreal")
    number = next(c.number for c in world.view.covers() if c.mount is mount)
    record = world.records[os.getpid()] = world.task(os.getpid())

    def busy():
        return world.tracer.busy(world.view, mount)

    assert not busy()
    record.fs.domain = number
    assert busy()
    record.fs.domain, record.mm.domain = 0, number
    assert busy()
    record.mm.domain = 0
    record.marks[0] = number
    assert busy()
    assert not world.tracer.busy(View(9), mount)
    root = world.view.mounts[0]
    assert not world.tracer.busy(world.view, root)  # of domain 0 everything is


def test_a_change_without_mounts_needs_no_filter(world, monkeypatch):
    told, asked = [], []
    monkeypatch.setattr(
        world.tracer._installer, "install_in", lambda picture, then: asked.append(picture)
    )
    world.tracer.changed(world.view, told.append)
    assert (told, asked) == ([""], [])
    world.view.mount("/unreal", world.view.now())
    world.tracer.changed(world.view, told.append)
    assert asked == [world.picture]


def test_C_is_shown_the_mounts(world, monkeypatch):
    shown = []
    monkeypatch.setattr(core, "describe", lambda *args: shown.append(args[1:]))
    world.view.mount("/etc/unreal", world.view.now())
    world.view.mount("/no/such/place", world.view.now())
    world.tracer.changed(world.view, lambda why: None)
    covers, names, parents = shown[0]
    assert [prefix for prefix, _, _ in covers] == [
        "/no/such/place/etc/unreal", "/no/such/place", "/etc/unreal", "",
    ]  # fmt: skip
    assert covers[-1] == ("", 0, "")
    assert names == sorted({"unreal", "place", "etc", "such"})
    found = os.stat("/etc")
    assert (found.st_dev, found.st_ino) in parents
