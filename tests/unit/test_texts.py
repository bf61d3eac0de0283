# SPDX-License-Identifier: GPL-2.0-or-later
"""What C is told of trees that have only texts."""

from __future__ import annotations

import os
import stat

import pytest

from pyview import core
from pyview._core import ffi, lib
from pyview.api import Tree, attributes
from pyview.openfile import Directory, OpenFile
from pyview.texts import MANY, Stored, Texts
from pyview.view import Mount

KNOWN = 7_000_000_101  # of an open file that there is not


class Little(Tree):
    texts = True

    def __init__(self, **files):
        self.files = {"/" + name: text for name, text in files.items()}

    def contents(self):
        return self.files

    def lstat(self, path):
        text = self.files.get(path)
        mode = stat.S_IFDIR | 0o755 if text is None else stat.S_IFREG | 0o444
        return attributes(mode, size=len(text or b""))


@pytest.fixture
def entry():
    yield core.linear(KNOWN)
    core.forget_linear(KNOWN)


def directory(mount, rest="/"):
    st = attributes(stat.S_IFDIR, ino=1, dev=1)
    return OpenFile(Directory(), mount, rest, mount.target + rest, os.O_RDONLY, st)


def mounted(tree):
    return Mount("/t", tree, 1, "none", "", "")


def test_a_tree_is_told_once(entry):
    replaced = []
    texts = Texts(lambda: replaced.append(1))
    mount = mounted(Little(b=None, a=b"1\n"))
    texts.tell(entry, directory(mount))
    first = entry.texts
    assert first != ffi.NULL
    assert ffi.string(entry.inside) == b""
    texts.tell(entry, directory(mount, "/b"))
    assert entry.texts == first
    assert ffi.string(entry.inside) == b"b/"
    assert replaced == []
    mount.tree.files = {"/a": b"2\n"}
    texts.tell(entry, directory(mount))
    assert replaced == [1]
    assert len(texts._told) == 1
    mount.tree.contents = lambda: None
    texts.tell(entry, directory(mount))
    assert entry.texts == ffi.NULL


def test_only_so_many_trees_are_told_at_a_time(entry):
    replaced = []
    texts = Texts(lambda: replaced.append(1))
    for _ in range(MANY + 3):
        texts.tell(entry, directory(mounted(Little(a=b"1\n"))))
    assert len(texts._told) == MANY
    assert len(replaced) == 3


def test_what_c_has_not_opened_is_not_taken():
    assert Texts(lambda: None).taken(KNOWN) is None
    assert core.take_text(0) is None
    assert core.opened_texts() == []
    assert lib.pv_texts_open(-1) == lib.pv_texts_open(64) == 0


def test_what_c_has_opened_is_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"some\n")
    fd = os.open(tmp_path / "x", os.O_RDONLY)
    st = attributes(0o100444, size=5)
    file = Stored(fd, st)
    assert (file.pread(9, 1), file.size(), file.stat()) == (b"ome\n", 5, st)
    assert file.known().text == b"some\n"
    os.close(fd)
