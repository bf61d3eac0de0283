# SPDX-License-Identifier: GPL-2.0-or-later
"""What C is told of open files; csrc/extents.c against a list that has a word for each byte."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import threading

import pytest

from pyview import core
from pyview._core import ffi, lib
from pyview.api import (
    NOWHERE,
    ZEROES,
    Extent,
    File,
    Known,
    Linear,
    Tree,
    attributes,
    places,
    refuse,
)
from pyview.linear import FIRST, MANY, InC, Map
from pyview.openfile import O_LARGEFILE, O_PATH, OpenFile
from pyview.pages import Pages
from pyview.view import Mount

UNKNOWN = -(1 << 63)  # PV_UNKNOWN
INODE = 7_000_000_001  # of a socket that there is not


class Pieces(File):
    """A file that says where its bytes are: `told` from the start on."""

    def __init__(self, *told, size=1 << 40):
        self.told, self.length = list(told), size
        self.asked = []

    def linear(self):
        return Linear(-1, 0, self.length, True, self)

    def extents(self, offset, length):
        self.asked.append((offset, length))
        at = 0
        for extent in self.told:
            if at + extent.length > offset:
                cut = max(0, offset - at)
                yield extent._replace(length=extent.length - cut, start=extent.start + cut)
            at += extent.length


@pytest.fixture
def file(tmp_path):
    """A descriptor of 64 KiB of random bytes."""
    (tmp_path / "file").write_bytes(random.Random(5).randbytes(1 << 16))
    fd = os.open(tmp_path / "file", os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture
def mapped():
    """mapped(FILE): its map, closed at the end."""
    made = []
    yield lambda file: made.append(Map(file)) or made[-1]
    for one in made:
        one.close()


def read(extents, at, size):
    """What C would give a task; None: it has to be asked elsewhere."""
    buffer = ctypes.create_string_buffer(b"?" * size, size)
    tid = threading.get_native_id()
    done = lib.pv_extents_read(extents, tid, ctypes.addressof(buffer), at, size)
    return None if done == UNKNOWN else buffer.raw[:done]


def write(extents, at, data):
    buffer = ctypes.create_string_buffer(data, len(data))
    tid = threading.get_native_id()
    done = lib.pv_extents_write(extents, tid, ctypes.addressof(buffer), at, len(data))
    return None if done == UNKNOWN else done


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_telling_and_forgetting(file, seed):
    chance = random.Random(seed)
    content = os.pread(file, 1 << 16, 0)
    model = [None] * 3000  # of each byte: None, 0 or where it is
    writable = [False] * 3000
    extents = core.new_extents()
    for _ in range(300):
        at, size = chance.randrange(2999), chance.randrange(1, chance.choice((4, 40, 800)))
        size = min(size, 3000 - at)
        what = chance.random()
        if what < 0.5:
            fd = chance.choice((file, file, ZEROES))
            # Often where it joins what is there.
            start = at if chance.random() < 0.5 else chance.randrange(1 << 15)
            writes = fd == file and chance.random() < 0.5
            core.add_extent(extents, at, size, fd, start, writes)
            model[at : at + size] = [0 if fd == ZEROES else start + n + 1 for n in range(size)]
            writable[at : at + size] = [writes] * size
        elif what < 0.6:
            core.forget_extents(extents, at, size)
            model[at : at + size] = [None] * size
            writable[at : at + size] = [False] * size
        else:
            places = model[at : at + size]
            known = [bytes(1) if p == 0 else content[p - 1 : p] for p in places if p is not None]
            want = b"".join(known) if len(known) == size else None
            assert read(extents, at, size) == want
    for at in range(0, 3000, 7):
        if all(writable[at : at + 7]):
            data = chance.randbytes(len(model[at : at + 7]))
            assert write(extents, at, data) == len(data)
            assert [os.pread(file, 1, p - 1) for p in model[at : at + 7]][-1:] == [data[-1:]]
            assert read(extents, at, len(data))[-1:] == data[-1:]
        else:
            assert write(extents, at, b"1234567") is None
    core.forget_extents(extents, 0, (1 << 63) - 1)
    assert read(extents, 0, 1) is None
    core.free_extents(extents)


def test_long_runs_and_many_pieces(file):
    extents = core.new_extents()
    core.add_extent(extents, 0, 1 << 20, ZEROES, 0, False)
    assert read(extents, 5, 300_000) == bytes(300_000)
    for number in range(200):
        core.add_extent(extents, number * 300, 300, file, (200 - number) * 300, False)
    want = b"".join(os.pread(file, 300, (200 - number) * 300) for number in range(200))
    assert read(extents, 0, 70_000) == want + bytes(10_000)
    core.free_extents(extents)


def test_what_cannot_be_mapped_is_copied():
    """A pipe's end can't be read at an offset at all; a device of the kernel's has no size."""
    with open("/dev/zero", "rb", 0) as zero:
        extents = core.new_extents()
        core.add_extent(extents, 0, 1 << 20, zero.fileno(), 0, False)
        assert read(extents, 10, 300_000) == bytes(300_000)
        core.free_extents(extents)
    ends = os.pipe()
    extents = core.new_extents()
    core.add_extent(extents, 0, 4096, ends[0], 0, False)
    assert read(extents, 0, 10) is None
    core.free_extents(extents)
    for fd in ends:
        os.close(fd)


