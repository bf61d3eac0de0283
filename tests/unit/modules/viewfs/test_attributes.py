# SPDX-License-Identifier: GPL-2.0-or-later
"""Attributes in the upper, and after a remount."""

from __future__ import annotations

import errno
import os
import stat

from pyview.api import Who


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


def test_extended_attributes(filled):
    tree = filled.tree
    tree.setxattr("/a", "user.colour", b"red", 0)
    assert tree.listxattr("/a") == ["user.colour"]
    tree = filled.mount()
    assert tree.getxattr("/a", "user.colour") == b"red"
    assert filled.error(tree.getxattr, "/a", "user.view") == errno.ENODATA
    assert filled.error(tree.setxattr, "/a", "user.view.o", b"", 0) == errno.EPERM
    assert filled.error(tree.setxattr, "/a", "trusted.t", b"", 0) == errno.EPERM
    assert filled.error(tree.setxattr, "/link", "user.t", b"", 0) == errno.EPERM
    tree.who = Who(0, 0, virtual=True)
    tree.setxattr("/a", "security.capability", b"c", 0)
    assert tree.getxattr("/a", "security.capability") == b"c"
    assert "user.view.x.security.capability" in os.listxattr(filled.up / "a")
    tree.removexattr("/a", "user.colour")
    assert tree.listxattr("/a") == ["security.capability"]
    assert filled.error(tree.removexattr, "/a", "user.colour") == errno.ENODATA


def test_who_is_virtual_is_checked_by_the_virtual_bits(filled):
    tree = filled.tree
    tree.chown("/d", 0, 0)
    tree.who = Who(42, 42, frozenset((42,)), True)
    assert filled.error(tree.unlink, "/d/x") == errno.EACCES
    assert filled.error(tree.chmod, "/d", 0o777) == errno.EPERM
    assert filled.error(tree.chown, "/d", 42, 42) == errno.EPERM
    tree.who = Who(0, 0, virtual=True)
    tree.chmod("/d", 0o1777)
    tree.who = Who(42, 42, frozenset((42,)), True)
    filled.write("/d/mine", b"")
    assert tree.lstat("/d/mine").st_uid == 42
    tree.who = Who(43, 43, frozenset((43,)), True)
    assert filled.error(tree.unlink, "/d/mine") == errno.EPERM  # the sticky bit
    assert filled.error(tree.mknod, "/d/n", stat.S_IFCHR | 0o600, 259) == errno.EPERM
