# SPDX-License-Identifier: GPL-2.0-or-later
"""The upper directory on disk: one user at a time, attributes, names that are too long."""

from __future__ import annotations

import errno
import os
import shutil
import stat

import pytest

from pyview.kernel import Kernel
from pyview.modules.viewfs.upper import Inode, Node, Upper, safe


@pytest.fixture
def upper(tmp_path):
    found = Upper(Kernel().at(str(tmp_path)), str(tmp_path), "me")
    yield found
    found.close()


def test_only_one_uses_it_and_the_other_is_told_who(upper, tmp_path):
    with pytest.raises(OSError, match="in use by me") as caught:
        Upper(Kernel().at(str(tmp_path)), str(tmp_path), "you")
    assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, str(tmp_path))
    upper.close()
    Upper(Kernel().at(str(tmp_path)), str(tmp_path), "you").close()


def test_a_whiteout_is_a_device_or_an_empty_file(upper):
    place = f"{upper.root}/x"
    upper.whiteout(place)
    assert upper.is_whiteout(place, os.lstat(place))
    upper._whiteouts = False
    upper.whiteout(place)
    assert stat.S_ISREG(os.lstat(place).st_mode)
    assert upper.is_whiteout(place, os.lstat(place))
    with open(f"{upper.root}/y", "w"):
        pass
    assert not upper.is_whiteout(f"{upper.root}/y", os.lstat(f"{upper.root}/y"))


def test_what_is_recorded_is_read(upper):
    path = f"{upper.root}/x"
    with open(path, "w"):
        pass
    upper.write(path, Inode(stat.S_IFBLK | 0o4660, 5, 6, 777, 88))
    found = upper.read(path, os.lstat(path))
    assert (found.mode, found.uid, found.gid, found.rdev, found.copied) == (
        stat.S_IFBLK | 0o4660, 5, 6, 777, 88,
    )  # fmt: skip


def test_names_longer_than_calls_take(upper):
    node, deep = Node(None, "", Inode(stat.S_IFDIR | 0o755, 0, 0)), "d" * 250
    for _ in range(20):
        os.mkdir(f"{upper.name(node)}/{deep}")
        node = Node(node, deep, Inode(stat.S_IFDIR | 0o755, 0, 0))
    assert len(upper.full(node)) > 5000
    assert len(upper.name(node)) < 4096
    with open(upper.name(node) + "/file", "w") as file:
        file.write("deep")
    assert os.listdir(upper.name(node)) == ["file"]
    shutil.rmtree(f"{upper.root}/{deep}")


def test_nobody_gains_by_what_is_kept():
    assert safe(stat.S_IFREG | 0o6755) == 0o755
    assert safe(stat.S_IFREG | 0o000) == 0o600
    assert safe(stat.S_IFDIR | 0o2050) == 0o750