def test_a_file_that_grows_and_one_that_was_cut(file):
    extents = core.new_extents()
    core.add_extent(extents, 0, 1 << 20, file, 0, False)
    assert read(extents, 0, 1 << 16) == os.pread(file, 1 << 16, 0)
    assert read(extents, 1 << 16, 1) is None, "it ends there: Python can tell what that means"
    os.pwrite(file, b"more", 1 << 17)
    assert read(extents, (1 << 17) - 1, 5) == b"\0more"
    os.ftruncate(file, 100)
    assert read(extents, 1 << 16, 10) is None
    core.free_extents(extents)


def test_bad_memory_is_for_Python_to_tell(file):
    extents = core.new_extents()
    core.add_extent(extents, 0, 100, file, 0, True)
    tid = threading.get_native_id()
    assert lib.pv_extents_read(extents, tid, 8, 0, 10) == UNKNOWN
    assert lib.pv_extents_write(extents, tid, 8, 0, 10) == -errno.EFAULT
    core.free_extents(extents)


# -- maps ------------------------------------------------------------------------------------------
def test_a_map_asks_further_for_who_goes_on(mapped, file):
    pieces = Pieces(*[Extent(FIRST, file if n % 2 else ZEROES) for n in range(20)])
    one = mapped(pieces)
    one.missed(0, 10)
    one.missed(FIRST, 10)
    one.missed(3 * FIRST, 10)
    assert pieces.asked == [(0, FIRST), (FIRST, 2 * FIRST), (3 * FIRST, 4 * FIRST)]
    one.missed(50, 10)
    assert pieces.asked[-1] == (50, FIRST), "not for who jumps about"
    one.missed(60, 5 * FIRST)
    assert pieces.asked[-1] == (60, 5 * FIRST), "but all that was wanted"


def test_what_is_told_beyond_is_known_as_far_as_one_extent_goes(mapped, file):
    pieces = Pieces(Extent(2 * FIRST, ZEROES), Extent(8, file))
    one = mapped(pieces)
    one.missed(0, 10)
    assert read(one.in_c, 2 * FIRST - 5, 5) == bytes(5)
    assert read(one.in_c, 2 * FIRST, 5) is None
    assert pieces.asked == [(0, FIRST)]


def test_what_is_made_of_others_takes_no_more_of_them_than_is_its_own(file):
    inner = Pieces(Extent(100, 5, 7, True), Extent(50, ZEROES))
    inner.relocates = False
    assert list(places(inner, 10, 20)) == [Extent(20, 5, 17, True)]
    assert list(places(inner, 90, 20)) == [Extent(10, 5, 97, True), Extent(10, ZEROES, 0, False)]


def test_what_is_nowhere_is_not_asked_for_again_and_again(mapped, file):
    pieces = Pieces(Extent(100, file), Extent(100, NOWHERE), Extent(100, ZEROES))
    one = mapped(pieces)
    for _ in range(3):
        one.missed(100, 50)
    assert len(pieces.asked) == 1
    assert read(one.in_c, 200, 100) == bytes(100)
    assert read(one.in_c, 150, 100) is None
    pieces.told[1] = Extent(100, ZEROES)
    pieces.relocated(100, 100)
    one.missed(100, 50)
    assert read(one.in_c, 100, 200) == bytes(200)


