# SPDX-License-Identifier: GPL-2.0-or-later
"""csrc/proc.c: of which names in proc a view says something else than the kernel."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from cffi import FFI

HEADER = (Path(__file__).resolve().parents[2] / "csrc" / "pyview.h").read_text(encoding="utf-8")


def bare(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


ffi = FFI()
ffi.cdef(bare(HEADER.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]))
for name in ("pv_proc_told", "pv_proc_letters", "pv_proc_told_at", "pv_task_make", "pv_task_drop"):
    ffi.cdef(re.search(rf"^[^\n]*\b{name}\([^;]*;", HEADER, re.MULTILINE)[0])
lib = ffi.dlopen(find_spec("pyview._core").origin)

OTHER, STRANGER = 2000000001, 2000000002  # no process has such a number


@pytest.fixture(scope="module")
def tasks():
    """Two tasks of a view, and one that is in none yet."""
    view = lib.pv_view_new()
    made = [lib.pv_task_make(tid) for tid in (os.getpid(), OTHER, STRANGER)]
    made[0].view = made[1].view = view
    yield made
    for task in made:
        lib.pv_task_drop(task)
    lib.pv_view_free(view)


ALWAYS = ("mounts", "mountinfo", "mountstats", "status", "pyview")
NAMED = ("cwd", "exe", "fd", "fd/3", "fdinfo/3", "maps", "smaps", "map_files/1-2", "root/etc")
NEVER = (
    "",
    "comm",
    "cmdline",
    "stats",
    "statm",
    "net/mounts",
    "task",
    "task/",
    "sched",
    "x/status",
)


@pytest.mark.parametrize("who", ["self", "thread-self", str(os.getpid()), str(OTHER),
                                 f"self/task/{OTHER}", f"{OTHER}/task/{OTHER}"])  # fmt: skip
def test_of_the_tasks_of_views(tasks, who):
    def told(what):
        return bool(lib.pv_proc_told(tasks[0], f"/proc/{who}/{what}".encode()))

    assert {what for what in ALWAYS if not told(what)} == set()
    assert {what for what in NEVER if told(what)} == set()
    assert {told(what) for what in NAMED} == {bool(lib.pv_domains_used())}
    assert not told("stat")
    for task in tasks:
        task.stopped = 1
    assert told("stat")
    for task in tasks:
        task.stopped = 0


@pytest.mark.parametrize("who", ["1", str(STRANGER), "self/task/1", "net", "sys", "0x1", "selfish"])
def test_of_others_the_kernel_says_all(tasks, who):
    for what in (*ALWAYS, *NAMED, "stat"):
        if what != "root/etc":
            assert not lib.pv_proc_told(tasks[0], f"/proc/{who}/{what}".encode())
    for what in ("root/etc", "cwd/.", "fd/3/x"):  # links may lead anywhere
        assert lib.pv_proc_told(tasks[0], f"/proc/{who}/{what}".encode())


@pytest.mark.parametrize(
    ("name", "told"),
    [("/proc/mounts", 1), ("/proc", 0), ("/proc/", 0), ("/proc/mounts/x", 0), ("/etc/mounts", 0),
     ("/proc/self", 0), ("/procs/self/status", 0), ("/proc/stat", 0)],
)  # fmt: skip
def test_whole_names(tasks, name, told):
    assert lib.pv_proc_told(tasks[0], name.encode()) == told


def test_letters_of_relative_names(tasks):
    for name in ("status", "self/stat", "fd/3", "./maps", "task/1/exe", "../mounts"):
        assert lib.pv_proc_letters(name.encode())
    for name in ("", "statistics", "a/b", "st", "Status", "/", "root2"):
        assert not lib.pv_proc_letters(name.encode())


@pytest.mark.parametrize(
    ("base", "name", "told"),
    [("/proc/self", "status", 1), ("/proc/self", "././status", 1), ("/proc", "self/status", 1),
     ("/proc", "mounts", 1), ("/proc", "1/status", 0), ("/proc/1", "status", 0),
     ("/proc/self/task", "../status", 1), ("/etc", "status", 0), ("/", "proc/self/status", 1),
     ("/", "proc/1/status", 0), ("/", "etc/status", 0)],
)  # fmt: skip
def test_names_relative_to_a_directory(tasks, base, name, told):
    fd = os.open(base, os.O_PATH)
    try:
        assert lib.pv_proc_told_at(tasks[0], fd, name.encode()) == told
    finally:
        os.close(fd)
