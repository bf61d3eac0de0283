# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits, O_EXCL, locks and sources of disks, as the kernel has them for its own."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pyview.abi import ioctl
from pyview.kernel import Kernel
from pyview.modules.vudev.disk import (
    CHUNK,
    KEEP_SIZE,
    PUNCH_HOLE,
    ZERO_RANGE,
    Disk,
    Opened,
    open_source,
)  # fmt: skip
from pyview.view import View

SIZE = 3 * CHUNK


class Plain(Disk):
    """A disk that can only be read and written."""

    def __init__(self, **options):
        super().__init__(Kernel(), **options)
        self.data, self.synced, self.finished = bytearray(b"x" * SIZE), 0, 0

    def pread(self, size, offset):
        assert self.turn.locked()
        return bytes(self.data[offset : offset + size])

    def pwrite(self, data, offset):
        assert self.turn.locked()
        self.data[offset : offset + len(data)] = data
        return len(data)

    def size(self):
        return len(self.data)

    def fsync(self):
        self.synced += 1

    def finish(self):
        self.finished += 1


def refused(action, *arguments, **keywords):
    with pytest.raises(OSError) as caught:
        action(*arguments, **keywords)
    return caught.value.errno


@pytest.fixture
def disk():
    return Plain()


@pytest.fixture
def file(disk):
    return disk.open("/", os.O_RDWR)


# -- reading and writing -------------------------------------------------------------------------


def test_less_is_read_only_at_the_end(file):
    assert file.pread(10, SIZE - 4) == b"xxxx"
    assert file.pread(10, SIZE) == file.pread(10, SIZE + 5) == b""


def test_less_is_written_only_at_the_end(disk, file):
    assert file.pwrite(b"abcdef", SIZE - 4) == 4
    assert disk.data[-5:] == b"xabcd"
    assert len(disk.data) == SIZE
    assert refused(file.pwrite, b"a", SIZE) == errno.ENOSPC
    assert refused(file.pwrite, b"a", SIZE + 7) == errno.ENOSPC
    assert file.pwrite(b"", 0) == 0


def test_what_was_made_read_only_since_is_not_written(disk, file):
    disk.ro = True
    assert refused(file.pwrite, b"a", 0) == errno.EPERM
    assert refused(file.fallocate, ZERO_RANGE, 0, 512) == errno.EPERM


def test_a_disk_has_no_other_length(file):
    assert refused(file.truncate, 0) == errno.EINVAL
    assert refused(file.seek, 0, os.SEEK_DATA) == errno.EINVAL


def test_an_open_disk_knows_its_node(disk, file):
    assert file.stat() == disk.lstat("/")
    assert stat.S_ISBLK(file.stat().st_mode)


# -- fallocate -----------------------------------------------------------------------------------


def test_zeroes_are_written_where_nothing_else_is_possible(disk, file):
    file.fallocate(ZERO_RANGE, 512, 2 * CHUNK)
    assert disk.data == b"x" * 512 + bytes(2 * CHUNK) + b"x" * (CHUNK - 512)


def test_a_hole_is_not_written(file):
    assert refused(file.fallocate, PUNCH_HOLE | KEEP_SIZE, 0, 512) == errno.EOPNOTSUPP


@pytest.mark.parametrize("mode", [0, KEEP_SIZE, PUNCH_HOLE, 0x08, 0x20, 0x40])
def test_other_ways_to_allocate_are_not_a_disks(file, mode):
    assert refused(file.fallocate, mode, 0, 512) == errno.EOPNOTSUPP


def test_limits_of_fallocate(disk, file):
    assert refused(file.fallocate, ZERO_RANGE, SIZE, 512) == errno.EINVAL
    assert refused(file.fallocate, ZERO_RANGE, SIZE - 512, 1024) == errno.EINVAL
    assert refused(file.fallocate, ZERO_RANGE, 1, 512) == errno.EINVAL
    assert refused(file.fallocate, ZERO_RANGE, 0, 1) == errno.EINVAL
    file.fallocate(ZERO_RANGE | KEEP_SIZE, SIZE - 512, 4096)
    assert disk.data[-513:] == b"x" + bytes(512)


# -- opening -------------------------------------------------------------------------------------


def test_users_are_counted(disk):
    one, other = disk.open("/", os.O_RDONLY), disk.open("/", os.O_RDWR)
    one.close()
    assert disk.busy()
    other.close()
    assert not disk.busy()


