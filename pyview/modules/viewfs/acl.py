# SPDX-License-Identifier: GPL-2.0-or-later
"""POSIX access control lists as the kernel takes them: acl(5), Linux posix_acl_xattr.h."""

from __future__ import annotations

import errno
import struct

from pyview.api import refuse

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
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


def inherited(value: bytes, mode: int) -> tuple[bytes | None, int]:
    """What a new file has where the directory has this default list: its own list, and its mode.

    `mode` is what was asked for, without the umask: acl(5), object creation.  None: the mode says
    all.  Errors: EINVAL, EOPNOTSUPP.
    """
    mode_of(value, mode)  # is it a list?
    entries = [list(entry) for entry in _ENTRY.iter_unpack(value[4:])]
    tags = {entry[0] for entry in entries}
    of_group = MASK if MASK in tags else GROUP_OBJ
    for entry in entries:
        shift = {USER_OBJ: 6, of_group: 3, OTHER: 0}.get(entry[0])
        if shift is not None:
            entry[1] &= mode >> shift & 7
            mode = mode & ~(7 << shift) | entry[1] << shift
    made = value[:4] + b"".join(_ENTRY.pack(*entry) for entry in entries)
    return (made if len(entries) > 3 else None), mode