def test_no_more_is_told_at_once_than_is_good(mapped, file):
    pieces = Pieces(*[Extent(1, file, 2 * n) for n in range(MANY + 1)])
    one = mapped(pieces)
    one.missed(0, 1)
    assert read(one.in_c, 0, MANY) is not None
    assert read(one.in_c, 0, MANY + 1) is None
    one.missed(MANY, 1)
    assert read(one.in_c, 0, MANY + 1) is not None


def test_a_file_that_moves_bytes_says_so(mapped, file):
    pieces = Pieces(Extent(FIRST, file))
    one = mapped(pieces)
    one.missed(0, 1)
    assert one.moves == 0
    pieces.relocated(10, 20)
    assert one.moves == 1
    assert read(one.in_c, 0, 10) == os.pread(file, 10, 0)
    assert read(one.in_c, 30, 10) == os.pread(file, 10, 30)
    assert read(one.in_c, 5, 10) is None
    one.close()
    pieces.relocated(10, 20)
    one.in_c, one.file = core.new_extents(), pieces  # the fixture closes it again


@pytest.mark.parametrize("told", [Extent(0, 3), Extent(-1, 3), Extent(5, -3), Extent(5, 3, -1)])
def test_nonsense_is_the_authors_mistake(mapped, told):
    class Nonsense(Pieces):
        def extents(self, offset, length):
            yield told

    with pytest.raises(ValueError, match="is no place"):
        mapped(Nonsense()).missed(0, 1)


# -- one made of another ---------------------------------------------------------------------------
class Over(File):
    def __init__(self, where):
        self.where = where

    def linear(self):
        return self.where


def test_where_the_bytes_of_what_a_file_is_made_of_are(file):
    assert list(places(File(), 5, 10)) == [Extent(10, NOWHERE)]
    assert list(places(Over(Linear(9, 100, -1, True)), 5, 10)) == [Extent(10, 9, 105, True)]
    inner = Pieces(Extent(8, 9, 50, True), Extent(8, ZEROES))
    assert list(places(Over(Linear(-1, 2, 100, True, inner)), 1, 4)) == [Extent(4, NOWHERE)]
    inner.relocates = False
    found = [*places(Over(Linear(-1, 2, 100, True, inner)), 1, 4)]
    assert found == [Extent(4, 9, 53, True)]
    assert not any(e.writes for e in places(Over(Linear(-1, 2, 100, False, inner)), 1, 4))


# -- entries ---------------------------------------------------------------------------------------
class Entries:
    """InC, with the mistakes that it was told of."""

    def __init__(self):
        self.mistakes, self.directories = [], []
        self.all = InC(self._asked, lambda entry, opened: self.directories.append(opened))
        self.opened = []

    def _asked(self, opened, what, question):
        try:
            return question()
        except Exception as error:
            self.mistakes.append((what, type(error)))
            return None

    def tell(self, file, flags=os.O_RDONLY, number=0):
        mount = Mount("/v", Tree(), 1, "none", "", "")
        st = attributes(0o100644, ino=1, dev=1)
        opened = OpenFile(file, mount, "/x", "/v/x", flags, st)
        self.all.tell(INODE + number, opened)
        self.opened.append((INODE + number, opened))
        return opened, core.linear(INODE + number)


@pytest.fixture
def entries():
    made = Entries()
    yield made
    for inode, opened in made.opened:
        made.all.closed(inode, opened)
    assert made.all._maps == {}


class Says(File):
    def __init__(self, known, linear=None):
        self.says, self.where = known, linear

    def known(self):
        return self.says

    def linear(self):
        return self.where


def test_flags_attributes_and_answers_are_told(entries):
    st = attributes(0o60660, ino=3, dev=4, rdev=os.makedev(3, 1), mtime_ns=5_000_000_006)
    known = Known(st, ((0x1268, b"abcd"), (0x1260, b"12345678"), (0x5331, errno.ENOTTY)))
    opened, entry = entries.tell(Says(known), os.O_RDWR | os.O_NONBLOCK)
    assert entry.flags == os.O_RDWR | os.O_NONBLOCK | O_LARGEFILE
    assert entry.looks
    assert bytes(ffi.buffer(entry.stat))[:8] == (4).to_bytes(8, "little")
    told = [
        (a.request, a.error or bytes(ffi.buffer(a.bytes))[: a.length]) for a in entry.answers[0:3]
    ]
    assert (entry.nanswers, tuple(told)) == (3, known.answers)
    opened.file.says = None
    entries.all.tell(INODE, opened)
    assert (entry.nanswers, entry.looks) == (0, 0)
    opened.flags |= os.O_APPEND
    entries.all.tell(INODE, opened)
    assert entry.flags & os.O_APPEND