def test_what_is_not_there_or_read_only_is_not_opened():
    disk = Plain(ro=True)
    assert refused(disk.open, "/", os.O_RDWR) == errno.EROFS
    assert refused(disk.open, "/", os.O_WRONLY) == errno.EROFS
    assert refused(disk.open, "/x", os.O_RDONLY) == errno.ENOTDIR
    assert not disk.busy()
    disk.open("/", os.O_RDONLY)


def test_one_at_a_time_has_a_disk_for_itself(disk, file):
    first = disk.open("/", os.O_RDWR | os.O_EXCL)  # those who did not ask for that don't count
    assert refused(disk.open, "/", os.O_RDONLY | os.O_EXCL) == errno.EBUSY
    disk.open("/", os.O_RDWR).close()
    first.close()
    disk.open("/", os.O_RDONLY | os.O_EXCL).close()


def test_a_lock_keeps_others_off_until_the_file_is_closed(disk):
    one, other = disk.open("/", os.O_RDONLY), disk.open("/", os.O_RDONLY)
    one.lock(False)
    other.lock(False)
    assert refused(one.lock, True) == errno.EAGAIN
    assert refused(disk.open, "/", os.O_RDONLY | os.O_EXCL) == errno.EBUSY
    other.close()
    one.lock(True)
    third = disk.open("/", os.O_RDONLY)
    assert refused(third.lock, False) == errno.EAGAIN
    one.close()
    third.lock(False)


def test_who_may_not_write_may_not_discard(disk):
    file = disk.open("/", os.O_RDONLY)
    assert refused(file.ioctl, ioctl.BLKZEROOUT, bytes(16)) == errno.EBADF
    assert file.ioctl(ioctl.BLKROGET, b"") == bytes(4)


def test_fsync_reaches_the_content(disk, file):
    file.fsync()
    assert disk.synced == 1


def test_a_disk_ends_with_its_last_mount_and_its_last_user(disk, file):
    disk.unmounted()  # umount -l
    assert not disk.finished
    file.pwrite(b"a", 0)
    file.close()
    assert disk.finished == 1
    idle = Plain()
    idle.open("/", os.O_RDONLY).close()
    assert not idle.finished
    idle.unmounted()
    assert idle.finished == 1


def test_only_a_disk_in_dev_is_shown_in_sysfs(disk):
    assert disk.companions("/tmp/disk") == {}
    assert Plain(char=True).companions("/dev/hda") == {}
    shown = disk.companions("/dev/hda")
    assert "/sys/devices/virtual/block/hda" in shown
    assert all(disk.companions("/dev/hda")[place] is tree for place, tree in shown.items())
    assert "/sys/devices/virtual/block/hdb" in disk.companions("/dev/hdb")  # it was moved


# -- sources -------------------------------------------------------------------------------------


@pytest.fixture
def below():
    view = View()
    view.mount("/dev/hda", Plain())
    view.mount("/dev/locked", Plain(ro=True))
    return view.now()


def test_a_source_is_a_file_or_a_device(below, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"abc")
    file = open_source(below, str(image), ro=False, alone=True)
    assert file.pread(9, 0) == b"abc"
    assert refused(open_source, below, str(image), ro=False, alone=True) == errno.EBUSY
    assert refused(open_source, below, str(image), ro=True, alone=True) == errno.EBUSY
    file.close()
    device = open_source(below, "/dev/hda", ro=False, alone=True)
    assert isinstance(device, Opened)
    assert refused(open_source, below, "/dev/hda", ro=False, alone=False) == errno.EBUSY
    device.close()


def test_readers_share_a_source(below, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"abc")
    files = [open_source(below, str(image), ro=True, alone=True) for _ in range(2)]
    for file in files:
        file.close()


@pytest.mark.parametrize(
    ("source", "error"),
    [("none", errno.ENOENT), ("/nowhere/image", errno.ENOENT), ("/tmp", errno.EISDIR),
     ("/dev/null", errno.ENOTBLK), ("/dev/locked", errno.EROFS)]
)  # fmt: skip
def test_what_is_no_source_is_named(below, source, error):
    with pytest.raises(OSError) as caught:
        open_source(below, source, ro=False, alone=True)
    assert caught.value.errno == error
    assert caught.value.filename == source


def test_a_directory_to_be_read_is_no_source(below):
    assert refused(open_source, below, "/tmp", ro=True, alone=True) == errno.ENOTBLK


def test_a_FIFO_holds_nobody_up(below, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert refused(open_source, below, str(tmp_path / "fifo"), ro=True, alone=True) == errno.ENOTBLK
