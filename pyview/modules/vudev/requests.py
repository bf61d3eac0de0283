# SPDX-License-Identifier: GPL-2.0-or-later
"""The ioctls of a disk, answered from what it tells of itself.

cf. Linux block/ioctl.c, and ioctl_blk: what is not here is ENOTTY there, too.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

from pyview.abi import ioctl
from pyview.api import refuse

if TYPE_CHECKING:
    from pyview.modules.vudev.disk import Disk

SECTOR = 512  # bytes
HEADS, SECTORS = 255, 63  # the geometry that every partitioning program takes for granted
LONGEST_REQUEST = 2560  # sectors
#: What libblkid and mkfs.vfat ask to find out whether it is a CD, a loop device or a floppy disk:
#: CDROM_GET_CAPABILITY, CDROM_DRIVE_STATUS, CDROM_LAST_WRITTEN, LOOP_GET_STATUS64, FDGETFDCSTAT
#: and FDGETPRM.
_ASKED_OF_OTHERS = (0x5331, 0x5326, 0x5395, 0x4C05, 0x80280215, 0x80200204)
SOFT_BLOCKS = (512, 1024, 2048, 4096)  # bytes
IDENTITY = struct.Struct("=2xH2xH2xHH6x20s6x8s40s5xB20xI76xQ304x")  # struct hd_driveid, 512 bytes
HDIO_GET_IDENTITY, SCSI_IOCTL_GET_IDLUN = 0x030D, 0x5382
LBA = 2  # a capability

_sequences = count(1)


def next_sequence() -> int:
    """A number that no other disk of ours has: what BLKGETDISKSEQ tells."""
    return next(_sequences)


def answer(disk: Disk, request: int, data: bytes) -> bytes:
    """What `request` stores where its argument points to.  Errors: ENOTTY, and the request's."""
    if request in _ANSWERS:
        return _ANSWERS[request](disk, data)
    for told, stored in known(disk):
        if told == request and isinstance(stored, bytes):
            return stored
    raise refuse(errno.ENOTTY)


def known(disk: Disk) -> tuple[tuple[int, bytes | int], ...]:
    """What is always answered so, until some other request is made."""
    return _known(disk.size(), disk.read_only(), disk.read_ahead, disk.soft_block, disk.sequence)


