# SPDX-License-Identifier: GPL-2.0-or-later
"""A task with emulated files: this process is the task, and its own core."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys

import pytest

from pyview import core
from pyview.abi.elf import PAGE, interpreter
from pyview.api import Device, File, Tree, attributes, refuse
from pyview.handlers.caller import AT_FDCWD
from pyview.openfile import O_PATH, OpenFile
from pyview.pages import Part
from pyview.reach import EVERYWHERE, NOTHING, READING, Reach
from pyview.verdicts import Asleep, Ready


def errno_of(action, *args, **more):
    with pytest.raises(OSError) as raised:
        action(*args, **more)
    return raised.value.errno


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
    assert not task.can_hold(Garden(), os.O_RDONLY)
    record.descriptors = 1
    assert task.can_hold(Garden(), os.O_RDONLY)


def test_who_holds_direct_ones_can_hold_no_others(task, record, session, monkeypatch):
    disk, garden = Device(), Garden()
    reach = {disk: READING, garden: NOTHING}
    monkeypatch.setattr(
        session.descriptors.natives, "reach_of", lambda tree, flags, tid: reach[tree]
    )
    assert not task.can_hold(disk, os.O_RDWR)
    assert task.reach(disk, os.O_RDWR) == READING
    READING.narrows(record)
    assert task.can_hold(disk, os.O_RDWR)
    assert not task.can_hold(garden, os.O_RDONLY)


def test_before_all_writes_are_heard_its_own_are_and_then_the_others(task, record, session):
    session.hears_writes = lambda: None
    assert task.must_hear(0) is None
    Reach(False, EVERYWHERE, 4096).narrows(record)
    assert task.must_hear(0) == task.must_hear() == Ready(READING)
    READING.narrows(record)
    assert task.must_hear(0) is None
    assert task.must_hear() is None
    session.hears_writes = lambda: "others"
    assert task.must_hear() == Asleep("others")
    assert task.must_hear(0) is None


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
    with pytest.raises(FileNotFoundError):  # this process, unlike the task, has no such descriptor
        task.proc_name(f"/proc/{me}/fd/50")


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


def test_a_program_with_another_interpreter(task, session, tmp_path):
    program = tmp_path / "program"
    shutil.copy(os.path.realpath(sys.executable), program)
    head = program.read_bytes()[:PAGE]
    where = task.resolve(AT_FDCWD, str(program), follow=True)
    loader = os.path.realpath("/lib64/ld-linux-x86-64.so.2")
    name = task.program_with(where, interpreter(head), loader)
    done = subprocess.run([name, "-c", "print(7)"], capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"
    with open(name, "rb") as copy:
        found = interpreter(copy.read(PAGE))
        assert found.offset == program.stat().st_size
    assert [one.name for one in session.kept] == [name]
    program.chmod(0o644)
    assert errno_of(task.program_with, where, interpreter(head), loader) == errno.EACCES


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
    assert task.mapped(0, 1 << 40) == []
    shared, name = task.pages(opened, True, True)
    assert name == f"/proc/{os.getpid()}/fd/{shared.fd}"
    assert opened.pages is shared
    assert record.mm.maps
    task.mapped_at(opened, 0x10000, 3 * 4096 - 1, 4096)
    assert task.mapped(0, 1 << 40) == [Part(shared, 4096, 4 * 4096)]
    assert task.mapped(0x11000, 1) == [Part(shared, 2 * 4096, 3 * 4096)]
    assert task.mapped(0x13000, 4096) == task.mapped(0, 0x10000) == []
    task.moved_mapping(0x11000, 8192, 0x50000, 4 * 4096)
    assert task.mapped(0x50000, 1 << 40) == [Part(shared, 2 * 4096, 6 * 4096)]
    assert task.pages(opened, False, False)[0] is shared
    assert session.kept[0] is pages
    assert pages not in session.kept[1:]
    assert session.mappings.is_held(record.mm.maps), "until the calls are over"
    task.unmapped()
    assert session.notes[-1] == ("still_mapped", task.tid, record.mm.maps)


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