def test_nothing_but_flags_of_what_is_only_a_path(entries):
    _, entry = entries.tell(Says(Known(attributes(0o100644), ((1, b""),))), O_PATH)
    assert (entry.flags, entry.looks, entry.nanswers, entry.how) == (O_PATH, 0, 0, 0)


def test_a_text_is_read_in_C(entries):
    _, entry = entries.tell(Says(Known(text=b"hello\n")))
    assert (entry.size, entry.how) == (6, core.READS)
    assert bytes(ffi.buffer(entry.text, 6)) == b"hello\n"
    _, entry = entries.tell(Says(Known(text=b"hello\n")), os.O_RDWR, 1)
    assert entry.how == 0, "nobody writes it"


def test_what_is_synced_by_the_descriptor(entries):
    _, entry = entries.tell(Says(None, Linear(5, 0, -1, True, syncs=True)))
    assert entry.syncs
    _, entry = entries.tell(Says(None, Linear(5, 0, -1, True)), number=1)
    assert not entry.syncs


def test_open_files_of_one_file_share_its_map(entries, file):
    pieces = Pieces(Extent(1000, file, 24))
    first, one = entries.tell(pieces)
    second, two = entries.tell(Over(Linear(-1, 100, 50, False, pieces)), number=1)
    assert one.extents == two.extents != ffi.NULL
    assert first.map is second.map
    entries.all.missed(second, 10, 5)
    assert pieces.asked == [(110, FIRST)]
    assert read(one.extents, 110, 5) == os.pread(file, 5, 134)
    entries.all.closed(INODE, entries.opened.pop(0)[1])
    assert read(two.extents, 110, 5) == os.pread(file, 5, 134)
    pieces.relocated(0, -1)
    assert read(two.extents, 110, 5) is None


def test_what_is_known_of_a_file_that_others_are_made_of_stays_until_it_is_closed(entries, file):
    pieces = Pieces(Extent(1000, file, 24))
    first, _ = entries.tell(Over(Linear(-1, 100, 50, False, pieces)))
    entries.all.missed(first, 10, 5)
    entries.all.closed(INODE, entries.opened.pop()[1])
    second, entry = entries.tell(Over(Linear(-1, 100, 50, False, pieces)))
    assert read(entry.extents, 110, 5) == os.pread(file, 5, 134)
    assert len(pieces.asked) == 1
    entries.all.closed(INODE, entries.opened.pop()[1])
    assert len(entries.all._maps) == 1
    pieces.relocated(0, -1)
    assert entries.all._maps == {}
    assert pieces._moved is None
    assert second.map is None


def test_errors_of_a_file_are_for_who_reads_it(entries):
    class Broken(Pieces):
        def extents(self, offset, length):
            raise refuse(errno.EIO)

    opened, _ = entries.tell(Broken())
    entries.all.missed(opened, 0, 1)
    assert entries.mistakes == []


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (Says(None, Linear(-1, 0, 5, True)), "linear"),
        (Says(None, Linear(3, 0, 5, True, File())), "linear"),
        (Says(None, Linear(-1, 0, -1, True, File())), "linear"),
        (Says(Known(answers=((1, bytes(17)),))), "known"),
        (Says(Known(answers=((1, 0),))), "known"),
        (Says(Known(answers=((1, 512),))), "known"),
        (Says(5), "known"),
    ],
)
def test_mistakes_are_told_and_nothing_is_done_in_C(entries, file, what):
    _, entry = entries.tell(file)
    assert [about for about, _ in entries.mistakes] == [what]
    assert (entry.how, entry.nanswers) == (0, 0)


def test_what_is_mapped_by_tasks_is_none_of_Cs_business(entries, file):
    opened, entry = entries.tell(Pieces(Extent(1000, file), size=1000))
    assert entry.how == core.READS
    opened.pages = Pages.__new__(Pages)
    entries.all.tell(INODE, opened)
    assert (entry.how, opened.map) == (0, None)
