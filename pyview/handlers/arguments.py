# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel checks of a call before it looks up a name: its error then comes first.

cf. Linux fs/namei.c, fs/open.c, fs/utimes.c, fs/xattr.c: the beginnings of the calls.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from typing import NamedTuple

from pyview.abi.stat import BILLION
from pyview.abi.words import as_fd, signed
from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.syscalls import Role

AT_NOFOLLOW, AT_REMOVEDIR, AT_EACCESS, AT_FOLLOW = 0x100, 0x200, 0x200, 0x400
AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_SYNC_TYPE = 0x800, 0x1000, 0x6000
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
O_PATH, TMPFILE_BIT = 0o10000000, 0o20000000
O_PATH_FLAGS = O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FLAGS = 0o37777703  # VALID_OPEN_FLAGS: openat2 refuses any other, open forgets it
RESOLVE_SCOPED, RESOLVE_CACHED, RESOLVE_KNOWN = 0x18, 0x20, 0x3F
HOW_SIZE, PAGE = 24, 4096  # bytes
XATTR_NAME_MAX, XATTR_SIZE_MAX, XATTR_KNOWN = 255, 65536, 3
XATTR_ARGS = struct.Struct("=QII")  # value, size, flags
STATX_RESERVED = 0x80000000
Times = tuple[int | None, int | None]

#: The calls of a kind that have flags: where, and which they know.
_FLAGS = {
    "newfstatat": (3, AT_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_SYNC_TYPE),
    "statx": (2, AT_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_SYNC_TYPE),
    "faccessat2": (3, AT_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH),
    "fchmodat2": (3, AT_NOFOLLOW | AT_EMPTY_PATH),
    "fchownat": (4, AT_NOFOLLOW | AT_EMPTY_PATH),
    "linkat": (4, AT_FOLLOW | AT_EMPTY_PATH),
    "unlinkat": (2, AT_REMOVEDIR),
    "renameat2": (4, RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT),
    "utimensat": (3, AT_NOFOLLOW | AT_EMPTY_PATH),
    "setxattr": (4, 3),
    "lsetxattr": (4, 3),
    "fsetxattr": (4, 3),
    "getxattrat": (2, AT_NOFOLLOW | AT_EMPTY_PATH),
    "setxattrat": (2, AT_NOFOLLOW | AT_EMPTY_PATH),
    "listxattrat": (2, AT_NOFOLLOW | AT_EMPTY_PATH),
    "removexattrat": (2, AT_NOFOLLOW | AT_EMPTY_PATH),
}


def check(caller: Caller) -> None:
    """Raise what is wrong with the arguments whatever the name leads to."""
    if caller.call.name in ("getxattrat", "setxattrat"):
        _attribute_words(caller)
    if caller.call.name == "utimensat" and leaves_times(caller):
        return
    at, known = _FLAGS.get(caller.call.name, (0, -1))
    if caller.args[at] & ~known & 0xFFFFFFFF:
        raise refuse(errno.EINVAL)
    test = _TESTS.get(caller.call.op)
    if test is not None:
        test(caller)


def owner(word: int) -> int:
    """A user or group as chown(2) is given it, -1 for no change."""
    number = word & 0xFFFFFFFF
    return -1 if number == 0xFFFFFFFF else number


def check_open(caller: Caller, flags: int) -> None:
    """What is wrong with the flags of an open: Linux fs/open.c:build_open_flags.

    Errors: EINVAL.
    """
    if flags & O_PATH and caller.call.name != "openat2":
        return  # open(2) forgets what does not go with it
    if flags & TMPFILE_BIT:
        if flags & (os.O_TMPFILE | os.O_CREAT) != os.O_TMPFILE or not flags & os.O_ACCMODE:
            raise refuse(errno.EINVAL)
    elif flags & os.O_CREAT and flags & os.O_DIRECTORY:
        raise refuse(errno.EINVAL)


