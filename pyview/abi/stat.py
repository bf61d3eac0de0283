# SPDX-License-Identifier: GPL-2.0-or-later
"""struct stat, struct statx and struct statfs of x86-64: stat(2), statx(2), statfs(2)."""

from __future__ import annotations

import os
import struct

_STAT = struct.Struct("=QQQIII4xQqqqqqqqqq24x")
_STATX = struct.Struct("=IIQIIIHHQQQQ")  # up to stx_attributes_mask
_TIME = struct.Struct("=qIi")
_STATX_END = struct.Struct("=IIIIQ")  # rdev, dev, mnt_id
STATX_SIZE = 256
STAT_OWNER, STATX_OWNER = 28, 20  # where st_uid, st_gid stand
STATX_BASIC_STATS, STATX_MNT_ID = 0x7FF, 0x1000
_STATFS = struct.Struct("=qqQQQQQii qqq32x")
BILLION = 10**9


def pack_stat(st: os.stat_result) -> bytes:
    """struct stat, 144 bytes."""
    times: list[int] = []
    for ns in (st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns):
        times += divmod(ns, BILLION)
    return _STAT.pack(
        st.st_dev, st.st_ino, st.st_nlink, st.st_mode, st.st_uid, st.st_gid,
        st.st_rdev, st.st_size, st.st_blksize, st.st_blocks, *times,
    )  # fmt: skip


def pack_statx(st: os.stat_result, mount: int = 0) -> bytes:
    """struct statx, 256 bytes: the basic attributes, and a mount's number if there is one."""
    mask = STATX_BASIC_STATS | (STATX_MNT_ID if mount else 0)
    head = _STATX.pack(
        mask, st.st_blksize, 0, st.st_nlink, st.st_uid, st.st_gid, st.st_mode, 0,
        st.st_ino, st.st_size, st.st_blocks, 0,
    )  # fmt: skip
    times = b"".join(
        _TIME.pack(*divmod(ns, BILLION), 0)
        for ns in (st.st_atime_ns, 0, st.st_ctime_ns, st.st_mtime_ns)
    )
    devices = _STATX_END.pack(
        os.major(st.st_rdev), os.minor(st.st_rdev), os.major(st.st_dev), os.minor(st.st_dev), mount
    )
    return (head + times + devices).ljust(STATX_SIZE, b"\0")


def pack_statfs(found: os.statvfs_result, kind: int) -> bytes:
    """struct statfs, 120 bytes; `kind` is f_type, a magic number."""
    return _STATFS.pack(
        kind, found.f_bsize, found.f_blocks, found.f_bfree, found.f_bavail, found.f_files,
        found.f_ffree, (found.f_fsid or 0) & 0x7FFFFFFF, 0, found.f_namemax, found.f_frsize,
        found.f_flag,
    )  # fmt: skip
