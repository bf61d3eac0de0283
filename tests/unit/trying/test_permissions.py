# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in the way, before anything is touched."""

from __future__ import annotations

import os

import pytest

from pyview.abi import upper
from pyview.trying.permissions import Rights, mount_points
from pyview.trying.trees import Plain

user = pytest.mark.needs("user")


def problems(stage) -> list[str]:
    rights = Rights(Plain(os.fsencode(stage.host)))
    found = []
    for change in stage.changes():
        parent = change.path.rpartition(b"/")[0]
        found += [problem.why for problem in rights.problems(change, parent)]
    return found


def recorded(stage, path: str, **fields: int) -> None:
    """Let the view show other owners than the file has."""
    record = upper.Record.parse(os.getxattr(stage.upper / path, upper.RECORD))
    for name, value in fields.items():
        setattr(record, name, value)
    os.setxattr(stage.upper / path, upper.RECORD, record.format())


def test_nothing_in_the_way(stage):
    for call in [("append", "/f", b"x"), ("unlink", "/g"), ("rmtree", "/a"), ("mkdir", "/n")]:
        stage.both(*call)
    assert problems(stage) == []


@user
def test_owners(stage):
    stage.model.write("/n", b"")
    recorded(stage, "n", uid=0)
    assert "would belong to 0:" in problems(stage)[0]


@user
def test_owners_of_what_stays(stage):
    stage.model.chmod("/f", 0o600)
    recorded(stage, "f", uid=0)
    assert "would belong to 0:" in problems(stage)[0]


def test_root_changes_owners_of_what_stays(stage):
    for path in ("a", "f"):
        stage.model.chmod(f"/{path}", 0o700)
        recorded(stage, path, uid=os.geteuid() + 1)
    rights = Rights(Plain(os.fsencode(stage.host)))
    rights.uid = 0
    assert [rights.problems(change, b"") for change in stage.changes()] == [[], []]


@user
def test_files_of_others(stage):
    rights = Rights(Plain(b"/"))
    assert rights.directory(b"etc") == "its directory may not be written"
    assert rights.directory(b"tmp") == ""


@user
def test_devices(stage):
    stage.model.write("/n", b"")
    recorded(stage, "n", rdev=os.makedev(1, 3))
    value = os.getxattr(stage.upper / "n", upper.RECORD).replace(b"f ", b"c ", 1)
    os.setxattr(stage.upper / "n", upper.RECORD, value)
    assert problems(stage) == ["only root can make a device"]


@user
def test_our_own_closed_directory_is_no_obstacle(stage):
    stage.model.write("/a/n", b"")
    os.chmod(stage.host / "a", 0o500)
    assert problems(stage) == []
    assert Rights(Plain(os.fsencode(stage.host))).closed(b"a")
    os.chmod(stage.host / "a", 0o755)


def test_what_must_be_written_into(stage):
    for call in [("append", "/b/f", b"x"), ("append", "/f", b"x"), ("rename", "/g", "/b/h")]:
        stage.both(*call)
    rights = Rights(Plain(os.fsencode(stage.host)))
    assert rights.in_place(stage.change("b/f"))
    assert not rights.in_place(stage.change("f"))
    assert not rights.in_place(stage.change("b/h"))


def test_mount_points_are_written_into_and_not_removed(stage):
    stage.both("append", "/f", b"x")
    stage.both("rmtree", "/a")
    rights = Rights(Plain(os.fsencode(stage.host)))
    rights._mounted = {b"f", b"a/d"}
    assert rights.in_place(stage.change("f"))
    assert [p.why for p in rights.problems(stage.change("a"), b"")] == [
        "something is mounted in it"
    ]
    rights._mounted = {b"a"}
    assert [p.why for p in rights.problems(stage.change("a"), b"")] == ["is a mount point"]
    assert rights.mount_of(b"a/d/e") == b"a"
    assert rights.mount_of(b"b") == b""


def test_the_mount_points_of_this_machine():
    assert b"proc" in mount_points()
    assert b"" not in mount_points()
