# SPDX-License-Identifier: GPL-2.0-or-later
"""What real descriptors are open for, and which names it has now."""

from __future__ import annotations

import os

from pyview.abi.upper import OTHERS
from pyview.modules.viewfs.look import Look
from pyview.modules.viewfs.upper import Inode


class Descriptors(Look):
    """Files that are known by what the kernel says of them, not by a name in the view."""

    def here(self, path: str) -> str | None:
        if self._shows(path, path):
            return path
        for node in self.root.all():
            top = node.redirect
            if top is not None and (path == top or path.startswith(top + "/")):
                name = node.path() + path[len(top) :]
                if self._shows(name, path):
                    return name
        try:
            st = self.below.lstat(path)
        except OSError:
            return None
        inode = self.copies.get((st.st_dev, st.st_ino))
        if inode is not None and inode.node is not None:
            return inode.node.path()
        return None

    def _shows(self, path: str, lower: str) -> bool:
        """Whether what is `lower` below is seen under this name."""
        try:
            where = self.find(path)
        except OSError:
            return False
        return (where.lower or "/") == lower and not (where.node is not None and where.node.cut)

    def inode_of(self, fd: int) -> tuple[os.stat_result, Inode | None]:
        """What a descriptor is open for; None when it is no file of this tree's.

        What was removed leaves its number to the next file that is made, anywhere: the name tells.
        """
        st = os.fstat(fd)
        key = (st.st_dev, st.st_ino)
        inode = self.inodes.get(key)
        if inode is None:
            return st, self.copies.get(key)
        name = os.readlink(f"/proc/self/fd/{fd}")
        if name.startswith(f"{self.kept}/{os.fsdecode(OTHERS)}/"):
            return st, None
        return st, inode if name == self.kept or name.startswith(self.kept + "/") else None

    def stat(self, fd: int) -> os.stat_result | None:
        st, inode = self.inode_of(fd)
        if inode is None:
            return None
        if inode.key != (st.st_dev, st.st_ino):  # a lower file; its copy tells
            real = self.copy_of(inode)
            try:
                st = st if real is None else os.lstat(real)
            except OSError:
                return None
        return self.dressed(st, inode)
