# SPDX-License-Identifier: GPL-2.0-or-later
"""The ioctls of a disk are answered as Linux answers them for its own."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from pyview.abi import ioctl
from pyview.kernel import Kernel
from pyview.modules.vudev import requests
from pyview.modules.vudev.ramdisk import RamDisk

SIZE = 100 << 20


@pytest.fixture
def disk():
    disk = RamDisk(Kernel(), "none", size=SIZE)
    disk.companions("/dev/hda")
    yield disk
    disk.unmounted()


@pytest.fixture
def file(disk):
    return disk.open("/", os.O_RDWR)


def refused(action, *arguments):
    with pytest.raises(OSError) as caught:
        action(*arguments)
    return caught.value.errno


@pytest.mark.parametrize(
    ("request_", "layout", "value"),
    [
        (ioctl.BLKGETSIZE64, "=Q", SIZE),
        (ioctl.BLKGETSIZE, "=Q", SIZE // 512),
        (ioctl.BLKSSZGET, "=i", 512),
        (ioctl.BLKPBSZGET, "=I", 512),
        (ioctl.BLKBSZGET, "=i", 4096),
        (ioctl.BLKROGET, "=i", 0),
        (ioctl.BLKRAGET, "=q", 256),
        (ioctl.BLKALIGNOFF, "=i", 0),
        (ioctl.BLKIOMIN, "=I", 512),
        (ioctl.BLKIOOPT, "=I", 0),
        (ioctl.BLKSECTGET, "=H", 2560),
        (ioctl.BLKROTATIONAL, "=H", 0),
        (ioctl.BLKDISCARDZEROES, "=I", 0),
        (ioctl.BLKGETZONESZ, "=I", 0),
    ],
)
def test_what_is_told_of_a_disk(file, request_, layout, value):
    assert struct.unpack(layout, file.ioctl(request_, b"")) == (value,)


@pytest.mark.parametrize(
    "request_",
    [0x5331, 0x5395, 0x5326, 0x80280204, 0x4C05, ioctl.FICLONE, 0x5401, ioctl.FIBMAP, 0x1234],
)
def test_what_no_disk_knows_is_ENOTTY(file, request_):
    assert refused(file.ioctl, request_, bytes(8)) == errno.ENOTTY


def test_disks_are_told_apart(file):
    other = RamDisk(Kernel(), "none").open("/", os.O_RDONLY)
    assert file.ioctl(ioctl.BLKGETDISKSEQ, b"") != other.ioctl(ioctl.BLKGETDISKSEQ, b"")


def test_a_disk_can_be_made_read_only_and_writable_again(disk, file):
    file.ioctl(ioctl.BLKROSET, struct.pack("=i", 1))
    assert file.ioctl(ioctl.BLKROGET, b"") == struct.pack("=i", 1)
    assert refused(disk.open, "/", os.O_RDWR) == errno.EROFS
    assert refused(file.ioctl, ioctl.BLKDISCARD, bytes(16)) == errno.EPERM
    file.ioctl(ioctl.BLKROSET, bytes(4))
    disk.open("/", os.O_RDWR)


def test_a_disk_that_was_mounted_read_only_stays_so():
    file = RamDisk(Kernel(), "none", ro=True).open("/", os.O_RDONLY)
    assert refused(file.ioctl, ioctl.BLKROSET, bytes(4)) == errno.EACCES
    assert file.ioctl(ioctl.BLKROSET, struct.pack("=i", 1)) == b""


def test_what_can_be_set(file):
    assert file.ioctl(ioctl.BLKRASET, struct.pack("=Q", 1024)) == b""
    assert file.ioctl(ioctl.BLKFRAGET, b"") == struct.pack("=q", 1024)
    assert file.ioctl(ioctl.BLKBSZSET, struct.pack("=i", 1024)) == b""
    assert file.ioctl(ioctl.BLKBSZGET, b"") == struct.pack("=i", 1024)
    for wrong in (0, 511, 1000, 8192, -4096):
        assert refused(file.ioctl, ioctl.BLKBSZSET, struct.pack("=i", wrong)) == errno.EINVAL


@pytest.mark.parametrize("request_", [ioctl.BLKDISCARD, ioctl.BLKZEROOUT])
def test_ranges_are_zeroed(file, request_):
    file.pwrite(b"x" * 20000, 0)
    assert file.ioctl(request_, struct.pack("=QQ", 512, 10240)) == b""
    assert file.pread(20000, 0) == b"x" * 512 + bytes(10240) + b"x" * 9248


@pytest.mark.parametrize("request_", [ioctl.BLKDISCARD, ioctl.BLKZEROOUT])
@pytest.mark.parametrize(
    "range_", [(1, 512), (0, 511), (SIZE, 512), (SIZE - 512, 1024), (1 << 63, 1 << 63)]
)
def test_wrong_ranges_are_EINVAL(file, request_, range_):
    assert refused(file.ioctl, request_, struct.pack("=QQ", *range_)) == errno.EINVAL


def test_empty_ranges(file):
    assert file.ioctl(ioctl.BLKDISCARD, bytes(16)) == b""
    assert refused(file.ioctl, ioctl.BLKZEROOUT, bytes(16)) == errno.EINVAL


def test_a_secure_erase_is_not_offered(file):
    assert refused(file.ioctl, ioctl.BLKSECDISCARD, bytes(16)) == errno.EOPNOTSUPP


@pytest.mark.parametrize("request_", [ioctl.BLKROSET, ioctl.BLKDISCARD, ioctl.BLKPG])
def test_missing_data_is_EFAULT(file, request_):
    assert refused(file.ioctl, request_, b"") == errno.EFAULT


def test_the_geometry_is_the_usual_one(file):
    heads, sectors, cylinders, start = struct.unpack("=BBH4xQ", file.ioctl(ioctl.HDIO_GETGEO, b""))
    assert (heads, sectors, cylinders, start) == (255, 63, SIZE // 512 // (255 * 63), 0)


def test_an_IDE_disk_says_who_it_is(disk, file):
    data = file.ioctl(0x030D, b"")
    assert len(data) == 512
    assert data[54:94].rstrip() == b"pyview disk"
    assert struct.unpack_from("=4xH", data, 6) == (512,)  # bytes in a sector
    assert struct.unpack_from("=I", data, 120) == (SIZE // 512,)
    disk.companions("/dev/ubda")
    assert refused(file.ioctl, 0x030D, b"") == errno.ENOTTY


def test_flushing_is_fsync(disk, file, monkeypatch):
    done = []
    monkeypatch.setattr(disk, "fsync", lambda: done.append(1))
    assert file.ioctl(ioctl.BLKFLSBUF, bytes(8)) == b""
    assert done


def test_a_disk_without_partitions_has_none_to_read_again(file):
    assert refused(file.ioctl, ioctl.BLKRRPART, bytes(8)) == errno.EINVAL
    data = ioctl.pack_partition_change(ioctl.Change(ioctl.BLKPG_ADD_PARTITION, 1, 512, 512))
    assert refused(file.ioctl, ioctl.BLKPG, data) == errno.EINVAL


def test_only_a_disk_that_is_called_so_is_a_scsi_disk(file):
    assert refused(file.ioctl, requests.SCSI_IOCTL_GET_IDLUN, bytes(8)) == errno.ENOTTY
    disk = RamDisk(Kernel(), "none", size=SIZE)
    disk.companions("/dev/sda")
    assert disk.open("/", os.O_RDWR).ioctl(requests.SCSI_IOCTL_GET_IDLUN, bytes(8)) == bytes(8)
    disk.unmounted()
