# SPDX-License-Identifier: GPL-2.0-or-later
"""A node is what its mount's options say, and has the numbers of its name."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pyview.kernel import Kernel
from pyview.modules.vudev import node
from pyview.modules.vudev.node import Node, fresh, usual
from pyview.registry import ModuleError, keywords


class Bare(Kernel):
    """The kernel without a block device."""

    def lstat(self, path):
        if path.startswith("/sys/dev/block/"):
            raise OSError(errno.ENOENT, "none", path)
        return super().lstat(path)


class Crowded(Kernel):
    """A machine that has a device of every number."""

    def lstat(self, path):
        return os.lstat("/")


def test_a_node_is_its_owners_and_of_now():
    st = Node(Bare()).lstat("/")
    assert stat.S_ISBLK(st.st_mode)
    assert (st.st_uid, st.st_gid) == (os.getuid(), os.getgid())
    assert stat.S_IMODE(st.st_mode) == 0o660
    assert st.st_mtime_ns > 10**18


def test_options_say_what_a_node_is():
    one = Node(Bare(), mode="0604", uid=7, gid=8, major=9, minor=10, char=True)
    one.companions("/dev/hda")
    st = one.lstat("/")
    assert stat.S_ISCHR(st.st_mode)
    assert stat.S_IMODE(st.st_mode) == 0o604
    assert (st.st_uid, st.st_gid, st.st_rdev) == (7, 8, os.makedev(9, 10))


@pytest.mark.parametrize(
    "options", [{"mode": "rw"}, {"mode": "800"}, {"major": 1 << 12}, {"minor": 1 << 20},
                {"char": True, "block": True}]
)  # fmt: skip
def test_options_that_make_no_sense_are_EINVAL(options):
    with pytest.raises(OSError) as caught:
        Node(Bare(), **options)
    assert caught.value.errno == errno.EINVAL


def test_a_mount_option_that_is_unknown_is_one_line():
    with pytest.raises(ModuleError, match=r"unknown option: colour \(it takes: mode, uid"):
        keywords(Node, ["colour=red"], 2)
    assert keywords(Node, ["mode=0640", "char"], 2) == {"mode": "0640", "char": True}


def test_only_the_node_itself_is_there():
    with pytest.raises(OSError) as caught:
        Node(Bare()).lstat("/x")
    assert caught.value.errno == errno.ENOTDIR


def test_attributes_can_be_changed():
    one = Node(Bare())
    one.chmod("/", stat.S_IFREG | 0o600)
    one.chown("/", 12, -1)
    one.utime("/", 5, None)
    st = one.lstat("/")
    assert st.st_mode == stat.S_IFBLK | 0o600
    assert (st.st_uid, st.st_gid, st.st_atime_ns) == (12, os.getgid(), 5)
    assert st.st_mtime_ns > 10**18


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("hda", (3, 0, 64)),
        ("hdb", (3, 64, 64)),
        ("hdc", (22, 0, 64)),
        ("sdb", (8, 16, 16)),
        ("ubda", (98, 0, 16)),
        ("ram3", (1, 3, 1)),
        ("nbd2", (43, 64, 32)),
        ("hdz", None),
        ("hda1", None),
        ("vda", None),
        ("disk", None),
        ("ram07", None),
    ],
)
def test_numbers_are_those_that_Linux_gives_to_the_name(name, numbers):
    assert usual(name) == numbers


def test_a_node_keeps_the_numbers_of_its_first_place_and_follows_its_name():
    one = Node(Bare())
    assert one.companions("/dev/hda") == {}
    one.companions("/dev/disk/first")
    assert (one.number, one.name) == ((3, 0), "disk!first")


def test_elsewhere_than_in_dev_numbers_are_for_local_use():
    one, other = Node(Bare()), Node(Bare())
    one.companions("/tmp/hda")
    other.companions("/mnt/hda")
    assert one.number[0] in node.LOCAL
    assert one.number != other.number
    assert one.name == "hda"


def test_numbers_in_sight_are_not_given_again():
    one = Node(Crowded())
    one.companions("/dev/hda")
    assert one.number[0] in node.LOCAL


def test_fresh_numbers_stay_within_a_major(monkeypatch):
    monkeypatch.setattr(node, "_next", node.MINORS - 100)
    assert fresh(256) == (node.LOCAL[1], 0)
    assert fresh(1) == (node.LOCAL[1], 256)
