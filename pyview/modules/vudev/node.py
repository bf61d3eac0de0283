# SPDX-License-Identifier: GPL-2.0-or-later
"""What every device node shares: kind, permissions, owner, times and numbers, from mount options.

Knows no content.  Numbers are those that Linux gives to a device of that name
(Documentation/admin-guide/devices.txt), so that programs take it for what it is called.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Mapping

from pyview.api import Device, Tree, attributes, refuse

IDE = (3, 22, 33, 34, 56, 57, 88, 89, 90, 91)  # two disks each
DISKS = {"sd": (8, 16), "ubd": (98, 16), "xvd": (202, 16)}  # major, minors of each disk
COUNTED = {"ram": (1, 1), "nbd": (43, 32)}  # the same, but named by a number
LOCAL = range(240, 255)  # majors for local use
MINORS = 1 << 20  # of a major
ROOM = 256  # minors of a disk that has no name known here

_next = 0  # the first number for local use that nobody has; never given twice


def fresh(count: int) -> tuple[int, int]:
    """`count` minors in a row that no other device of ours has: the first one's numbers."""
    global _next
    if _next % MINORS + count > MINORS:
        _next += MINORS - _next % MINORS
    first, _next = _next, _next + count
    return LOCAL[first // MINORS % len(LOCAL)], first % MINORS


def usual(name: str) -> tuple[int, int, int] | None:
    """Major, first minor and count of minors of the disk that is called `name`; None: unknown."""
    if found := re.fullmatch(r"([a-z]+)([a-z])", name):
        prefix, index = found[1], ord(found[2]) - ord("a")
        if prefix == "hd" and index < 2 * len(IDE):
            return IDE[index // 2], index % 2 * 64, 64
        if prefix in DISKS and index < 16:
            major, count = DISKS[prefix]
            return major, index * count, count
    found = re.fullmatch(r"([a-z]+)(0|[1-9][0-9]?)", name)
    if found and found[1] in COUNTED:
        major, count = COUNTED[found[1]]
        return major, int(found[2]) * count, count
    return None


class Node(Device):
    """A device node.

    below  the view as it stood before the mount
    name   what sysfs calls it: its name in /dev, "!" for "/"; else its last name; "" until mounted
    minors how many minors from its own on are its own
    """

    name = ""
    minors = 1
    _looks: tuple[object, os.stat_result] | None = None  # what attributes were made of, and they

    def __init__(
        self,
        below: Tree,
        *,
        mode: str = "",
        uid: int = -1,
        gid: int = -1,
        major: int = -1,
        minor: int = -1,
        char: bool = False,
        block: bool = False,
    ) -> None:
        """Errors: EINVAL for permissions that are not octal, numbers out of range, char and block.

        `mode` is octal, as for chmod(1); the owner is the view's unless `uid` and `gid` tell.
        """
        if char and block:
            raise refuse(errno.EINVAL, "char,block")
        if not re.fullmatch("(0o)?[0-7]{0,4}", mode):
            raise refuse(errno.EINVAL, f"mode={mode}")
        for word, number, most in (("major", major, 0xFFF), ("minor", minor, MINORS - 1)):
            if not -1 <= number <= most:
                raise refuse(errno.EINVAL, f"{word}={number}")
        self.below = below
        if char or block:
            self.kind = stat.S_IFCHR if char else stat.S_IFBLK
        if mode:
            self.mode = int(mode, 8)
        self.uid = os.getuid() if uid < 0 else uid
        self.gid = os.getgid() if gid < 0 else gid
        self._wanted = major, minor
        self.atime_ns = self.mtime_ns = self.ctime_ns = time.time_ns()

    # -- attributes ------------------------------------------------------------------------------
    def lstat(self, path: str) -> os.stat_result:
        if path != "/":
            raise refuse(errno.ENOTDIR, path)
        times = self.atime_ns, self.mtime_ns, self.ctime_ns
        now = self.kind | self.mode, self.uid, self.gid, self.number, times
        if self._looks is None or self._looks[0] != now:
            self._looks = now, attributes(
                self.kind | self.mode,
                uid=self.uid,
                gid=self.gid,
                rdev=os.makedev(*self.number),
                atime_ns=self.atime_ns,
                mtime_ns=self.mtime_ns,
                ctime_ns=self.ctime_ns,
            )  # fmt: skip
        return self._looks[1]

    def chmod(self, path: str, mode: int) -> None:
        self.mode, self.ctime_ns = stat.S_IMODE(mode), time.time_ns()

    def chown(self, path: str, uid: int, gid: int) -> None:
        self.uid = self.uid if uid == -1 else uid
        self.gid = self.gid if gid == -1 else gid
        self.ctime_ns = time.time_ns()

    def utime(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        self.atime_ns = self.atime_ns if atime_ns is None else atime_ns
        self.mtime_ns = self.mtime_ns if mtime_ns is None else mtime_ns
        self.ctime_ns = time.time_ns()

    # -- numbers ---------------------------------------------------------------------------------
    def companions(self, target: str) -> Mapping[str, Tree]:
        """None; but from its first place the device has its numbers."""
        if not self.name:
            self.number = self._choose(target)
        inside = target.removeprefix("/dev/")
        self.name = inside.replace("/", "!") if inside != target else target.rpartition("/")[2]
        return {}

    def _choose(self, target: str) -> tuple[int, int]:
        """Numbers for the node at `target`, which no other device in sight has."""
        major, minor = self._wanted
        if major >= 0 and minor >= 0:
            self.minors = min(ROOM, MINORS - minor)
            return major, minor
        known = usual(target.removeprefix("/dev/"))
        if known is not None and not self._seen(known[0], known[1]):
            chosen, self.minors = known[:2], known[2]
        else:
            chosen, self.minors = fresh(ROOM), ROOM
        return (major if major >= 0 else chosen[0]), (minor if minor >= 0 else chosen[1])

    def _seen(self, major: int, minor: int) -> bool:
        """Whether sysfs, as it stood before the mount, knows a block device of these numbers."""
        try:
            self.below.lstat(f"/sys/dev/block/{major}:{minor}")
        except OSError:
            return False
        return True
