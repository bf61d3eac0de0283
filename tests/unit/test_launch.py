# SPDX-License-Identifier: GPL-2.0-or-later
"""How pyview becomes the command, with a core that is none (tests/worlds has the real one)."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from pyview import core, launch
from pyview.commands import Failure
from pyview.settings import Settings


class Entered(Exception):
    """In place of the command."""


@pytest.fixture
def start(monkeypatch):
    """Run with a core that says one word."""
    calls = []

    def go(word, settings):
        def serve(pid, _settings, output, told):
            assert pid != os.getpid()
            assert os.getppid() != pid
            os.write(told, word)
            os._exit(0)

        def enter(given):
            raise Entered(given)

        monkeypatch.setattr(core, "allow_tracer", lambda: calls.append("allow"))
        monkeypatch.setattr(core, "disallow_tracer", lambda: calls.append("disallow"))
        monkeypatch.setattr(launch, "_serve", serve)
        monkeypatch.setattr(launch, "enter", enter)
        launch.run(settings)

    go.calls = calls
    return go


def test_when_the_core_is_there_the_command_starts(start, tmp_path):
    settings = Settings(["true"])
    settings.output = str(tmp_path / "lines")
    with pytest.raises(Entered) as entered:
        start(b"ok", settings)
    assert entered.value.args == (settings,)
    assert start.calls == ["allow", "disallow"]
    assert (tmp_path / "lines").read_bytes() == b""


@pytest.mark.parametrize(
    ("word", "said"), [(b"no ptrace", "no ptrace"), (b"", "the core died at its start")]
)
def test_without_a_core_there_is_no_command(start, word, said):
    with pytest.raises(Failure) as failed:
        start(word, Settings(["true"]))
    assert (failed.value.status, failed.value.text) == (1, said)
    assert start.calls == ["allow", "disallow"]


def test_lines_go_to_stderr_or_to_a_file(tmp_path):
    settings = Settings(["true"])
    assert launch._output(settings) == 2
    settings.output = str(tmp_path / "lines")
    (tmp_path / "lines").write_text("old")
    fd = launch._output(settings)
    try:
        assert not os.get_inheritable(fd)
        assert os.fstat(fd).st_size == 0
    finally:
        os.close(fd)
    settings.output = str(tmp_path / "no" / "lines")
    with pytest.raises(Failure, match="No such file"):
        launch._output(settings)


def test_why_there_is_no_core():
    assert "--doctor" in launch._why(OSError(errno.EPERM, os.strerror(errno.EPERM)))
    assert "No such process" in launch._why(OSError(errno.ESRCH, os.strerror(errno.ESRCH)))


def test_the_core_keeps_no_descriptor_of_its_callers():
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup(told)
            launch._keep_only({0, 1, 2, told})
            left = sorted(map(int, os.listdir("/proc/self/fd")))
            os.write(told, repr([fd for fd in left if fd > 2]).encode())
        finally:
            os._exit(0)
    os.close(told)
    said = os.read(heard, 4096).decode()
    os.close(heard)
    os.waitpid(child, 0)
    left = eval(said, {})
    assert told in left
    assert len(left) == 2  # and the one that listed them


# -- the session ---------------------------------------------------------------------------------


class FakeTracer:
    def __init__(self):
        self.ran = []
        self.reports = SimpleNamespace(total=lambda counts: self.ran.append(counts))

    def run(self, stop, *_rest):
        self.ran.append(stop.kind)


@pytest.fixture
def session(monkeypatch):
    """A session whose stops are a list of kinds."""

    def make(kinds, summary=False):
        left = list(kinds)
        stop = SimpleNamespace(kind=0)

        def wait(one, *_time):
            one.kind = left.pop(0)
            return one.kind

        settings = Settings(["true"])
        settings.summary = summary
        settings.preload = ["x"]  # nothing is loaded in idle moments
        monkeypatch.setattr(core, "new_stop", lambda: stop)
        monkeypatch.setattr(core, "wait", wait)
        monkeypatch.setattr(core, "wait_within", wait, raising=False)
        monkeypatch.setattr(core, "counts", lambda: (1, 2, 3, 4))
        made = launch.Session(settings, 5)
        made._server = SimpleNamespace(serve=None)
        tracer = FakeTracer()
        made.loaded = 0

        def load():
            made.loaded += 1
            return tracer

        made.tracer = load
        return made, tracer

    return make


def test_a_session_in_which_nothing_is_asked_loads_nothing(session):
    made, _ = session([core.EMPTY])
    made.run()
    assert made.loaded == 0


def test_the_first_stop_loads_the_tracer(session):
    made, tracer = session([core.READY])
    made.run()
    assert tracer.ran == [core.READY]


def test_a_summary_is_told_in_any_case(session):
    made, tracer = session([core.EMPTY], summary=True)
    made.run()
    assert tracer.ran == [(1, 2, 3, 4)]
