# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose wait a signal ends, as /proc tells it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from types import SimpleNamespace

import pytest

from pyview import patience
from pyview.patience import Interrupted, Parked, Patience, is_called

WAITS = "import signal, sys; {}; print(flush=True); signal.pause()"


@pytest.fixture
def stopped():
    """stopped(LINE, SIGNAL...): a process that has run that line, stopped, with signals pending."""
    started = []

    def start(line, *numbers):
        child = subprocess.Popen(
            ["python3", "-c", WAITS.format(line)], stdout=subprocess.PIPE, text=True
        )
        started.append(child)
        child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        for number in numbers:
            child.send_signal(number)
        return child.pid

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def test_who_has_no_signal_waits(stopped):
    assert not is_called(stopped("pass"))


@pytest.mark.parametrize(
    ("line", "number", "called", "dies"),
    [
        ("signal.signal(signal.SIGINT, signal.SIG_DFL)", signal.SIGINT, True, True),
        ("pass", signal.SIGINT, True, False),  # Python's own handler
        ("signal.signal(signal.SIGINT, signal.SIG_IGN)", signal.SIGINT, False, False),
        ("signal.pthread_sigmask(0, [signal.SIGTERM])", signal.SIGTERM, False, False),
        ("pass", signal.SIGTERM, True, True),
        ("pass", signal.SIGWINCH, False, False),
        ("signal.signal(signal.SIGWINCH, print)", signal.SIGWINCH, True, False),
        ("pass", signal.SIGTSTP, False, False),
    ],
)
def test_a_signal_that_would_be_delivered_calls(stopped, line, number, called, dies):
    pid = stopped(line, number)
    assert is_called(pid) is called
    assert is_called(pid, to_die=True) is dies


def test_who_has_died_or_gone_is_called():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_called(child, to_die=True)
    os.waitpid(child, 0)
    assert is_called(child, to_die=True)


@pytest.fixture
def watched(monkeypatch):
    """A watch that looks often, and finds everybody called; it ends with the test."""
    monkeypatch.setattr(patience, "SECOND", 0.02)
    monkeypatch.setattr(patience, "is_called", lambda tid, to_die=False: tid > 0)
    before = signal.getsignal(signal.SIGUSR1)
    over = threading.Event()

    def ends(tid, token):
        told.append((tid, token))
        parked.clear()
        if over.is_set():
            raise SystemExit  # of its thread

    parked, told = {}, []
    made = Patience(parked, ends)
    made.start()
    made.start()
    yield SimpleNamespace(patience=made, parked=parked, told=told)
    over.set()
    parked[1] = None
    while parked:
        pass
    signal.signal(signal.SIGUSR1, before)


def test_an_operation_that_takes_long_is_interrupted(watched):
    watched.patience.at = SimpleNamespace(tid=1)
    with pytest.raises(Interrupted):
        threading.Event().wait(20)
    watched.patience.at = None


def test_one_whose_caller_is_not_called_goes_on(watched):
    watched.patience.at = SimpleNamespace(tid=0)
    assert not threading.Event().wait(0.2)
    watched.patience.at = None


def test_who_waits_for_a_slow_file_is_given_up(watched):
    token = Parked(print, print)
    watched.parked[7] = token
    while watched.parked:
        pass
    assert watched.told == [(7, token)]
