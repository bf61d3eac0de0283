# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows: what is read and written by /proc/PID/mem is the device's."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import time
from types import SimpleNamespace

import pytest

from pyview import core, direct, windows
from pyview.api import NOWHERE, ZEROES, Extent, File, Linear, Tree, attributes
from pyview.linear import Map
from pyview.openfile import OpenFile
from pyview.pages import PAGE, Pages
from pyview.view import Mount
from pyview.windows import Windows

LOW = direct.lowest()
SIZE = 1 << 20


class Disk(File):
    """Its bytes are those of `found`."""

    def __init__(self, found):
        self.found = found

    def linear(self):
        return self.found

    def size(self):
        return self.found.size


class Patched(File):
    """Whole pages of two files: those that were written are in the second."""

    moves_pages = True

    def __init__(self, old, new):
        self.old, self.new, self.here = old, new, set()

    def linear(self):
        return Linear(-1, 0, SIZE, True, self)

    def size(self):
        return SIZE

    def extents(self, offset, length):
        for at in range(offset // PAGE * PAGE, offset + length, PAGE):
            yield Extent(PAGE, self.new if at // PAGE in self.here else self.old, at, True)

    def pread(self, size, offset):
        found = (os.pread(e.fd, e.length, e.start) for e in self.extents(offset, size))
        return b"".join(found)[:size]

    def pwrite(self, data, offset):
        assert not (offset | len(data)) % PAGE
        os.pwrite(self.new, data, offset)
        self.here.update(range(offset // PAGE, (offset + len(data)) // PAGE))
        self.relocated(offset, len(data))
        return len(data)


@pytest.fixture
def file(tmp_path):
    """Makes files of random bytes, and gives a descriptor of each."""
    made = []

    def make(name, size=SIZE):
        path = tmp_path / name
        path.write_bytes(random.Random(name).randbytes(size))
        made.append(os.open(path, os.O_RDWR))
        return made[-1]

    yield make
    for fd in made:
        os.close(fd)


@pytest.fixture
def all_windows(monkeypatch):
    mapped, watched = {}, []
    made = Windows(lambda fd, on=1: watched.append((fd, on)), mapped.get)
    made.mapped = mapped
    yield made
    for window in [*made._by_key.values()]:
        window.users.clear()
    for key, window in [*made._by_key.items()]:
        made._drop(key, window)
    for process in made._spare:
        process.end()


def opened(file, flags=os.O_RDWR, ino=1):
    st = attributes(stat.S_IFBLK | 0o600, ino=ino, dev=1)
    return OpenFile(file, Mount("/dev/x", Tree(), 1, "none", "", ""), "/", "/dev/x", flags, st)


@pytest.fixture
def window(all_windows):
    """Opens windows: a descriptor, and the window; closed at the end."""
    fds = []

    def make(file, flags=os.O_RDWR, ino=1):
        fd, byte, window = all_windows.open(opened(file, flags, ino))
        assert direct.is_open(window.mem, byte)
        fds.append(fd)
        window.users[fd] = file
        return fd, window

    yield make
    for fd in fds:
        os.close(fd)


def test_a_piece_of_a_file_is_read_and_written(window, file):
    image = file("image")
    fd, _ = window(Disk(Linear(image, 128 << 10, 512 << 10, True)))
    assert os.pread(fd, 9000, LOW + 1) == os.pread(image, 9000, (128 << 10) + LOW + 1)
    assert os.pwrite(fd, b"written", 99999) == 7
    assert os.pread(image, 7, (128 << 10) + 99999) == b"written"
    os.pwrite(image, b"elsewhere", (128 << 10) + 70000)
    assert os.pread(fd, 9, 70000) == b"elsewhere"
    with pytest.raises(OSError, match="Input/output"):
        os.pread(fd, 1, 512 << 10)
    reads, _ = window(Disk(Linear(image, 128 << 10, 512 << 10, True)), os.O_RDONLY)
    with pytest.raises(OSError) as raised:
        os.pwrite(reads, b"x", 99999)
    assert raised.value.errno == errno.EBADF


def test_what_is_read_only_is_not_written(window, file):
    disk = Disk(Linear(file("image"), 0, SIZE, True))
    fd, shown = window(disk)
    assert os.pwrite(fd, b"x", 99999) == 1
    disk.found = disk.found._replace(writes=False)
    shown.refresh()
    with pytest.raises(OSError):
        os.pwrite(fd, b"x", 99999)


def test_pages_are_seen_where_they_are_by_now(window, file):
    disk = Patched(file("old"), file("new"))
    places = Map(disk)
    fd, shown = window(disk)
    places.others["x"] = shown.moved
    rng = random.Random(1)
    for _ in range(200):
        at = rng.randrange(LOW // PAGE, SIZE // PAGE - 3) * PAGE
        disk.pwrite(rng.randbytes(rng.randrange(1, 4) * PAGE), at)
        at = rng.randrange(LOW, SIZE - 20000)
        assert os.pread(fd, 20000, at) == disk.pread(20000 + at % PAGE, at - at % PAGE)[at % PAGE :]
    with pytest.raises(OSError):
        os.pwrite(fd, b"x", 99999)  # the file wants to hear of it
    places.close()


def test_what_lies_in_too_many_places_is_gathered(window, file, monkeypatch):
    monkeypatch.setattr(windows, "MANY", 40)
    disk = Patched(file("old", 2 * SIZE), file("new", 2 * SIZE))
    places = Map(disk)
    fd, shown = window(Disk(Linear(-1, 0, SIZE, True, disk)))
    places.others["x"] = shown.moved
    for number in range(LOW // PAGE, SIZE // PAGE, 2):
        disk.pwrite(bytes([number % 256]) * PAGE, number * PAGE)
    assert len(disk.here) > SIZE // PAGE * 0.9
    assert os.pread(fd, SIZE - LOW, LOW) == disk.pread(SIZE - LOW, LOW)
    with open(f"/proc/{shown.process.pid}/maps") as file_:
        assert sum("/new" in line or "/old" in line for line in file_) < 60
    places.close()


def test_what_was_mapped_before_is_seen_as_far_as_it_is_filled_later(window, file, all_windows):
    disk = Patched(file("old"), file("new"))
    pages = all_windows.mapped[1, 1] = Pages(disk)
    fd, _ = window(disk, os.O_RDONLY)
    pages.fill(99999, 9999)
    os.pwrite(pages.fd, b"by mapping", 100000)
    assert os.pread(fd, 10, 100000) == b"by mapping"
    pages.close()


def test_zeroes_are_zeroes(window, file):
    image = file("image")

    class Sparse(Disk):
        relocates = False

        def extents(self, offset, length):
            yield from (Extent(PAGE, ZEROES), Extent(SIZE, image, LOW))

    sparse = Sparse(None)
    sparse.found = Linear(-1, 0, SIZE // 2, True, sparse)
    fd, _ = window(sparse, os.O_RDONLY)
    assert os.pread(fd, PAGE, LOW) == bytes(PAGE)
    assert os.pread(fd, 99, LOW + PAGE) == os.pread(image, 99, LOW)


def test_what_is_mapped_is_seen_until_it_no_longer_is(window, file, all_windows):
    old = file("old")
    disk = Patched(old, file("new"))
    fd, shown = window(disk, os.O_RDONLY)
    pages = Pages(disk)
    key = (1, 1)
    all_windows.mapped[key] = pages
    all_windows.follow(key, pages)
    pages.fill(99999, 9999)
    os.pwrite(pages.fd, b"by mapping", 100000)
    assert os.pread(fd, 10, 100000) == b"by mapping"
    told, process = [], shown.process
    shown.process = SimpleNamespace(
        show=lambda at, length, fd, *how: told.append(fd) or process.show(at, length, fd, *how)
    )
    shown.moved(98304, PAGE * 3)
    shown.process = process
    assert set(told) == {pages.fd}, "not even for a moment what the file has"
    assert os.pread(fd, 10, 100000) == b"by mapping"
    assert os.pread(fd, 10, 200000) == os.pread(old, 10, 200000)
    del all_windows.mapped[key]
    all_windows.show(key)
    assert os.pread(fd, 10, 100000) == os.pread(old, 10, 100000)
    pages.close()


@pytest.mark.parametrize("extent", [Extent(PAGE, NOWHERE), Extent(512, ZEROES), Extent(0, ZEROES)])
def test_what_cannot_be_mapped_is_told(window, file, extent, all_windows):
    class Odd(Disk):
        relocates = False

        def extents(self, offset, length):
            yield extent

    odd = Odd(None)
    odd.found = Linear(-1, 0, SIZE, True, odd)
    with pytest.raises(OSError):
        window(odd)
    assert all_windows._by_key == {}


def test_a_process_is_used_again(window, file, all_windows):
    fd, shown = window(Disk(Linear(file("image"), 0, SIZE, True)))
    pid = shown.process.pid
    all_windows.closed((1, 1), fd)
    all_windows.leave(None)
    with pytest.raises(OSError):
        os.pread(fd, 1, LOW)
    _, other = window(Disk(Linear(file("other"), 0, SIZE, True)), ino=2)
    assert other.process.pid == pid
    _, third = window(Disk(Linear(file("third"), 0, SIZE, True)), ino=3)
    assert third.process.pid != pid


def test_who_opens_a_device_again_gets_the_same_window(window, file, all_windows):
    disk = Disk(Linear(file("image"), 0, SIZE, True))
    fd, shown = window(disk)
    all_windows.closed((1, 1), fd)
    again, other = window(disk)
    assert other is shown
    assert os.pread(again, 9, 99999) == os.pread(disk.found.fd, 9, 99999)
    for change in (
        lambda: next(iter(all_windows._by_key.values())).moved(0, 1),
        lambda: all_windows.refresh(),
        lambda: setattr(disk, "found", disk.found._replace(writes=False)),
        lambda: os.dup2(file("another"), disk.found.fd),
        lambda: all_windows.leave(None),
        lambda: all_windows.leave((2, 2)),
    ):
        all_windows.closed((1, 1), again)
        change()
        again, new = window(disk)
        assert new is not shown
        assert os.pread(again, 9, 99999) == os.pread(disk.found.fd, 9, 99999)
        shown = new
    assert len(all_windows._by_key) == 1


def test_somebody_kills_it(window, file, all_windows):
    _, shown = window(Disk(Linear(file("image"), 0, SIZE, True)))
    assert not all_windows.lost(shown.process.fd)
    os.kill(shown.process.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while not (lost := all_windows.lost(shown.process.fd)) and time.monotonic() < until:
        time.sleep(0.01)
    assert lost is True
    assert all_windows._by_key == {}
    all_windows.closed((1, 1), 0)
    assert all_windows._spare == []


def test_somebody_kills_one_that_nobody_needs(window, file, all_windows):
    fd, shown = window(Disk(Linear(file("image"), 0, SIZE, True)))
    all_windows.closed((1, 1), fd)
    all_windows.leave(None)
    assert all_windows._spare == [shown.process]
    os.kill(shown.process.pid, signal.SIGKILL)
    while (found := all_windows.lost(shown.process.fd)) is None:
        time.sleep(0.01)
    assert found is False
    assert all_windows._spare == []


# -- which devices can have windows ----------------------------------------------------------------


def test_only_what_can_be_mapped_has_windows(file, monkeypatch):
    image = file("image", 2 * SIZE)
    piece = Linear(image, 4096, SIZE, True)
    assert direct.shown(Disk(piece)) == piece
    odd = file("odd", SIZE + 700)
    for start in (0, 8192):
        whole = Linear(odd, start, SIZE + 700 - start, True)
        assert direct.shown(Disk(whole)) == whole
    for other in (
        None,
        piece._replace(start=512),
        piece._replace(size=SIZE + 512),
        piece._replace(size=-1),
        piece._replace(size=LOW),
        piece._replace(size=1 << 47),
    ):
        assert direct.shown(Disk(other)) is None
    slow = Disk(piece)
    slow.slow = True
    assert direct.shown(slow) is None
    pages = Patched(image, image)
    found = Linear(-1, 4096, SIZE - 4096, True, pages)
    assert direct.shown(Disk(found)) == found
    assert direct.shown(Disk(found._replace(start=512))) is None
    pages.moves_pages = False
    assert direct.shown(Disk(found)) is None
    pages.relocates = False
    assert direct.shown(Disk(found)) == found
    monkeypatch.setattr(direct, "_is_traced", lambda: True)
    assert direct.shown(Disk(piece)) is None


def test_writing_does_not_wait_for_what_must_be_read_first(file, monkeypatch):
    image = file("image", 12 << 20)
    piece = Linear(image, 1 << 20, 3 << 20, True)
    monkeypatch.setattr(direct, "_warm", set())
    monkeypatch.setattr(core, "cached", lambda fd, start, length: 1 << 20)
    assert not direct.is_warm(piece)
    assert direct.reach(Disk(piece), os.O_RDWR) == (True, (2 << 20) + 1, 0, LOW)
    monkeypatch.setattr(core, "cached", lambda fd, start, length: 5 << 20)
    assert direct.is_warm(piece)
    assert direct.reach(Disk(piece), os.O_RDWR).writes == (2 << 20) + 1
    monkeypatch.setattr(core, "cached", lambda fd, start, length: 0)
    assert direct.is_warm(piece)  # once is enough
    monkeypatch.setattr(direct, "MOST_WARM", 8 << 20)
    assert not direct.is_warm(piece)
    assert not direct.is_warm(Linear(-1, 0, 4096, True, Disk(piece)))


def test_what_is_in_memory_is_known(file):
    image = file("image", 1 << 20)
    assert core.cached(image, 0, 1 << 20) in (0, 1 << 20)
    assert core.cached(-1, 0, 4096) == 0


def test_who_writes_later_finds_it_warm(window, file, monkeypatch):
    image = file("image")
    warm = []
    monkeypatch.setattr(windows, "is_warm", lambda found: bool(warm))
    disk = Disk(Linear(image, 0, SIZE, True))
    fd, shown = window(disk)
    warm.append(True)
    again, same = window(disk)
    assert same is shown
    assert os.pwrite(again, b"x", LOW) == os.pwrite(fd, b"y", LOW + 1) == 1
    assert os.pread(image, 2, LOW) == b"xy"
    with open(f"/proc/{shown.process.pid}/smaps") as maps:
        assert " rr " in maps.read()  # VM_RAND_READ


def test_how_far_it_reaches(file):
    image = file("image", 4 << 20)
    piece = Linear(image, 1 << 20, 3 << 20, True)
    end = (2 << 20) + 1
    for flags in (os.O_RDWR, os.O_RDONLY):
        assert direct.reach(Disk(piece), flags) == (True, end, end, LOW)
    assert direct.reach(Disk(piece), os.O_RDWR | os.O_SYNC) == (True, end, 0, LOW)
    locked = Disk(piece._replace(writes=False))
    assert direct.reach(locked, os.O_RDONLY) == (True, end, direct.EVERYWHERE, LOW)
    whole = Disk(Linear(image, 0, 4 << 20, True))
    assert direct.reach(whole, os.O_RDWR) == (False, direct.EVERYWHERE, (3 << 20) + 1, 0)
    assert direct.reach(whole, direct.O_PATH) == direct.NOTHING
    assert direct.reach(whole, os.O_ACCMODE) == direct.NOTHING
    assert direct.reach(Disk(None), os.O_RDWR) == direct.NOTHING
