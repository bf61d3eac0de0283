# SPDX-License-Identifier: GPL-2.0-or-later
"""Names changed, the lower untouched, and after a remount."""

from __future__ import annotations

import errno


def test_a_renamed_directory_takes_its_lower_part_along(filled):
    filled.tree.rename("/e", "/g", 0)
    assert filled.names("/g/f") == ["y"]
    assert filled.read("/g/f/y") == b"Y"
    assert "e" not in filled.names()
    filled.write("/g/f/y", b"Z")
    filled.mount()
    assert filled.read("/g/f/y") == b"Z"
    filled.tree.mkdir("/e", 0o755)
    assert filled.names("/e") == []
    assert filled.tree.here("/e/f") == "/g/f"


def test_names_change_places(filled):
    filled.tree.rename("/a", "/d", 2)
    assert (filled.read("/d"), filled.names("/a")) == (b"A", ["x"])
    filled.mount()
    assert (filled.read("/d"), filled.names("/a")) == (b"A", ["x"])


def test_what_rename_refuses(filled):
    rename = filled.tree.rename
    assert filled.error(rename, "/a", "/d", 0) == errno.EISDIR
    assert filled.error(rename, "/d", "/a", 0) == errno.ENOTDIR
    assert filled.error(rename, "/e", "/d", 0) == errno.ENOTEMPTY
    assert filled.error(rename, "/no", "/d", 0) == errno.ENOENT
    assert filled.error(rename, "/a", "/b", 4) == errno.EINVAL
    rename("/h1", "/h2", 0)  # two names of one file: nothing happens
    assert filled.names() == ["a", "d", "e", "h1", "h2", "link"]
