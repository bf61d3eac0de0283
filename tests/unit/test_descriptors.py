# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated descriptors: sockets that stand for open files, real ones; C's part is a fake."""

from __future__ import annotations

import errno
import os
import select
import stat
from types import SimpleNamespace

import pytest

from pyview import core, descriptors, locks
from pyview.api import File, Linear, Tree, attributes
from pyview.descriptors import Descriptors, StandIn
from pyview.locks import EVERYTHING, Locks
from pyview.openfile import O_PATH, OpenFile
from pyview.paths import Found
from pyview.view import Mount


class Memory(File):
    def __init__(self, data=b"0123456789", linear=None, ready=None):
        self.data, self.where, self.is_ready = bytearray(data), linear, ready

    def pread(self, size, offset):
        return bytes(self.data[offset : offset + size])

    def size(self):
        return len(self.data)

    def linear(self):
        return self.where


class Talks(Memory):
    def poll(self):
        return select.POLLIN if self.is_ready else 0


class Session:
    """Descriptors, with what they tell, and the tasks' ends that the test holds."""

    def __init__(self, monkeypatch):
        self.woken, self.closed, self.marked, self.entries = [], [], [], {}
        self.locks = Locks()
        monkeypatch.setattr(descriptors, "LOCKS", self.locks)
        monkeypatch.setattr(core, "watch_rung", lambda fd, on=1: None)
        monkeypatch.setattr(core, "rings", lambda fd: None)
        monkeypatch.setattr(core, "mark_emulated", self.marked.append)
        monkeypatch.setattr(core, "linear", self._linear)
        monkeypatch.setattr(core, "forget_linear", self.entries.pop)
        self.mistakes = []
        self.all = Descriptors(
            self.woken.append,
            self.closed.append,
            lambda what, error: self.mistakes.append((what, type(error))),
        )
        self.ends = []

    def _linear(self, inode):
        return self.entries.setdefault(
            inode, SimpleNamespace(offset=0, how=0, fd=-1, start=0, size=0)
        )

    def give(self, opened):
        """The task's end."""
        self.ends.append(self.all.give(opened))
        return self.ends[-1]

    def drop(self, fd):
        """The task closes it, and the core looks."""
        os.close(fd)
        self.ends.remove(fd)
        self.all.settle()

    def unmapped(self, maps, keys):
        self.all.mappings.unmapped(maps, keys)
        self._drop_unused()

    def ended(self, maps):
        self.all.mappings.ended(maps)
        self._drop_unused()

    def _drop_unused(self):
        for key in self.all.mappings.unused():
            self.all.mappings.drop(key).close()

    def close(self):
        for fd in list(self.ends):
            os.close(fd)
        for maps in list(self.all.mappings._users):
            self.ended(maps)
        self.all.settle()
        self.all._poll.close()


@pytest.fixture
def session(monkeypatch):
    made = Session(monkeypatch)
    yield made
    made.close()


TREE = Tree()
HOLDER = SimpleNamespace(tid=os.getpid(), descriptors=1)  # it stops for everything


def opened(file=None, name="/v/x", flags=os.O_RDWR, ino=1, tree=TREE):
    mount = Mount("/v", tree, 1, "none", "", "")
    st = attributes(0o100644, ino=ino, dev=1)
    return OpenFile(file or Memory(), mount, name.removeprefix("/v"), name, flags, st)


def inode(fd):
    return os.fstat(fd).st_ino


# -- open files ----------------------------------------------------------------------------------


