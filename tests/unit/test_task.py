# SPDX-License-Identifier: GPL-2.0-or-later
"""A task as a caller: this process is the task, and its own core."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import time

import pytest

from pyview import core
from pyview import task as task_module
from pyview.api import Device
from pyview.handlers.caller import AT_FDCWD
from pyview.paths import cover_of

NOT_OPEN = 1000


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
    task.child_is_foreign(False)
    task.executes(0)
    assert notes == [("moved", 3, 0), ("moved", -1, 9), "unshared"]
    task.executes(4, 7)
    assert notes[3:] == ["domains"]
    assert (record.fs.foreign, record.foreign_child, record.exec_domain) == (
        core.ELSEWHERE,
        core.OTHER_RIGHTS,
        4,
    )
    assert record.exec_place == 7
    task.child_leaves_users()
    assert record.child_leaves_users


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


def test_what_closes_at_exec(task, opened):
    assert task.closes_at_exec(opened)
    os.set_inheritable(opened, True)
    assert not task.closes_at_exec(opened)
    assert errno_of(task.closes_at_exec, NOT_OPEN) == errno.EBADF


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


# -- names -----------------------------------------------------------------------------------------
def test_where_a_device_is_is_remembered_until_names_change(task, view, record, monkeypatch):
    view.mount("/dev/disk", Device())
    walks = []
    resolve = task_module.resolve
    monkeypatch.setattr(task_module, "resolve", lambda *a, **k: walks.append(a) or resolve(*a, **k))

    def found(path, follow=True):
        walks.clear()
        return task.resolve(AT_FDCWD, path, follow=follow).name, len(walks)

    assert found("/dev/disk") == ("/dev/disk", 1)
    assert found("/dev/disk") == ("/dev/disk", 0)
    assert found("/dev/disk", follow=False) == ("/dev/disk", 1)
    assert found("/etc") == found("/etc") == ("/etc", 1)
    core.forget_names()
    assert found("/dev/disk") == ("/dev/disk", 1)
    record.fs.foreign = 1
    assert found("/dev/disk") == ("/dev/disk", 1)
    record.fs.foreign = 0
    view.mount("/dev/disk", Device())
    assert found("/dev/disk") == ("/dev/disk", 1)
