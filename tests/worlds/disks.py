# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are disks, and file systems that are the same each time they are made."""

from __future__ import annotations

UUID = "8f8b2d8e-0000-4000-8000-123456789abc"
SAME = {"E2FSPROGS_FAKE_TIME": "1600000000", "UUID": UUID}
MKE2FS = f"mke2fs -q -F -t ext4 -U {UUID} -E hash_seed={UUID},nodiscard"
E2FS = ("mke2fs", "e2fsck", "debugfs")


def make(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def piece(path, start, sectors):
    """Bytes of a file, in sectors of 512 bytes."""
    with open(path, "rb") as file:
        file.seek(start * 512)
        return file.read(sectors * 512)


#: How a disk is mounted on /dev/hda whose bytes are those of a file `image`, or nobody's.
DISKS = {
    "raw": "mount -t vudevubd image /dev/hda",
    "partition": "mount -t vudevmbr image /dev/hda",
    "cow": "mount -t vudevubd -o cow=my.cow image /dev/hda",
    "partition of cow": "mount -t vudevubd -o cow=my.cow image /dev/ub && "
    "mount -t vudevmbr /dev/ub /dev/hda",
    "cow of cow": "mount -t vudevubd -o cow=low.cow image /dev/ub && "
    "mount -t vudevubd -o cow=high.cow /dev/ub /dev/hda",
    "memory": "mount -t vudevramdisk -o size=3M none /dev/hda",
}