def test_a_whole_disk_is_the_images_own_open_file(session, monkeypatch, tmp_path):
    monkeypatch.setattr(core, "mark_direct", lambda fd: 1 << 63 | 40)
    monkeypatch.setattr(core, "unmark_direct", session.marked.append)
    monkeypatch.setattr(core, "descriptor", lambda record, fd: os.dup(fd))
    (tmp_path / "image").write_bytes(b"0123456789")
    image = os.open(tmp_path / "image", os.O_RDWR)
    mount, st = Mount("/dev/x", TREE, 1, "none", "", ""), attributes(0o060600, ino=1, dev=1)
    where = Linear(image, 0, 10, True)
    path = OpenFile(Memory(linear=where), mount, "/", "/dev/x", O_PATH, st)
    assert session.all.give_native(path, HOLDER) == -1
    assert session.all.image_name(st.st_dev, st.st_ino) is session.all.lost(0) is None
    one = OpenFile(Memory(linear=where), mount, "/", "/dev/x", os.O_RDWR, st)
    fd = session.all.give_native(one, HOLDER)
    session.ends.append(fd)
    assert session.all.held(None, fd, 1 << 63 | 40) is one
    assert os.read(fd, 3) == b"012"
    assert one.offset == 3
    entry = session.entries[1 << 63 | 40]
    assert (entry.size, entry.how) == (10, core.READS | core.WRITES)
    st = os.fstat(fd)
    assert session.all.image_name(st.st_dev, st.st_ino) == "/dev/x"
    session.drop(fd)
    assert session.closed == [one]
    assert session.marked == [1 << 63 | 40]
    assert list(session.all.opened()) == []
    os.close(image)


def test_a_socket_tells_which_open_file_it_is(session):
    one, two = opened(), opened()
    first, second = session.give(one), session.give(two)
    assert session.all.find(inode(first)) is one
    assert session.all.find(inode(second)) is two
    assert session.all.find(0) is None
    assert session.marked == [first, second]
    assert list(session.all.opened()) == [one, two]
    assert not os.get_inheritable(first)


def test_it_looks_ready_to_poll(session):
    fd = session.give(opened())
    assert select.select([fd], [fd], [], 0) == ([fd], [fd], [])


def test_the_core_keeps_some_descriptors_for_itself(session):
    before = len(os.listdir("/proc/self/fd"))
    session.all._most = 0
    with pytest.raises(OSError) as caught:
        session.give(opened())
    assert caught.value.errno == errno.ENFILE
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(session.all.opened()) == []


class Wrong(Memory):
    """Its author has made a mistake in what the core asks of its own accord."""

    def linear(self):
        raise RuntimeError("a bug in a module")

    def poll(self):
        raise RuntimeError("another")


def test_a_mistake_in_what_a_file_says_of_itself_is_told_and_no_more(session):
    fd = session.give(opened(Wrong()))
    assert select.select([fd], [], [], 0) == ([], [], [])
    session.all.refresh()
    assert {what for what, _ in session.mistakes} == {"/v/x: linear", "/v/x: poll"}
    assert {kind for _, kind in session.mistakes} == {RuntimeError}


def test_an_open_file_ends_with_its_last_descriptor(session):
    one = opened()
    fd = session.give(one)
    copy = os.dup(fd)
    session.drop(fd)
    assert session.closed == []
    assert session.all.find(inode(copy)) is one
    number = inode(copy)
    session.ends.append(copy)
    session.drop(copy)
    assert session.closed == [one]
    assert session.all.find(number) is None
    assert list(session.all.opened()) == []
    assert one.socket == -1


def test_the_core_hears_of_it(session):
    fd = session.give(opened())
    assert not select.select([session.all.fileno()], [], [], 0)[0]
    os.close(fd)
    session.ends.remove(fd)
    assert select.select([session.all.fileno()], [], [], 20)[0]
    session.all.settle()
    assert not select.select([session.all.fileno()], [], [], 0)[0]


def test_many_that_end_at_once(session):
    files = [opened(ino=number) for number in range(1, 40)]
    for fd in [session.give(one) for one in files]:
        os.close(fd)
        session.ends.remove(fd)
    session.all.settle()
    assert set(session.closed) == set(files)


# -- what waits ----------------------------------------------------------------------------------


def test_a_file_that_makes_its_callers_wait_does_not_look_ready(session):
    file = Talks(ready=False)
    one = opened(file)
    fd = session.give(one)
    assert select.select([fd], [], [], 0)[0] == []
    assert session.all.show_ready(one)
    file.is_ready = True
    assert session.all.show_ready(one)
    assert select.select([fd], [], [], 0)[0] == [fd]
    assert session.all.show_ready(one)
    file.is_ready = False
    assert not session.all.show_ready(one), "the byte must be taken out of the other end"
    assert os.read(fd, 10) == b"\0"
    one.shown_ready = False
    assert session.all.show_ready(one)
    assert select.select([fd], [], [], 0)[0] == []


