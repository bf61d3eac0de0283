# SPDX-License-Identifier: GPL-2.0-or-later
"""What proc says in a view: this process is the task that looks, and the one that is looked at."""

from __future__ import annotations

import errno
import mmap
import os
import re
import stat
from types import SimpleNamespace

import pytest

from pyview import core, proc
from pyview.syscalls import BY_NAME
from pyview.task import Task

ME = os.getpid()


@pytest.fixture
def opened(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture(autouse=True)
def _state(record, session, view):
    record.stopped = record.watched = record.held = record.debugger = 0
    session.view_of = lambda tid: view


def record_of(stopped=0, watched=0, held=0, debugger=0):
    return SimpleNamespace(
        stopped=stopped, watched=watched, held=held, debugger=debugger, identity=None
    )


# -- links ---------------------------------------------------------------------------------------


def test_links_of_proc_lead_into_their_domains(task, record, number, opened, tmp_path):
    me = os.getpid()
    record.fs.domain = record.mm.domain = record.marks[opened] = number
    for link, name in (
        ("cwd", f"/unreal{tmp_path}"),
        (f"task/{me}/cwd", f"/unreal{tmp_path}"),
        (f"fd/{opened}", f"/unreal{tmp_path}"),
        ("exe", "/unreal" + os.readlink("/proc/self/exe")),
    ):
        assert task.proc_name(f"/proc/{me}/{link}") == name
        assert task.proc_domain(f"/proc/{me}/{link}") == number
    assert task.proc_name(f"/proc/{me}/root") is None
    assert task.proc_name("/proc/1/cwd") is None
    assert task.proc_name("/etc/cwd") is None


def test_the_core_of_a_view_is_a_link(task):
    assert task.proc_name(f"/proc/{ME}/pyview") == str(ME)
    assert task.proc_name(f"/proc/{ME}/task/{ME}/pyview") == str(ME)
    assert task.proc_name(f"/proc/{ME}/pyviews") is None


def test_a_mapped_file_has_its_name_in_its_domain(task, number, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    st = os.stat(tmp_path / "file")
    through = {(st.st_dev, st.st_ino): number}
    monkeypatch.setattr(core, "opened_through", lambda *of: through.get(of, 0))
    with (
        open(tmp_path / "file", "rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ),
        open("/proc/self/maps") as maps,
    ):
        (line,) = (x for x in maps if x.endswith(f"{tmp_path}/file\n"))
        addresses = line.split()[0]
        link = f"/proc/{ME}/map_files/{addresses.lstrip('0').replace('-0', '-')}"
        assert task.proc_name(link) == f"/unreal{tmp_path}/file"
        for kind in ("maps", "smaps"):
            text = task.proc_text(f"/proc/{ME}/{kind}").decode()
            assert f" /unreal{tmp_path}/file\n" in text
        if os.path.exists("/proc/self/numa_maps"):
            text = task.proc_text(f"/proc/{ME}/numa_maps").decode()
            assert f"file=/unreal{tmp_path}/file" in text
    assert task.proc_name(f"/proc/{ME}/map_files/1000-2000") is None


# -- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["/proc/1/status", "/proc/{}/comm", "/etc/mounts", "/proc/{}/task/status", "/proc/mounts",
     "/proc/{}/stat", "/proc/{}/fdinfo/0", "/proc/{}/status/", "/proc/{}/net/mounts"],
)  # fmt: skip
def test_of_others_and_of_what_is_the_same_there_is_no_text(task, name):
    assert task.proc_text(name.format(ME)) is None


def test_nobody_traces_a_task_of_a_view(task, monkeypatch):
    with open("/proc/self/status", "rb") as file:
        kernels = dict(line.split(b":", 1) for line in file)
    monkeypatch.setattr(proc, "status_lines", lambda record: {b"TracerPid": b"77"})
    for name in ("status", f"task/{ME}/status"):
        shown = dict(
            line.split(b":", 1) for line in task.proc_text(f"/proc/{ME}/{name}").splitlines(True)
        )
        assert shown.keys() == kernels.keys()
        assert shown[b"TracerPid"] == b"\t77\n"
        assert shown[b"Tgid"] == kernels[b"Tgid"]
    monkeypatch.undo()
    text = proc.status_text(b"TracerPid:\t9\nx:\t1\n", record_of(), mine=False)
    assert text == b"TracerPid:\t0\nx:\t1\n"


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (record_of(stopped=1), b"T (stopped)"),
        (record_of(stopped=1, watched=1), b"T (stopped)"),
        (record_of(), b"R (running)"),
        (record_of(watched=1), b"D (disk sleep)"),
        (record_of(held=1), b"t (tracing stop)"),
        (record_of(stopped=1, debugger=9), b"t (tracing stop)"),
    ],
)
def test_a_task_that_the_core_has_stopped_is_what_it_would_be(seen, state):
    text = b"Name:\tState:\nState:\tt (tracing stop)\nPid:\t1\n"
    assert proc.status_text(text, seen, mine=False) == text.replace(b"t (tracing stop)", state)
    one = b"12 (a) t) b) t 1 2 t"
    assert proc.stat_text(one, seen) == b"12 (a) t) b) " + state[:1] + b" 1 2 t"
    other = b"12 (t) t) S 1 2"
    assert proc.stat_text(other, seen) is None
    asleep = b"State:\tS (sleeping)\n"
    assert proc.status_text(asleep, seen, mine=False) == asleep
    assert proc.status_text(asleep, seen, mine=True) == b"State:\tR (running)\n"


