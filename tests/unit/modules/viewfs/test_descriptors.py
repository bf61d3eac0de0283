# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real descriptor is, in the view."""

from __future__ import annotations

import os
import stat


def test_a_file_is_known_by_its_descriptor(two):
    two.make(a=b"A")
    tree = two.mount()
    tree.chmod("/a", 0o640)
    for path in (two.low / "a", two.up / "a"):
        fd = os.open(path, os.O_RDONLY)
        assert oct(tree.stat(fd).st_mode) == "0o100640"
        os.close(fd)
    other = two.up.parent / "other"
    other.write_text("")
    fd = os.open(other, os.O_RDONLY)
    assert tree.stat(fd) is None
    os.close(fd)


def test_a_removed_file_is_changed_for_who_has_it_open_alone(two):
    two.make(a=b"A")
    tree = two.mount()
    fd = os.open(two.low / "a", os.O_RDONLY)
    before = two.lower()
    tree.unlink("/a")
    assert tree.here("/a") is None
    tree.adopts(fd)
    tree.change(fd, "chmod", 0o640)
    tree.change(fd, "utime", 1, 2)
    assert stat.S_IMODE(tree.stat(fd).st_mode) == 0o640
    os.close(fd)
    assert two.lower() == before


def test_a_file_with_names_in_the_index_alone_is_changed_there(two):
    """What has several names below has a copy before each of them has."""
    two.make(a=b"A")
    os.link(two.low / "a", two.low / "b")
    tree = two.mount()
    fd = os.open(two.low / "a", os.O_RDONLY)
    before = two.lower()
    tree.unlink("/a")
    tree.change(fd, "chmod", 0o640)
    assert stat.S_IMODE(tree.stat(fd).st_mode) == 0o640
    assert stat.S_IMODE(tree.lstat("/b").st_mode) == 0o640
    os.close(fd)
    assert two.lower() == before
