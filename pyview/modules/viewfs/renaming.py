# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that are changed, of lower directories, too."""

from __future__ import annotations

import errno
import os
import stat

from pyview.abi.upper import OPAQUE, REDIRECT
from pyview.api import refuse
from pyview.modules.viewfs.making import Making
from pyview.modules.viewfs.upper import Node, last_of, parent_of

NOREPLACE, EXCHANGE = 1, 2


class Renaming(Making):
    """A renamed directory remembers which lower one it shows: a redirect."""

    def rename(self, old: str, new: str, flags: int) -> None:
        self._may_enter(old)
        self._may_enter(new)
        st = self.lstat(old)
        self._sticky(old, st)
        there = self._maybe(new)
        if there is not None:
            self._sticky(new, there)
        if there is not None and not flags & EXCHANGE:
            _same_kind(st, there, new)
        if parent_of(old) != parent_of(new):  # a directory's ".." is changed, too
            for path, moved in ((old, st), (new, there if flags & EXCHANGE else None)):
                if moved is not None and stat.S_ISDIR(moved.st_mode):
                    self._may(path, os.W_OK)
        if flags & ~(NOREPLACE | EXCHANGE):
            raise refuse(errno.EINVAL, old)
        if flags & EXCHANGE:
            self._exchange(old, new)
            return
        if there is not None and self._replaced(old, new, st, there):
            return
        self._lift(old)
        self._put(old, new)

    def _maybe(self, path: str) -> os.stat_result | None:
        try:
            return self.lstat(path)
        except FileNotFoundError:
            return None

    def _replaced(self, old: str, new: str, st: os.stat_result, there: os.stat_result) -> bool:
        """Make room for a name that is there; whether both are names of one file already."""
        if (st.st_dev, st.st_ino) == (there.st_dev, there.st_ino):
            return True
        if stat.S_ISDIR(there.st_mode):
            if self.entries(new):
                raise refuse(errno.ENOTEMPTY, new)
            self._lift(old)
            self._remove_directory(new)
        else:
            self._lift(old)
            where = self.find(new)
            if where.node is None and self._has_links(where):
                self._copy(new, False)
                where = self.find(new)
            if where.node is not None and where.node.inode is not None:
                self._fewer(where.node, where.node.inode)
        return False

    def _lift(self, path: str) -> Node:
        """What is to be renamed must be in the upper, and find its lower part from there."""
        node = self._copy(path, False)
        if node.directory and not node.cut and node.redirect is None:
            lower = self.find(path).lower
            assert lower is not None
            self.upper.labels.set(self.upper.name(node), REDIRECT, os.fsencode(lower))
            node.redirect = lower
            self.mark(node)
        return node

    def _put(self, old: str, new: str) -> None:
        """Rename what is in the upper."""
        source = self._directory(parent_of(old))
        node = source.children[last_of(old)]
        leaves = self._lower_has(old)
        parent = self._directory(parent_of(new))
        over = self._lower_has(new)
        place = f"{self.upper.name(parent)}/{last_of(new)}"
        name = self.upper.name(node)
        was = parent.children.get(last_of(new))
        if node.directory:
            if over and node.cut:
                self.upper.labels.set(name, OPAQUE, b"y")
            if was is not None:  # a whiteout, which a directory can't replace
                self.upper.exchange(name, place)
            else:
                os.rename(name, place)
        else:
            os.rename(name, place)
        if leaves:
            if not (node.directory and was is not None):
                self.upper.whiteout(name)
        elif node.directory and was is not None:
            os.unlink(name)
        paths = [(below, below.path()) for below in node.all()]
        if was is not None:
            was.gone()
        node.moved(parent, last_of(new))
        node.over = over
        if node.directory or over or was is not None:
            self.turned()
        for _, path in paths:
            self.forgets(path)
        for below, _ in paths:
            self.mark(below)
        if leaves:
            self._hide(source, old)

    def _exchange(self, old: str, new: str) -> None:
        one, other = self._lift(old), self._lift(new)
        overs = self._lower_has(old), self._lower_has(new)
        for node, over in ((one, overs[1]), (other, overs[0])):
            if node.directory and node.cut and over:
                self.upper.labels.set(self.upper.name(node), OPAQUE, b"y")
        self.upper.exchange(self.upper.name(one), self.upper.name(other))
        for node in (one, other):
            for below in node.all():
                self.forgets(below.path())
        first, second = one.parent, other.parent
        assert first is not None
        assert second is not None
        names = one.name, other.name
        one.gone()
        other.gone()
        one.moved(second, names[1])
        other.moved(first, names[0])
        one.over, other.over = overs[1], overs[0]
        for node in (one, other):
            for below in node.all():
                self.mark(below)


def _same_kind(st: os.stat_result, there: os.stat_result, path: str) -> None:
    """Errors: ENOTDIR, EISDIR when a directory and something else would replace each other."""
    if stat.S_ISDIR(st.st_mode) is not stat.S_ISDIR(there.st_mode):
        raise refuse(errno.ENOTDIR if stat.S_ISDIR(st.st_mode) else errno.EISDIR, path)
