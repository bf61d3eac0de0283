# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a command; that it runs in a view, tests/worlds/test_vutry.py shows."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pyview.commands import Failure
from pyview.trying import session


def becoming(monkeypatch, work) -> None:
    """What happens in the child in place of a view."""
    monkeypatch.setattr("pyview.commands.pyview.start", work)


@pytest.mark.parametrize(
    ("work", "status"),
    [
        (lambda settings: os._exit(7), 7),
        (lambda settings: os.kill(os.getpid(), signal.SIGKILL), 137),
        (lambda settings: os.execv("/bin/true", settings.argv), 0),
    ],
)
def test_the_status_is_the_command_s(stage, monkeypatch, work, status):
    becoming(monkeypatch, work)
    assert session.run("vutry", stage.directory, ["true"]) == status


def test_a_command_that_cannot_be_is_told(stage, monkeypatch):
    def refuse(_settings):
        raise Failure(127, "nosuch: command not found")

    becoming(monkeypatch, refuse)
    with pytest.raises(Failure, match="nosuch: command not found") as caught:
        session.run("vutry", stage.directory, ["nosuch"])
    assert caught.value.status == 127


def test_interrupts_are_the_command_s_alone(stage, monkeypatch):
    parent = os.getpid()

    def work(_settings):
        for number in (signal.SIGINT, signal.SIGQUIT):
            os.kill(parent, number)
        os._exit(3)

    before = signal.getsignal(signal.SIGINT)
    becoming(monkeypatch, work)
    assert session.run("vutry", stage.directory, ["x"]) == 3
    assert signal.getsignal(signal.SIGINT) == before


def test_signals_between_the_fork_and_the_wait_are_not_lost(stage, monkeypatch):
    parent, fork = os.getpid(), os.fork

    def signalled() -> int:
        child = fork()
        if child:
            for number in (signal.SIGQUIT, signal.SIGTERM):
                os.kill(parent, number)
            time.sleep(0.1)  # we are slow: the signals come to whoever takes them
        return child

    def ended(_number, _frame):
        if os.getpid() != parent:
            os._exit(5)

    becoming(monkeypatch, lambda settings: signal.pause())
    monkeypatch.setattr(os, "fork", signalled)
    before, end = signal.signal(signal.SIGTERM, ended), threading.Event()
    other = threading.Thread(target=end.wait)  # that has no signal blocked
    other.start()
    try:
        assert session.run("vutry", stage.directory, ["x"]) == 5
    finally:
        end.set()
        other.join()
        signal.signal(signal.SIGTERM, before)


def test_the_command_has_the_signals_as_they_were(stage, monkeypatch):
    def work(_settings):
        os._exit(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    becoming(monkeypatch, work)
    assert session.run("vutry", stage.directory, ["x"]) == 1


def test_other_signals_are_passed_on(stage, monkeypatch):
    parent = os.getpid()

    def work(_settings):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.kill(parent, signal.SIGTERM)
        os._exit(9 if signal.sigwait({signal.SIGTERM}) == signal.SIGTERM else 1)

    becoming(monkeypatch, work)
    assert session.run("vutry", stage.directory, ["x"]) == 9


def test_layers_come_first(stage):
    stage.directory.about["layers"] = ["/one", "/two"]
    settings = session.settings_for(stage.directory, ["cmd"])
    root = str(stage.host)
    assert settings.mounts == [
        ("", "viewfs", "merge", "/one", root),
        ("", "viewfs", "merge", "/two", root),
        ("", "viewfs", "cow", stage.directory.name, root),
    ]
    assert settings.needs == ["viewfs"]
    assert settings.norc
