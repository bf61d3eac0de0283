# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user is told, line by line."""

from __future__ import annotations

import errno
import os
import signal
import subprocess

import pytest
from playbook import Nobody

from pyview import core
from pyview.paths import cover_of
from pyview.reports import HERE, Reports
from pyview.verdicts import At, Done, Emulate, Give, Real
from pyview.view import View


@pytest.fixture
def view():
    view = View(3)
    view.mount("/unreal", view.now(), kind="unreal")
    view.mount("/bound", view.now())
    return view


@pytest.fixture
def said(tmp_path):
    """Make reports; what they say."""
    fd = os.open(tmp_path / "said", os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def text():
        return (tmp_path / "said").read_text()

    text.fd = fd
    yield text
    os.close(fd)


def calling(view, tid=100):
    caller = Nobody(view)
    caller.tid = tid
    return caller.calls("access", "/unreal/etc", os.R_OK)


def test_nobody_who_reads_is_no_error():
    read, write = os.pipe()
    os.close(read)
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as the core has it
    try:
        Reports(write, True, True).write("lost")
    finally:
        signal.signal(signal.SIGPIPE, before)
    os.close(write)
    Reports(write, True, True).write("lost")


def test_names_that_are_no_text_are_written_as_they_are(said):
    Reports(said.fd, False, False).write(os.fsdecode(b"\xff\n"))
    assert os.pread(said.fd, 9, 0) == b"\xff\n"


def test_a_traced_call_is_one_line(said, view):
    number = cover_of(view, "/unreal").number
    reports = Reports(said.fd, True, False)
    assert reports.wants_all(view)
    reports.call(calling(view), At("/etc", number, {}))
    assert said() == '[100] access("/unreal/etc", R_OK) <redirected: unreal>\n'


def test_a_mount_is_called_by_its_type_or_its_module(said, view):
    view.mounts[1].kind, view.mounts[1].owner = "", type("Loaded", (), {"name": "mine"})()
    number = cover_of(view, "/unreal").number
    reports = Reports(said.fd, True, False)
    reports.call(calling(view), At("/etc", number, {}))
    view.mounts[1].kind = "none"
    reports.call(calling(view), At("/etc", number, {}))
    kinds = [line.rpartition("<")[2] for line in said().splitlines()]
    assert kinds == ["redirected: mine>", "redirected: bind>"]


def test_an_answer_is_shown(said, view):
    reports = Reports(said.fd, True, False)
    reports.call(calling(view), Emulate(-2))
    reports.call(calling(view), Emulate(0))
    first, second = said().splitlines()
    assert "ENOENT" in first
    assert first.endswith("<emulated: core>")
    assert second.endswith("<emulated: core>")
    assert "= 0" in second


def test_memory_that_cannot_be_read_is_no_error(said, view):
    caller = calling(view)
    caller.memory.clear()
    Reports(said.fd, True, False).call(caller, Real())
    assert said().startswith("[100] access(")
    assert said().endswith(" <kernel: kernel>\n")


def test_a_task_that_has_gone_is_no_error(said, view, monkeypatch):
    def gone(self, address, length):
        raise core.Gone

    monkeypatch.setattr(Nobody, "peek", gone)
    Reports(said.fd, True, False).call(calling(view), Real())
    assert said().startswith("[100] access(")


def test_without_trace_or_tags_a_call_is_no_line(said, view):
    reports = Reports(said.fd, False, False)
    reports.call(calling(view), Real())
    reports.debug("s", view, 100, "no")
    reports.total((1, 2, 3, 4))
    assert said() == ""
    assert not reports.wants_all(view)


def test_the_summary_counts_who_did_what(said, view):
    reports = Reports(said.fd, False, True)
    assert reports.wants_all(view)
    number, bound = (cover_of(view, name).number for name in ("/unreal", "/bound"))
    for verdict in (
        At("/etc", number, {}),
        At("/etc", number, {}),
        At("/etc", bound, {}),
        At("/etc", 0, {}),
        At("/etc", 12345, {}),
        Real(),
        Done(),
        Give(5, True),
        Emulate(0),
    ):
        reports.call(calling(view), verdict)
    assert said() == ""
    reports.total((5, 6, 7, 8))
    first, *lines = said().splitlines()
    assert first == (
        "pyview: 11 calls stopped (5 listener, 6 tracer), 8 served in C, 7 reports to Python"
    )
    rows = sorted(tuple(line.split()) for line in lines)
    assert rows == [
        ("1", "emulated", "access", "core"),
        ("1", "kernel", "access", "kernel"),
        ("1", "redirected", "access", "bind"),
        ("2", "redirected", "access", "unreal"),
        ("4", "redirected", "access", "core"),
    ]
    assert int(lines[0].split()[0]) == 4


def test_what_was_refused_has_a_table_of_its_own(said, view):
    reports = Reports(said.fd, True, True)
    for number in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EOPNOTSUPP, errno.ENOENT):
        reports.call(calling(view), Emulate(-number))
    reports.refused(calling(view), "its own filter")
    caller = Nobody(view).calls("chroot", "/unreal")
    caller.asked = view.mounts[1]
    reports.call(caller, Emulate(-errno.EPERM))
    kinds = [line.rpartition("<")[2] for line in said().splitlines()]
    assert kinds == [
        *["refused: core>"] * 3, "emulated: core>", "refused: its own filter>", "refused: unreal>"
    ]  # fmt: skip
    reports.total((5, 6, 7, 8))
    at = said().splitlines().index("pyview: 5 calls refused")
    rows = {tuple(line.split(maxsplit=3)) for line in said().splitlines()[at + 1 :]}
    assert rows == {
        ("2", "EOPNOTSUPP", "access", "core"),
        ("1", "ENOSYS", "access", "core"),
        ("1", "ENOSYS", "access", "its own filter"),
        ("1", "EPERM", "chroot", "unreal"),
    }
    assert "1  emulated    access" in said()


