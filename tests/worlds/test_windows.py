# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices whose descriptors are the kernel's own: what nobody hears must be right all the same."""

from __future__ import annotations

import os
import random
import re
import signal
import sys

import pytest
from worlds.conftest import GUESTS
from worlds.disks import make, piece
from worlds.world import core_of, kill_all, marked

KINDS = {
    "raw": "mount -t vudevubd piece /dev/disk",
    "partition": "mount -t vudevmbr image /dev/hda; disk=/dev/hda1",
    "cow": "mount -t vudevubd -o cow=my.cow piece /dev/disk",
    "qcow2": "mount -t vudevqcow2 piece.qcow2 /dev/disk",
    "cow of qcow2": "mount -t vudevqcow2 piece.qcow2 /dev/q && "
    "mount -t vudevubd -o cow=q.cow /dev/q /dev/disk",
}
WRITABLE = ("raw", "partition", "cow")


@pytest.fixture
def script(tmp_path, native):
    """script(KIND, TEXT): TEXT in a view with a disk $disk of the bytes of the file `piece`."""
    chance = random.Random(7)
    data = chance.randbytes(1 << 20) + bytes(1 << 20) + chance.randbytes((1 << 20) + 5 * 4096)
    (tmp_path / "piece").write_bytes(data)
    (tmp_path / "image").write_bytes(bytes(1 << 20) + data)
    native.run(
        "echo start=2048 | /sbin/sfdisk -q image && qemu-img convert -O qcow2 piece piece.qcow2",
        cwd=tmp_path,
    )

    def written(kind, text):
        return f"exec 2>&1; vu_insmod vudev; disk=/dev/disk; {KINDS[kind]} || exit; {text}"

    return written


READER = """
import os, random, sys
disk, data = os.open(sys.argv[1], os.O_RDONLY), open("piece", "rb").read()
for i in range(400):
    at, size = random.randrange(len(data)), random.choice((1, 512, 4096, 65536, 1 << 20, 1 << 21))
    assert os.pread(disk, size, at) == data[at : at + size], (at, size)
print("alike")
"""


@pytest.mark.needs("sfdisk", "qemu-img")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_anywhere_is_what_is_there(worlds, script, tmp_path, kind):
    (tmp_path / "reader.py").write_text(READER)
    text = script(
        kind, f"{sys.executable} reader.py $disk & {sys.executable} reader.py $disk; wait"
    )
    assert worlds["view"].run(text, cwd=tmp_path).stdout == "alike\nalike\n"


MEETING = """
import os, sys
disk = os.open(sys.argv[1], os.O_RDWR)
print("open", flush=True)
for line in sys.stdin:
    try:
        print(os.pwrite(disk, line.encode(), 1 << 20), flush=True)
    except OSError as error:
        print(os.strerror(error.errno), flush=True)
"""


@pytest.mark.needs("sfdisk", "qemu-img", "blockdev")
@pytest.mark.parametrize("kind", WRITABLE)
def test_nobody_writes_to_what_somebody_has_made_read_only(worlds, script, tmp_path, kind):
    """Linux block/fops.c, blkdev_write_iter: whoever had it open before gets EPERM, too."""
    (tmp_path / "writer.py").write_text(MEETING)
    text = script(kind, f"""mkfifo ask answer
    {sys.executable} writer.py $disk <ask >answer & exec 3>ask 4<answer
    hear() {{ read -r line <&4; echo "$line"; }}
    hear; echo one >&3; hear
    blockdev --setro $disk; echo two >&3; hear
    dd if=$disk bs=1 count=3 skip=1M status=none; echo
    blockdev --setrw $disk; echo three >&3; hear
    exec 3>&-; wait""")  # fmt: skip
    said = worlds["view"].run(text, cwd=tmp_path).stdout
    assert said == "open\n4\nOperation not permitted\none\n6\n"


