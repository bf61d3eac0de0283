# SPDX-License-Identifier: GPL-2.0-or-later
"""A task as a caller: this process is the task, and its own core."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import time
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.api import File, Tree, attributes, refuse
from pyview.descriptors import Descriptors
from pyview.handlers.caller import AT_FDCWD
from pyview.openfile import O_PATH, OpenFile
from pyview.paths import cover_of
from pyview.syscalls import BY_NAME
from pyview.task import Task
from pyview.view import View

NOT_OPEN = 1000


@pytest.fixture
def view():
    view = View()
    view.mount("/unreal", view.now(), source="none", kind="unreal")
    view.mount("/srv a\\b", view.now(), source="x\ty", kind="")
    return view


@pytest.fixture
def number(view):
    return cover_of(view, "/unreal").number


@pytest.fixture
def record(monkeypatch):
    """What C would know of this process; its descriptors' marks are a dict."""
    made = SimpleNamespace(
        tid=os.getpid(),
        view="picture",
        fs=SimpleNamespace(domain=0, foreign=0, place=0),
        mm=SimpleNamespace(domain=0, place=0, maps=0),
        foreign_child=0,
        exec_domain=0,
        exec_place=0,
        descriptors=0,
        inodes={},
        marks={},
    )

    def dup(_record, fd):
        return os.dup(fd)

    monkeypatch.setattr(core, "descriptor", dup)
    monkeypatch.setattr(core, "mark_of", lambda one, fd: one.marks.get(fd, 0))
    monkeypatch.setattr(core, "task", lambda tid: made if tid == made.tid else None)
    monkeypatch.setattr(core, "tasks", lambda: [made])
    monkeypatch.setattr(core, "emulated", lambda one, fd: one.inodes.get(fd, 0))
    monkeypatch.setattr(core, "mark_emulated", lambda fd: None)
    monkeypatch.setattr(core, "watch", lambda fd, on=1: None)
    return made


class Session:
    """What a task needs of its core: real descriptors, and notes of all else."""

    def __init__(self):
        self.notes = []
        self.kept = []
        self.closed = []
        self.descriptors = Descriptors(lambda key: self.notes.append(("wake", key)), self.close)

    def close(self, opened):
        self.closed.append(opened.name)

    def keep_until_done(self, tid, file):
        self.kept.append(file)

    def __getattr__(self, what):
        return lambda *args: self.notes.append((what, *args))


@pytest.fixture
def session(record):
    made = Session()
    yield made
    for file in made.kept:
        file.close()
    for pages in made.descriptors._mapped.values():
        pages.close()
    for end in made.descriptors._ends:
        os.close(end)
    made.descriptors._poll.close()


