# SPDX-License-Identifier: GPL-2.0-or-later
"""Names made and removed, the lower untouched, and after a remount."""

from __future__ import annotations

import errno
import os
import stat


def test_a_removed_name_stays_hidden_and_can_be_made_again(filled):
    filled.tree.unlink("/a")
    assert filled.error(filled.tree.lstat, "/a") == errno.ENOENT
    assert "a" not in filled.names()
    filled.mount()
    assert "a" not in filled.names()
    assert filled.error(filled.tree.unlink, "/a") == errno.ENOENT
    filled.write("/a", b"again", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert filled.read("/a") == b"again"
    assert filled.names() == ["a", "d", "e", "h1", "h2", "link"]


def test_a_directory_made_again_is_empty(filled):
    assert filled.error(filled.tree.rmdir, "/d") == errno.ENOTEMPTY
    filled.tree.unlink("/d/x")
    filled.tree.rmdir("/d")
    assert "d" not in filled.names()
    filled.tree.mkdir("/d", 0o750)
    assert filled.names("/d") == []
    filled.mount()
    assert filled.names("/d") == []
    assert stat.S_IMODE(filled.tree.lstat("/d").st_mode) == 0o750


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
    assert filled.error(tree.readlink, "/a") == errno.EINVAL


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
