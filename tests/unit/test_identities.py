# SPDX-License-Identifier: GPL-2.0-or-later
"""Credentials of tasks: kept by C, first told by the kernel, told to proc and to programs."""

from __future__ import annotations

import os

import pytest

from pyview import core, identities
from pyview._core import ffi, lib
from pyview.credentials import EVERY, Credentials, Program

WHO = Credentials(1, 2, 3, 4, 5, 6, 7, 8, (9, 10), 1, 7, 3, EVERY, 1, 0x10, True)


@pytest.fixture
def record():
    """A real struct pv_task, of no thread."""
    made = ffi.new("struct pv_task *")
    made.tid = os.getpid()
    yield made
    core.assume_none(made)


def test_what_is_given_is_what_is_had(record):
    assert identities.of(record) is None
    identities.give(record, WHO)
    assert identities.of(record) == WHO
    identities.give(record, WHO._replace(groups=()))
    assert identities.of(record) == WHO._replace(groups=())
    identities.give(record, None)
    assert identities.of(record) is None


def test_tasks_share_what_never_changes(record):
    identities.give(record, WHO)
    other = ffi.new("struct pv_task *")
    lib.pv_assume(other, record.identity)
    assert record.identity.refs == 2
    identities.give(record, WHO._replace(uid=77))
    assert identities.of(other) == WHO
    core.assume_none(other)


def test_the_kernel_tells_them_first(record):
    identities.seed(record)
    who = identities.of(record)
    assert who == identities.from_kernel(os.getpid())
    assert who.users[:3] == os.getresuid()
    assert who.own_groups[:3] == os.getresgid()
    assert set(who.groups) == set(os.getgroups())
    record.tid = 0x7FFFFFF0
    identities.give(record, None)
    identities.seed(record)  # it has gone
    assert identities.of(record) is None


def test_who_is_somebody_else_is_counted(record):
    identities.seed(record)
    assert identities.others([record]) == 0
    identities.give(record, WHO)
    assert identities.others([record]) == 1
    identities.make_root(record)
    assert identities.of(record).users == (0, 0, 0, 0)
    identities.give(record, None)
    identities.make_root(record)
    assert identities.others([record]) == 0


def test_a_new_program_is_told(record, monkeypatch):
    told = []
    monkeypatch.setattr(identities, "tell_identity", lambda tid, *what: told.append(what))
    mine = identities.from_kernel(os.getpid())
    identities.executed(1, record, None)
    assert told == []
    identities.give(record, mine)
    identities.executed(os.getpid(), record, Program(0o755, 0, 0))
    assert told == []  # the kernel has told the same
    identities.executed(os.getpid(), record, Program(0o4755, 4242, 0))
    assert told == [((mine.uid, 4242, mine.gid, mine.egid), True)]
    assert identities.of(record).users == (mine.uid, 4242, 4242, 4242)


def test_a_program_that_demands_too_much_gets_nothing(record, monkeypatch):
    monkeypatch.setattr(identities, "tell_identity", lambda *what: None)
    identities.give(record, WHO._replace(bounding=0, inheritable=0, ambient=0))
    demands = bytes.fromhex("0100000200200000" + "00" * 12)
    identities.executed(1, record, Program(0o755, 0, 0, demands))
    assert identities.of(record).permitted == 0


def test_the_program_of_a_task():
    found = identities.program_of(os.getpid())
    st = os.stat("/proc/self/exe")
    assert (found.mode, found.uid, found.gid) == (st.st_mode & 0o7777, st.st_uid, st.st_gid)
    assert identities.program_of(0x7FFFFFF0) == Program(0, 0, 0)


def test_owners_in_proc(record, monkeypatch):
    monkeypatch.setattr(core, "task", lambda tid: record if tid == os.getpid() else None)
    name = f"/proc/{os.getpid()}"
    assert identities.owned_by(name) is None
    identities.give(record, WHO)
    assert identities.owned_by(name) == (2, 6)
    assert identities.owned_by(f"{name}/task/{os.getpid()}/stat") == (2, 6)
    assert identities.owned_by("/proc/1") is None
    assert identities.owned_by("/proc/sys") is None
    assert identities.whose("/proc/self") is None


def test_status_tells_the_views_story(record):
    assert identities.status_lines(record) == {}
    identities.give(record, WHO)
    fields = identities.status_lines(record)
    assert (fields[b"Uid"], fields[b"Gid"]) == (b"1\t2\t3\t4", b"5\t6\t7\t8")
    assert (fields[b"Groups"], fields[b"NoNewPrivs"]) == (b"9 10 ", b"1")
    assert (fields[b"CapPrm"], fields[b"CapAmb"]) == (b"%016x" % 7, b"%016x" % 1)
    with open("/proc/self/status", "rb") as file:
        known = {line.split(b":")[0] for line in file}
    assert set(fields) <= known