def test_a_file_whose_descriptor_has_just_gone_may_become_ready(session):
    file = Talks(ready=False)
    one = opened(file)
    fd = session.give(one)
    os.close(fd)
    session.ends.remove(fd)
    file.is_ready = True
    assert session.all.show_ready(one)
    session.all.settle()
    assert session.closed == [one]


# -- what C does itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "writes", "how"),
    [
        (os.O_RDONLY, True, core.READS),
        (os.O_WRONLY, True, core.WRITES),
        (os.O_RDWR, True, core.READS | core.WRITES),
        (os.O_RDWR, False, core.READS),
        (os.O_RDWR | os.O_APPEND, True, core.READS),
        (os.O_RDWR | os.O_SYNC, True, core.READS),
        (os.O_WRONLY | os.O_DSYNC, True, 0),
    ],
)
def test_C_reads_and_writes_what_lies_in_one_piece(session, flags, writes, how):
    one = opened(Memory(linear=Linear(7, 512, 1024, writes)), flags=flags)
    one.offset = 33
    fd = session.give(one)
    entry = session.entries[inode(fd)]
    assert (entry.fd, entry.start, entry.size, entry.how) == (7, 512, 1024, how)
    assert one.in_c
    assert one.offset == 33
    entry.offset = 44
    assert one.offset == 44, "there is one offset, C's"
    session.drop(fd)
    assert session.entries == {}


def test_what_does_not_is_none_of_its_business(session):
    class Slow(Memory):
        slow = True

    where = Linear(7, 0, 10, True)
    session.give(opened())
    session.give(opened(Slow(linear=where)))
    session.give(opened(Memory(linear=where), flags=O_PATH))
    assert [entry.how for entry in session.entries.values()] == [0, 0, 0]


def test_where_it_lies_may_change(session):
    file = Memory(linear=Linear(7, 0, 10, True))
    one = opened(file)
    entry = session.entries[inode(session.give(one))]
    one.offset = 5
    file.where = None
    session.all.refresh()
    assert (entry.how, one.offset) == (0, 5)
    file.where = Linear(8, 1, 2, True)
    session.all.refresh()
    assert (entry.fd, entry.start, entry.size, entry.how) == (8, 1, 2, core.READS | core.WRITES)
    one.flags |= os.O_APPEND
    session.all.refresh()
    assert (entry.how, one.offset) == (core.READS, 5)


def test_what_is_mapped_is_not_for_C(session):
    one = opened(Memory(linear=Linear(7, 0, 10, True)))
    entry = session.entries[inode(session.give(one))]
    session.all.mappings.pages(one, True, True)
    maps = session.all.mappings.uses(0, one)
    assert entry.how == 0
    session.ended(maps)
    assert entry.how == core.READS | core.WRITES


# -- locks ---------------------------------------------------------------------------------------


def test_locks_end_with_the_open_file(session):
    one, other = opened(), opened()
    fd, _ = session.give(one), session.give(other)
    for key in (one.key, ("flock", *one.key)):
        session.locks.take(key, ("file", id(one)), EVERYTHING, True, 0)
    session.locks.take("another", ("file", id(other)), EVERYTHING, True, 0)
    session.drop(fd)
    assert set(session.woken) == {one.key, ("flock", *one.key)}
    assert not session.locks.has(("file", id(one)))
    assert session.locks.has(("file", id(other)))


def test_a_processs_locks_end_when_it_closes_what_it_locked(session):
    """fcntl(2): even if it has the file open in another way."""
    one, other = opened(), opened()
    fd, _ = session.give(one), session.give(other)
    session.locks.take(one.key, ("process", 7), EVERYTHING, True, 0)
    one.lockers.add(7)
    session.drop(fd)
    assert session.woken == [one.key]
    assert not session.locks.has(("process", 7))


# -- mappings ------------------------------------------------------------------------------------


def test_who_opens_what_is_mapped_sees_it(session):
    one = opened()
    session.give(one)
    pages = session.all.mappings.pages(one, True, False)
    session.all.mappings.uses(0, one)
    assert one.pages is pages
    again, other = opened(), opened(ino=2)
    session.give(again)
    session.give(other)
    assert again.pages is pages
    assert other.pages is None