def check_how(caller: Caller) -> int:
    """The struct open_how of an openat2; its `resolve`.  fs/open.c:do_sys_openat2.

    Errors: EINVAL, E2BIG, EFAULT, EAGAIN.
    """
    size = caller.args[3]
    if not HOW_SIZE <= size <= PAGE:
        raise refuse(errno.EINVAL if size < HOW_SIZE else errno.E2BIG)
    how = caller.peek(caller.args[2], size)
    if len(how) < size:
        raise refuse(errno.EFAULT)
    if any(how[HOW_SIZE:]):
        raise refuse(errno.E2BIG)
    flags, mode, resolve = struct.unpack_from("=QQQ", how)
    makes = flags & (os.O_CREAT | TMPFILE_BIT)
    wrong = flags & ~OPEN_FLAGS or resolve & ~RESOLVE_KNOWN
    wrong = wrong or resolve & RESOLVE_SCOPED == RESOLVE_SCOPED
    if wrong or mode & (~0o7777 if makes else -1) or (flags & O_PATH and flags & ~O_PATH_FLAGS):
        raise refuse(errno.EINVAL)
    if resolve & RESOLVE_CACHED and (makes or flags & os.O_TRUNC):
        raise refuse(errno.EAGAIN)
    return int(resolve)


def check_mask(caller: Caller) -> None:
    """What statx(2) is asked for.  Errors: EINVAL."""
    if caller.call.name == "statx":
        flags, mask = caller.args[2], caller.args[3]
        if mask & STATX_RESERVED or flags & AT_SYNC_TYPE == AT_SYNC_TYPE:
            raise refuse(errno.EINVAL)


def _access(caller: Caller) -> None:
    if caller.args[1 if caller.call.name == "access" else 2] & ~7 & 0xFFFFFFFF:
        raise refuse(errno.EINVAL)


def _readlink(caller: Caller) -> None:
    if as_fd(caller.args[caller.call.arg(Role.OUT) + 1]) <= 0:
        raise refuse(errno.EINVAL)


def _truncate(caller: Caller) -> None:
    if signed(caller.args[1]) < 0:
        raise refuse(errno.EINVAL)


