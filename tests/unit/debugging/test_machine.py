# SPDX-License-Identifier: GPL-2.0-or-later
"""What /proc and ptrace tell of real tasks: this process, and a child of it."""

from __future__ import annotations

import os
import struct
import subprocess
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.debugging import machine

ME = os.getpid()


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def records(monkeypatch, child):
    made = {
        pid: SimpleNamespace(parent=ME, waits=0, debug=0, debugger=0, held=0, wanted=0, go=0,
                             filtered=0, mm=SimpleNamespace(hidden=0))
        for pid in (ME, child)
    }  # fmt: skip
    monkeypatch.setattr(core, "task", made.get)
    return made


@pytest.fixture
def real():
    return machine.Machine()


def test_who_is_whose_child(real, records, child):
    assert real.parent(child) == (ME, ME)
    records[child].parent = 0
    assert real.parent(child) == (ME, ME)
    assert real.parent(ME) == (0, 0)  # made by nobody of this core
    assert real.is_child(child, ME)
    assert not real.is_child(ME, child)
    assert real.group(child) == os.getpgrp()


def test_who_may_trace_whom(real, records, child):
    assert real.may_trace(ME, child)
    assert not real.may_trace(ME, ME)
    if os.geteuid():
        records[child].mm.hidden = 1
        assert not real.may_trace(ME, child)


def test_only_other_name_spaces_number_differently(real):
    assert not real.numbers_differently(ME)


def test_a_pidfd_stands_for_a_process(real, child):
    fd = os.pidfd_open(child)
    assert real.pointed(ME, fd) == child
    os.close(fd)
    assert real.pointed(ME, fd) == -1


def test_what_is_known_of_one_that_has_gone(real, records):
    gone = 2**22 + 1
    assert real.uid(gone) == real.group(gone) == 0
    assert real.usage(gone) == bytes(144)
    assert not real.stands_still(gone)
    records[gone] = SimpleNamespace(stopped=1)
    assert real.is_stopped_job(gone)
    del records[gone]
    assert real.waits(gone)
    with pytest.raises(core.Gone):
        real.parent(gone)


def test_the_time_it_ran_is_told(real):
    assert struct.unpack_from("=4q", real.usage(ME)) > (0, 0, 0, 0)


def test_c_is_told_whose_stops_are_wanted(real, records, child, monkeypatch):
    said = []
    monkeypatch.setattr(core, "interrupt", said.append)
    monkeypatch.setattr(core, "resume", lambda *how: said.append(how))
    real.traced(child, ME)
    real.wants(child, True)
    real.goes(child, 24)
    real.held(child, True)
    record = records[child]
    assert (record.debug, record.debugger, records[ME].debug) == (core.TRACEE, ME, core.DEBUGGER)
    assert (record.wanted, record.go, record.held, said) == (1, 24, 1, [child])
    real.resume(child)
    real.traced(child, 0)
    real.wants(child, False)
    assert (record.debug, record.debugger, record.held, record.wanted) == (0, 0, 0, 0)