@lru_cache(maxsize=64)
def _known(
    size: int, read_only: bool, read_ahead: int, soft_block: int, sequence: int
) -> tuple[tuple[int, bytes | int], ...]:
    return (
        *_CONSTANT.items(),
        *((request, errno.ENOTTY) for request in _ASKED_OF_OTHERS),
        (ioctl.BLKGETSIZE64, _long(size)),
        (ioctl.BLKGETSIZE, _long(size // SECTOR)),
        (ioctl.BLKROGET, _int(read_only)),
        (ioctl.BLKRAGET, _long(read_ahead)),
        (ioctl.BLKFRAGET, _long(read_ahead)),
        (ioctl.BLKBSZGET, _int(soft_block)),
        (ioctl.BLKGETDISKSEQ, _long(sequence)),
    )


def _int(value: int) -> bytes:
    return struct.pack("=i", value)


def _long(value: int) -> bytes:
    return struct.pack("=q", value)


def _value(data: bytes, layout: str) -> int:
    """The number that `data` begins with.  Errors: EFAULT when it is not there."""
    size = struct.calcsize(layout)
    if len(data) < size:
        raise refuse(errno.EFAULT)
    value: int = struct.unpack_from(layout, data)[0]
    return value


def _range(disk: Disk, data: bytes) -> tuple[int, int]:
    """Offset and length in bytes.  Errors: EINVAL when not whole sectors of the disk; EPERM."""
    if len(data) < 16:
        raise refuse(errno.EFAULT)
    offset, length = struct.unpack_from("=QQ", data)
    if (offset | length) % SECTOR or offset + length > disk.size():
        raise refuse(errno.EINVAL)
    if disk.read_only():
        raise refuse(errno.EPERM)
    return offset, length


def _discard(disk: Disk, data: bytes) -> bytes:
    disk.discard(*_range(disk, data))
    return b""


def _erase(disk: Disk, data: bytes) -> bytes:
    raise refuse(errno.EOPNOTSUPP)


def _zero(disk: Disk, data: bytes) -> bytes:
    offset, length = _range(disk, data)
    if not length:
        raise refuse(errno.EINVAL)
    disk.zero(offset, length)
    return b""


def _flush(disk: Disk, data: bytes) -> bytes:
    disk.fsync()
    return b""


def _set_read_only(disk: Disk, data: bytes) -> bytes:
    """Errors: EACCES to write what was mounted read-only."""
    wanted = bool(_value(data, "=i"))
    if disk.fixed and not wanted:
        raise refuse(errno.EACCES)
    disk.ro = wanted
    return b""


def _set_read_ahead(disk: Disk, data: bytes) -> bytes:
    disk.read_ahead = _value(data, "=Q") >> 3 << 3  # whole pages
    return b""


def _set_soft_block(disk: Disk, data: bytes) -> bytes:
    wanted = _value(data, "=i")
    if wanted not in SOFT_BLOCKS:
        raise refuse(errno.EINVAL)
    disk.soft_block = wanted
    return b""


def _reread(disk: Disk, data: bytes) -> bytes:
    disk.reread()
    return b""


def _change(disk: Disk, data: bytes) -> bytes:
    change = ioctl.partition_change(data)
    if change is None:
        raise refuse(errno.EFAULT)
    disk.change(change)
    return b""


def _cylinders(disk: Disk) -> int:
    return min(disk.size() // SECTOR // (HEADS * SECTORS), 0xFFFF)


def _geometry(disk: Disk, data: bytes) -> bytes:
    """struct hd_geometry: heads, sectors, cylinders, and the first sector."""
    start = disk.start() // SECTOR
    return struct.pack("=BBH4xQ", HEADS, SECTORS, _cylinders(disk), start)


def _identity(disk: Disk, data: bytes) -> bytes:
    """What an IDE disk says of itself: parted asks disks with the major of one.  Errors: ENOTTY."""
    if not disk.name.startswith("hd"):
        raise refuse(errno.ENOTTY)
    sectors = disk.size() // SECTOR
    return IDENTITY.pack(
        _cylinders(disk), HEADS, SECTOR, SECTORS, str(disk.sequence).encode().ljust(20),
        b"1".ljust(8), b"pyview disk".ljust(40), LBA, min(sectors, 0xFFFFFFF), sectors,
    )  # fmt: skip


def _place(disk: Disk, data: bytes) -> bytes:
    """Target, unit, channel and host of a SCSI disk: parted asks those with the major of one.

    Errors: ENOTTY.
    """
    if not disk.name.startswith("sd"):
        raise refuse(errno.ENOTTY)
    return bytes(8)  # struct scsi_idlun: the first one


_CONSTANT = {
    ioctl.BLKSSZGET: _int(SECTOR),
    ioctl.BLKPBSZGET: _int(SECTOR),
    ioctl.BLKIOMIN: _int(SECTOR),
    ioctl.BLKIOOPT: _int(0),
    ioctl.BLKALIGNOFF: _int(0),
    ioctl.BLKSECTGET: struct.pack("=H", LONGEST_REQUEST),
    ioctl.BLKROTATIONAL: struct.pack("=H", 0),
    ioctl.BLKDISCARDZEROES: _int(0),
    ioctl.BLKGETZONESZ: _int(0),
    ioctl.BLKGETNRZONES: _int(0),
}
_ANSWERS: dict[int, Callable[[Disk, bytes], bytes]] = {
    ioctl.BLKROSET: _set_read_only,
    ioctl.BLKRASET: _set_read_ahead,
    ioctl.BLKFRASET: _set_read_ahead,
    ioctl.BLKBSZSET: _set_soft_block,
    ioctl.BLKFLSBUF: _flush,
    ioctl.BLKDISCARD: _discard,
    ioctl.BLKSECDISCARD: _erase,
    ioctl.BLKZEROOUT: _zero,
    ioctl.BLKRRPART: _reread,
    ioctl.BLKPG: _change,
    ioctl.HDIO_GETGEO: _geometry,
    HDIO_GET_IDENTITY: _identity,
    SCSI_IOCTL_GET_IDLUN: _place,
}
