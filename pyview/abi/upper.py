# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout of an upper directory: what a copy-on-write view writes, and who reads it expects.

The changed names lie in UPPER under their own paths.  What an inode is to the view stands in
extended attributes of its own, so it survives a rename and is shared by hard links:

    user.view      "type mode uid gid rdev ino": what stat(2) shows; ino 0 for a new object
    user.view.o    this directory hides the lower one of its name
    user.view.r    this directory shows the lower directory of this path ("/a/b")
    user.view.m    only the attributes were copied up: the data is still in this lower file
    user.view.n    the number of names that the view shows
    user.view.w    this empty file is a whiteout, where mknod(2) was refused
    user.view.x.N  the attribute N, of another name space than user

Where the file system has no attributes of users, they are in a log instead: .-/labels
(pyview/modules/viewfs/sidecar.py).

A whiteout is a character device 0:0.  Symbolic links and special files are regular files (of a
link, the data is its target).  UPPER/.- is the view's own: locks, the index, files being made.
Source: overlayfs.rst of the kernel, which has the same ideas.
"""

from __future__ import annotations

import stat

OWN = b".-"  # hidden at the root of the upper, and nowhere else
LABELS = b"labels"  # in OWN: what the attributes would say, where the file system has none
OTHERS = OWN + b"/others"  # what a program of the view keeps there is no affair of the view's
INDEX = b".-/i"

RECORD = "user.view"
OPAQUE = "user.view.o"
REDIRECT = "user.view.r"
DATA = "user.view.m"
LINKS = "user.view.n"
WHITEOUT = "user.view.w"
FOREIGN = "user.view.x."

KINDS = {
    "f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "c": stat.S_IFCHR,
    "b": stat.S_IFBLK, "p": stat.S_IFIFO, "s": stat.S_IFSOCK,
}  # fmt: skip
KIND_OF = {value: key for key, value in KINDS.items()}


class Record:
    """What `user.view` says: kind (a key of KINDS), permission bits, owner, device, lower inode."""

    __slots__ = ("gid", "ino", "kind", "mode", "rdev", "uid")

    def __init__(
        self, kind: str, mode: int, uid: int, gid: int, rdev: int = 0, ino: int = 0
    ) -> None:
        self.kind, self.mode, self.uid, self.gid = kind, mode, uid, gid
        self.rdev, self.ino = rdev, ino

    def format(self) -> bytes:
        """The attribute's value."""
        return f"{self.kind} {self.mode:o} {self.uid} {self.gid} {self.rdev} {self.ino}".encode()

    @classmethod
    def parse(cls, value: bytes) -> Record:
        """Read a value.  Raises ValueError when it is none."""
        kind, mode, uid, gid, rdev, ino = value.decode().split()[:6]
        if kind not in KINDS:
            raise ValueError(f"{kind}: no type of file")
        return cls(kind, int(mode, 8), int(uid), int(gid), int(rdev), int(ino))


def index_name(dev: int, ino: int) -> bytes:
    """The entry of the index for a lower inode with several names."""
    return b"%s/%x-%x" % (INDEX, dev, ino)


def is_own(name: str) -> bool:
    """True for an attribute that is the view's, not its programs'."""
    return name == RECORD or name.startswith(RECORD + ".")
