# SPDX-License-Identifier: GPL-2.0-or-later
"""What an overlay tells the core, and what it answers when it knows no better."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from operations import undocumented

from pyview import api

LOOKS = api.Looks(1, 2, 0, stat.S_IFREG | 0o600, 5, 6)


@pytest.fixture
def told():
    return []


@pytest.fixture
def overlay(told):
    made = api.Overlay()
    made.told = lambda *words: told.append(words)
    return made


def test_what_is_touched_is_told_once(overlay, told):
    overlay.touches("/x", api.Touch.FILE)
    overlay.touches("/x", api.Touch.FILE)
    overlay.touches("/x", api.Touch.GONE)
    overlay.forgets("/x")
    overlay.forgets("/x")
    assert told == [
        ("touch", "/x", api.Touch.FILE), ("touch", "/x", api.Touch.GONE), ("forget", "/x", None),
    ]  # fmt: skip
    assert overlay.touched == {}


def test_a_file_is_claimed_again_when_it_looks_otherwise(overlay, told):
    for looks in (None, None, LOOKS, LOOKS):
        overlay.claims(8, 9, looks)
    assert told == [("claim", (8, 9), None), ("claim", (8, 9), LOOKS)]
    assert overlay.claimed == {(8, 9): LOOKS}


def test_a_file_with_other_names_is_told_once(overlay, told):
    overlay.links(8, 9)
    overlay.links(8, 9)
    overlay.replaces(8, 9, "/kept/x")
    assert told == [("link", (8, 9), None), ("replace", (8, 9), "/kept/x")]
    assert overlay.linked == {(8, 9)}


def test_before_the_core_listens_nobody_is_told():
    overlay = api.Overlay()
    overlay.touches("/x", api.Touch.CUT)
    overlay.forgets("/x")
    overlay.claims(8, 9)
    overlay.links(8, 9)
    overlay.replaces(8, 9, "/kept/x")
    overlay.turned()
    assert overlay.turns == 1


def test_the_kernels_name_is_that_of_what_is_shown(overlay):
    overlay.shown = lambda path: api.Shown("/real" + path)
    for name in (overlay.real, overlay.backing, overlay.watched):
        assert name("/x") == "/real/x"


@pytest.mark.parametrize(("uid", "number"), [(5, 0), (7, errno.EACCES)])
def test_who_may_not_search_a_directory_does_not_enter_it(overlay, uid, number):
    overlay.lstat = lambda path: api.attributes(stat.S_IFDIR | 0o700, uid=5)
    overlay.who = api.Who(uid, uid)
    assert number_of(lambda: overlay.enter("/x")) == number


def test_what_is_no_directory_is_not_entered(overlay):
    overlay.lstat = lambda path: api.attributes(stat.S_IFREG | 0o777)
    assert number_of(lambda: overlay.enter("/x")) == errno.ENOTDIR


@pytest.mark.parametrize(
    ("operation", "arguments", "number"),
    [
        ("shown", ["/x"], errno.ENOSYS),
        ("opened", ["/x", os.O_RDWR, 0], errno.ENOSYS),
        ("nameless", ["/x", os.O_RDWR, 0], errno.EOPNOTSUPP),
        ("named", [3, "/x"], errno.EXDEV),
        ("bound", ["/x"], errno.EPERM),
        ("change", [3, "chmod", 0], errno.ENOSYS),
        ("adopts", [3], errno.EROFS),
    ],
)
def test_an_operation_left_out_is_refused_with_an_errno(overlay, operation, arguments, number):
    assert number_of(lambda: getattr(overlay, operation)(*arguments)) == number


def test_an_overlay_that_knows_no_better_leaves_all_as_it_is(overlay):
    assert overlay.here("/x") == "/x"
    assert overlay.inside("/x", [("a", 1, 2)]) == [("a", 1, 2)]
    assert overlay.beside("/x") == []
    assert overlay.stat(3) is None
    assert overlay.prepares("/x", os.O_RDWR) is None
    assert overlay.was_bound("/x") is None
    assert not overlay.reveals("/x")
    assert not overlay.attempts("/x")
    assert not overlay.goes_on(errno.EACCES)
    assert overlay.syncs()


def test_every_operation_of_its_own_says_what_it_is():
    assert set(undocumented(api.Overlay)) == {"real", "backing"}  # as in any Tree


def number_of(action):
    """The errno that something fails with, 0: none."""
    try:
        action()
    except OSError as error:
        return error.errno
    return 0
