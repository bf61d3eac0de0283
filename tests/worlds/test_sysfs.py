# SPDX-License-Identifier: GPL-2.0-or-later
"""What a view's /sys says of its disks, beside the kernel's own."""

from __future__ import annotations

import sys

import pytest
from worlds.disks import make


@pytest.fixture
def view(devices):
    return devices


ASKS = """
import errno, os, stat, sys
def tried(call, *about):
    try: return call(*about)
    except OSError as e: return errno.errorcode[e.errno]
there, name = sys.argv[1:]
d = os.open(there, os.O_RDONLY | os.O_DIRECTORY)
f = os.open(name, os.O_RDONLY, dir_fd=d)
print(tried(os.read, d, 9), tried(os.fsync, d), tried(os.write, d, b"x"), tried(os.ftruncate, d, 0))
names = sorted(os.listdir(d))
print(names == sorted(os.listdir(there)), name in names, os.lseek(d, 0, os.SEEK_CUR) > 0)
print(os.lseek(d, 0, os.SEEK_SET), sorted(os.listdir(d)) == names, oct(os.fstat(d).st_mode))
print(tried(os.write, f, b"x"), tried(os.ftruncate, f, 0), oct(os.fstat(f).st_mode))
print(os.read(f, 1) == os.pread(f, 1, 0), os.lseek(f, 0, os.SEEK_CUR))
print(tried(os.open, f"/proc/self/fd/{f}", os.O_RDWR), tried(os.open, "none", os.O_RDONLY))
for one, where in ((d, there), (f, f"{there}/{name}")):
    print(os.readlink(f"/proc/self/fd/{one}") == where)
for flags in (os.O_WRONLY, os.O_DIRECTORY, os.O_NOFOLLOW):
    for what in (name, "none", "none/x", name + "/x", "./" + name, name + "/"):
        found = tried(lambda: os.open(what, flags, dir_fd=d))
        print(found if type(found) is str else "open")
for what in (name, "none", "none/x", name + "/x", "./" + name):
    print(*(os.access(what, mode, dir_fd=d) for mode in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)))
    print(tried(lambda: stat.S_IFMT(os.stat(what, dir_fd=d).st_mode)))
    print(tried(lambda: os.readlink(what, dir_fd=d)))
os.fchdir(d)
print(os.getcwd() == there, os.path.exists(name))
"""


def test_directories_and_files_of_sysfs_are_like_the_kernels(view, outside, tmp_path):
    make(tmp_path / "image", 1 << 20)
    (tmp_path / "asks.py").write_text(ASKS)
    asked = f"{sys.executable} asks.py"
    told = outside(f"{asked} /sys/kernel uevent_seqnum")
    disk = "/sys/devices/virtual/block/hda"
    assert view(f"mount -t vudevubd image /dev/hda && {asked} {disk} size") == told


CHANGES = """
import os, subprocess
d = os.open("/sys/block/hda", os.O_RDONLY)
def said(name):
    try: f = os.open(name, os.O_RDONLY, dir_fd=d)
    except OSError as e: return e.strerror
    with open(f) as file: return file.read().strip()
print(said("ro"), said("hda1/size"))
subprocess.run(["blockdev", "--setro", "/dev/hda"], check=True)
print(said("ro"))
subprocess.run(["blockdev", "--setrw", "/dev/hda"], check=True)
subprocess.run(["sfdisk", "-q", "/dev/hda"], input=b"start=64, size=128", check=True)
print(said("ro"), said("hda1/size"), said("hda1/none"))
many = [os.open("queue/dax", os.O_RDONLY, dir_fd=d) for _ in range(70)]
print({(os.fstat(f).st_size, oct(os.fstat(f).st_mode), os.read(f, 9)) for f in many})
print({os.readlink(f"/proc/self/fd/{f}") for f in many[::9]}, os.lseek(many[0], 0, os.SEEK_CUR))
subprocess.run(["stat", "-Lc", "%s", "/dev/stdin"], stdin=many[9], check=True)
for f in many: os.close(f)
print(said("range"))
subprocess.run(["mount", "-t", "vudevramdisk", "none", "/sys/block/hda/queue"], check=True)
print(said("queue/dax"), said("size"))
subprocess.run(["umount", "/sys/block/hda/queue"], check=True)
f = os.open("size", os.O_RDONLY, dir_fd=d)
os.close(d)
print(subprocess.run(["umount", "/dev/hda"]).returncode, os.read(f, 9))
os.close(f)
print(subprocess.run(["umount", "/dev/hda"]).returncode)
"""


@pytest.mark.needs("blockdev", "sfdisk")
def test_what_sysfs_says_from_an_open_directory_follows_the_disk(view, tmp_path):
    make(tmp_path / "image", 1 << 20)
    (tmp_path / "changes.py").write_text(CHANGES)
    said = view(f"mount -t vudevmbr image /dev/hda && exec {sys.executable} -u changes.py")
    queue = "/sys/devices/virtual/block/hda/queue/dax"
    assert said.splitlines() == [
        "0 No such file or directory",
        "1",
        "0 128 No such file or directory",
        str({(2, "0o100444", b"0\n")}),
        f"{ {queue} } 2",
        "2",
        "64",
        "Not a directory 2048",
        "umount: /sys/devices/virtual/block/hda: Device or resource busy",
        "1 b'2048\\n'",
        "0",
    ]
