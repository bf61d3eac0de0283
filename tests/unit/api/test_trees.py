# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left out of a tree or a device answers as documented."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from operations import call, operations, undocumented

from pyview import api

SHAPED_LIKE_OS = ("lstat", "readlink", "listdir", "unlink", "mkdir", "rmdir", "symlink", "rename")
#: These have an answer of their own.
QUIET = {"real", "busy", "unmounted"}
KNOWING_NOTHING = {"at", "statvfs", "listxattr", "socket", "backing", "masks", "contents"}
REFUSALS = {
    "readlink": errno.EINVAL,
    "mknod": errno.EPERM,
    "link_file": errno.ENOENT,
    **dict.fromkeys(("getxattr", "setxattr", "removexattr", "tmpfile"), errno.EOPNOTSUPP),
}


@pytest.mark.parametrize(
    "name", [n for n in operations(api.Tree) if n not in QUIET and n not in KNOWING_NOTHING]
)
def test_an_operation_left_out_of_a_tree_is_refused_with_an_errno(name):
    with pytest.raises(OSError) as caught:
        call(api.Tree(), name)
    assert caught.value.errno == REFUSALS.get(name, errno.ENOSYS)


def test_a_plain_tree_has_no_attributes_no_sockets_and_no_size():
    tree = api.Tree()
    assert tree.listxattr("/x") == []
    assert tree.socket("/x") is None
    assert tree.backing("/x") is None
    assert tree.masks("/x") is True
    assert tree.statvfs("/x").f_namemax == 255


def test_a_plain_tree_renames_nothing_and_is_never_busy():
    tree = api.Tree()
    assert tree.real("/x") is None
    assert tree.busy() is False
    assert tree.unmounted() is None


@pytest.mark.parametrize("name", SHAPED_LIKE_OS)
def test_operations_are_named_as_in_os(name):
    assert name in operations(api.Tree)
    assert hasattr(__import__("os"), name)


def test_every_operation_says_what_it_is():
    assert undocumented(api.Tree) == []


def test_a_device_is_one_file_and_counts_its_users():
    device = api.Device()
    found = device.lstat("/")
    assert (stat.S_IFMT(found.st_mode), found.st_mode & 0o777) == (stat.S_IFBLK, 0o660)
    assert device.open("/", os.O_RDWR) is device
    assert device.busy()
    device.close()
    assert not device.busy()
    assert device.companions("/dev/x") == {}
    for action, number in (
        (lambda: device.lstat("/x"), errno.ENOTDIR),
        (lambda: device.open("/x", 0), errno.ENOTDIR),
        (lambda: device.truncate("/", 0), errno.EINVAL),
        (lambda: device.truncate(0), errno.EINVAL),
    ):
        with pytest.raises(OSError) as caught:
            action()
        assert caught.value.errno == number
    assert not device.busy()


def test_entries_are_what_listdir_and_lstat_say():
    class Few(api.Tree):
        def listdir(self, path):
            return ["a", "b"]

        def lstat(self, path):
            if path.endswith("b"):
                raise api.refuse(errno.EIO)
            return api.attributes(stat.S_IFREG | 0o644, ino=7)

    assert Few().entries("/") == [("a", 7, stat.S_IFREG), ("b", 0, 0)]


def test_attributes_are_those_of_os():
    found = api.attributes(0o100644, size=1000, mtime_ns=5 * 10**9 + 7)
    assert (found.st_size, found.st_blocks, found.st_mtime, found.st_mtime_ns) == (
        1000, 2, 5.000000007, 5 * 10**9 + 7,
    )  # fmt: skip


@pytest.mark.parametrize("mode", range(8))
@pytest.mark.parametrize("bits", [0o700, 0o070, 0o007, 0o000, 0o444, 0o751])
def test_access_is_what_the_bits_say(mode, bits):
    """For the owner, for one of the group, for others, and for root: access(2)."""

    class One(api.Tree):
        def lstat(self, path):
            return api.attributes(stat.S_IFREG | bits, uid=5, gid=6)

    def granted(uid, groups):
        try:
            One().access("/x", mode, uid, frozenset(groups))
        except OSError as error:
            assert error.errno == errno.EACCES  # noqa: PT017 - it need not be raised
            return False
        return True

    assert granted(5, {6}) == (mode & ~(bits >> 6) & 7 == 0)
    assert granted(7, {6}) == (mode & ~(bits >> 3) & 7 == 0)
    assert granted(7, {8}) == (mode & ~bits & 7 == 0)
    assert granted(0, {0}) == (not mode & os.X_OK or bool(bits & 0o111))