def _mknod(caller: Caller) -> None:
    kind = stat.S_IFMT(caller.args[caller.call.arg(Role.MODE)] & 0xFFFF)
    if kind == stat.S_IFDIR:
        raise refuse(errno.EPERM)
    if kind not in (0, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
        raise refuse(errno.EINVAL)


def _symlink(caller: Caller) -> None:
    if not caller.text(caller.args[0]):
        raise refuse(errno.ENOENT)


def _rename(caller: Caller) -> None:
    flags = caller.args[4] if caller.call.name == "renameat2" else 0
    if flags & RENAME_EXCHANGE and flags & (RENAME_NOREPLACE | RENAME_WHITEOUT):
        raise refuse(errno.EINVAL)


# -- times ---------------------------------------------------------------------------------------


def _given_times(caller: Caller) -> bytes:
    """What the call points to; b"" for now."""
    address = caller.args[caller.call.arg(Role.STRUCT_IN)]
    size = 16 if caller.call.name == "utime" else 32
    data = caller.peek(address, size) if address else b""
    if address and len(data) < size:
        raise refuse(errno.EFAULT)
    return data


def _utimens(caller: Caller) -> None:
    if caller.call.name == "utimensat":
        _given_times(caller)  # its nanoseconds are looked at later
    else:
        times(caller)


def leaves_times(caller: Caller) -> bool:
    """Whether utimensat(2) is to change nothing: its name may then lead nowhere."""
    data = _given_times(caller)
    if not data or caller.call.name != "utimensat":
        return False
    _, first, _, second = struct.unpack("=qqqq", data)
    return bool(first == second == UTIME_OMIT)


def is_now(caller: Caller) -> bool:
    """Whether it is to set both times to the present: who may write a file may do that."""
    data = _given_times(caller)
    if not data or caller.call.name != "utimensat":
        return not data
    _, first, _, second = struct.unpack("=qqqq", data)
    return bool(first == second == UTIME_NOW)


def times(caller: Caller) -> Times:
    """What a call of the utime family wants, ns since the epoch; None: left as it is.

    Errors: EFAULT, EINVAL.
    """
    data, now = _given_times(caller), caller.now()
    if not data:
        return now, now
    name = caller.call.name
    if name == "utime":
        first, second = struct.unpack("=qq", data)
        return first * BILLION, second * BILLION
    s1, part1, s2, part2 = struct.unpack("=qqqq", data)
    if name != "utimensat":
        if not (0 <= part1 < 10**6 and 0 <= part2 < 10**6):
            raise refuse(errno.EINVAL)
        return s1 * BILLION + part1 * 1000, s2 * BILLION + part2 * 1000
    return _moment(s1, part1, now), _moment(s2, part2, now)


def _moment(seconds: int, ns: int, now: int) -> int | None:
    if ns == UTIME_NOW:
        return now
    if ns == UTIME_OMIT:
        return None
    if not 0 <= ns < BILLION:
        raise refuse(errno.EINVAL)
    return seconds * BILLION + ns


# -- extended attributes -------------------------------------------------------------------------


class Attribute(NamedTuple):
    """Where a call of the xattr family has, or wants, a value or a list; and setxattr's flags."""

    address: int
    size: int
    flags: int = 0


def attribute(caller: Caller) -> Attribute:
    """The arguments of such a call behind the name.  Errors: EINVAL, E2BIG, EFAULT."""
    name, args = caller.call.name, caller.args
    if name in ("getxattrat", "setxattrat"):
        return _attribute_words(caller)
    at = {"getxattr": 2, "setxattr": 2, "listxattr": 1}[caller.call.op]
    at += 2 if name == "listxattrat" else 0
    flags = as_fd(args[4]) if caller.call.op == "setxattr" else 0
    return Attribute(args[at], args[at + 1], flags)


def _attribute_words(caller: Caller) -> Attribute:
    """A struct xattr_args: Linux fs/xattr.c.  Errors: EINVAL, E2BIG, EFAULT."""
    size = caller.args[5]
    if not XATTR_ARGS.size <= size <= PAGE:
        raise refuse(errno.EINVAL if size < XATTR_ARGS.size else errno.E2BIG)
    data = caller.peek(caller.args[4], size)
    if len(data) < size:
        raise refuse(errno.EFAULT)
    if any(data[XATTR_ARGS.size :]):
        raise refuse(errno.E2BIG)
    found = Attribute(*XATTR_ARGS.unpack_from(data))
    if found.flags & ~(0 if caller.call.op == "getxattr" else XATTR_KNOWN):
        raise refuse(errno.EINVAL)
    return found


def attribute_name(caller: Caller) -> str:
    """The name of an extended attribute.  Errors: ERANGE, EFAULT."""
    at = 3 if caller.call.name.endswith("xattrat") else 1
    data = caller.peek(caller.args[at], XATTR_NAME_MAX + 1)
    name, end, _ = data.partition(b"\0")
    if not end and len(data) <= XATTR_NAME_MAX:
        raise refuse(errno.EFAULT)
    if not name or not end:
        raise refuse(errno.ERANGE)
    return os.fsdecode(name)


def attribute_value(caller: Caller) -> bytes:
    """The value to be set.  Errors: E2BIG, EFAULT."""
    address, size, _ = attribute(caller)
    if size > XATTR_SIZE_MAX:
        raise refuse(errno.E2BIG)
    data = caller.peek(address, size) if size else b""
    if len(data) < size:
        raise refuse(errno.EFAULT)
    return data


def _attribute(caller: Caller) -> None:
    if caller.call.op != "listxattr":
        attribute_name(caller)
    if caller.call.op == "setxattr":
        attribute_value(caller)


_TESTS: dict[str, Callable[[Caller], object]] = {
    "stat": check_mask,
    "access": _access,
    "readlink": _readlink,
    "truncate": _truncate,
    "mknod": _mknod,
    "symlink": _symlink,
    "rename": _rename,
    "utimens": _utimens,
    "getxattr": _attribute,
    "setxattr": _attribute,
    "listxattr": _attribute,
    "removexattr": _attribute,
}
