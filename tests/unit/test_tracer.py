# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop with stops that a test makes up, and a core that writes down what it is told."""

from __future__ import annotations

import errno
import os
import threading
import weakref

import pytest

from pyview import core, tracer
from pyview.api import File, Tree, attributes
from pyview.openfile import OpenFile
from pyview.procedures import RESTARTNOINTR, WAIT, Lost
from pyview.syscalls import X32
from pyview.task import Task
from pyview.verdicts import At, Emulate, Give, Opened, Real, Work
from pyview.view import Mount

TID = 0x7FFFFFF0  # the task of the world's stops

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


# -- what C has decided ----------------------------------------------------------------------------


@pytest.fixture
def told(world, monkeypatch):
    """What the reports hear of calls, as (name, verdict or who refused it)."""
    heard = []
    for name in ("call", "refused"):
        monkeypatch.setattr(
            world.tracer.reports, name, lambda task, what: heard.append((task.call.name, what))
        )
    return heard


def test_what_C_decides_is_told_and_runs(world, told):
    stops = (
        world.stop(core.TOLD, listener=-1),
        world.stop(core.TOLD, listener=-1, value=-9, answered=1),
        world.stop(core.TOLD),
        world.stop(core.TOLD, domain=3, answered=1),
    )
    assert world.runs(*stops) == [("resume", TID), ("resume", TID), ("let_run", 4, 77)]
    wanted = [Real(), Emulate(-9), Real(), At("", 3, {})]
    assert told == [("stat", verdict) for verdict in wanted]


def test_whose_file_C_has_read_is_told(world, told, monkeypatch):
    asked = []
    monkeypatch.setattr(Task, "object", lambda task, fd: asked.append((fd, task.known)))
    world.runs(world.stop(core.TOLD, listener=-1, object=5, object_fd=7, value=1, answered=1))
    assert asked == [(7, (7, 5))]


@pytest.mark.parametrize(
    ("number", "why", "heard"),
    [
        ("io_uring_setup", core.ROW, ("io_uring_setup", "core")),
        (9999, core.ROW, ("call_9999", "core")),
        (-5, core.ROW, ("call_-5", "core")),
        (X32 | 39, core.ROW, ("x32_call_39", "core")),
        (20, core.ARCH, ("i386_call_20", "core")),
        ("getppid", core.OTHER, ("getppid", "its own filter")),
    ],
)
def test_what_is_refused_is_told_by_its_name(world, told, number, why, heard):
    nr = world.tracer.numbers[number] if isinstance(number, str) else number
    assert world.runs(world.stop(core.REFUSED, listener=-1, nr=nr, message=why)) == [
        ("resume", TID)
    ]
    assert told == [heard]


def test_a_task_that_has_gone_tells_nothing(world, told):
    world.records.clear()
    assert world.runs(world.stop(core.REFUSED, listener=-1)) == [("resume", TID)]
    assert told == []


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


# -- emulated files ------------------------------------------------------------------------------


@pytest.fixture
def opened():
    """An open file of a tree that is not the kernel's."""
    mount = Mount("/v", Tree(), 1, "none", "", "")
    st = attributes(0o100644, ino=1, dev=2)
    return OpenFile(Bytes(), mount, "/x", "/v/x", os.O_RDWR, st)


class Bytes(File):
    closed = 0

    def close(self):
        self.closed += 1


def test_what_was_opened_is_given_and_lives_as_long_as_its_descriptor(world, opened, monkeypatch):
    held = []
    monkeypatch.setattr(core, "give", lambda listener, cookie, fd, cloexec: held.append(os.dup(fd)))
    world.records[TID].descriptors = 1
    monkeypatch.setattr(core, "mark_emulated", lambda fd: None)
    world.answers(Opened(opened, True))
    world.runs(world.stop(core.NOTICE), world.stop(core.READY))
    descriptors = world.tracer.emulation.descriptors
    assert descriptors.find(os.fstat(held[0]).st_ino) is opened
    os.close(held[0])
    world.runs(world.stop(core.READY, tid=descriptors.fileno()))
    assert opened.file.closed == 1
    assert list(descriptors.opened()) == []