def test_a_closed_file_lives_as_long_as_it_is_mapped(session):
    one, again = opened(), opened()
    fd, _ = session.give(one), session.give(again)
    pages = session.all.mappings.pages(one, True, True)
    maps = session.all.mappings.uses(0, one)
    session.drop(fd)
    assert session.closed == []
    assert list(session.all.opened()) == [again, one]
    session.unmapped(maps, {one.key})
    assert session.closed == [one]
    assert again.pages is None
    assert list(session.all.opened()) == [again]
    with pytest.raises(OSError) as raised:
        os.fstat(pages.fd)
    assert raised.value.errno == errno.EBADF


# -- FIFOs ---------------------------------------------------------------------------------------


def test_a_fifo_is_one_for_all_who_open_it_and_has_no_name(session, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    first, other = session.all.fifo((1, 2)), session.all.fifo((1, 3))
    try:
        assert session.all.fifo((1, 2)) == first != other
        assert stat.S_ISFIFO(os.fstat(first).st_mode)
        assert os.listdir(tmp_path) == []
    finally:
        os.close(first)
        os.close(other)


# -- names ---------------------------------------------------------------------------------------


def test_a_place_has_one_number(session):
    number = session.all.place("/v/dir")
    assert number > 0
    assert session.all.place("/v/dir") == session.all.known_place("/v/dir") == number
    assert session.all.place("/v/other") != number
    assert session.all.known_place("/v/none") == 0
    assert session.all.place_name(number) == "/v/dir"


def found(rest, tree=TREE, target="/v"):
    cover = SimpleNamespace(mount=Mount(target, tree, 1, "none", "", ""))
    return Found(target + rest, cover, None, rest, False, False)


def test_names_of_what_is_open_follow_a_rename(session):
    files = {name: opened(name=name) for name in ("/v/dir", "/v/dir/x", "/v/directory", "/v/y")}
    for one in files.values():
        session.give(one)
    elsewhere = opened(name="/v/dir/x", tree=Tree())
    session.give(elsewhere)
    inside, beside = session.all.place("/v/dir/sub"), session.all.place("/v/directory")
    session.all.renamed(found("/dir"), found("/new"))
    assert [(f.name, f.rest) for f in files.values()] == [
        ("/v/new", "/new"), ("/v/new/x", "/new/x"), ("/v/directory", "/directory"), ("/v/y", "/y"),
    ]  # fmt: skip
    assert elsewhere.rest == "/dir/x"
    assert session.all.place_name(inside) == "/v/new/sub"
    assert session.all.place_name(beside) == "/v/directory"
    assert session.all.known_place("/v/dir/sub") == 0
    assert session.all.known_place("/v/new/sub") == inside


def test_a_tree_that_is_mounted_twice_has_two_names_for_its_files(session):
    one = opened(name="/v/dir/x")
    session.give(one)
    session.all.renamed(found("/dir", target="/other"), found("/new", target="/other"))
    assert (one.name, one.rest) == ("/v/new/x", "/new/x")


def test_names_may_go_round(session):
    one, two = opened(name="/v/a/x"), opened(name="/v/b")
    session.give(one)
    session.give(two)
    places = session.all.place("/v/a"), session.all.place("/v/b")
    session.all.renamed(found("/a"), found("/a\0"))
    session.all.renamed(found("/b"), found("/a"))
    session.all.renamed(found("/a\0"), found("/b"))
    assert [one.name, one.rest, two.name, two.rest] == ["/v/b/x", "/b/x", "/v/a", "/a"]
    assert [session.all.place_name(place) for place in places] == ["/v/b", "/v/a"]
    assert [session.all.known_place(name) for name in ("/v/b", "/v/a")] == list(places)


# -- stand-ins -----------------------------------------------------------------------------------


def test_a_stand_in_is_a_file_by_its_name():
    stand_in = StandIn(b"x" * 100000)
    try:
        assert stand_in.pread(10, 99995) == b"xxxxx"
        assert os.stat(stand_in.name).st_size == 100000
        assert stand_in.name == f"/proc/{os.getpid()}/fd/{stand_in.fd}"
        assert not os.get_inheritable(stand_in.fd)
    finally:
        stand_in.close()


def test_locks_are_those_of_all_sessions():
    assert descriptors.LOCKS is locks.LOCKS