@pytest.mark.needs("sfdisk", "qemu-img")
@pytest.mark.parametrize("kind", ["partition", "cow", "qcow2"])
def test_who_reads_what_is_no_longer_shown_ends_and_nobody_else(worlds, script, tmp_path, kind):
    """Somebody kills the process whose memory the descriptor is of."""
    world = worlds["view"]
    mark = world.mark()
    text = script(kind, f"""
    {sys.executable} -c 'import os, time; os.open("'$disk'", os.O_RDONLY); time.sleep(99)' &
    reader=$!; sleep 99 &
    echo reader; wait $reader; echo "status $?"; kill $!
    {sys.executable} -c 'import os; print(len(os.pread(os.open("'$disk'", 0), 4096, 1 << 20)))'
    """)  # fmt: skip
    with world.start(text, cwd=tmp_path, mark=mark) as process:
        assert process.stdout.readline() == "reader\n"
        core = None
        shows = []
        while not shows and process.poll() is None:
            core = next(filter(None, map(core_of, marked(mark))))
            shows = [
                int(found[1])
                for pid in marked(mark)
                for fd in _listed(f"/proc/{pid}/fd")
                if (found := re.match(r"/proc/(\d+)/mem$", _link(f"/proc/{pid}/fd/{fd}")))
                and pid != core
            ]
        os.kill(shows[0], signal.SIGKILL)
        said, errors = process.communicate(timeout=20)
        kill_all(process, mark)
    assert "status 137\n" in said
    assert "a process that shows devices was killed" in errors
    assert said.endswith("4096\n")


def _listed(name):
    try:
        return os.listdir(name)
    except OSError:
        return []


def _link(name):
    try:
        return os.readlink(name)
    except OSError:
        return ""


# -- what each of them must do ---------------------------------------------------------------------
BLOCK_DEVICES = {
    "raw": "mount -t vudevubd img /dev/disk",
    "whole": "mount -t vudevmbr img /dev/disk",
    "odd": "truncate -s +1536 img; mount -t vudevubd img /dev/disk",
    "memory": "mount -t vudevramdisk -o size=4M none /dev/disk",
    "cow": "mount -t vudevubd -o cow=img.cow img /dev/disk",
    "nested": "mount -t vudevubd img /dev/ubda; mount -t vudevmbr /dev/ubda /dev/disk",
    "partition": "echo start=2048 | sfdisk -q disk && mount -t vudevmbr disk /dev/disk",
    "odd partition": "echo start=63,size=9001 | sfdisk -q disk && mount -t vudevmbr disk /dev/disk",
    "early partition": "echo start=64 | sfdisk -q img && mount -t vudevmbr img /dev/disk",
    "early partition of cow": "echo start=64 | sfdisk -q img && "
    "mount -t vudevubd -o cow=my.cow img /dev/u && mount -t vudevmbr /dev/u /dev/disk",
    "partition of cow": "echo start=2048 | sfdisk -q disk && "
    "mount -t vudevubd -o cow=my.cow disk /dev/u && mount -t vudevmbr /dev/u /dev/disk",
}


@pytest.mark.needs("sfdisk")
@pytest.mark.parametrize("kind", BLOCK_DEVICES)
def test_a_block_device_is_one_however_its_descriptors_are_made(devices, tmp_path, kind):
    image = make(tmp_path / "img", 4 << 20)
    disk = make(tmp_path / "disk", 6 << 20)
    name = "/dev/disk1" if "partition" in kind else "/dev/disk"
    text = f"""mount -t vudevnull none /dev/null0; {BLOCK_DEVICES[kind]} || exit
    python3 {GUESTS}/blockdevice.py {name}
    exec 3< {name}
    umount /dev/disk 2>/dev/null && echo unmounted while open
    exec 3<&-
    umount /dev/disk && echo unmounted"""
    assert devices(text) == "well\nunmounted\n"
    assert image.stat().st_size == (4 << 20) + 1536 * (kind == "odd")
    assert disk.stat().st_size == 6 << 20
    file, first = {
        "partition": (disk, 2048),
        "odd partition": (disk, 63),
        "early partition": (image, 64),
    }.get(kind, (image, 0))
    if "cow" not in kind and kind != "memory":
        assert piece(file, first + 1, 1)[:6] == b"theirs"
