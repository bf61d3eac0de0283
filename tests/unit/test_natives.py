# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated descriptors that are the kernel's own open files; C's part is a fake."""

from __future__ import annotations

import errno
import os
import stat
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.api import Device, File, Known, Linear, Tree, attributes
from pyview.mappings import Mappings
from pyview.natives import Natives
from pyview.openfile import OpenFile
from pyview.reach import EVERYWHERE, NATIVELY, NOTHING, Reach
from pyview.view import Mount

HOLDER = SimpleNamespace(tid=os.getpid(), descriptors=1)  # it stops for everything
DISK = attributes(0o060600, ino=1, dev=1)
FIRST = 1 << 63 | 40  # what marks of the kernel's own are like


class Memory(File):
    def __init__(self, linear=None, text=None):
        self.where, self.text = linear, text

    def linear(self):
        return self.where

    def known(self):
        return Known(None, text=self.text)

    def size(self):
        return 10


class Session:
    """What is open, and what is mapped of it; the tasks' ends are the test's."""

    def __init__(self):
        self.open, self.closed_ones, self.ends = {}, [], []
        self.in_c = None
        self.mappings = Mappings(lambda key, pages: None, lambda opened: None)
        self.all = Natives(self)

    def note(self, known, opened):
        self.open[known] = opened

    def closed(self, known):
        self.closed_ones.append(self.open.pop(known))

    def asked(self, opened, what, question):
        return question()

    def said(self, what, question):
        return question()

    def give(self, opened):
        """The task's descriptor."""
        fd = self.all.give(opened, HOLDER)
        assert fd >= 0
        opened.at.look = lambda: os.dup(fd)
        self.ends.append(fd)
        return fd

    def drop(self, fd):
        """The task closes it, and the core looks."""
        os.close(fd)
        self.ends.remove(fd)
        self.all.settle()


@pytest.fixture
def unmarked():
    """The marks that are free again."""
    return []


@pytest.fixture
def session(monkeypatch, unmarked):
    marks = iter(range(FIRST, FIRST + 10))
    monkeypatch.setattr(core, "mark_direct", lambda fd: next(marks))
    monkeypatch.setattr(core, "unmark_direct", unmarked.append)
    made = Session()
    yield made
    for fd in made.ends:
        os.close(fd)
    made.all.settle()


@pytest.fixture
def image(tmp_path):
    (tmp_path / "image").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "image", os.O_RDWR)
    yield fd
    os.close(fd)


def disk(file, flags=os.O_RDWR):
    return OpenFile(file, Mount("/dev/x", Tree(), 1, "none", "", ""), "/", "/dev/x", flags, DISK)


def no_mark(fd):
    raise OSError(errno.ENOSPC, "no mark left")


# -- whole devices -------------------------------------------------------------------------------


def test_a_whole_disk_is_the_images_own_open_file(session, image, unmarked):
    one = disk(Memory(Linear(image, 0, 10, True)))
    fd = session.give(one)
    assert session.open == {FIRST: one}
    assert os.read(fd, 3) == b"012"
    assert one.offset == 3
    one.offset = 8
    assert os.read(fd, 3) == b"89"
    st = os.fstat(fd)
    assert session.all.image_name(st.st_dev, st.st_ino) == "/dev/x"
    assert session.all.image_name(st.st_dev, st.st_ino + 1) is None
    copy = os.dup(fd)
    session.drop(fd)
    assert session.closed_ones == []
    os.close(copy)
    session.all.settle()
    assert session.closed_ones == [one]
    assert unmarked == [FIRST]
    os.fstat(image)


def test_what_is_no_whole_disk_is_not_direct(session, image, monkeypatch):
    linear = Linear(image, 0, 10, True)
    for flags in (os.O_RDWR, os.O_ACCMODE):
        assert session.all.give(disk(Memory(), flags), HOLDER) == -1
    ready = SimpleNamespace(tid=os.getpid(), descriptors=0, direct=0)
    assert session.all.give(disk(Memory(linear)), ready) == -1, "it does not stop for anything"
    monkeypatch.setattr(core, "mark_direct", no_mark)
    before = len(os.listdir("/proc/self/fd"))
    one = disk(Memory(linear))
    assert session.all.give(one, HOLDER) == -1
    assert not one.direct
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_mapped_otherwise_is_not_direct(session, image):
    one = disk(Memory(Linear(image, 0, 10, True)))
    pages = session.mappings.pages(one, True, False)
    assert session.all.give(one, HOLDER) == -1
    assert session.all.image_of(one) is None
    pages.close()


