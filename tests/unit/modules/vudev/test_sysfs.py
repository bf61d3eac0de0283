# SPDX-License-Identifier: GPL-2.0-or-later
"""sysfs and proc tell of a disk what lsblk and parted look for."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess

import pytest

from pyview.abi import ioctl
from pyview.api import Tree
from pyview.kernel import Kernel
from pyview.modules.vudev import sysfs
from pyview.modules.vudev.ramdisk import RamDisk
from pyview.modules.vudev.sysfs import Lines, Link, Links, Small
from pyview.view import View

MIB = 1 << 20
HERE = "/sys/devices/virtual/block/hda"


def show(view, disk, target="/dev/hda"):
    """Mount a disk with all that belongs to it."""
    view.mount(target, disk)
    return [view.mount(name, tree) for name, tree in disk.companions(target).items()]


def text(tree, path):
    file = tree.open(path, os.O_RDONLY)
    try:
        return file.pread(1 << 16, 0).decode()
    finally:
        file.close()


def new_disk(view):
    disk = RamDisk(view.now(), "none", size=16 * MIB, mbr=True)
    sector = bytearray(512)
    for i, entry in enumerate(((0, 0x83, 2048, 4096), (0, 0x83, 8192, 2048))):
        struct.pack_into("<B3xB3xII", sector, 446 + 16 * i, *entry)
    struct.pack_into("<I", sector, 440, 0xABCDEF01)
    sector[510:] = b"\x55\xaa"
    disk.pwrite(bytes(sector), 0)
    disk.reread()
    return disk


@pytest.fixture
def view():
    return View()


@pytest.fixture
def disk(view):
    disk = new_disk(view)
    show(view, disk)
    yield disk
    disk.unmounted()


# -- the small trees -----------------------------------------------------------------------------


def refused(action, *arguments):
    with pytest.raises(OSError) as caught:
        action(*arguments)
    return caught.value.errno


def test_a_small_tree_is_what_it_is_made_of():
    tree = Small(lambda: {"size": "12\n", "queue": {"a": "1\n"}, "up": Link("../up")})
    assert tree.listdir("/") == ["size", "queue", "up"]
    assert text(tree, "/queue/a") == "1\n"
    assert tree.readlink("/up") == "../up"
    assert stat.S_ISDIR(tree.lstat("/").st_mode)
    assert stat.S_ISLNK(tree.lstat("/up").st_mode)
    assert tree.lstat("/size").st_size == tree.open("/size", os.O_RDONLY).stat().st_size == 3


def test_what_a_small_tree_refuses():
    tree = Small(lambda: {"size": "12\n", "up": Link("../up")})
    assert refused(tree.lstat, "/no") == errno.ENOENT
    assert refused(tree.lstat, "/size/no") == errno.ENOTDIR
    assert refused(tree.listdir, "/size") == errno.ENOTDIR
    assert refused(tree.readlink, "/size") == errno.EINVAL
    assert refused(tree.open, "/", os.O_RDONLY) == errno.EISDIR
    assert refused(tree.open, "/up", os.O_RDONLY) == errno.ELOOP
    assert refused(tree.open, "/size", os.O_RDWR) == errno.EACCES
    assert refused(tree.unlink, "/size") == errno.ENOSYS


def test_links_lie_over_those_below(tmp_path):
    (tmp_path / "old").symlink_to("elsewhere")
    (tmp_path / "text").write_text("as it was")
    tree = Links(Kernel(), str(tmp_path), lambda: {"new": Link("here")})
    assert set(tree.listdir("/")) == {"old", "text", "new"}
    assert (tree.readlink("/old"), tree.readlink("/new")) == ("elsewhere", "here")
    assert tree.lstat("/old").st_ino == os.lstat(tmp_path / "old").st_ino
    assert text(tree, "/text") == "as it was"
    assert refused(tree.readlink, "/none") == errno.ENOENT
    assert refused(tree.open, "/new", os.O_RDONLY) == errno.ELOOP


def test_there_may_be_nothing_below():
    assert Links(Tree(), "/sys/block", lambda: {"new": Link("x")}).listdir("/") == ["new"]
    assert text(Lines(Tree(), "/proc/partitions", lambda: "line\n"), "/").endswith("\n\nline\n")


# -- a disk --------------------------------------------------------------------------------------


def test_a_disk_has_its_directory(view, disk):
    now = view.now()
    assert text(now, f"{HERE}/dev") == "3:0\n"
    assert text(now, f"{HERE}/size") == "32768\n"
    assert text(now, f"{HERE}/ext_range") == "256\n"
    assert text(now, f"{HERE}/queue/logical_block_size") == "512\n"
    assert text(now, f"{HERE}/queue/read_ahead_kb") == "128\n"
    assert f"DEVNAME=hda\nDEVTYPE=disk\nDISKSEQ={disk.sequence}\n" in text(now, f"{HERE}/uevent")
    assert now.listdir(f"{HERE}/holders") == []
    assert "partition" not in now.listdir(HERE)


def test_a_partition_has_its_directory_in_the_disks(view, disk):
    now = view.now()
    part = f"{HERE}/hda2"
    numbers = [text(now, f"{part}/{name}") for name in ("dev", "partition", "start", "size")]
    assert numbers == ["3:2\n", "2\n", "8192\n", "2048\n"]
    assert "PARTN=2\nPARTUUID=abcdef01-02\n" in text(now, f"{part}/uevent")


@pytest.mark.parametrize(
    "link",
    [
        *("/sys/block/hda", "/sys/class/block/hda", "/sys/class/block/hda1"),
        *("/sys/dev/block/3:0", "/sys/dev/block/3:2"),
        *(f"{HERE}/subsystem", f"{HERE}/hda1/subsystem"),
    ],
)
def test_links_lead_where_they_should(view, disk, link):
    now = view.now()
    target = os.path.normpath(os.path.join(os.path.dirname(link), now.readlink(link)))
    assert stat.S_ISDIR(now.lstat(target).st_mode)
    if "subsystem" not in link:
        number = {"3:0": "hda", "3:2": "hda2"}.get(os.path.basename(link), os.path.basename(link))
        assert f"DEVNAME={number}\n" in text(now, f"{target}/uevent")


def test_the_kernels_own_are_still_there(view, disk):
    now = view.now()
    for place in ("/sys/block", "/sys/dev/block", "/sys/class/block"):
        assert set(os.listdir(place)) < set(now.listdir(place))
        for name in os.listdir(place)[:3]:
            assert now.readlink(f"{place}/{name}") == os.readlink(f"{place}/{name}")


def test_what_changes_is_told(view, disk):
    disk.ro = True
    disk.pwrite(bytes(512), 0)
    disk.reread()
    now = view.now()
    assert text(now, f"{HERE}/ro") == "1\n"
    assert not [name for name in now.listdir(HERE) if name.startswith("hda")]
    assert refused(now.readlink, "/sys/dev/block/3:1") == errno.ENOENT


def everything(tree, path=""):
    """What Tree.contents should say, by the other operations."""
    for name in tree.listdir(path or "/"):
        where = f"{path}/{name}"
        mode = tree.lstat(where).st_mode
        yield where, text(tree, where).encode() if stat.S_ISREG(mode) else None
        if stat.S_ISDIR(mode):
            yield from everything(tree, where)


def test_all_of_the_disks_directory_can_be_told_at_once(view, disk):
    home = sysfs.Home(disk)
    first = home.contents()
    assert first == dict(everything(home))
    assert first["/hda2/size"] == b"2048\n"
    assert first["/subsystem"] is first["/queue"] is None
    assert home.contents() is first
    for change in ((ioctl.BLKROSET, struct.pack("=i", 1)), (ioctl.BLKRASET, struct.pack("=Q", 64))):
        disk.ioctl(*change)
        later = home.contents()
        assert later != first
        assert later == dict(everything(home))
        first = later
    disk.ro = False
    disk.pwrite(bytes(512), 0)
    disk.reread()
    assert "/hda2/size" not in home.contents()
    assert sysfs.Links(view.now(), "/sys/block", dict).contents() is None


def test_partitions_are_in_proc(view, disk):
    with open("/proc/partitions") as file:
        before = file.read()
    lines = text(view.now(), "/proc/partitions")
    assert lines.startswith(before)
    own = [line.split() for line in lines[len(before) :].splitlines()]
    assert own == [
        ["3", "0", "16384", "hda"],
        ["3", "1", "2048", "hda1"],
        ["3", "2", "1024", "hda2"],
    ]


def test_disks_come_and_go_in_any_order(view):
    first = new_disk(view)
    mounts = show(view, first)
    second = new_disk(view)
    show(view, second, "/dev/hdb")
    assert {"hda", "hdb"} < set(view.now().listdir("/sys/block"))
    for mount in mounts:
        view.umount(mount)
        mount.tree.unmounted()
    now = view.now()
    assert "hdb" in now.listdir("/sys/block")
    assert "hda" not in now.listdir("/sys/block")
    assert "3:0" not in now.listdir("/sys/dev/block")
    assert "hda" not in text(now, "/proc/partitions")
    assert " hdb2\n" in text(now, "/proc/partitions")


def test_a_second_disk_of_the_same_name_has_other_numbers(view, disk):
    other = new_disk(view)
    show(view, other)
    assert other.number != disk.number


def test_a_name_below_a_directory_of_dev(view):
    disk = new_disk(view)
    show(view, disk, "/dev/disk/one")
    uevent = text(view.now(), "/sys/devices/virtual/block/disk!one/uevent")
    assert "DEVNAME=disk/one\n" in uevent


def test_the_directory_is_of_the_disk_it_was_made_for():
    disk = RamDisk(Kernel(), "none", size=MIB)
    disk.companions("/dev/hdc")
    assert sysfs.Home(disk).find("/dev") == "22:0\n"


def dump(tree, path, place):
    """Make real files of a small tree."""
    found = tree.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(tree.readlink(path), place)
    elif stat.S_ISDIR(found.st_mode):
        os.makedirs(place)
        for name in tree.listdir(path):
            dump(tree, f"{path.rstrip('/')}/{name}", f"{place}/{name}")
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w") as file:
            file.write(text(tree, path))


@pytest.mark.needs("lsblk")
def test_lsblk_finds_disk_and_partitions(view, tmp_path):
    disk = new_disk(view)
    for place, tree in disk.companions("/dev/hda").items():
        if not place.startswith("/dev/"):
            dump(tree, "/", f"{tmp_path}{place}")
    command = ["lsblk", "--sysroot", tmp_path, "-nrbo", "NAME,MAJ:MIN,SIZE,RO,TYPE,PKNAME"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("hda")] == [
        ["hda", "3:0", "16777216", "0", "disk"],
        ["hda1", "3:1", "2097152", "0", "part", "hda"],
        ["hda2", "3:2", "1048576", "0", "part", "hda"],
    ]
