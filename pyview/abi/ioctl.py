# SPDX-License-Identifier: GPL-2.0-or-later
"""ioctl(2) requests: their numbers, and how much of the caller's memory each of them reads.

cf. linux/ioctl.h, linux/fs.h, linux/blkpg.h, linux/hdreg.h, Linux block/ioctl.c.  Numbers from
before _IOC tell neither direction nor size, and some of the later ones tell the wrong size.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

LONGEST = 4096  # bytes that a request of those that don't tell can be about
WRITE, READ = 1, 2  # _IOC_WRITE, _IOC_READ: as the caller sees it


def number(direction: int, kind: int, index: int, size: int = 0) -> int:
    """A request as _IOC() makes it; `size` in bytes."""
    return direction << 30 | size << 16 | kind << 8 | index


#: Requests that change a file through any descriptor of it: FS_IOC_SETFLAGS, FS_IOC_SETVERSION,
#: FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY, FS_IOC_SET_ENCRYPTION_POLICY.
CHANGES_FILE = (0x40086602, 0x40087602, 0x401C5820, 0x40806685, 0x800C6613)

BLKROSET = number(0, 0x12, 93)  # int *
BLKROGET = number(0, 0x12, 94)  # int *
BLKRRPART = number(0, 0x12, 95)  # no argument
BLKGETSIZE = number(0, 0x12, 96)  # unsigned long *: sectors of 512 bytes
BLKFLSBUF = number(0, 0x12, 97)  # no argument
BLKRASET = number(0, 0x12, 98)  # unsigned long: sectors of 512 bytes
BLKRAGET = number(0, 0x12, 99)  # long *
BLKFRASET = number(0, 0x12, 100)  # as BLKRASET
BLKFRAGET = number(0, 0x12, 101)  # as BLKRAGET
BLKSECTGET = number(0, 0x12, 103)  # unsigned short *: sectors of 512 bytes
BLKSSZGET = number(0, 0x12, 104)  # int *: bytes
BLKPG = number(0, 0x12, 105)  # struct blkpg_ioctl_arg *
BLKBSZGET = number(READ, 0x12, 112, 8)  # int *, whatever its number says: bytes
BLKBSZSET = number(WRITE, 0x12, 113, 8)  # int *, the same
BLKGETSIZE64 = number(READ, 0x12, 114, 8)  # uint64_t *: bytes
BLKTRACESTART = number(0, 0x12, 116)  # no argument
BLKTRACESTOP = number(0, 0x12, 117)  # no argument
BLKTRACETEARDOWN = number(0, 0x12, 118)  # no argument
BLKDISCARD = number(0, 0x12, 119)  # uint64_t[2]: offset, length in bytes
BLKIOMIN = number(0, 0x12, 120)  # unsigned *: bytes
BLKIOOPT = number(0, 0x12, 121)  # unsigned *: bytes
BLKALIGNOFF = number(0, 0x12, 122)  # int *: bytes
BLKPBSZGET = number(0, 0x12, 123)  # unsigned *: bytes
BLKDISCARDZEROES = number(0, 0x12, 124)  # unsigned *
BLKSECDISCARD = number(0, 0x12, 125)  # uint64_t[2]: as BLKDISCARD
BLKROTATIONAL = number(0, 0x12, 126)  # unsigned short *
BLKZEROOUT = number(0, 0x12, 127)  # uint64_t[2]: as BLKDISCARD
BLKGETDISKSEQ = number(READ, 0x12, 128, 8)  # uint64_t *
BLKGETZONESZ = number(READ, 0x12, 132, 4)  # uint32_t *: sectors of 512 bytes
BLKGETNRZONES = number(READ, 0x12, 133, 4)  # uint32_t *
HDIO_GETGEO = 0x0301  # struct hd_geometry *
FIBMAP = number(0, 0, 1)  # int *, both ways
FIGETBSZ = number(0, 0, 2)  # int *: bytes
FICLONE = number(WRITE, 0x94, 9, 4)  # a descriptor, not a pointer
FICLONERANGE = number(WRITE, 0x94, 13, 32)  # struct file_clone_range
FIDEDUPERANGE = number(READ | WRITE, 0x94, 54, 24)  # struct file_dedupe_range
EXT4_IOC_MOVE_EXT = number(READ | WRITE, 0x66, 15, 40)  # struct move_extent
FIOCLEX, FIONCLEX = 0x5451, 0x5450  # no argument
FIONBIO, FIOASYNC = 0x5421, 0x5452  # int *
FIONREAD = 0x541B  # int *
CDROM_DRIVE_STATUS, CDROM_GET_CAPABILITY = 0x5326, 0x5331  # a slot; no argument
#: These name another descriptor of the caller's, who alone could mean it.
OF_TWO_FILES = frozenset((FICLONE, FICLONERANGE, FIDEDUPERANGE, EXT4_IOC_MOVE_EXT))

BLKPG_ADD_PARTITION, BLKPG_DEL_PARTITION, BLKPG_RESIZE_PARTITION = 1, 2, 3

#: What changes at most the bytes of a device, and nothing of what it says of itself.
ABOUT_BYTES = frozenset((BLKDISCARD, BLKSECDISCARD, BLKZEROOUT, BLKFLSBUF))
_BY_VALUE = frozenset(
    (
        *(BLKRRPART, BLKFLSBUF, BLKRASET, BLKFRASET),
        *(BLKTRACESTART, BLKTRACESTOP, BLKTRACETEARDOWN),
        *(FICLONE, FIOCLEX, FIONCLEX),
        *(CDROM_DRIVE_STATUS, CDROM_GET_CAPABILITY),
        *(0x5409, 0x540A, 0x540B),  # TCSBRK, TCXONC, TCFLSH
        *(0x540C, 0x540D, 0x540E, 0x5422, 0x5425),  # TIOCEXCL, -NXCL, -SCTTY, -NOTTY, TCSBRKP
    )
)
_PG = struct.Struct("=iii4xQ")  # struct blkpg_ioctl_arg: op, flags, datalen, data
_PG_ROOM = 152  # sizeof(struct blkpg_partition)
_PARTITION = struct.Struct("=qqi")  # its start, length, number; two names that nobody reads follow
_READS = {
    BLKROSET: 4,
    BLKBSZSET: 4,
    BLKPG: _PG.size,
    BLKDISCARD: 16,
    BLKSECDISCARD: 16,
    BLKZEROOUT: 16,
    FIBMAP: 4,
    FIONBIO: 4,
    FIOASYNC: 4,
    **dict.fromkeys((0x5402, 0x5403, 0x5404), 36),  # TCSETS, TCSETSW, TCSETSF: struct termios
    **dict.fromkeys((0x5406, 0x5407, 0x5408), 18),  # TCSETA, TCSETAW, TCSETAF: struct termio
    0x5410: 4,  # TIOCSPGRP
    0x5412: 1,  # TIOCSTI
    0x5414: 8,  # TIOCSWINSZ
    **dict.fromkeys((0x5416, 0x5417, 0x5418), 4),  # TIOCMBIS, TIOCMBIC, TIOCMSET
    0x5420: 4,  # TIOCPKT
}


def reads(request: int) -> int | None:
    """How many bytes the request reads where its argument points to.

    None: the argument is no pointer but the value itself, or there is none.  0: it only writes, or
    nothing is known of it.  After the 24 bytes that BLKPG reads come those that its nested pointer
    leads to: `nested` tells where and how many.
    """
    request &= 0xFFFFFFFF  # the kernel's type is unsigned int
    if request in _BY_VALUE:
        return None
    if request in _READS:
        return _READS[request]
    return request >> 16 & 0x3FFF if request >> 30 & WRITE else 0


def is_known(request: int) -> bool:
    """Whether more than its number says how much a request reads."""
    return request & 0xFFFFFFFF in _READS


def nested(request: int, data: bytes) -> tuple[int, int] | None:
    """What else is to be read once `data` was: its address and its length in bytes, or None.

    What is found there goes behind `data`.  The length is at most 152: struct blkpg_partition.
    """
    if request & 0xFFFFFFFF != BLKPG or len(data) < _PG.size:
        return None
    _, _, length, pointer = _PG.unpack_from(data)
    return pointer, min(max(length, 0), _PG_ROOM)


class Change(NamedTuple):
    """What BLKPG asks for; `start` and `length` in bytes."""

    operation: int
    number: int
    start: int
    length: int


def partition_change(data: bytes) -> Change | None:
    """BLKPG's argument with what it points to behind it; None when that is too short."""
    if len(data) < _PG.size + _PARTITION.size:
        return None
    operation = _PG.unpack_from(data)[0]
    start, length, index = _PARTITION.unpack_from(data, _PG.size)
    return Change(operation, index, start, length)


def pack_partition_change(change: Change, pointer: int = 0) -> bytes:
    """The same, the other way round."""
    head = _PG.pack(change.operation, 0, _PG_ROOM, pointer)
    body = _PARTITION.pack(change.start, change.length, change.number)
    return head + body.ljust(_PG_ROOM, b"\0")


def stores(request: int) -> int:
    """How many bytes a request stores at most where its argument points to, as far as it tells."""
    size = request >> 16 & 0x3FFF
    return size if request >> 30 & READ and size else LONGEST
