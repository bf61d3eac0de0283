# SPDX-License-Identifier: GPL-2.0-or-later
"""Partitions are devices beside their disk, follow its table, and stay while they are in use."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyview.abi import ioctl
from pyview.abi.ioctl import Change
from pyview.kernel import Kernel
from pyview.modules.vudev.mbr import Mbr, part_name
from pyview.modules.vudev.ramdisk import RamDisk
from pyview.view import View

MIB = 1 << 20
ADD, DEL, RESIZE = (
    ioctl.BLKPG_ADD_PARTITION,
    ioctl.BLKPG_DEL_PARTITION,
    ioctl.BLKPG_RESIZE_PARTITION,
)


def table(*entries):
    """An MBR; (type, start, length) in MiB each."""
    sector = bytearray(512)
    for i, (kind, start, size) in enumerate(entries):
        struct.pack_into("<B3xB3xII", sector, 446 + 16 * i, 0, kind, start * 2048, size * 2048)
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


TWO = table((0x83, 1, 2), (0x83, 4, 3))


@pytest.fixture
def disk():
    disk = RamDisk(Kernel(), "none", size=16 * MIB, mbr=True)
    disk.open("/", os.O_RDWR).pwrite(TWO, 0)
    disk.users = 0
    disk.reread()
    yield disk
    disk.unmounted()


@pytest.fixture
def image(tmp_path):
    image = tmp_path / "mydisk"
    image.write_bytes(TWO)
    os.truncate(image, 16 * MIB)
    return image


def refused(action, *arguments, **options):
    with pytest.raises(OSError) as caught:
        action(*arguments, **options)
    return caught.value.errno


def beside(disk, target="/dev/hda"):
    """The partitions that are mounted with the disk, by name."""
    found = disk.companions(target)
    return {name: tree for name, tree in found.items() if name.startswith(target)}


def change(disk, operation, number, start=0, length=0):
    data = ioctl.pack_partition_change(Change(operation, number, start * MIB, length * MIB))
    file = disk.open("/", os.O_RDONLY)
    try:
        return file.ioctl(ioctl.BLKPG, data)
    finally:
        file.close()


def places(disk):
    return {i: (p.start() // MIB, p.size() // MIB) for i, p in disk.parts.items()}


# -- names and numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(("whole", "name"), [("/dev/hda", "/dev/hda3"), ("/dev/x0", "/dev/x0p3")])
def test_names_of_partitions(whole, name):
    assert part_name(whole, 3) == name


def test_partitions_are_mounted_beside_their_disk(disk):
    found = beside(disk)
    assert list(found) == ["/dev/hda1", "/dev/hda2"]
    assert disk.number == (3, 0)
    assert [tree.number for tree in found.values()] == [(3, 1), (3, 2)]
    assert all(tree.companions(name) == {} for name, tree in found.items())


def test_partitions_beyond_a_disks_numbers_have_others(disk):
    disk.companions("/dev/sda")
    change(disk, ADD, 16, 10, 1)
    (number,) = {part.number for part in disk.parts.values() if part.index == 16}
    assert number[0] != 8


def test_partitions_are_their_disks_owners(tmp_path, image):
    disk = Mbr(Kernel(), str(image), mode="640", uid=3, gid=4)
    st = disk.parts[1].lstat("/")
    assert (st.st_mode & 0o777, st.st_uid, st.st_gid) == (0o640, 3, 4)
    disk.unmounted()


# -- content -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.integers(512, 4 * MIB), st.binary(max_size=6000)),
        max_size=20,
    )
)
def test_disk_and_partitions_equal_a_bytearray(writes):
    disk = RamDisk(Kernel(), "none", size=8 * MIB, mbr=True)
    model = bytearray(8 * MIB)
    disk.pwrite(TWO, 0)
    model[:512] = TWO
    disk.reread()
    spans = {0: (0, 8 * MIB), 1: (MIB, 2 * MIB), 2: (4 * MIB, 3 * MIB)}
    files = {0: disk.open("/", os.O_RDWR)}
    files |= {i: part.open("/", os.O_RDWR) for i, part in disk.parts.items()}
    for which, offset, data in writes:
        start, length = spans[which]
        if offset >= length:
            assert refused(files[which].pwrite, data or b"x", offset) == errno.ENOSPC
            continue
        count = min(len(data), length - offset)
        assert files[which].pwrite(data, offset) == count
        model[start + offset : start + offset + count] = data[:count]
        assert files[which].pread(len(data), offset) == data[:count]
    assert disk.pread(8 * MIB, 0) == model
    for which, (start, length) in spans.items():
        assert files[which].size() == length
        assert files[which].pread(9 * MIB, 0) == model[start : start + length]
    disk.unmounted()


def test_a_file_holds_what_a_disk_would(image):
    disk = Mbr(Kernel(), str(image))
    part = disk.parts[2].open("/", os.O_RDWR)
    part.pwrite(b"hello", 1000)
    part.fallocate(0x10, 4096, 4096)
    part.fsync()
    part.close()
    disk.unmounted()
    data = image.read_bytes()
    assert data[4 * MIB + 1000 :][:5] == b"hello"
    assert data.count(0) == 16 * MIB - 5 - sum(map(bool, TWO))


def test_a_disk_may_be_made_of_a_partition(image):
    view = View()
    outer = Mbr(view.now(), str(image))
    view.mount("/dev/hda", outer)
    for target, tree in outer.companions("/dev/hda").items():
        view.mount(target, tree)
    part = outer.parts[2].open("/", os.O_RDWR)
    part.pwrite(table((0x83, 1, 1)), 0)
    part.close()
    inner = Mbr(view.now(), "/dev/hda2")
    assert inner.size() == 3 * MIB
    deep = inner.parts[1].open("/", os.O_RDWR)
    deep.pwrite(b"deep", 0)
    deep.close()
    assert outer.pread(4, 5 * MIB) == b"deep"
    assert outer.busy()
    assert refused(outer.reread) == errno.EBUSY
    assert refused(outer.parts[2].open, "/", os.O_RDWR | os.O_EXCL) == errno.EBUSY
    assert refused(outer.open, "/", os.O_RDWR | os.O_EXCL) == errno.EBUSY
    outer.parts[1].open("/", os.O_RDWR | os.O_EXCL).close()
    inner.unmounted()
    assert not outer.busy()
    outer.unmounted()


def test_who_has_a_partition_open_keeps_its_disk(image):
    disk = Mbr(Kernel(), str(image))
    file = disk.parts[1].open("/", os.O_RDWR)
    disk.unmounted()  # umount -l
    file.pwrite(b"late", 0)
    file.close()
    assert image.read_bytes()[MIB : MIB + 4] == b"late"
    assert refused(os.fstat, disk.source.fd) == errno.EBADF
    assert refused(disk.open, "/", os.O_RDONLY) == errno.ENXIO
    assert refused(disk.parts[1].open, "/", os.O_RDONLY) == errno.ENXIO


def test_a_partition_may_be_mounted_elsewhere(disk):
    disk.parts[1].unmounted()
    disk.parts[1].open("/", os.O_RDONLY).close()


def test_operations_take_turns(disk):
    assert disk.parts[1].turn is disk.turn


def test_where_a_partition_begins_is_in_its_geometry(disk):
    data = disk.parts[2].open("/", os.O_RDONLY).ioctl(ioctl.HDIO_GETGEO, b"")
    assert struct.unpack("=BBH4xQ", data)[3] == 4 * 2048


def test_a_read_only_disk_has_read_only_partitions(image):
    disk = Mbr(Kernel(), str(image), ro=True)
    assert refused(disk.parts[1].open, "/", os.O_RDWR) == errno.EROFS
    disk.unmounted()


def test_what_is_no_disk(tmp_path):
    short = tmp_path / "short"
    short.write_bytes(bytes(511))
    assert refused(Mbr, Kernel(), str(short)) == errno.EINVAL
    assert refused(Mbr, Kernel(), str(tmp_path / "missing")) == errno.ENOENT
    assert refused(Mbr, Kernel(), "none") == errno.ENOENT


def test_an_image_is_of_one_disk_at_a_time(image):
    disk = Mbr(Kernel(), str(image))
    assert refused(Mbr, Kernel(), str(image)) == errno.EBUSY
    disk.unmounted()
    Mbr(Kernel(), str(image)).unmounted()


# -- changes -------------------------------------------------------------------------------------


def test_the_table_is_read_again(disk):
    first = beside(disk)
    disk.pwrite(table((0x83, 1, 2), (0x83, 4, 4), (0x82, 9, 1)), 0)
    assert beside(disk) == first
    disk.open("/", os.O_RDWR).ioctl(ioctl.BLKRRPART, bytes(8))
    second = beside(disk)
    assert places(disk) == {1: (1, 2), 2: (4, 4), 3: (9, 1)}
    assert second["/dev/hda1"] is first["/dev/hda1"]
    assert second["/dev/hda2"] is not first["/dev/hda2"]
    assert second["/dev/hda2"].number == first["/dev/hda2"].number


def test_a_table_is_not_read_again_while_a_partition_is_in_use(disk):
    file = disk.parts[1].open("/", os.O_RDONLY)
    assert refused(disk.reread) == errno.EBUSY
    assert disk.busy()
    file.close()
    disk.reread()


def test_partitions_past_the_end_are_cut_or_left_out(disk):
    disk.pwrite(table((0x83, 15, 9), (0x83, 16, 1)), 0)
    disk.reread()
    assert places(disk) == {1: (15, 1)}


def test_partitions_are_added_and_removed_without_a_table(disk):
    first = beside(disk)
    change(disk, ADD, 5, 8, 2)
    assert list(beside(disk)) == ["/dev/hda1", "/dev/hda2", "/dev/hda5"]
    assert places(disk)[5] == (8, 2)
    change(disk, DEL, 1)
    left = beside(disk)
    assert list(left) == ["/dev/hda2", "/dev/hda5"]
    assert left["/dev/hda2"] is first["/dev/hda2"]


def test_a_partition_is_resized_while_it_is_in_use(disk):
    part = disk.parts[2]
    file = part.open("/", os.O_RDWR)
    change(disk, RESIZE, 2, 4, 8)
    assert disk.parts[2] is part
    assert file.size() == 8 * MIB
    file.pwrite(b"end", 8 * MIB - 3)
    assert disk.pread(3, 12 * MIB - 3) == b"end"


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ((ADD, 1, 8, 1), errno.EBUSY),  # it is there
        ((ADD, 3, 5, 1), errno.EBUSY),  # it overlaps
        ((ADD, 3, 3, 2), errno.EBUSY),
        ((ADD, 0, 8, 1), errno.EINVAL),
        ((ADD, -1, 8, 1), errno.EINVAL),
        ((ADD, 3, 8, 0), errno.EINVAL),
        ((ADD, 3, -1, 1), errno.EINVAL),
        ((ADD, 3, 15, 2), errno.EINVAL),  # past the end
        ((DEL, 3), errno.ENXIO),
        ((RESIZE, 3, 8, 1), errno.ENXIO),
        ((RESIZE, 1, 2, 1), errno.EINVAL),  # it begins elsewhere
        ((RESIZE, 1, 1, 4), errno.EBUSY),  # it would overlap
        ((4, 1, 8, 1), errno.EINVAL),
    ],
)
def test_changes_that_cannot_be(disk, what, error):
    before = places(disk)
    assert refused(change, disk, *what) == error
    assert places(disk) == before


def test_a_partition_in_use_is_not_removed(disk):
    file = disk.parts[1].open("/", os.O_RDONLY)
    assert refused(change, disk, DEL, 1) == errno.EBUSY
    file.close()
    change(disk, DEL, 1)


def test_changes_are_in_whole_sectors(disk):
    data = ioctl.pack_partition_change(Change(ADD, 3, 8 * MIB + 1, 512))
    assert refused(disk.ioctl, ioctl.BLKPG, data) == errno.EINVAL


def test_a_logical_partition_may_lie_in_an_extended_one(disk):
    disk.pwrite(table((0x83, 1, 2), (0x05, 4, 8)), 0)
    disk.reread()
    assert disk.parts[2].size() == 1024
    change(disk, ADD, 5, 5, 2)
    assert places(disk)[5] == (5, 2)


def test_a_partition_has_no_partitions(disk):
    assert refused(disk.parts[1].ioctl, ioctl.BLKRRPART, bytes(8)) == errno.EINVAL
