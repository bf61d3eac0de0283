# SPDX-License-Identifier: GPL-2.0-or-later
"""Random trees of files, planted in a directory, and random names in them: for hypothesis.

An absolute name or target is one in the tree, called by one of the prefixes of a view.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hypothesis import strategies as st

from pyview.eyes import CoreEyes

NAMES = ("a", "b", "c", "d")


class Name(NamedTuple):
    """The words of a path; `where` is "" for a relative one, else the prefix it is shown at."""

    words: tuple[str, ...]
    absolute: bool
    where: str
    slash: bool

    def text(self, top: str, *, plain: bool = False) -> str:
        """As text, the tree being at `top`; `plain`: as it would be without the view."""
        start = (("" if plain else self.where) + top + "/") if self.absolute else ""
        return (start + "/".join(self.words) + ("/" if self.slash else "")) or "."


class Node(NamedTuple):
    """A thing to plant: in the `parent`-th directory that is there."""

    kind: str
    parent: int
    name: str
    target: Name


def paths(*prefixes: str) -> st.SearchStrategy[Name]:
    """Names, absolute ones shown at one of `prefixes`."""
    first = st.sampled_from(NAMES * 3 + (".", ".."))  # a leading "" would make it absolute
    more = st.sampled_from(NAMES * 3 + (".", "..", "..", ""))
    words = st.builds(lambda head, rest: (head, *rest), first, st.lists(more, max_size=5))
    return st.builds(
        Name,
        words | st.just(()),
        st.booleans(),
        st.sampled_from(prefixes or ("",)),
        st.sampled_from((False, False, True)),
    ).filter(lambda name: name.absolute or bool(name.words))


def trees(*prefixes: str) -> st.SearchStrategy[list[Node]]:
    """What to plant."""
    kinds = st.sampled_from(("dir", "dir", "dir", "file", "link", "link", "link", "locked"))
    node = st.builds(Node, kinds, st.integers(0, 9), st.sampled_from(NAMES), paths(*prefixes))
    return st.lists(node, max_size=14)


class Planted:
    """A tree that is there.  `directories` are all of it, relative to `top`."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.directories = [""]
        self.inodes: dict[tuple[int, int], str] = {}

    def base(self, number: int) -> str:
        """The absolute name of one of the directories."""
        return (self.top + "/" + self.directories[number % len(self.directories)]).rstrip("/")

    def identity(self, found: os.stat_result) -> object:
        """What tells one file from another, the same for a tree planted elsewhere."""
        key = found.st_dev, found.st_ino
        return self.inodes.get(key, key)


def _grow(planted: Planted, nodes: list[Node], plain: bool) -> list[str]:
    locked = []
    for node in nodes:
        parent = planted.directories[node.parent % len(planted.directories)]
        name = f"{parent}/{node.name}" if parent else node.name
        full = f"{planted.top}/{name}"
        if os.path.lexists(full):
            continue
        if node.kind == "link":
            os.symlink(node.target.text(planted.top, plain=plain), full)
        elif node.kind == "file":
            os.close(os.open(full, os.O_CREAT | os.O_WRONLY, 0o644))
        else:
            os.mkdir(full)
            if node.kind == "locked":
                locked.append(full)
            else:
                planted.directories.append(name)
        found = os.lstat(full)
        planted.inodes[found.st_dev, found.st_ino] = name
    return locked


@contextmanager
def planted(nodes: list[Node], *, plain: bool = False, parent: str | None = None
            ) -> Iterator[Planted]:  # fmt: skip
    """Plant a tree; `plain`: absolute links name it as it is called without a view.

    A locked directory cannot be entered by an ordinary user.
    """
    with tempfile.TemporaryDirectory(prefix="forest-", dir=parent) as made:
        top = os.path.realpath(made)
        tree = Planted(top)
        found = os.lstat(top)
        tree.inodes[found.st_dev, found.st_ino] = "."
        locked = _grow(tree, nodes, plain)
        for name in locked:
            os.chmod(name, 0)
        try:
            yield tree
        finally:
            for name in locked:
                os.chmod(name, 0o700)


class KernelEyes(CoreEyes):
    """The kernel's tree as this process sees it."""

    def __init__(self) -> None:
        pass

    def readlink(self, real: str) -> str:
        return os.readlink(real)

    def is_plain(self, real: str) -> bool:
        return False

    def is_magic(self, real: str) -> bool:
        return False

    def domain_of(self, real: str) -> int:
        raise AssertionError(real)

    def jump(self, real: str) -> str:
        raise AssertionError(real)