def test_nobody_hears_of_a_refusal_who_has_not_asked(said, view):
    Reports(said.fd, False, False).refused(calling(view), "core")
    assert said() == ""


# -- debug tags ----------------------------------------------------------------------------------


def test_a_tag_holds_in_its_view(said, view):
    reports = Reports(said.fd, False, False)
    other = View(4)
    reports.set_tags(view, 0, frozenset("ps"))
    reports.debug("p", view, 100, "one", 2)
    reports.debug("m", view, 100, "not asked for")
    reports.debug("p", other, 100, "elsewhere")
    assert said() == "pyview[p]: [100] one 2\n"
    assert (reports.wants_all(view), reports.wants_all(other)) == (True, False)
    reports.call(calling(view), Real())
    reports.call(calling(other), Real())
    assert said().count("\n") == 2
    reports.set_tags(view, 0, frozenset("p"))
    assert not reports.wants_all(view)


def test_a_tag_holds_for_a_process_and_its_children(said, view):
    reports = Reports(said.fd, False, False)
    reports.set_tags(view, os.getpid(), frozenset("p"))
    child = subprocess.Popen(["sleep", "60"])
    try:
        reports.debug("p", view, child.pid, "child")
        reports.debug("p", view, os.getppid(), "parent")
        reports.debug("p", view, os.getpid(), "self")
    finally:
        child.kill()
        child.wait()
    reports.debug("p", view, child.pid, "gone")
    assert said() == f"pyview[p]: [{child.pid}] child\npyview[p]: [{os.getpid()}] self\n"


# -- mistakes ------------------------------------------------------------------------------------


def test_a_modules_mistake_is_shown_with_its_own_frames_only(said, view):
    def module():
        raise ValueError("oops")

    core = compile("def step(f):\n    f()\n", f"{HERE}tracer.py", "exec")
    space = {}
    exec(core, space)
    try:
        space["step"](module)
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next
        Reports(said.fd, False, False).mistake(calling(view), error)
    text = said()
    assert text.startswith("pyview: access of task 100 gets EIO:\nTraceback")
    assert text.endswith("ValueError: oops\n")
    assert __file__ in text
    assert "tracer.py" not in text


def test_a_mistake_of_the_cores_own_is_shown_whole(said, view):
    space = {}
    exec(compile("def step():\n    1 / 0\n", "/x/pyview/tracer.py", "exec"), space)
    try:
        space["step"]()
    except ZeroDivisionError as error:
        error.__traceback__ = error.__traceback__.tb_next
        Reports(said.fd, False, False).mistake(calling(view), error)
    assert "tracer.py" in said()
