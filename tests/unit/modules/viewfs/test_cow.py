# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes in the upper: every cell of the truth table, the lower untouched, and after a remount.

tests/worlds/test_viewfs.py has the same from a program's side.
"""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pyview.api import Who


def error_of(call, *args) -> int:
    with pytest.raises(OSError) as caught:
        call(*args)
    return caught.value.errno


@pytest.fixture
def filled(two):
    """a, d/x, e/f/y; h1 and h2 are one file; `link` leads to a."""
    two.make(a=b"A", d__x=b"X", e__f__y=b"Y", h1=b"H")
    os.link(two.low / "h1", two.low / "h2")
    os.symlink("a", two.low / "link")
    two.mount()
    before = two.lower()
    yield two
    assert two.lower() == before


def test_writing_copies_and_keeps_the_inode(filled):
    ino = filled.tree.lstat("/a").st_ino
    filled.write("/a", b"new")
    assert filled.read("/a") == b"new"
    assert filled.tree.lstat("/a").st_ino == ino
    filled.mount()
    assert (filled.read("/a"), filled.tree.lstat("/a").st_ino) == (b"new", ino)


def test_truncating_copies_only_what_stays(filled):
    filled.tree.truncate("/d/x", 0)
    assert filled.read("/d/x") == b""
    filled.write("/a", b"", os.O_WRONLY | os.O_TRUNC)
    assert filled.read("/a") == b""


def test_a_removed_name_stays_hidden_and_can_be_made_again(filled):
    filled.tree.unlink("/a")
    assert error_of(filled.tree.lstat, "/a") == errno.ENOENT
    assert "a" not in filled.names()
    filled.mount()
    assert "a" not in filled.names()
    assert error_of(filled.tree.unlink, "/a") == errno.ENOENT
    filled.write("/a", b"again", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert filled.read("/a") == b"again"
    assert filled.names() == ["a", "d", "e", "h1", "h2", "link"]


def test_a_directory_made_again_is_empty(filled):
    assert error_of(filled.tree.rmdir, "/d") == errno.ENOTEMPTY
    filled.tree.unlink("/d/x")
    filled.tree.rmdir("/d")
    assert "d" not in filled.names()
    filled.tree.mkdir("/d", 0o750)
    assert filled.names("/d") == []
    filled.mount()
    assert filled.names("/d") == []
    assert stat.S_IMODE(filled.tree.lstat("/d").st_mode) == 0o750


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
    assert error_of(rename, "/a", "/d", 0) == errno.EISDIR
    assert error_of(rename, "/d", "/a", 0) == errno.ENOTDIR
    assert error_of(rename, "/e", "/d", 0) == errno.ENOTEMPTY
    assert error_of(rename, "/no", "/d", 0) == errno.ENOENT
    assert error_of(rename, "/a", "/b", 4) == errno.EINVAL
    rename("/h1", "/h2", 0)  # two names of one file: nothing happens
    assert filled.names() == ["a", "d", "e", "h1", "h2", "link"]


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


def test_attributes_copy_no_data_and_stay(filled):
    tree = filled.tree
    mtime = tree.lstat("/d/x").st_mtime_ns
    tree.chown("/d/x", 3, 4)
    tree.chmod("/d/x", 0o4755)
    assert "user.view.m" in os.listxattr(filled.up / "d/x")
    assert filled.read("/d/x") == b"X"
    tree = filled.mount()
    st = tree.lstat("/d/x")
    assert (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_size) == (0o4755, 3, 4, 1)
    assert st.st_mtime_ns == mtime
    tree.chown("/d/x", 5, -1)  # takes the set-uid bit away
    assert stat.S_IMODE(tree.lstat("/d/x").st_mode) == 0o755
    filled.write("/d/x", b"W")
    assert filled.read("/d/x") == b"W"
    assert (tree.lstat("/d/x").st_uid, os.stat(filled.up / "d/x").st_uid) == (5, os.getuid())


def test_links_and_special_files_are_files_in_the_upper(filled):
    tree = filled.tree
    tree.symlink("some/where", "/s")
    tree.mknod("/n", stat.S_IFCHR | 0o620, os.makedev(1, 3))
    tree.mknod("/p", stat.S_IFIFO | 0o600, 0)
    tree.chown("/link", 7, 8)
    tree = filled.mount()
    assert tree.readlink("/s") == "some/where"
    assert tree.readlink("/link") == "a"
    assert (tree.lstat("/link").st_uid, tree.lstat("/link").st_gid) == (7, 8)
    assert stat.S_ISCHR(tree.lstat("/n").st_mode)
    assert tree.lstat("/n").st_rdev == os.makedev(1, 3)
    assert tree.real("/n") == "/dev/null"
    assert stat.S_ISFIFO(os.stat(tree.real("/p")).st_mode)
    assert stat.S_ISREG(os.lstat(filled.up / "s").st_mode)
    assert error_of(tree.readlink, "/a") == errno.EINVAL


def test_extended_attributes(filled):
    tree = filled.tree
    tree.setxattr("/a", "user.colour", b"red", 0)
    assert tree.listxattr("/a") == ["user.colour"]
    tree = filled.mount()
    assert tree.getxattr("/a", "user.colour") == b"red"
    assert error_of(tree.getxattr, "/a", "user.view") == errno.ENODATA
    assert error_of(tree.setxattr, "/a", "user.view.o", b"", 0) == errno.EPERM
    assert error_of(tree.setxattr, "/a", "trusted.t", b"", 0) == errno.EPERM
    assert error_of(tree.setxattr, "/link", "user.t", b"", 0) == errno.EPERM
    tree.who = Who(0, 0, virtual=True)
    tree.setxattr("/a", "security.capability", b"c", 0)
    assert tree.getxattr("/a", "security.capability") == b"c"
    assert "user.view.x.security.capability" in os.listxattr(filled.up / "a")
    tree.removexattr("/a", "user.colour")
    assert tree.listxattr("/a") == ["security.capability"]
    assert error_of(tree.removexattr, "/a", "user.colour") == errno.ENODATA


def test_a_set_gid_directory_hands_its_group_on(filled):
    tree = filled.tree
    tree.chown("/d", -1, 77)
    tree.chmod("/d", 0o2775)
    tree.mkdir("/d/sub", 0o755)
    filled.write("/d/file", b"")
    assert tree.lstat("/d/sub").st_gid == tree.lstat("/d/file").st_gid == 77
    assert tree.lstat("/d/sub").st_mode & stat.S_ISGID


def test_a_file_without_a_name_gets_one(filled):
    fd = filled.tree.nameless("/d", os.O_TMPFILE | os.O_RDWR, 0o640)
    try:
        os.write(fd, b"data")
        assert stat.S_IMODE(filled.tree.stat(fd).st_mode) == 0o640
        filled.tree.named(fd, "/d/now")
    finally:
        os.close(fd)
    filled.mount()
    assert filled.read("/d/now") == b"data"


def test_who_is_virtual_is_checked_by_the_virtual_bits(filled):
    tree = filled.tree
    tree.chown("/d", 0, 0)
    tree.who = Who(42, 42, frozenset((42,)), True)
    assert error_of(tree.unlink, "/d/x") == errno.EACCES
    assert error_of(tree.chmod, "/d", 0o777) == errno.EPERM
    assert error_of(tree.chown, "/d", 42, 42) == errno.EPERM
    tree.who = Who(0, 0, virtual=True)
    tree.chmod("/d", 0o1777)
    tree.who = Who(42, 42, frozenset((42,)), True)
    filled.write("/d/mine", b"")
    assert tree.lstat("/d/mine").st_uid == 42
    tree.who = Who(43, 43, frozenset((43,)), True)
    assert error_of(tree.unlink, "/d/mine") == errno.EPERM  # the sticky bit
    assert error_of(tree.mknod, "/d/n", stat.S_IFCHR | 0o600, 259) == errno.EPERM


def test_a_killed_copy_leaves_nothing(filled):
    (filled.up / ".-" / "tmp7").write_text("half")
    (filled.up / ".-" / "try.json").write_text("{}")
    filled.mount()
    assert sorted(os.listdir(filled.up / ".-")) == ["i", "lock", "try.json"]


def test_a_full_disk_changes_nothing(filled, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("pyview.modules.viewfs.copying.copy", full)
    assert error_of(filled.tree.opened, "/a", os.O_WRONLY, 0) == errno.ENOSPC
    monkeypatch.undo()
    assert filled.read("/a") == b"A"
    assert os.listdir(filled.up / ".-" / "i") == []
    assert not [name for name in os.listdir(filled.up / ".-") if name.startswith("tmp")]


def test_what_is_tried_below_first(two):
    two.make(d__x=b"X")
    tree = two.mount(mincow=True)
    assert tree.attempts("/d/x")
    assert tree.goes_on(errno.EACCES)
    assert not tree.goes_on(errno.ENOENT)
    two.write("/d/y", b"")
    assert not tree.attempts("/d/x")  # its directory is in the upper
    tree.who = Who(0, 0, virtual=True)
    assert not tree.attempts("/z")
