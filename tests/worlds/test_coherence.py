# SPDX-License-Identifier: GPL-2.0-or-later
"""One file or disk, and several processes and threads that read, write and map it at once.

What a plain file does natively is what it must do in every world, and so must every disk.
"""

from __future__ import annotations

import sys

import pytest
from worlds.conftest import GUESTS
from worlds.disks import DISKS, make

KINDS = DISKS | {
    "server": "mount -t vudevnbd unix:$PWD/sock /dev/hda",
    "partition of server": "mount -t vudevnbd unix:$PWD/sock /dev/nbd0 && "
    "mount -t vudevmbr /dev/nbd0 /dev/hda",
    "cow of server": "mount -t vudevnbd unix:$PWD/sock /dev/nbd0 && "
    "mount -t vudevubd -o cow=my.cow /dev/nbd0 /dev/hda",
}


@pytest.fixture(params=["lasting mappings", "brief mappings and signals"])
def seed(request):
    """The bits of coherent.c's seed mean something."""
    return "1" if request.param.startswith("lasting") else "2"


@pytest.mark.limit(80)
def test_what_was_written_is_read_by_all(world, guest, tmp_path, seed):
    make(tmp_path / "file", 3 << 20)
    rounds = "150" if world.emulated else "300"
    world.run([world.path(guest("coherent")), "file", seed, rounds], cwd=tmp_path)


@pytest.mark.limit(80)
@pytest.mark.needs("sfdisk", "nbdkit", "cmp")
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_to_a_disk_is_read_by_all(worlds, native, guest, tmp_path, kind, seed):
    image = make(tmp_path / "image", 3 << 20)
    native.run("echo start=64 | /sbin/sfdisk -q image", cwd=tmp_path)
    disk = "/dev/hda1" if kind.startswith("partition") else "/dev/hda"
    serve = "nbdkit -U $PWD/sock -P pid file image" if kind.endswith("server") else ":"
    rounds = 60 if kind.endswith("server") else 150
    worlds["view"].run(
        f"""
        exec 2>&1; vu_insmod vudev && {serve} && {KINDS[kind]} || exit
        {guest("coherent")} {disk} {seed} {rounds} && cat {disk} >now && umount /dev/hda
        status=$?; test -e pid && kill $(cat pid); exit $status
        """,
        cwd=tmp_path,
    )
    now = (tmp_path / "now").read_bytes()
    if kind.startswith("partition") and "cow" not in kind:
        assert image.read_bytes()[64 * 512 :] == now
    elif kind in ("raw", "server"):
        assert image.read_bytes() == now
    else:
        assert any(now)


def test_mappings_that_come_and_go_in_threads_keep_what_was_written(world, guest, tmp_path):
    """Each mmap and munmap while others are at theirs, in one process and in its children."""
    make(tmp_path / "file", 1 << 20)
    world.run([world.path(guest("brief_mappings")), "file"], cwd=tmp_path)


@pytest.mark.limit(60)
def test_a_file_that_is_open_many_times_is_one(world, tmp_path):
    make(tmp_path / "file", 1 << 20)
    done = world.run([sys.executable, GUESTS / "many_open.py", "file", "1"], cwd=tmp_path)
    assert done.stdout == "alike\n"


@pytest.fixture
def on_disk(worlds, native, tmp_path):
    """on_disk(KIND, SIZE, COMMAND): what a command printed that has DISK for a disk's name."""

    def run(kind, size, command):
        make(tmp_path / "image", size << 20)
        native.run("echo start=64 | /sbin/sfdisk -q image", cwd=tmp_path)
        disk = "/dev/hda1" if kind.startswith("partition") else "/dev/hda"
        mount = DISKS[kind].replace("size=3M", f"size={size}M")
        text = f"vu_insmod vudev && {mount} && {command.replace('DISK', disk)}"
        return worlds["view"].run(text, cwd=tmp_path).stdout

    return run


@pytest.mark.limit(60)
@pytest.mark.needs("sfdisk")
@pytest.mark.parametrize("kind", DISKS)
def test_a_disk_that_is_open_many_times_is_one(on_disk, kind):
    assert on_disk(kind, 1, f"{sys.executable} {GUESTS}/many_open.py DISK 1") == "alike\n"


SEEN = "b'newer' b'\\x00\\x00\\x00\\x00\\x00'\nb'newer'\n"


def test_what_is_mapped_after_a_file_was_opened_is_seen(world, tmp_path):
    make(tmp_path / "file", 2 << 20)
    done = world.run(
        [sys.executable, GUESTS / "mapped_early.py", "file", "/dev/null"], cwd=tmp_path
    )
    assert done.stdout == SEEN


@pytest.mark.needs("sfdisk")
@pytest.mark.parametrize("kind", DISKS)
def test_what_is_mapped_after_a_disk_was_opened_is_seen(on_disk, kind):
    guest = f"{sys.executable} {GUESTS}/mapped_early.py DISK /dev/other"
    assert on_disk(kind, 3, f"mount -t vudevnull none /dev/other && {guest}") == SEEN
