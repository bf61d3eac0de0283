# SPDX-License-Identifier: GPL-2.0-or-later
"""The working directory, the root, and listings with mount points in them."""

from __future__ import annotations

import errno
import os

import pytest
from playbook import Nobody, play

from pyview.abi import dirent
from pyview.api import Tree
from pyview.verdicts import Done, Emulate, Real, Redirect
from pyview.view import View


def refused(caller):
    with pytest.raises(OSError) as raised:
        play(caller)
    return raised.value.errno


# -- the working directory and the root ----------------------------------------------------------


def test_chdir_into_a_domain_is_done_and_remembered(caller, number):
    verdict, asked = play(caller.calls("chdir", "/unreal/etc"), 0)
    assert (verdict, asked) == (Done(), [Redirect({0: b"/etc\0"})])
    assert caller.notes == [("moved", number)]


def test_chdir_out_of_a_domain_is_remembered_too(caller, number):
    caller.where, caller.domain = "/unreal/etc", number
    assert play(caller.calls("chdir", "/etc"), 0) == (Done(), [Redirect({})])
    assert caller.notes == [("moved", 0)]
    assert play(caller.calls("chdir", "../.."), 0) == (Done(), [Redirect({0: b"/.\0"})])


@pytest.mark.parametrize(("call", "words"), [("chdir", "/unreal/none"), ("chroot", "/unreal/none")])
def test_a_change_that_fails_changes_nothing(caller, call, words):
    assert play(caller.calls(call, words), -errno.ENOENT)[0] == Done()
    assert caller.notes == []


@pytest.mark.parametrize("call", ["chdir", "chroot"])
def test_a_directory_without_a_name_is_the_kernels_affair(caller, call):
    assert play(caller.calls(call, 0)) == (Real(), [])
    assert play(caller.calls(call, "")) == (Real(), [])


def test_fchdir_goes_where_the_descriptor_was_opened(caller, number):
    caller.domains[5] = number
    assert play(caller.calls("fchdir", 5), 0) == (Done(), [Redirect({})])
    play(caller.calls("fchdir", 6), 0)
    play(caller.calls("fchdir", 5), -errno.ENOTDIR)
    assert caller.notes == [("moved", number), ("moved", 0)]


def test_another_root_is_foreign_and_the_kernels_root_in_unreal_is_not(caller):
    assert play(caller.calls("chroot", "/unreal/"), 0) == (Done(), [Redirect({0: b"/\0"})])
    assert caller.notes == []
    assert play(caller.calls("chroot", "/unreal/etc"), 0) == (Done(), [Redirect({0: b"/etc\0"})])
    assert caller.notes == [("foreign",)]


def test_getcwd_in_the_kernels_own_tree_is_the_kernels(caller):
    assert play(caller.calls("getcwd", 0x5000, 100)) == (Real(), [])


@pytest.mark.parametrize("size", [12, 13, 4096])
def test_getcwd_tells_the_name_with_its_NUL(caller, number, size):
    caller.where, caller.domain = "/unreal/etc", number
    verdict, _ = play(caller.calls("getcwd", 0x5000, size))
    assert verdict == Emulate(12, ((0x5000, b"/unreal/etc\0"),))


@pytest.mark.parametrize("size", [0, 1, 11])
def test_getcwd_without_room_is_ERANGE(caller, number, size):
    caller.where, caller.domain = "/unreal/etc", number
    assert refused(caller.calls("getcwd", 0x5000, size)) == errno.ERANGE


def test_getcwd_in_a_removed_directory_is_ENOENT(caller, number):
    caller.where, caller.domain = "", number
    assert refused(caller.calls("getcwd", 0x5000, 100)) == errno.ENOENT


def test_getcwd_keeps_bytes_that_are_no_text(caller, number):
    caller.where, caller.domain = "/unreal/" + os.fsdecode(b"\xff"), number
    verdict, _ = play(caller.calls("getcwd", 0x5000, 100))
    assert verdict.poke == ((0x5000, b"/unreal/\xff\0"),)


# -- listings ------------------------------------------------------------------------------------

REAL = [
    dirent.Entry(b".", 2, 1, dirent.DT_DIR),
    dirent.Entry(b"etc", 3, 9, dirent.DT_DIR),
]


def listing(caller, call, fd=5, size=4096):
    verdict, _ = play(caller.calls(call, fd, 0x5000, size))
    assert isinstance(verdict, Emulate)
    ((address, data),) = verdict.poke
    assert (address, len(data)) == (0x5000, verdict.value)
    return list((dirent.unpack if call == "getdents64" else dirent.unpack_old)(data))


@pytest.fixture
def lists(caller):
    caller.fds[5] = "/"
    caller.listings[5] = dirent.pack(REAL)
    return caller


@pytest.mark.parametrize("call", ["getdents64", "getdents"])
def test_a_listing_has_the_mount_points_after_what_is_there(lists, call):
    entries = listing(lists, call)
    assert entries[:2] == REAL
    # What is mounted need not be a directory.
    unknown = dirent.DT_UNKNOWN
    assert [(e.name, e.kind) for e in entries[2:]] == [(b"unreal", unknown), (b"v", unknown)]
    # To go on from any of them is to go on after what was really there.
    assert {e.offset for e in entries[2:]} == {9}


def test_a_mount_point_that_is_there_is_listed_once(lists):
    lists.listings[5] = dirent.pack([*REAL, dirent.Entry(b"unreal", 4, 20, dirent.DT_UNKNOWN)])
    names = [entry.name for entry in listing(lists, "getdents64")]
    assert sorted(names) == [b".", b"etc", b"unreal", b"v"]


def test_an_empty_directory_lists_what_is_mounted_in_it(lists):
    lists.listings[5] = b""
    assert [e.name for e in listing(lists, "getdents64")] == [b"unreal", b"v"]


def test_a_listing_that_has_begun_is_the_kernels(lists):
    lists.listings[5] = None
    assert play(lists.calls("getdents64", 5, 0x5000, 4096)) == (Real(), [])


def test_a_directory_without_mount_points_is_the_kernels(lists):
    lists.fds[6] = "/etc"
    assert play(lists.calls("getdents64", 6, 0x5000, 4096)) == (Real(), [])
    assert lists.notes == []


def test_a_descriptor_that_is_not_open_is_the_kernels_or_its_error(lists):
    assert refused(lists.calls("getdents64", 99, 0x5000, 4096)) == errno.EBADF


def test_mount_points_are_listed_where_they_are():
    view = View()
    view.mount("/srv/data", Tree())
    view.mount("/srv/data/more", Tree())
    caller = Nobody(view)
    caller.fds = {5: "/srv", 6: "/srv/data"}
    caller.listings = {5: b"", 6: b""}
    assert [e.name for e in listing(caller, "getdents64", 5)] == [b"data"]
    assert [e.name for e in listing(caller, "getdents64", 6)] == [b"more"]


@pytest.mark.parametrize("size", [300, 320, 380, 400, 500, 4096])
def test_what_is_answered_fits(lists, size):
    verdict, _ = play(lists.calls("getdents64", 5, 0x5000, size))
    if isinstance(verdict, Emulate):
        assert verdict.value <= size
    asked = [size for what, _, size in lists.notes if what == "entries"]
    assert all(one + 64 <= size for one in asked)


def test_a_size_is_32_bits(lists):
    verdict, _ = play(lists.calls("getdents64", 5 | 1 << 32, 0x5000, 4096 | 1 << 32))
    assert isinstance(verdict, Emulate)
