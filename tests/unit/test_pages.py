# SPDX-License-Identifier: GPL-2.0-or-later
"""Mapped files: one picture of the file for whoever maps, reads and writes it."""

from __future__ import annotations

import errno
import mmap
import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from memory import Memory

from pyview.api import Tree, attributes
from pyview.openfile import OpenFile
from pyview.pages import CHUNK, PAGE, Pages
from pyview.view import Mount

MOST = 5 * PAGE


class Written(Memory):
    """Counts how it is written; it has room for `room` bytes."""

    def __init__(self, data):
        super().__init__(data)
        self.writes = []
        self.room = 1 << 40

    def pwrite(self, data, offset):
        self.writes.append((offset, len(data)))
        return super().pwrite(data[: max(0, self.room - offset)], offset)


offsets = st.integers(0, MOST) | st.sampled_from([0, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
pieces = st.integers(1, 2 * PAGE) | st.sampled_from([1, PAGE])
letters = st.integers(1, 255)


class OnePicture(RuleBasedStateMachine):
    """The model is a bytearray: what a file in the page cache would hold."""

    @initialize(size=st.integers(0, MOST))
    def opens(self, size):
        self.model = bytearray(i * 7 % 251 for i in range(size))
        self.file = Written(self.model)
        mount = Mount("/v", Tree(), 1, "none", "", "")
        self.opened = OpenFile(self.file, mount, "/x", "/v/x", os.O_RDWR, attributes(0o100644))
        self.pages = self.opened.pages = Pages(self.file)
        self.pages.shared = True

    def teardown(self):
        if hasattr(self, "pages"):
            self.pages.close()

    def _write(self, data, offset):
        self.model.extend(bytes(max(0, offset + len(data) - len(self.model))))
        self.model[offset : offset + len(data)] = data

    @rule(start=offsets, length=pieces)
    def somebody_maps(self, start, length):
        self.pages.fill(start - start % PAGE, length)

    @rule(offset=offsets, length=pieces, letter=letters)
    def somebody_writes(self, offset, length, letter):
        data = bytes((letter,)) * length
        assert self.opened.pwrite(data, offset) == length
        self._write(data, offset)

    @precondition(lambda self: self.pages._filled)
    @rule(which=st.integers(0, 9), offset=offsets, length=pieces, letter=letters)
    def somebody_writes_by_mapping(self, which, offset, length, letter):
        low, high = self.pages._filled[which % len(self.pages._filled)]
        low += offset % (high - low)
        high = min(high, low + length, len(self.model))
        if low < high:
            data = bytes((letter,)) * (high - low)
            os.pwrite(self.pages.fd, data, low)
            self._write(data, low)

    @rule(size=offsets)
    def somebody_cuts(self, size):
        self.opened.truncate(size)
        self.model[size:] = bytes(max(0, size - len(self.model)))

    @rule(offset=offsets, length=pieces)
    def somebody_makes_a_hole(self, offset, length):
        self.opened.allocate(0, offset, length)
        self._write(bytes(length), offset)

    @rule()
    def it_is_written_back(self):
        self.pages.write_back()
        assert self.file.data == self.model

    @rule(offset=offsets, length=pieces)
    def somebody_reads(self, offset, length):
        assert self.opened.pread(length, offset) == self.model[offset : offset + length]

    @invariant()
    def what_is_mapped_is_the_file(self):
        if not hasattr(self, "pages"):
            return
        assert os.fstat(self.pages.fd).st_size == len(self.model) == self.pages.length
        before = 0
        for low, high in self.pages._filled:
            assert before <= low < high
            assert low % PAGE == high % PAGE == 0
            before = high + 1  # they do not even touch
            assert os.pread(self.pages.fd, high - low, low) == self.model[low:high]


TestOnePicture = OnePicture.TestCase
TestOnePicture.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


@pytest.fixture
def pages():
    made = Pages(Written(bytes(range(256)) * 64))  # four pages
    yield made
    made.close()


def test_only_what_is_mapped_is_read(pages):
    pages.fill(PAGE, 10)
    assert os.pread(pages.fd, PAGE, PAGE) == bytes(range(256)) * 16
    assert os.pread(pages.fd, PAGE, 0) == bytes(PAGE)
    pages.file.data[PAGE : PAGE + 5] = b"other"
    pages.fill(0, 4 * PAGE)  # what is there already is not read again
    assert os.pread(pages.fd, 1, PAGE) == b"\0"


def test_a_mapping_past_the_end_holds_what_there_is(pages):
    pages.fill(3 * PAGE, 10 * PAGE)
    pages.fill(100 * PAGE, PAGE)
    assert os.fstat(pages.fd).st_size == 4 * PAGE
    assert os.pread(pages.fd, PAGE, 3 * PAGE) == bytes(range(256)) * 16


def test_a_file_that_has_become_shorter_is_mapped_as_far_as_it_goes(pages):
    del pages.file.data[5:]
    pages.fill(0, 4 * PAGE)
    assert os.pread(pages.fd, 10, 0) == bytes(range(5)) + bytes(5)


def test_it_is_a_file_that_can_be_mapped(pages):
    pages.shared = True
    pages.fill(0, 4 * PAGE)
    with mmap.mmap(pages.fd, 4 * PAGE) as view:
        view[10:14] = b"TEXT"
        assert pages.seen(pages.file.pread(20, 0), 0)[10:14] == b"TEXT"
        pages.wrote(b"more", 12)
        assert view[10:16] == b"TEmore"
    assert not os.get_inheritable(pages.fd)


def test_what_nobody_may_write_is_not_written_back(pages):
    pages.fill(0, PAGE)
    os.pwrite(pages.fd, b"x", 0)
    pages.write_back()
    assert pages.file.writes == []
    assert pages.seen(b"\0\1", 0) == b"\0\1"


def test_only_pages_that_differ_are_written_back(pages):
    pages.shared = True
    pages.fill(0, 4 * PAGE)
    pages.write_back()
    assert pages.file.writes == []
    for at in (5, PAGE + 5, 3 * PAGE):
        os.pwrite(pages.fd, b"!", at)
    pages.write_back()
    assert pages.file.writes == [(0, 2 * PAGE), (3 * PAGE, PAGE)]


def test_a_large_file_goes_in_pieces():
    file = Written(bytes(2 * CHUNK + 100))
    pages = Pages(file)
    try:
        pages.shared = True
        pages.fill(0, 2 * CHUNK + 100)
        os.pwrite(pages.fd, b"abc", CHUNK - 1)
        os.pwrite(pages.fd, b"end", 2 * CHUNK + 97)
        pages.write_back()
        assert file.writes == [(CHUNK - PAGE, PAGE), (CHUNK, PAGE), (2 * CHUNK, 100)]
        assert file.data[CHUNK - 1 : CHUNK + 2] == b"abc"
        assert file.data.endswith(b"end")
    finally:
        pages.close()


def test_a_full_disk_is_ENOSPC(pages):
    pages.shared = True
    pages.fill(0, PAGE)
    pages.file.room = 100
    os.pwrite(pages.fd, b"!", 5)
    with pytest.raises(OSError) as raised:
        pages.write_back()
    assert raised.value.errno == errno.ENOSPC


def test_only_what_is_asked_for_is_looked_at():
    class Counted(Written):
        def pread(self, size, offset):
            self.seen.append((offset, size))
            return super().pread(size, offset)

    file = Counted(bytes(64 * PAGE))
    file.seen = []
    pages = Pages(file)
    try:
        pages.shared = True
        pages.fill(0, 64 * PAGE)
        os.pwrite(pages.fd, b"x", 8 * PAGE)
        os.pwrite(pages.fd, b"y", 9 * PAGE)
        file.seen.clear()
        pages.write_back(8 * PAGE, 9 * PAGE)
        assert file.seen == [(8 * PAGE, PAGE)]
        assert (file.data[8 * PAGE], file.data[9 * PAGE]) == (ord("x"), 0)
    finally:
        pages.close()
