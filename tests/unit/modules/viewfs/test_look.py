# SPDX-License-Identifier: GPL-2.0-or-later
"""Where names lead when one tree lies over another, and what is told to the core."""

from __future__ import annotations

import errno
import os

import pytest

from pyview.api import Shown, Touch, Who
from pyview.modules.viewfs.look import permitted


def test_an_untouched_name_is_the_kernels(two):
    two.make(d__x=b"X")
    tree = two.mount()
    assert tree.shown("/d/x") == Shown(f"{two.low}/d/x")
    assert tree.shown("/no/such") == Shown(f"{two.low}/no/such")
    two.write("/d/y", b"")
    assert tree.shown("/d/x") == Shown(f"{two.low}/d/x")
    assert tree.shown("/d") == Shown(f"{two.low}/d", True)
    assert tree.shown("/d/y") == Shown(f"{two.up}/d/y", True, True)
    tree.unlink("/d/x")
    assert tree.shown("/d/x") == Shown(None, True)
    assert tree.shown("/d/x/z") == Shown(None, True)


def test_the_core_is_told_of_each_touch(two):
    two.make(d__x=b"X", e=b"")
    tree = two.mount()
    told = []
    tree.told = lambda *what: told.append(what)
    two.write("/d/y", b"")
    tree.unlink("/e")
    touched = [(name, how) for what, name, how in told if what == "touch"]
    assert touched == [("/d", Touch.DIRECTORY), ("/d/y", Touch.FILE), ("/e", Touch.GONE)]
    st = os.stat(two.low / "d")
    assert (st.st_dev, st.st_ino) in tree.claimed
    tree.chmod("/d", 0o700)  # not everybody may search it: for others C does not decide
    assert tree.touched["/d"] is Touch.CLOSED_DIRECTORY
    tree.chmod("/d", 0o600)
    assert tree.touched["/d"] is Touch.CUT
    tree.chmod("/d", 0o711)
    assert tree.touched["/d"] is Touch.DIRECTORY
    tree.unlink("/d/y")
    assert "/d/y" not in tree.touched


def test_the_private_directory_is_hidden_at_the_root_alone(two):
    two.make(**{"d__.-": b"mine"})
    tree = two.mount()
    two.write("/new", b"")
    assert two.names() == ["d", "new"]
    with pytest.raises(OSError, match="No such"):
        tree.lstat("/.-")
    assert two.names("/d") == [".-"]


def test_a_directory_says_what_is_beside_the_kernels_entries(two):
    two.make(d__x=b"X", d__y=b"Y")
    tree = two.mount()
    two.write("/d/new", b"")
    two.write("/d/y", b"")
    tree.unlink("/d/x")
    own = [("x", 1, 0o100000), ("y", 2, 0o100000)]
    assert tree.inside("/d", own) == [("y", os.stat(two.low / "d/y").st_ino, 0o100000)]
    assert [name for name, _, _ in tree.beside("/d")] == ["new"]


def test_room_is_that_of_the_upper(two):
    tree = two.mount()
    assert tree.statvfs("/").f_blocks == os.statvfs(two.low).f_blocks
    assert tree.statvfs("/").f_namemax == 255


@pytest.mark.parametrize(
    ("mode", "wanted", "who", "answer"),
    [
        (0o600, os.R_OK | os.W_OK, Who(1, 1), True),  # taken for the owner
        (0o066, os.R_OK, Who(1, 1), False),
        (0o000, os.R_OK | os.W_OK, Who(0, 0, virtual=True), True),
        (0o000, os.X_OK, Who(0, 0, virtual=True), False),
        (0o001, os.X_OK, Who(0, 0, virtual=True), True),
        (0o640, os.R_OK, Who(9, 9, frozenset((0,)), True), True),
        (0o640, os.W_OK, Who(9, 9, frozenset((0,)), True), False),
        (0o604, os.R_OK, Who(9, 9, frozenset(), True), True),
    ],
)
def test_who_may_what(mode, wanted, who, answer):
    st = os.stat_result((0o100000 | mode, 1, 1, 1, 0, 0, 0, 0, 0, 0))
    assert permitted(st, wanted, who) is answer


def test_a_damaged_upper_is_said_to_be_one(two):
    two.make(a=b"A")
    (two.up / "b").write_text("")
    os.setxattr(two.up / "b", "user.view", b"what?")
    with pytest.raises(OSError, match="damaged") as caught:
        two.mount()
    assert caught.value.errno == errno.EUCLEAN
    assert caught.value.filename == str(two.up / "b")
