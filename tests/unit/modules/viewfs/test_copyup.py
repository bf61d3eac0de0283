# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of lower files: whole, or not at all."""

from __future__ import annotations

import errno
import os


def test_writing_copies_and_keeps_the_inode(filled):
    ino = filled.tree.lstat("/a").st_ino
    filled.write("/a", b"new")
    assert filled.read("/a") == b"new"
    assert filled.tree.lstat("/a").st_ino == ino
    filled.mount()
    assert (filled.read("/a"), filled.tree.lstat("/a").st_ino) == (b"new", ino)


def test_other_names_of_a_lower_file_follow(filled):
    filled.write("/h1", b"changed")
    assert filled.read("/h2") == b"changed"
    assert filled.tree.lstat("/h2").st_nlink == 2
    filled.tree.unlink("/h1")
    assert filled.tree.lstat("/h2").st_nlink == 1
    filled.mount()
    assert (filled.read("/h2"), filled.tree.lstat("/h2").st_nlink) == (b"changed", 1)
    filled.tree.link("/h2", "/h3")
    filled.write("/h3", b"HHHHHHH")
    assert filled.read("/h2") == b"HHHHHHH"


def test_a_killed_copy_leaves_nothing(filled):
    (filled.up / ".-" / "tmp7").write_text("half")
    (filled.up / ".-" / "try.json").write_text("{}")
    filled.mount()
    assert sorted(os.listdir(filled.up / ".-")) == ["i", "lock", "try.json"]


def test_a_full_disk_changes_nothing(filled, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("pyview.modules.viewfs.copying.copy", full)
    assert filled.error(filled.tree.opened, "/a", os.O_WRONLY, 0) == errno.ENOSPC
    monkeypatch.undo()
    assert filled.read("/a") == b"A"
    assert os.listdir(filled.up / ".-" / "i") == []
    assert not [name for name in os.listdir(filled.up / ".-") if name.startswith("tmp")]