def test_what_nobody_took_is_closed(world, opened, monkeypatch):
    monkeypatch.setattr(core, "mark_emulated", lambda fd: None)
    world.answers(Opened(opened))
    world.runs(world.stop(core.NOTICE))
    world.runs(world.stop(core.READY, tid=world.tracer.emulation.descriptors.fileno()))
    assert opened.file.closed == 1


@pytest.mark.parametrize("kind", [core.NOTICE, core.TRACED])
def test_a_slow_file_lets_only_its_caller_wait(world, kind):
    told = []
    world.works(told, lambda: "done")
    assert world.runs(world.stop(kind)) == []
    assert world.tracer.busy_with(TID)
    said = world.runs(world.ready())
    assert told == ["done"]
    answered = [("reply", 4, 77, 7)] if kind == core.NOTICE else [("answer", TID, 7)]
    assert said[: len(answered)] == answered
    assert not world.tracer.busy_with(TID)
    assert world.record.watched == 0


def test_an_error_in_a_slow_file_is_the_callers(world):
    def fails():
        raise OSError(errno.ENOSPC, "full")

    told = []
    world.works(told, fails)
    world.runs(world.stop(core.NOTICE))
    assert world.runs(world.ready()) == [("reply", 4, 77, -errno.ENOSPC)]
    assert told == [errno.ENOSPC]


def test_who_dies_meanwhile_is_answered_no_more(world):
    go = threading.Event()
    told = []
    world.works(told, lambda: go.wait(20))
    world.runs(world.stop(core.NOTICE))
    del world.records[TID]
    world.records[7] = world.task(7)
    world.runs(world.stop(core.DEAD))
    assert not world.tracer.busy_with(TID)
    go.set()
    assert world.runs(world.ready()) == []


def test_what_was_opened_for_the_dead_is_closed(world, opened):
    def handler(task):
        yield Work("file", lambda: None)
        return Opened(opened)

    world.answers(handler)
    world.runs(world.stop(core.NOTICE))
    del world.records[TID]
    world.records[7] = world.task(7)
    world.runs(world.stop(core.DEAD))
    world.runs(world.ready())
    assert opened.file.closed == 1


def test_in_the_end_all_is_closed_and_done(world, opened, monkeypatch):
    held, done = [], []
    monkeypatch.setattr(core, "give", lambda listener, cookie, fd, cloexec: held.append(os.dup(fd)))
    world.records[TID].descriptors = 1
    monkeypatch.setattr(core, "mark_emulated", lambda fd: None)
    world.answers(Opened(opened))
    world.runs(world.stop(core.NOTICE))
    world.tracer.emulation.workers.once(lambda: "done", lambda value, error: done.append(value))
    os.close(held[0])
    world.records.clear()
    type(world.tracer)._end(world.tracer)
    assert opened.file.closed == 1
    assert done == ["done"]
    assert ("free_view", world.picture) in world.said


# -- what nobody foresaw -------------------------------------------------------------------------


@pytest.fixture
def killed(monkeypatch):
    """Who is killed, and nobody is."""
    found = []
    monkeypatch.setattr(os, "kill", lambda tid, number: found.append((tid, number)))
    return found


@pytest.mark.parametrize("kind", [core.NOTICE, core.TRACED])
@pytest.mark.parametrize("nonsense", [None, 5, "text"])
def test_what_is_no_verdict_ends_that_task_alone(world, killed, kind, nonsense, tmp_path):
    world.monkeypatch.setattr(world.tracer, "_first", lambda task, domain: (nonsense, None))
    assert world.runs(world.stop(kind), world.stop(core.READY)) == ["serve"]
    assert killed == [(TID, 9)]
    text = (tmp_path / "lines").read_text()
    assert text.startswith("pyview: the core went wrong in ")
    assert f"task {TID} is killed:\nTraceback" in text
    assert f"TypeError: {nonsense!r} is no verdict" in text
    assert "tracer.py" in text


