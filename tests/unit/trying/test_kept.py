# SPDX-License-Identifier: GPL-2.0-or-later
"""Directories of changes, as commands find them."""

from __future__ import annotations

import os

import pytest

from pyview.commands import Failure
from pyview.trying import kept
from pyview.trying.ignoring import Ignored
from pyview.trying.state import Directory


def test_only_directories_of_changes_are_opened(stage, tmp_path):
    assert kept.opened(str(stage.upper)).name == str(stage.upper)
    with pytest.raises(Failure, match="keeps no changes"):
        kept.opened(str(tmp_path))
    made = kept.opened(str(tmp_path / "new"), make=True)
    assert os.stat(made.raw).st_mode & 0o777 == 0o700


def test_who_uses_it_is_said(stage):
    other = Directory(str(stage.upper))
    other.lock(0)
    with open(other.own(b"lock"), "w") as file:
        file.write("process 7")
    with pytest.raises(Failure, match="in use by process 7"):
        kept.locked(stage.directory, 0)
    other.unlock()


def test_names_are_those_of_the_view(stage, monkeypatch):
    stage.directory.about["root"] = "/"
    monkeypatch.chdir(stage.host)
    here = os.fsencode(stage.host).lstrip(b"/")
    names = ["f", "a/../g", "l", "a/l/f", "nothing", str(stage.host / "b/")]
    assert kept.within_root(stage.directory, names) == [
        here + b"/" + name for name in (b"f", b"g", b"l", b"b/f", b"nothing", b"b")
    ]
    assert kept.within_root(stage.directory, ["/"]) == [b""]


def test_a_look_leaves_out_what_is_ignored(stage):
    stage.both("write", "/x.o", b"")
    stage.both("write", "/x.c", b"")
    found = kept.look("vutry", stage.directory, Ignored(["*.o"]))
    assert [change.path for change in found] == [b"x.c"]


def test_dropped_is_dropped(stage):
    stage.both("write", "/x", b"")
    kept.drop(stage.directory)
    assert os.listdir(stage.upper) == [".-"]
    stage.directory.about["temporary"] = True
    kept.drop(stage.directory)
    assert not stage.upper.exists()


def test_where_they_are(stage, capfd):
    kept.keep("vutry", stage.directory, plain=True)
    kept.keep("vutry", stage.directory, plain=False)
    name = str(stage.upper)
    assert capfd.readouterr() == (name + "\n", f"vutry: the changes are in {name}\n")