def test_the_image_is_mapped_in_a_disks_place(session, image):
    linear = Linear(image, 0, 10, True)
    assert session.all.image_of(disk(Memory(linear))) == linear
    st = os.fstat(image)
    assert session.all.image_name(st.st_dev, st.st_ino) == "/dev/x"
    assert session.all.image_of(text("/x", 0o100444)) is None


class Disk(Device, Memory):
    def lstat(self, path):
        return DISK


def test_what_a_device_needs_no_stop_for(session, image):
    where = Linear(image, 0, 10, False)
    reach = session.all.reach_of(Disk(where), os.O_RDONLY, 0)
    assert reach == Reach(False, EVERYWHERE, EVERYWHERE)
    assert session.all.reach_of(Disk(), os.O_RDONLY, 0) == NOTHING
    assert session.all.reach_of(Tree(), os.O_RDONLY, 0) == NOTHING


def test_no_process_is_what_shows_a_device_while_there_are_no_windows(session):
    assert session.all.lost(0) is None
    session.all.leave()
    session.all.refresh()


# -- texts ---------------------------------------------------------------------------------------


class Texts(Tree):
    texts = True


def text(path, mode, flags=os.O_RDONLY, text=b"one line\n"):
    """An open file of a tree that has only texts."""
    mount = Mount("/t", Texts(), 1, "none", "", "")
    st = attributes(mode, ino=1, dev=1)
    return OpenFile(Memory(text=text), mount, path, "/t" + path, flags, st)


def test_texts_are_files_and_directories_of_the_kernels(session, unmarked):
    assert session.all.reach_of(Texts(), os.O_RDONLY, 0) == NATIVELY
    assert session.all.reach_of(Texts().at("/x"), os.O_RDONLY, 0) == NOTHING
    file, place = text("/x", 0o100444), text("/", 0o040755)
    fd, at = session.give(file), session.give(place)
    assert os.read(fd, 99) == b"one line\n"
    assert os.fstat(fd).st_mode & 0o777 == 0o444
    assert session.mappings.mapped_name(os.fstat(fd).st_ino) == "/t/x"
    assert stat.S_ISDIR(os.fstat(at).st_mode)
    assert file.offset == 9
    before = len(os.listdir("/proc/self/fd"))
    session.drop(fd)
    session.drop(at)
    assert session.closed_ones == [file, place]
    assert unmarked == [FIRST, FIRST + 1]
    assert len(os.listdir("/proc/self/fd")) == before - 4, "the images are closed, too"


def test_what_is_no_text_is_an_emulated_descriptor(session, monkeypatch):
    monkeypatch.setattr(core, "mark_direct", no_mark)
    before = len(os.listdir("/proc/self/fd"))
    for flags, data in ((os.O_RDONLY, b"x"), (os.O_RDWR, b"x"), (os.O_RDONLY, None)):
        assert session.all.give(text("/x", 0o100444, flags, data), HOLDER) == -1
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_C_has_opened_is_known_when_somebody_asks(session, monkeypatch):
    image = os.memfd_create("pyview")
    told = text("/x", 0o100444)
    taken = {FIRST + 7: (told, image, 5)}
    texts = SimpleNamespace(taken=lambda known: taken.pop(known, None))
    monkeypatch.setattr(core, "opened_texts", lambda: list(taken))
    assert session.all.taken(FIRST + 7) is None, "no directory has been opened"
    session.all.take_all()
    assert session.open == {}
    session.all._texts = texts
    session.all.take_all()
    assert session.open == {FIRST + 7: told}
    assert told.direct
    assert session.mappings.mapped_name(os.fstat(image).st_ino) == "/t/x"
    session.all.settle()
    assert session.closed_ones == [told]
    with pytest.raises(OSError) as raised:
        os.fstat(image)
    assert raised.value.errno == errno.EBADF
