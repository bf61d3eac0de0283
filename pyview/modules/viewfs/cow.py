# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes, kept in the upper: seen from inside as changes to a private copy of the lower."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import partial

from pyview.api import Tree, if_it_fails, refuse
from pyview.modules.viewfs.attributes import SET_IDS
from pyview.modules.viewfs.copyup import removed
from pyview.modules.viewfs.look import Where
from pyview.modules.viewfs.renaming import Renaming
from pyview.modules.viewfs.stand_ins import stand_in
from pyview.modules.viewfs.upper import Node, Upper

LARGE = 1 << 20  # bytes: what is longer is copied in another thread


class Cow(Renaming):
    """Every change goes to the upper: when it may be there, and what is opened."""

    def __init__(
        self, below: Tree, target: str, upper: Upper, *, empty: bool, sync: bool, first: bool
    ) -> None:
        """`first`: a change is tried on the lower first (mincow)."""
        super().__init__(below, target, upper, empty)
        self._syncs, self._first = sync, first
        inode = self.root.inode
        assert inode is not None
        self.upper.write(self.upper.root or "/", inode)

    def syncs(self) -> bool:
        return self._syncs

    # -- mincow --------------------------------------------------------------------------------
    def attempts(self, path: str) -> bool:
        if not self._first or self.who.virtual:
            return False
        node: Node | None = self.root
        for name in path.split("/")[1:]:
            if node is None:
                break
            if node.cut and node is not self.root:
                return False
            node = node.children.get(name)
            if node is not None:
                return False
        return True

    def goes_on(self, error: int) -> bool:
        return error in (errno.EACCES, errno.EPERM, errno.EROFS)

    # -- opening -------------------------------------------------------------------------------
    def prepares(self, path: str, flags: int) -> Callable[[], None] | None:
        if flags & os.O_TRUNC or flags & os.O_ACCMODE == os.O_RDONLY:
            return None
        try:
            where = self.find(path)
            if where.node is not None or where.lower is None:
                return None
            st = self.below.lstat(where.lower)
        except OSError:
            return None
        if not stat.S_ISREG(st.st_mode) or st.st_size < LARGE or self._begins_anew(where, flags):
            return None
        return partial(self._prepare, where.lower, st.st_size)

    def _prepare(self, lower: str, size: int) -> None:
        """In another thread: only what nobody else looks at."""
        made = self._blank()
        with if_it_fails(partial(removed, made)):
            self._copy_data(lower, made, size)
        other = self._made.pop(lower, None)
        if other is not None:
            removed(other)
        self._made[lower] = made

    def opened(self, path: str, flags: int, mode: int) -> str:
        writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        try:
            where = self.find(path)
            st = self.stat_of(where, path)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            return self._create(path, mode)
        if not stat.S_ISREG(st.st_mode) or not writes:
            return self._readable_name(path, st)
        anew = bool(flags & os.O_TRUNC) or self._begins_anew(where, flags)
        node = self._copy(path, True, 0 if anew else -1)
        inode = node.inode
        if inode is not None and inode.mode & SET_IDS:
            self._clear_privileges(node, inode)
        return self.real_of(node)

    def _begins_anew(self, where: Where, flags: int) -> bool:
        """Whether a log that the real user may not read is only written on: without what it had."""
        if flags & (os.O_ACCMODE | os.O_APPEND) != os.O_WRONLY | os.O_APPEND:
            return False
        lower = where.lower
        if where.node is not None:
            lower = where.node.inode.data if where.node.inode is not None else None
        if lower is None or not self._looks_empty() or self.readable(lower):
            return False
        return stand_in(self.below, lower) is None

    def _readable_name(self, path: str, st: os.stat_result) -> str:
        shown = self.shown(path)
        if shown.real is None:
            raise refuse(errno.ENXIO, path)
        return shown.real

    def _create(self, path: str, mode: int) -> str:
        above = self._may_enter(path)
        node, _ = self._place(path, stat.S_IFREG | stat.S_IMODE(mode), above)
        return self.upper.name(node)

    def watched(self, path: str) -> str | None:
        real = self.real(path)
        mode = self.lstat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return real
        if real is not None and self.attempts(path) and os.access(real, os.W_OK):
            return real  # that is what will be changed
        try:
            return self.upper.full(self._copy(path, True))
        except OSError:
            return real
