# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks' table: what is measured on emulated disks beside the plain image files.

Every column has disks of its own with the same content, one for each kind of work, so that no row
changes what another one reads: a COW disk is read where it is still its image.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from plan import LOOP, MOUNTED, Column, Row, Table, enter, found, tool
from scratch import Scratch

# The last letter of each disk: /dev/hda is read.
READ, WRITTEN, MADE, CHECKED = "abcd"
BESIDE = "e"  # the disk that is mounted while plain files are measured
MIB = 1 << 20
SECTOR = 512
IMAGES = {READ: 64, WRITTEN: 64, MADE: 1024, CHECKED: 1024}  # MiB
START = MIB // SECTOR  # the partition's first sector; fdisk's choice
LINUX = 0x83  # the partition's type

TITLE = "disks: times the plain image"
READERS = ("native", LOOP, "raw", "mbr", "cow", "qcow2", MOUNTED)
WRITERS = ("native", LOOP, "raw", "mbr", "cow", MOUNTED)


def table(scratch: Scratch, milliseconds: int, here: Table) -> Table:
    """The disks' table; from the other one, `here`, it has native and the rows on plain files."""
    plain = [row for row in here.rows if MOUNTED in row.columns]
    return Table(
        TITLE, [*rows(scratch, milliseconds), *plain], [here.columns[0], *columns(scratch)]
    )


def rows(scratch: Scratch, milliseconds: int) -> list[Row]:
    """The rows of this table alone.  `milliseconds`: for one round of one libc call."""
    home = str(scratch.root)
    data = f"{home}/images/{READ}"

    def call(name: str, letter: str, size: int) -> Callable[[Column], list[str]]:
        before, after = [f"{home}/calls", name], [str(milliseconds), str(size)]
        return lambda column: [*before, column.disk.format(letter), *after]

    def program(name: str, letter: str, *arguments: str) -> Callable[[Column], list[str]]:
        argv = [found(name), *arguments]
        return lambda column: [a.replace("DISK", column.disk.format(letter)) for a in argv]

    dd_read = program("dd", READ, "bs=1M", "if=DISK", "of=/dev/null")
    dd_write = program("dd", WRITTEN, "bs=1M", f"if={data}", "of=DISK", "conv=notrunc")
    mkfs = program("mkfs.ext4", MADE, "-F", "DISK")
    fsck = program("fsck.ext4", CHECKED, "-fn", "DISK")
    return [
        Row("pread4k", "pread 4k", call("pread", READ, 4096), home, None, columns=READERS),
        Row("pread64k", "pread 64k", call("pread", READ, 65536), home, None, columns=READERS),
        Row("pread1m", "pread 1M", call("pread", READ, MIB), home, None, columns=READERS),
        Row("pwrite4k", "pwrite 4k", call("pwrite", WRITTEN, 4096), home, None, columns=WRITERS),
        Row("ddread", "`dd bs=1M`, read", dd_read, home, seconds=0.3, columns=READERS),
        Row("ddwrite", "`dd bs=1M`, write", dd_write, home, seconds=0.3, columns=WRITERS),
        Row("mkfs", "`mkfs.ext4` of 1 GB", mkfs, home, seconds=0.5, columns=WRITERS),
        Row("fsck", "`fsck.ext4` of 1 GB", fsck, home, seconds=0.5, columns=READERS),
    ]


def columns(scratch: Scratch) -> list[Column]:
    """Every column of this table but native, in its order."""
    every = tuple(IMAGES)
    raw = _enter(scratch, "raw", "vudevubd", every)
    mbr = _enter(scratch, "mbr", "vudevmbr", every)
    cow = _enter(scratch, "cow", "vudevubd", every, ":cow={}.cow")
    qcow2 = _enter(scratch, "qcow2", "vudevqcow2", (READ, CHECKED)) if tool("qemu-img") else None
    mounted = _enter(scratch, MOUNTED, "vudevubd", BESIDE)
    loop = [] if os.geteuid() == 0 and os.path.exists("/dev/loop-control") else None
    return [
        Column(LOOP, "the kernel's loop device", loop, disk=f"{scratch.root}/{LOOP}/{{}}"),
        Column("raw", "a raw image", raw, disk="/dev/hd{}"),
        Column("mbr", "a partition", mbr, disk="/dev/hd{}1"),
        Column("cow", "a COW disk", cow, disk="/dev/hd{}"),
        Column("qcow2", "qcow2", qcow2, disk="/dev/hd{}"),
        Column(
            MOUNTED, "a disk mounted, plain file", mounted, disk=f"{scratch.root}/{MOUNTED}/{{}}"
        ),
    ]


def _enter(
    scratch: Scratch, key: str, kind: str, letters: Iterable[str], options: str = ""
) -> list[str] | None:
    """Into a view with these disks of a column; in `options` the braces are the image."""
    mounts = []
    for letter in letters:
        image = f"{scratch.root}/{key}/{letter}"
        mounts += ["-m", f"{kind}:{image}:/dev/hd{letter}{options.format(image)}"]
    return enter(tool("pyview"), "-N", "-p", "vudev", *mounts, "--")


def make(scratch: Scratch, keys: Iterable[str], content: str) -> None:
    """The disks of the columns `keys`; the one that is checked holds a copy of `content`.

    Errors: subprocess.CalledProcessError, OSError.
    """
    images = {letter: scratch.root / "images" / letter for letter in IMAGES}
    scratch.command("mkdir", "images")
    for letter, size in IMAGES.items():
        scratch.command("truncate", "-s", f"{size}M", str(images[letter]))
    for letter in (READ, WRITTEN):
        _copy(scratch, Path("/dev/urandom"), images[letter], f"count={IMAGES[letter]}")
    scratch.command(found("mkfs.ext4"), "-q", "-F", "-d", content, str(images[CHECKED]))
    for key in keys:
        scratch.command("mkdir", key)
        for letter, image in images.items():
            own = scratch.root / key / letter
            if key == "mbr":
                _partitioned(scratch, image, own, IMAGES[letter])
            elif key == "qcow2":
                scratch.command("qemu-img", "convert", "-O", "qcow2", str(image), str(own))
            elif key == LOOP:
                file = own.with_suffix(".img")
                _copy(scratch, image, file)
                scratch.attach(file, own)
            else:
                _copy(scratch, image, own)
        if key == MOUNTED:
            _copy(scratch, images[READ], scratch.root / key / BESIDE)


def _partitioned(scratch: Scratch, image: Path, disk: Path, size: int) -> None:
    """A disk whose only partition is of `size` MiB and holds the image."""
    scratch.command("truncate", "-s", f"{size + 1}M", str(disk))
    entry = struct.pack("<B3xB3xII", 0, LINUX, START, size * MIB // SECTOR)
    with disk.open("r+b") as file:
        file.seek(SECTOR - 2 - 4 * len(entry))
        file.write(entry.ljust(4 * len(entry), b"\0") + b"\x55\xaa")
    _copy(scratch, image, disk, "seek=1")


def _copy(scratch: Scratch, source: Path, target: Path, *operands: str) -> None:
    """All of it, or what dd's operands say; what is zero stays a hole."""
    how = ("bs=1M", "conv=notrunc,sparse", "iflag=fullblock", "status=none")
    scratch.command("dd", f"if={source}", f"of={target}", *how, *operands)
