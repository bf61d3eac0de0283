# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a file as another one is: bytes with their holes, owner, permissions, attributes, times."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from pyview.modules.viewfs.copying import Told, copy, silent
from pyview.trying.trees import Node, Tree, attributes

#: Owner, permissions, times in ns, extended attributes; as the journal keeps them.
Attributes = dict[str, Any]


def copy_into(source: bytes, target: int, told: Told = silent) -> None:
    """Give an empty file the bytes of another.  Errors: ENOSPC, EIO, EACCES and the like."""
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if not copy(fd, target, os.fstat(fd).st_size, told):
            raise OSError(errno.EIO, "became shorter while it was copied")
    finally:
        os.close(fd)


def make(tree: Tree, path: bytes, node: Node, name: bytes, told: Told = silent) -> None:
    """Make `name` of the kind that `path` of a tree is, a directory empty; without attributes."""
    if node.kind == "f":
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_into(tree.content(path), fd, told)
        finally:
            os.close(fd)
    elif node.kind == "d":
        os.mkdir(name, 0o700)
    elif node.kind == "l":
        os.symlink(tree.target(path), name)
    elif node.kind == "p":
        os.mkfifo(name, 0o600)
    elif node.kind == "s":
        os.mknod(name, stat.S_IFSOCK | 0o600)
    else:
        kind = stat.S_IFCHR if node.kind == "c" else stat.S_IFBLK
        os.mknod(name, kind | 0o600, node.rdev)


def attributes_of(node: Node, xattrs: dict[str, bytes]) -> Attributes:
    """Those of something, for `dress`."""
    return {
        "link": node.kind == "l", "mode": node.mode, "uid": node.uid, "gid": node.gid,
        "atime": node.atime, "mtime": node.mtime,
        "xattrs": {key: value.decode("latin-1") for key, value in xattrs.items()},
    }  # fmt: skip


def dress(name: bytes, wanted: Attributes) -> None:
    """Give something its attributes; those that it has already are left alone."""
    now = os.lstat(name)
    if (now.st_uid, now.st_gid) != (wanted["uid"], wanted["gid"]):
        os.chown(name, wanted["uid"], wanted["gid"], follow_symlinks=False)
        now = os.lstat(name)  # it may have lost its set-uid bit
    if not wanted["link"]:
        _dress_xattrs(name, wanted["xattrs"])
        if stat.S_IMODE(now.st_mode) != wanted["mode"]:
            os.chmod(name, wanted["mode"])
    if now.st_mtime_ns != wanted["mtime"] or now.st_atime_ns != wanted["atime"]:
        os.utime(name, ns=(wanted["atime"], wanted["mtime"]), follow_symlinks=False)


def _dress_xattrs(name: bytes, wanted: dict[str, str]) -> None:
    have = attributes(name)
    for key in have:
        if key.startswith("user.") and key not in wanted:
            os.removexattr(name, key, follow_symlinks=False)
    for key, value in wanted.items():
        if have.get(key) != value.encode("latin-1"):
            os.setxattr(name, key, value.encode("latin-1"), follow_symlinks=False)


def remove(name: bytes) -> None:
    """Remove something with all that is in it; nothing there is fine.

    By descriptors, for it may be deep; our own directories are made writable first.
    """
    try:
        st = os.lstat(name)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(st.st_mode):
        os.unlink(name)
        return
    parent, _, last = name.rpartition(b"/")
    above = os.open(parent or b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_tree(above, last)
    finally:
        os.close(above)


def _remove_tree(above: int, name: bytes) -> None:
    """Go down one directory at a time, up again by "..": few descriptors however deep it is."""
    names, here = [name], os.dup(above)
    try:
        here = _down(here, name)
        left = [_emptied(here)]
        while names:
            if left[-1]:
                inner = left[-1].pop()
                here = _down(here, inner)
                names.append(inner)
                left.append(_emptied(here))
            else:
                here = _up(here, above if len(names) == 1 else None)
                os.rmdir(names.pop(), dir_fd=here)
                left.pop()
    finally:
        os.close(here)


def _up(here: int, above: int | None) -> int:
    """Out of a directory; the descriptor of where we are is closed."""
    if above is not None:
        outer = os.dup(above)
    else:
        outer = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
    os.close(here)
    return outer


def _down(here: int, name: bytes) -> int:
    """Into a directory; the descriptor of where we are is closed."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    st = os.stat(name, dir_fd=here, follow_symlinks=False)
    if st.st_mode & 0o700 != 0o700 and st.st_uid == os.geteuid():
        os.chmod(name, stat.S_IMODE(st.st_mode) | 0o700, dir_fd=here)
    inner = os.open(name, flags, dir_fd=here)
    os.close(here)
    return inner


def _emptied(here: int) -> list[bytes]:
    """Remove all but directories; the names of those."""
    left = []
    for entry in os.listdir(here):
        name = os.fsencode(entry)
        if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            left.append(name)
        else:
            os.unlink(name, dir_fd=here)
    return left
