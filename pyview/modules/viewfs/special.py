# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own in the place of special files, which are only files in the upper."""

from __future__ import annotations

import os
import stat

from pyview.api import Tree
from pyview.modules.viewfs.upper import Inode, Upper

_WELL_KNOWN = {
    ("char", "1:3"): "/dev/null", ("char", "1:5"): "/dev/zero", ("char", "1:7"): "/dev/full",
    ("char", "1:8"): "/dev/random", ("char", "1:9"): "/dev/urandom", ("char", "5:0"): "/dev/tty",
}  # fmt: skip


def pipe_for(upper: Upper, inode: Inode) -> str:
    """A FIFO of the kernel for one that only has its attributes here."""
    name = upper.private(f"p{inode.key[1]:x}")
    try:
        os.mkfifo(name, 0o600)
    except FileExistsError:
        pass
    return name


def device_for(world: Tree, inode: Inode) -> str | None:
    """The real user's device with these numbers, if there is one."""
    kind = "char" if stat.S_ISCHR(inode.mode) else "block"
    number = f"{os.major(inode.rdev)}:{os.minor(inode.rdev)}"
    for name in (f"/dev/{kind}/{number}", _WELL_KNOWN.get((kind, number), "/dev/null")):
        try:
            st = world.lstat(name)
            if stat.S_ISLNK(st.st_mode):
                there = os.path.join(os.path.dirname(name), world.readlink(name))
                name = os.path.normpath(there)
                st = world.lstat(name)
        except OSError:
            continue
        if (st.st_rdev, stat.S_IFMT(st.st_mode)) == (inode.rdev, stat.S_IFMT(inode.mode)):
            return world.real(name)
    return None
