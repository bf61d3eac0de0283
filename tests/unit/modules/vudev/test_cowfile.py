# SPDX-License-Identifier: GPL-2.0-or-later
"""COW disks: against a bytearray, against UML's own tools and UML itself, and through crashes."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cowfiles import (
    THEIRS,
    VERSIONS,
    Counted,
    Killed,
    Volatile,
    craft,
    disk,
    moo,
    new_cow,
    opened,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from throughc import ThroughC

import pyview
from pyview.api import File, refuse
from pyview.modules.vudev import cowfile, cowheader
from pyview.modules.vudev.cowfile import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, CowFile

TESTS = Path(__file__).parents[3]
SECTORS = 67  # a size of whole sectors, but not of whole pages, nor of whole bytes of bits


@pytest.fixture
def image(tmp_path):
    """An image with zeroes in it, and holes."""
    rnd = random.Random(3)
    path = tmp_path / "img"
    with path.open("wb") as file:
        for number in range(SECTORS):
            if rnd.random() < 0.6:
                file.seek(512 * number)
                file.write(rnd.randbytes(512))
        file.truncate(512 * SECTORS)
    return str(path)


@pytest.fixture
def cow(tmp_path, image):
    path = str(tmp_path / "c")
    new_cow(path, image)
    return path


def nothing(_done):
    """For whoever wants to hear how far it is."""


# -- against a bytearray -----------------------------------------------------------------------
def act(rnd, made, model):
    """One random operation on a disk and on its model."""
    offset, size = rnd.randrange(len(model)), rnd.choice((1, 511, 512, 4096, 5000, 30000))
    end = min(offset + size, len(model))
    what = rnd.random()
    if what < 0.6:
        data = rnd.randbytes(size)
        assert made.pwrite(data, offset) == end - offset
        model[offset:end] = data[: end - offset]
    elif what < 0.7:
        made.fallocate(rnd.choice((PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE)), offset, size)
        model[offset:end] = bytes(end - offset)
    else:
        assert made.pread(size, offset) == model[offset:end]


@pytest.mark.needs("uml_moo")
@pytest.mark.parametrize("way", [lambda made: made, ThroughC], ids=["python", "c"])
@pytest.mark.parametrize("part", range(8))
def test_random_writes_equal_a_bytearray_and_merge_as_uml_moo_does(tmp_path, part, way):
    """200 sequences of writes, reopening and merging in all."""
    in_c = [0, 0]
    for seed in range(part * 25, part * 25 + 25):
        rnd = random.Random(seed)
        image, cow, out, ours = (tmp_path / f"{seed}{name}" for name in ("i", "c", "o", "u"))
        model = bytearray(rnd.randbytes(512 * rnd.randrange(1, 150)))
        image.write_bytes(model)
        new_cow(cow, image)
        made = way(disk(cow, image))
        for _ in range(rnd.randrange(12 if way is not ThroughC else 40)):
            act(rnd, made, model)
            if rnd.random() < (0.3 if way is not ThroughC else 0.1):
                made.fsync()
                made.close()
                made = way(disk(cow, image))
        assert made.pread(len(model) + 1, 0) == model
        if way is ThroughC:
            in_c = [before + now for before, now in zip(in_c, made.in_c, strict=True)]
        made.fsync()
        new = opened(ours, os.O_RDWR | os.O_CREAT)
        cowfile.copy(made, new, nothing)
        new.close()
        made.close()
        assert ours.read_bytes() == model
        if seed % 3 == 0:
            assert moo(cow, out) == model
    assert way is not ThroughC or min(in_c) > 5, "C had nothing to do"


@given(st.integers(0, 1 << 32), st.integers(1, 20000), st.sampled_from((512, 1024, 4096, 16384)))
@settings(max_examples=100, deadline=None)
def test_any_size_and_any_sector(seed, size, sector):
    """Also sizes that end in a part of a sector, and sectors of up to four pages."""
    rnd = random.Random(seed)
    model = bytearray(rnd.randbytes(size))
    found = cowheader.Header(3, (32, b"/i\0\0"), 0, size, sector, 4096, 8192)
    cow, image = Volatile(bytes(found.data_at + size)), Volatile(model)
    made = CowFile(cow, image, found, "c")
    for _ in range(rnd.randrange(10)):
        act(rnd, made, model)
        if rnd.random() < 0.2:
            made.fsync()
            made = CowFile(cow, image, found, "c")
    assert made.pread(size, 0) == model
    assert image.now == image.safe


def test_reading_and_writing_at_the_end(cow, image):
    made = disk(cow, image)
    assert made.size() == 512 * SECTORS
    assert made.pread(10, made.size()) == b""
    assert made.pwrite(b"abcd", made.size() - 2) == 2
    assert made.pread(10, made.size() - 2) == b"ab"
    assert made.pwrite(b"", made.size()) == 0
    with pytest.raises(OSError) as caught:
        made.pwrite(b"x", made.size())
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError) as caught:
        made.fallocate(KEEP_SIZE, 0, 512)
    assert caught.value.errno == errno.EOPNOTSUPP
    made.close()


def test_whole_pages_come_up(cow, image):
    """UML 6.1 misreads a page of which it owns a part."""
    made = disk(cow, image)
    made.pwrite(b"x", 5000)
    made.pwrite(b"y" * 4096, 3 * 4096 + 512)
    assert [run[1:] for run in made.runs() if run[0]] == [(4096, 8192), (12288, 20480)]
    made.close()


# -- the other versions ------------------------------------------------------------------------
@pytest.mark.needs("uml_moo")
@pytest.mark.parametrize("version", VERSIONS)
def test_merging_every_version_gives_what_uml_moo_gives(tmp_path, image, version):
    for seed in range(8):
        rnd = random.Random(seed)
        cow = str(tmp_path / f"{version[0]}{seed}")
        chosen = rnd.sample(range(SECTORS), rnd.randrange(SECTORS))
        sectors = {n: rnd.choice((bytes, rnd.randbytes))(512) for n in chosen}
        craft(cow, version, image, sectors)
        made = disk(cow, image)
        assert made.writable == (version[0] == "3")
        craft(tmp_path / "alike", version if version in THEIRS else THEIRS[0], image, sectors)
        expected = moo(tmp_path / "alike", tmp_path / "theirs")
        assert made.pread(made.size(), 0) == expected
        new = opened(tmp_path / "ours", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        cowfile.copy(made, new, nothing)
        new.close()
        made.close()
        assert (tmp_path / "ours").read_bytes() == expected


@pytest.mark.needs("uml_moo")
@pytest.mark.parametrize("version", THEIRS)
def test_every_version_is_written_as_it_is(tmp_path, image, version):
    os.truncate(image, 64 * 512)  # every sector has a bit, in version 1, too
    cow = str(tmp_path / "c")
    craft(cow, version, image, {9: b"old!" * 128})
    made = disk(cow, image)
    assert made.writable
    model = bytearray(made.pread(made.size(), 0))
    for seed in range(30):
        act(random.Random(seed), made, model)
    made.fsync()
    made.close()
    assert moo(cow, tmp_path / "out") == model


def test_a_sector_that_has_no_bit_is_not_lost_silently(tmp_path, image):
    cow = str(tmp_path / "c")
    craft(cow, "2", image, {})
    made = disk(cow, image)
    with pytest.raises(OSError) as caught:
        made.pwrite(b"x", made.size() - 1)
    assert caught.value.errno == errno.EROFS
    made.close()


@pytest.mark.parametrize("length", [4128, 8192, 12288 + 512 * 12])
def test_a_file_cut_short_is_refused(tmp_path, image, length):
    cow = str(tmp_path / "c")
    craft(cow, "3", image, {12: b"data" * 128})
    os.truncate(cow, length)
    files = opened(cow), opened(image)
    with pytest.raises(OSError, match="cut short") as caught:
        CowFile(*files, cowheader.header_of(files[0], cow), cow)
    for file in files:
        file.close()
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, cow)


# -- crashes -----------------------------------------------------------------------------------
class Promises:
    """Of each sector of a disk: what it may hold after a crash."""

    def __init__(self, content):
        self.now = bytearray(content)
        self.allowed = [{self._at(number)} for number in range(len(content) // 512)]

    def _at(self, number):
        return bytes(self.now[512 * number : 512 * number + 512])

    def wrote(self, data, offset):
        self.now[offset : offset + len(data)] = data
        for number in range(offset // 512, -(-(offset + len(data)) // 512)):
            self.allowed[number].add(self._at(number))

    def synced(self):
        self.allowed = [{self._at(number)} for number in range(len(self.allowed))]

    def hold(self, content):
        assert len(content) == len(self.now)
        for number, allowed in enumerate(self.allowed):
            assert content[512 * number : 512 * number + 512] in allowed, f"sector {number}"


def busy(rnd, made, promises, steps=16):
    """Write and sync; what a write that is cut off may have done is promised before it."""
    size = made.size()
    for _ in range(steps):
        offset, length = rnd.randrange(size), rnd.choice((1, 512, 4096, 9000))
        length = min(length, size - offset)
        zeroes = rnd.random() < 0.2
        data = bytes(length) if zeroes else rnd.randbytes(length)
        promises.wrote(data, offset)
        if zeroes:
            made.fallocate(ZERO_RANGE | KEEP_SIZE, offset, length)
        else:
            made.pwrite(data, offset)
        if rnd.random() < 0.3:
            made.fsync()
            promises.synced()


@pytest.mark.needs("uml_moo")
def test_killed_at_every_operation(tmp_path, image):
    """Also between a data write and its bit: uml_moo finds what was promised, nothing torn."""
    original = Path(image).read_bytes()
    for left in range(1000):
        cow = tmp_path / "c"
        new_cow(cow, image)
        made = disk(str(cow), image, lambda file: Counted(file, left))  # noqa: B023
        promises = Promises(original)
        try:
            busy(random.Random(11), made, promises)
            over = True
        except Killed:
            over = False
        made.close()
        promises.hold(moo(cow, tmp_path / "out"))
        made = disk(str(cow), image)
        promises.hold(made.pread(made.size(), 0))
        made.close()
        cow.unlink()
        if over:
            break
    assert over
    assert left > 20
    assert Path(image).read_bytes() == original


@given(st.integers(0, 1 << 32))
@settings(max_examples=200, deadline=None)
def test_power_lost_at_any_time(seed):
    """A bit is never there without its data, whatever the machine had written back by itself."""
    rnd = random.Random(seed)
    content = rnd.randbytes(512 * SECTORS)
    found = cowheader.Header(3, (32, b"/i\0\0"), 0, len(content), 512, 4096, 8192)
    cow = Volatile(bytes(found.data_at + len(content)))
    killed = Counted(cow, rnd.randrange(30))
    killed.fsync = lambda: (killed._step(), cow.fsync())
    promises = Promises(content)
    try:
        busy(rnd, CowFile(killed, Volatile(content), found, "c"), promises)
    except Killed:
        pass
    later = Volatile(cow.after_power_loss(lambda: rnd.random() < 0.5))
    made = CowFile(later, Volatile(content), found, "c")
    promises.hold(made.pread(made.size(), 0))


WRITER = """
import random, sys
from cowfiles import disk
made, rnd = disk(sys.argv[1], sys.argv[2]), random.Random(int(sys.argv[3]))
number = 0
while True:
    number += 1
    for _ in range(3):  # the same page, always, and any other
        made.pwrite(number.to_bytes(4, "big") * 1024, 0)
        made.pwrite(number.to_bytes(4, "big"), rnd.randrange(made.size() // 4) * 4)
    made.fsync()
    print(number, flush=True)
"""


@pytest.mark.needs("uml_moo")
def test_a_writer_that_is_killed_keeps_what_it_was_promised(tmp_path, image):
    os.truncate(image, 0)
    os.truncate(image, 1 << 20)
    for seed in range(5):
        cow = tmp_path / f"c{seed}"
        new_cow(cow, image)
        command = [sys.executable, "-c", WRITER, str(cow), image, str(seed)]
        where = os.pathsep.join(str(place) for place in (TESTS, Path(pyview.__file__).parents[1]))
        environment = {**os.environ, "PYTHONPATH": where}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            for _ in range(random.Random(seed).randrange(1, 40)):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            said = [int(line) for line in writer.stdout.read().splitlines()]
        found = moo(cow, tmp_path / "out")
        words = {int.from_bytes(found[at : at + 4], "big") for at in range(0, 4096, 4)}
        assert min(words) >= max(said, default=1)
        assert len(found) == 1 << 20


class Failing(Volatile):
    failing = False

    def fsync(self):
        if self.failing:
            raise refuse(errno.EIO)
        super().fsync()


def test_after_lost_data_no_bit_is_written_any_more():
    found = cowheader.Header(3, (32, b"/i\0\0"), 0, 8192, 512, 4096, 8192)
    cow = Failing(bytes(found.data_at + 8192))
    made = CowFile(cow, Volatile(bytes(8192)), found, "c")
    made.pwrite(b"x", 0)
    assert made.pending
    for cow.failing in (True, False):
        with pytest.raises(OSError) as caught:
            made.fsync()
        assert caught.value.errno == errno.EIO
    assert not made.pending
    assert cow.now[8192:8194] == bytes(2)


def test_bits_wait_for_fsync(cow, image):
    made = disk(cow, image)
    assert not made.pending
    made.pwrite(b"x", 0)
    other = disk(cow, image)
    assert made.pending
    assert other.pread(1, 0) == Path(image).read_bytes()[:1]
    made.fsync()
    assert not made.pending
    made.pwrite(b"z", 1)  # there already: nothing to wait for
    assert not made.pending
    other.close()
    other = disk(cow, image)
    assert other.pread(2, 0) == b"xz"
    other.close()
    made.close()


# -- merging -----------------------------------------------------------------------------------
def test_in_place(cow, image):
    made = disk(cow, image)
    made.pwrite(b"new", 5000)
    expected = made.pread(made.size(), 0)
    file = opened(image)
    cowfile.merge_into(made, file, nothing)
    file.close()
    made.close()
    assert Path(image).read_bytes() == expected


def test_a_large_and_empty_disk_is_merged_at_once(tmp_path):
    """Holes are passed over, and the new file has them, too."""
    image, cow, out = (str(tmp_path / name) for name in "ico")
    Path(image).touch()
    os.truncate(image, 1 << 36)
    os.utime(image, (1, 1))
    new_cow(cow, image)
    made = disk(cow, image)
    made.pwrite(b"far", 1 << 35)
    made.pwrite(bytes(1 << 20), 0)  # written, and zero
    made.fsync()
    new = opened(out, os.O_RDWR | os.O_CREAT)
    heard = []
    cowfile.copy(made, new, heard.append)
    assert new.size() == 1 << 36
    assert new.pread(3, 1 << 35) == b"far"
    assert new.stat().st_blocks <= 64
    assert heard == sorted(heard)
    new.close()
    made.close()


class NoHoles(File):
    """As a block device of the kernel: nobody knows where its holes are."""

    def __init__(self, content):
        self.content = content

    def pread(self, size, offset):
        return self.content[offset : offset + size]

    def size(self):
        return len(self.content)

    def seek(self, offset, whence):
        raise refuse(errno.EINVAL)


def test_where_data_is_and_where_holes_are(cow, image):
    Path(image).write_bytes(b"")
    os.truncate(image, 512 * SECTORS)
    made = disk(cow, image)
    with pytest.raises(OSError) as caught:
        made.seek(0, os.SEEK_DATA)
    assert caught.value.errno == errno.ENXIO
    assert made.seek(7, os.SEEK_HOLE) == 7
    made.pwrite(b"x", 5000)
    assert made.seek(0, os.SEEK_DATA) == 4096
    assert made.seek(4097, os.SEEK_HOLE) == 8192
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        with pytest.raises(OSError) as caught:
            made.seek(made.size(), whence)
        assert caught.value.errno == errno.ENXIO
    made.close()


def test_an_image_that_knows_of_no_holes():
    found = cowheader.Header(3, (32, b"/i\0\0"), 0, 8192, 512, 4096, 8192)
    made = CowFile(Volatile(bytes(found.data_at + 8192)), NoHoles(bytes(8192)), found, "c")
    assert made.seek(5, os.SEEK_DATA) == 5
    assert made.seek(5, os.SEEK_HOLE) == 8192


def test_an_image_that_has_become_shorter_is_an_error():
    found = cowheader.Header(3, (32, b"/i\0\0"), 0, 8192, 512, 4096, 8192)
    made = CowFile(Volatile(bytes(found.data_at + 8192)), Volatile(bytes(4096)), found, "c")
    with pytest.raises(OSError) as caught:
        made.pread(8192, 0)
    assert caught.value.errno == errno.EIO


def test_a_file_that_takes_nothing_is_an_error():
    class Full(Volatile):
        def pwrite(self, data, offset):
            return 0

    with pytest.raises(OSError) as caught:
        cowheader.write(Full(b""), b"x", 0)
    assert caught.value.errno == errno.EIO


def test_what_is_changed_is_told_to_its_end(tmp_path):
    path, image = str(tmp_path / "big.cow"), str(tmp_path / "big")
    with open(image, "wb") as file:
        file.truncate(1 << 22)
    new_cow(path, image)
    cow = disk(path, image)
    cow.pwrite(bytes(3 << 20), 0)
    cow.pwrite(b"x", (3 << 20) + 8192)
    told = [extent.length for extent in cow.extents(4096, 8192)]
    assert told == [(3 << 20) - 4096]
    lengths = [extent.length for extent in cow.extents((3 << 20) - 4096, 8192)]
    assert lengths == [4096, 4096], "what is not is told no further"
    cow.pwrite(bytes(1 << 20), 3 << 20)
    assert [extent.length for extent in cow.extents(4096, 1)] == [(1 << 22) - 4096]
    assert sum(e.length for e in cow.extents(1000, 2000)) == (1 << 22) - 1000
    cow.close()


def test_what_is_changed_already_stays_where_it_is_when_it_is_cleared(tmp_path):
    path, image = str(tmp_path / "big.cow"), str(tmp_path / "big")
    with open(image, "wb") as file:
        file.write(b"before" * (1 << 17))
    os.truncate(image, (1 << 20) + 512)
    new_cow(path, image)
    cow = disk(path, image)
    told = []
    cow._moved = lambda offset, length: told.append((offset, length))
    cow.fallocate(PUNCH_HOLE | KEEP_SIZE, 4096, 1 << 19)
    assert told == [(4096, 1 << 19)]
    for mode, offset, length in (
        (PUNCH_HOLE | KEEP_SIZE, 4096, 1 << 19),
        (ZERO_RANGE, 8192, 4096),
        (ZERO_RANGE, 8704, 512),
    ):
        cow.pwrite(b"x" * length, offset)
        cow.fallocate(mode, offset, length)
        assert cow.pread(length, offset) == bytes(length)
    assert told == [(4096, 1 << 19)]
    cow.fallocate(ZERO_RANGE, 0, 8192)
    assert told[1:] == [(0, 8192)]
    cow.fallocate(ZERO_RANGE, 1 << 20, 512)
    cow.fallocate(ZERO_RANGE, 0, (1 << 20) + 512)
    assert cow.pread(1 << 21, 0) == bytes((1 << 20) + 512)
    cow._moved = None
    cow.close()