def test_an_error_of_the_cores_own_ends_that_task_alone(world, killed, monkeypatch, tmp_path):
    def fails(*_):
        raise OSError(errno.ENOSPC, "no room to watch it")

    monkeypatch.setattr(core, "let_run", fails)
    world.answers(Real())
    assert world.runs(world.stop(core.NOTICE), world.stop(core.READY)) == ["serve"]
    assert killed == [(TID, 9)]
    assert "no room to watch it" in (tmp_path / "lines").read_text()


def test_without_memory_the_call_is_ENOMEM(world, killed, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(core, "let_run", fails)
    world.answers(Real())
    assert world.runs(world.stop(core.NOTICE)) == [("reply", 4, 77, -errno.ENOMEM)]
    assert killed == []


def test_what_goes_wrong_for_nobody_is_told_and_no_more(world, killed, monkeypatch, tmp_path):
    def fails(_fd):
        raise AssertionError("not so")

    monkeypatch.setattr(world.tracer.emulation, "ready", fails)
    assert world.runs(world.stop(core.READY), world.stop(core.TRAP)) == [("resume", TID)]
    assert killed == []
    assert (tmp_path / "lines").read_text().startswith("pyview: the core went wrong:\nTrace")


def test_what_is_ready_is_done_with_memory_kept_for_that(world, killed, monkeypatch):
    """It would be ready, and fail, for ever."""

    class Kept:
        pass

    kept, alive = [], []

    def reserve():
        found = Kept()
        kept.append(weakref.ref(found))
        return found

    def ready(_fd):
        alive.append([one() is not None for one in kept])
        if len(alive) == 2:
            raise MemoryError
        return True

    monkeypatch.setattr(tracer, "_reserve", reserve)
    monkeypatch.setattr(world.tracer.emulation, "ready", ready)
    world.runs(*(world.stop(core.READY) for _ in range(4)))
    assert alive == [[], [True], [False], [False, True]]
    assert killed == []


def test_who_has_gone_meanwhile_is_no_inconsistency(world, killed, monkeypatch, tmp_path):
    def gone(_tid, *_):
        raise core.Gone

    monkeypatch.setattr(core, "resume", gone)
    assert world.runs(world.stop(core.TRAP), world.stop(core.READY)) == ["serve"]
    assert killed == []
    assert (tmp_path / "lines").read_text() == ""


def test_a_request_that_goes_wrong_is_answered(world, monkeypatch, tmp_path):
    def fails(*_):
        raise KeyError("nothing")

    monkeypatch.setattr(world.tracer._services, "dispatch", fails)
    status, text = world.tracer.dispatch(TID, 0, ["lsmod"])
    assert (status, text) == (1, "internal error: KeyError: 'nothing'")
    assert "the core cannot answer 'lsmod'" in (tmp_path / "lines").read_text()


def test_an_answer_to_work_that_goes_wrong_ends_its_task_alone(world, killed, monkeypatch):
    """In what is done after a slow file's work nobody knows which stop it belongs to."""

    def handler(task):
        yield Work("file", lambda: 1)
        return Real()

    def fails(*_):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(core, "let_run", fails)
    world.answers(handler)
    world.runs(world.stop(core.NOTICE))
    world.runs(world.ready())
    assert killed == [(TID, 9)]


def test_a_call_that_comes_before_we_stop_its_task_is_answered(world):
    """It is no stop that the procedure waits for, and must not run as it stands."""

    def procedure():
        yield WAIT
        raise Lost

    world.answers(Emulate(7))
    world.tracer.start(TID, procedure())
    said = world.runs(world.stop(core.TRACED, listener=-1))
    assert said == [("answer", TID, 7), ("resume", TID)]
    assert not world.tracer.busy_with(TID)


def test_a_call_at_the_listener_of_a_task_that_is_about_to_stop_comes_again(world):
    world.answers(Emulate(7))
    world.tracer.awaited.add(TID)
    assert world.runs(world.stop(core.NOTICE)) == [("reply", 4, 77, RESTARTNOINTR)]
    world.tracer.awaited.clear()
    assert world.runs(world.stop(core.NOTICE)) == [("reply", 4, 77, 7)]