@pytest.mark.parametrize("kind", ["mounts", "mountinfo", "mountstats"])
def test_the_views_mounts_follow_the_kernels(task, kind):
    with open(f"/proc/self/{kind}") as file:
        kernels = file.read()
    text = task.proc_text(f"/proc/{ME}/{kind}").decode()
    assert text.startswith(kernels)
    assert [" /unreal " in line for line in text[len(kernels) :].splitlines()] == [True, False]


def test_an_emulated_descriptor_tells_where_it_is(task, record, session, monkeypatch, opened):
    found = SimpleNamespace(
        flags=os.O_RDWR | os.O_APPEND, offset=7, mount=SimpleNamespace(epoch=3), key=(1, 99),
        direct=False,
    )  # fmt: skip
    record.inodes[opened] = 5
    monkeypatch.setattr(session.descriptors, "find", lambda inode: found if inode == 5 else None)
    name = f"/proc/{ME}/fdinfo/{opened}"
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | 0o100000
    assert task.proc_text(name) == b"pos:\t7\nflags:\t0%o\nmnt_id:\t1000003\nino:\t99\n" % flags
    os.set_inheritable(opened, True)
    found.flags = proc.O_PATH
    assert b"flags:\t010000000\n" in task.proc_text(name)


@pytest.mark.parametrize(
    ("flags", "bits"),
    [(os.O_RDONLY, 0o500), (os.O_WRONLY, 0o300), (os.O_RDWR, 0o700), (proc.O_PATH, 0)],
)
def test_a_link_to_an_emulated_file_says_how_it_was_opened(
    task, record, session, monkeypatch, opened, flags, bits
):
    name = f"/proc/{ME}/fd/{opened}"
    assert task.link_attributes(name, None) is None
    assert task.link_attributes(f"/proc/{ME}/cwd", None) is None
    assert task.link_attributes("/proc/1/fd/0", None) is None
    found = SimpleNamespace(flags=flags, direct=False)
    monkeypatch.setattr(session.descriptors, "find", lambda inode: found)
    st, real = task.link_attributes(name, (7, 8)), os.lstat(name)
    assert (st.st_uid, st.st_gid) == (7, 8)
    assert st.st_mode == stat.S_IFLNK | bits
    assert (st.st_ino, st.st_dev, st.st_size) == (real.st_ino, real.st_dev, real.st_size)
    assert (st.st_mtime_ns, st.st_rdev) == (real.st_mtime_ns, real.st_rdev)


def test_root_may_look_for_others_and_not_more_than_they(task, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Task, "uid", lambda self: 1000)
    assert task.proc_text(f"/proc/{ME}/maps") is None
    assert task.proc_text(f"/proc/{ME}/status") is not None
    monkeypatch.setattr(Task, "uid", lambda self: 0)
    assert task.proc_text(f"/proc/{ME}/maps") is not None


def test_a_text_is_a_file_that_says_what_it_stands_for(task, record):
    fd = task.proc_file(b"text", "/proc/7/maps")
    try:
        assert os.read(fd, 10) == b"text"
        with pytest.raises(OSError) as caught:
            os.write(fd, b"x")
        assert caught.value.errno == errno.EBADF
        assert not os.get_inheritable(fd)
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o444
        assert task.text_of(fd) == ""
        record.marks[fd] = core.VIRTUAL
        assert task.text_of(fd) == "/proc/7/maps"
        assert task.proc_name(f"/proc/{ME}/fd/{fd}") == "/proc/7/maps"
    finally:
        os.close(fd)
    assert proc.stood_for("/memfd:pyview (deleted)") is None


def test_the_kernel_answers_what_is_mapped_where(task):
    with open("/proc/self/maps") as maps:
        line = next(x for x in maps if x.endswith("/libc.so.6\n"))
    start = int(line.partition("-")[0], 16)
    name = line.split()[-1].encode()
    query = bytearray(104)
    query[:8], query[16:24] = (104).to_bytes(8, "little"), start.to_bytes(8, "little")
    query[80:84], query[88:96] = (4096).to_bytes(4, "little"), (1).to_bytes(8, "little")
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 11):
        with pytest.raises(OSError, match="ioctl"):
            task.maps_query(f"/proc/{ME}/maps", bytes(query))
        return
    found, shown, build = task.maps_query(f"/proc/{ME}/maps", bytes(query))
    assert int.from_bytes(found[24:32], "little") == start
    assert (shown, build) == (name + b"\0", b"")


def test_calls_that_look_are_known():
    assert BY_NAME["ioctl"].stops((3, core.PROCMAP_QUERY, 0, 0, 0, 0))
    assert not BY_NAME["ioctl"].stops((3, 0x5401, 0, 0, 0, 0))


def test_who_has_been_killed_says_nothing_more():
    """A process that nobody has waited for has a status without most of its fields."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    dead = SimpleNamespace(tid=child)
    with pytest.raises(core.Gone):
        proc.Proc.status_fields(dead, b"Umask")
    os.waitpid(child, 0)
    with pytest.raises(core.Gone):
        proc.Proc.status_fields(dead, b"Umask")
