# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of the mount type, and what is said of wrong ones."""

from __future__ import annotations

import errno

import pytest

from pyview.modules.viewfs.mount import mount
from pyview.view import View


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"cow": True, "merge": True}, "only one of"),
        ({"cow": True, "move": True}, "only one of"),
        ({"cow": True, "unreadable": "maybe"}, "neither empty nor error"),
        ({"cow": True, "except_": ["/"]}, "nothing would be left"),
        ({"move": True, "ro": True}, "goes with"),
    ],
)
def test_wrong_options_are_one_line(two, options, why):
    with pytest.raises(OSError, match=why) as caught:
        two.mount(**options)
    assert caught.value.errno == errno.EINVAL
    assert two.lower() == {}


def test_a_directory_cannot_keep_its_own_changes(two):
    with pytest.raises(OSError, match="own changes"):
        mount(View().now(), str(two.low), str(two.low), cow=True)


def test_a_source_that_is_no_directory(two):
    two.make(a=b"")
    with pytest.raises(NotADirectoryError):
        mount(View().now(), str(two.low / "a"), str(two.low), cow=True)
    with pytest.raises(FileNotFoundError):
        mount(View().now(), str(two.low / "no"), str(two.low), cow=True)


def test_what_is_left_to_the_kernel(two):
    tree = mount(View().now(), str(two.up), "/", mincow=True, except_=["/tmp/x", "srv/"])
    assert tree.excepted == ("/tmp/x", "/srv", "/proc", "/sys", "/dev/pts", "/dev/shm", str(two.up))
    tree.unmounted()


def test_an_upper_in_the_lower_is_not_part_of_it(two):
    inside = two.low / "kept"
    inside.mkdir()
    tree = mount(View().now(), str(inside), str(two.low), cow=True)
    assert tree.excepted == ("/kept",)
    tree.unmounted()


def test_move_shows_the_source_alone(two):
    two.make(d__x=b"X")
    tree = mount(View().now(), str(two.low / "d"), "/anywhere")
    assert tree.listdir("/") == ["x"]