@pytest.fixture
def task(record, view, session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Task(record, view, BY_NAME["stat"], (0,) * 6, session)


@pytest.fixture
def opened(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def errno_of(action, *args, **more):
    with pytest.raises(OSError) as raised:
        action(*args, **more)
    return raised.value.errno


def test_its_memory(task):
    buffer = ctypes.create_string_buffer(b"/etc/passwd")
    address = ctypes.addressof(buffer)
    assert task.text(address) == "/etc/passwd"
    task.store(address + 5, b"g")
    assert task.peek(address, 6) == b"/etc/g"
    assert task.process() == os.getpid()


# -- directories ---------------------------------------------------------------------------------


def test_the_working_directory_has_its_name_in_its_domain(task, record, number, tmp_path):
    assert task.cwd() == str(tmp_path) == task.directory(AT_FDCWD)
    record.fs.domain = number
    assert task.cwd() == f"/unreal{tmp_path}"
    assert task.cwd_domain() == number
    found = task.resolve(AT_FDCWD, "x/..", follow=True)
    assert found.real == f"{tmp_path}/x/.."
    assert task.resolve(AT_FDCWD, ".", follow=True).name == f"/unreal{tmp_path}"


def test_a_removed_working_directory_has_no_name(task, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert errno_of(task.cwd) == errno.ENOENT
    assert task.resolve(AT_FDCWD, "/etc", follow=True).name == "/etc"


def test_a_directory_may_be_called_as_if_it_had_been_removed(task, tmp_path, monkeypatch):
    (tmp_path / "x (deleted)").mkdir()
    monkeypatch.chdir(tmp_path / "x (deleted)")
    assert task.cwd() == f"{tmp_path}/x (deleted)"


def test_a_descriptor_has_its_name_in_its_domain(task, record, number, opened, tmp_path):
    assert task.directory(opened) == str(tmp_path)
    record.marks[opened] = number
    assert task.directory(opened) == f"/unreal{tmp_path}"
    assert task.fd_domain(opened) == number


def test_a_descriptor_that_is_none_or_no_directory(task, tmp_path):
    (tmp_path / "file").write_text("")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        assert errno_of(task.directory, fd) == errno.ENOTDIR
        assert errno_of(task.resolve, fd, "x", follow=True) == errno.ENOTDIR
    finally:
        os.close(fd)
    assert errno_of(task.directory, NOT_OPEN) == errno.EBADF


def test_a_descriptor_outside_its_domain_has_no_name(task, record, view, opened, tmp_path):
    from pyview.view import Past

    view.mount("/bound", Past(view, 0, f"{tmp_path}/other"))
    record.marks[opened] = cover_of(view, "/bound").number
    assert errno_of(task.directory, opened) == errno.ENOENT


# -- what is noted -------------------------------------------------------------------------------


def test_what_happens_to_it_is_told_to_C(task, record, monkeypatch):
    notes = []
    monkeypatch.setattr(core, "moved", lambda one, *where: notes.append(("moved", *where)))
    monkeypatch.setattr(core, "unshared", lambda one: notes.append("unshared"))
    monkeypatch.setattr(core, "use_domains", lambda: notes.append("domains"))
    task.moved(3)
    task.moved(-1, 9)
    task.unshared()
    task.foreign()
    task.child_is_foreign()
    task.executes(0)
    assert notes == [("moved", 3, 0), ("moved", -1, 9), "unshared"]
    task.executes(4, 7)
    assert notes[3:] == ["domains"]
    assert (record.fs.foreign, record.foreign_child, record.exec_domain) == (1, 1, 4)
    assert record.exec_place == 7


def test_only_files_and_directories_are_marked(task, opened, monkeypatch):
    marked = []
    monkeypatch.setattr(core, "mark", lambda fd, domain: marked.append(domain))
    read, write = os.pipe()
    try:
        task.mark(opened, 5)
        task.mark(read, 6)
    finally:
        os.close(read)
        os.close(write)
    assert marked == [5]


# -- files ---------------------------------------------------------------------------------------


def test_what_lstat_would_say(task, tmp_path):
    (tmp_path / "dangling").symlink_to("nowhere")

    def exists(words, parent):
        task.exists(task.resolve(AT_FDCWD, words, follow=False), parent=parent)

    exists("dangling", False)
    exists("missing", True)
    exists("missing/", True)
    assert errno_of(exists, "missing", False) == errno.ENOENT
    assert errno_of(exists, "missing/x", True) == errno.ENOENT


def test_the_head_of_a_program(task, tmp_path):
    (tmp_path / "script").write_bytes(b"#!/bin/sh\n" + b"x" * 500)
    os.mkfifo(tmp_path / "fifo")

    def head(words):
        return task.program_head(task.resolve(AT_FDCWD, words, follow=True), 256)

    assert head("script") == (b"#!/bin/sh\n" + b"x" * 500)[:256]
    assert head("fifo") == b""
    assert head("missing") == b""
    assert head(".") == b""


def test_entries_are_those_of_a_listing_that_has_not_begun(task, opened, tmp_path):
    (tmp_path / "file").write_text("")
    data = task.entries(opened, 4096)
    assert b"file\0" in data
    assert task.entries(opened, 4096) is None  # the offset is the task's own


def test_a_file_of_text_is_read_only(task):
    fd = task.memory_file(b"text")
    try:
        assert os.read(fd, 10) == b"text"
        assert errno_of(os.write, fd, b"x") == errno.EBADF
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_what_closes_at_exec(task, opened):
    assert task.closes_at_exec(opened)
    os.set_inheritable(opened, True)
    assert not task.closes_at_exec(opened)
    assert errno_of(task.closes_at_exec, NOT_OPEN) == errno.EBADF


# -- mounts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("mounts", ["none /unreal unreal rw 0 0", "x\\011y /srv\\040a\\134b none rw 0 0"]),
        (
            "mountinfo",
            [
                "1000001 1 0:0 / /unreal rw - unreal none rw",
                "1000002 1 0:0 / /srv\\040a\\134b rw - none x\\011y rw",
            ],
        ),
        (
            "mountstats",
            [
                "device none mounted on /unreal with fstype unreal",
                "device x\\011y mounted on /srv\\040a\\134b with fstype none",
            ],
        ),
    ],
)
def test_the_views_mounts_follow_the_kernels(task, kind, lines):
    with open(f"/proc/self/{kind}") as file:
        kernels = file.read()
    text = task.proc_text(f"/proc/self/{kind}", kind).decode()
    assert text.startswith(kernels)
    assert text[len(kernels) :].splitlines() == lines


# -- proc ----------------------------------------------------------------------------------------


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
        assert errno_of(os.stat, found.real) == errno.ENOTDIR
    finally:
        os.close(read)
        os.close(write)


# -- sockets -------------------------------------------------------------------------------------


def test_the_names_of_sockets(task, tmp_path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("s")
        server.listen()
        client.connect("s")
        assert task.socket_address(server.fileno(), False) == b"s"
        assert task.socket_address(client.fileno(), True) == b"s"
        assert task.socket_address(client.fileno(), False) == b""
        assert task.socket_address(server.fileno(), True) == b""
    with socket.socket() as other:
        assert task.socket_address(other.fileno(), False) == b""


def test_what_is_no_socket_has_no_name(task, opened):
    assert task.socket_address(opened, False) == b""


def test_bound_names_are_the_views(task, view, monkeypatch):
    told = []
    monkeypatch.setattr(core, "has_sockets", told.append)
    task.socket_named(b"/real", b"/shown")
    assert task.socket_name(b"/real") == b"/shown"
    assert told == ["picture"]
    task.socket_named(b"/real", None)
    assert task.socket_name(b"/real") is None
    task.socket_named(b"/never", None)


# -- rights --------------------------------------------------------------------------------------


def test_its_rights_are_what_proc_says(task):
    before = os.umask(0o027)
    try:
        ids = task.ids()
    finally:
        os.umask(before)
    assert (ids.uid, ids.gid, ids.umask) == (os.geteuid(), os.getegid(), 0o027)
    assert ids.groups == {os.getegid(), *os.getgroups()}
    assert task.uid() == os.geteuid()


def test_the_clock(task):
    assert time.time_ns() - 10**9 < task.now() <= time.time_ns()


def test_memory_that_ends_is_stored_to_as_far_as_it_goes(task):
    with mmap.mmap(-1, 2 * mmap.PAGESIZE) as page:
        start = ctypes.c_char.from_buffer(page)
        address = ctypes.addressof(start)
        libc = ctypes.CDLL(None, use_errno=True)
        last = ctypes.c_void_p(address + mmap.PAGESIZE)
        assert libc.mprotect(last, mmap.PAGESIZE, 0) == 0
        assert task.store(address + mmap.PAGESIZE - 3, b"12345") == 3
        assert task.peek(address + mmap.PAGESIZE - 3, 5) == b"123"
        assert libc.mprotect(last, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0
        del start
    assert task.store(8, b"x") == 0


# -- emulated files ------------------------------------------------------------------------------


class Garden(Tree):
    """/ with a directory and two files."""

    def lstat(self, path):
        if path in ("/", "/dir"):
            return attributes(0o40755, ino=len(path), dev=9)
        if path not in ("/file", "/program"):
            raise refuse(errno.ENOENT, path)
        return attributes(0o100755, ino=len(path), dev=9)

    def open(self, path, flags, mode=0o777):
        return Bytes()


class Bytes(File):
    """Three bytes at a time of ten."""

    def pread(self, size, offset):
        return b"0123456789"[offset : offset + min(size, 3)]

    def size(self):
        return 10

    def close(self):
        pass


@pytest.fixture
def garden(task, view, record, session):
    """Gives the task an open file of /g."""
    view.mount("/g", Garden())
    mount = view.top("/g")
    record.descriptors = 1

    def give(fd, name, flags=os.O_RDWR):
        rest = name[len("/g") :] or "/"
        opened = OpenFile(Bytes(), mount, rest, name, flags, mount.tree.lstat(rest))
        theirs = session.descriptors.give(opened)
        record.inodes[fd] = os.fstat(theirs).st_ino
        ends.append(theirs)
        return opened

    ends = []
    yield give
    for end in ends:
        os.close(end)


def test_an_emulated_descriptor_is_an_open_file(task, garden, view):
    opened = garden(50, "/g/file")
    assert task.object(50) is opened
    assert task.asked is view.top("/g")
    assert task.object(51) is task.object(-1) is None
    task.known = (52, task._record.inodes[50])
    assert task.object(52) is opened


def test_who_holds_none_is_not_asked(task, record):
    assert not task.can_hold()
    record.descriptors = 1
    assert task.can_hold()


def test_an_emulated_directory_has_its_name(task, garden):
    garden(50, "/g/dir", os.O_RDONLY)
    garden(51, "/g/file")
    assert task.directory(50) == "/g/dir"
    assert task.resolve(50, "../file", follow=True).rest == "/file"
    assert errno_of(task.directory, 51) == errno.ENOTDIR


def test_a_working_directory_in_a_virtual_tree(task, garden, record):
    found = task.resolve(AT_FDCWD, "/g/dir", follow=True)
    record.fs.domain, record.fs.place = -1, task.place(found)
    assert task.cwd() == "/g/dir"
    assert task.resolve(AT_FDCWD, "../file", follow=True).name == "/g/file"
    me = os.getpid()
    assert task.proc_name(f"/proc/{me}/cwd") == "/g/dir"
    record.mm.domain, record.mm.place = -1, task.place(found)
    assert task.proc_name(f"/proc/{me}/exe") == "/g/dir"


def test_a_link_of_proc_to_an_emulated_file(task, garden, record):
    garden(50, "/g/file")
    record.marks[50] = -1
    me = os.getpid()
    assert task.proc_name(f"/proc/{me}/fd/50") == "/g/file"
    del record.inodes[50]
    assert task.proc_name(f"/proc/{me}/fd/50") is None


def test_a_program_is_copied_whole(task, garden, session):
    name = task.program_file(task.resolve(AT_FDCWD, "/g/program", follow=True))
    with open(name, "rb") as copy:
        assert copy.read() == b"0123456789"
    assert [one.name for one in session.kept] == [name]


def test_a_program_that_cannot_be_read_leaves_nothing(task, garden, session, monkeypatch):
    def pread(self, size, offset):
        raise refuse(errno.EIO)

    monkeypatch.setattr(Bytes, "pread", pread)
    assert errno_of(task.program_file, task.resolve(AT_FDCWD, "/g/program", follow=True)) == 5
    assert session.kept == []


def test_a_stand_in_can_be_opened_by_its_name(task):
    stand_in = task.stand_in(b"data")
    try:
        with open(stand_in.name, "r+b") as file:
            assert file.read() == b"data"
            file.write(b"more")
            file.flush()
        assert stand_in.pread(10, 2) == b"tamore"
    finally:
        stand_in.close()


def test_the_head_of_a_program_in_a_virtual_tree(task, garden):
    assert task.program_head(task.resolve(AT_FDCWD, "/g/program", follow=True), 256) == b"012"


def test_who_writes_a_file(task, garden, session):
    def writes(name):
        return task.writes(task.resolve(AT_FDCWD, name, follow=True))

    garden(50, "/g/file", os.O_RDONLY)
    garden(51, "/g/file", O_PATH)
    assert not writes("/g/file")
    garden(52, "/g/file", os.O_WRONLY)
    assert writes("/g/file")
    assert not writes("/g/program")


def test_who_runs_a_file(task, garden, record):
    found = task.resolve(AT_FDCWD, "/g/program", follow=True)
    assert not task.runs(found)
    record.mm.place = task.place(found)
    assert not task.runs(found)
    record.mm.domain = core.VIRTUAL
    assert task.runs(found)


def test_what_it_maps(task, garden, record, session):
    opened = garden(50, "/g/file")
    pages, name = task.pages(opened, False, False)
    assert session.kept == [pages], "private: of nobody's concern after the call"
    assert task.mapped() == []
    shared, name = task.pages(opened, True, True)
    assert name == f"/proc/{os.getpid()}/fd/{shared.fd}"
    assert opened.pages is shared
    assert record.mm.maps
    assert task.mapped() == [shared]
    assert task.pages(opened, False, False)[0] is shared
    assert session.kept == [pages]
    task.unmapped()
    assert session.notes[-1] == ("still_mapped", record.mm.maps)


def test_a_file_is_cut_where_it_is_mapped(task, garden):
    opened = garden(50, "/g/file")
    pages, _ = task.pages(opened, True, True)
    task.cut(task.resolve(AT_FDCWD, "/g/program", follow=True), 3)
    assert pages.length == 10
    task.cut(task.resolve(AT_FDCWD, "/g/file", follow=True), 3)
    assert os.fstat(pages.fd).st_size == 3


def test_the_rest_is_the_sessions(task, garden, session, view, record):
    opened = garden(50, "/g/file")
    task.wake("key")
    task.changed(opened)
    task.unsynced()
    assert session.notes == [("wake", "key"), ("device_changed", opened), ("unsynced", view)]
    task.holds_locks()
    assert record.mm.maps
    old = task.resolve(AT_FDCWD, "/g/file", follow=True)
    task.renamed(old, old._replace(name="/g/new", rest="/new"))
    assert (opened.name, opened.rest) == ("/g/new", "/new")


def test_what_lstat_would_say_of_a_virtual_file(task, garden):
    task.exists(task.resolve(AT_FDCWD, "/g/file", follow=True), parent=False)
    task.exists(task.resolve(AT_FDCWD, "/g/none", follow=True), parent=True)
    none = task.resolve(AT_FDCWD, "/g/none", follow=True)
    assert errno_of(task.exists, none, parent=False) == errno.ENOENT
