# SPDX-License-Identifier: GPL-2.0-or-later
"""POSIX access control lists as the kernel takes them: acl(5), Linux posix_acl_xattr.h."""

from __future__ import annotations

import errno
import struct

from pyview.api import refuse

ACCESS = "system.posix_acl_access"
VERSION = 2
USER_OBJ, GROUP_OBJ, MASK, OTHER = 0x01, 0x04, 0x10, 0x20
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id


def mode_of(value: bytes, mode: int) -> tuple[int, bool]:
    """The permission bits that an access list gives to a file of this mode.

    With it comes whether the list says no more than these bits.  Errors: EINVAL, EOPNOTSUPP.
    """
    if len(value) < 4 or (len(value) - 4) % _ENTRY.size:
        raise refuse(errno.EINVAL)
    if int.from_bytes(value[:4], "little") != VERSION:
        raise refuse(errno.EOPNOTSUPP)
    entries = {tag: rights for tag, rights, _ in _ENTRY.iter_unpack(value[4:])}
    if not {USER_OBJ, GROUP_OBJ, OTHER} <= entries.keys():
        raise refuse(errno.EINVAL)
    group = entries.get(MASK, entries[GROUP_OBJ])
    bits = entries[USER_OBJ] << 6 | group << 3 | entries[OTHER]
    return mode & ~0o777 | bits & 0o777, len(entries) == 3
