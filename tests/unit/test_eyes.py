# SPDX-License-Identifier: GPL-2.0-or-later
"""What the core sees for a task: links of proc, and directories that nobody can move."""

from __future__ import annotations

import os
import time

import pytest

from pyview import eyes
from pyview.eyes import Plain
from pyview.handlers.caller import AT_FDCWD
from pyview.syscalls import BY_NAME
from pyview.task import Task


def test_through_a_link_of_proc(task, record, number, tmp_path):
    (tmp_path / "sub").mkdir()
    record.fs.domain = number
    found = task.resolve(AT_FDCWD, f"/proc/{os.getpid()}/cwd/sub", follow=True)
    assert (found.name, found.number) == (f"/unreal{tmp_path}/sub", number)
    found = task.resolve(AT_FDCWD, "/proc/self/cwd", follow=True)
    assert found.number == number
    assert found.real == f"/proc/{os.getpid()}/cwd"
    record.fs.domain = 0
    assert task.resolve(AT_FDCWD, "/proc/self/cwd/sub", follow=True).name == f"{tmp_path}/sub"


def test_self_is_the_task_and_not_the_core(record, view, session):
    record.tid = os.getppid()
    other = Task(record, view, BY_NAME["stat"], (0,) * 6, session)
    found = other.resolve(AT_FDCWD, "/proc/self/status", follow=True)
    assert found.name == f"/proc/{os.getppid()}/status"
    found = other.resolve(AT_FDCWD, "/proc/thread-self/status", follow=True)
    assert found.name == f"/proc/{os.getppid()}/task/{os.getppid()}/status"


def test_a_link_of_proc_to_no_file_leads_nowhere(task):
    read, write = os.pipe()
    try:
        found = task.resolve(AT_FDCWD, f"/proc/self/fd/{read}/x", follow=True)
        with pytest.raises(NotADirectoryError):
            os.stat(found.real)
    finally:
        os.close(read)
        os.close(write)


# -- directories of the system's ------------------------------------------------------------------


@pytest.fixture
def plain(monkeypatch):
    """A Plain of an ordinary user, and what it has looked at."""
    monkeypatch.setattr(eyes.os, "geteuid", lambda: 1000)
    made, looked = Plain(), []
    real = eyes.os.lstat
    monkeypatch.setattr(eyes.os, "lstat", lambda name: looked.append(name) or real(name))
    made.looked = looked
    return made


def test_what_only_root_can_move_is_plain_for_a_second(plain, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(eyes.time, "monotonic", lambda: now)
    assert plain.has("/")
    assert plain.has("/usr/share")
    assert plain.looked == ["/usr", "/usr/share", "/", "/usr"]
    assert plain.has("/usr/share")
    assert plain.has("/usr")
    assert len(plain.looked) == 4
    now += 1.1
    assert plain.has("/usr")
    assert len(plain.looked) == 6


@pytest.mark.parametrize("name", ["/proc", "/proc/sys", "/usr/nosuch", "/etc/passwd", "/proc/self"])
def test_other_things_are_not(plain, name):
    assert not plain.has(name)


def test_nor_is_what_others_can_move(plain, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("/usr")
    os.chmod(tmp_path, 0o777)
    for name in ("a", "a/b", "link"):
        assert not plain.has(f"{tmp_path}/{name}")


def test_nothing_is_plain_to_root(monkeypatch):
    monkeypatch.setattr(eyes.os, "geteuid", lambda: 0)
    assert not Plain().has("/usr")
