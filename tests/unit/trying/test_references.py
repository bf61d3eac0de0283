# SPDX-License-Identifier: GPL-2.0-or-later
"""What stays in the upper when a part of it is committed."""

from __future__ import annotations

import os

from pyview.trying.references import References
from pyview.trying.trees import Upper


def references(stage, *paths: bytes) -> References:
    changes = stage.changes()
    chosen = [change for change in changes if change.path in paths]
    rest = [change for change in changes if change.path not in paths]
    return References(Upper(os.fsencode(stage.upper)), chosen, rest)


def test_what_was_committed_is_dropped(stage):
    stage.both("append", "/f", b"x")
    stage.both("unlink", "/g")
    assert references(stage, b"f").after == [["drop", "f"]]
    assert references(stage, b"g").after == [["drop", "g"]]


def test_not_below_a_directory_that_hides_the_lower_one(stage):
    for call in [("rmtree", "/a"), ("mkdir", "/a"), ("write", "/a/f", b"")]:
        stage.both(*call)
    assert references(stage, b"a/f").after == []


def test_what_is_called_otherwise_is_referred_to_so(stage):
    stage.both("rename", "/a", "/x")
    stage.both("chmod", "/x/f", 0o600)
    assert references(stage, b"x").after == [
        ["refer", "x", "user.view.r", "/x"],
        ["refer", "x/f", "user.view.m", "/x/f"],
    ]


def test_what_is_still_needed(stage):
    stage.both("link", "/f", "/x")
    stage.both("unlink", "/f")
    stage.both("link", "/x", "/y")
    stage.both("rmtree", "/a")
    assert not references(stage, b"a").problems
    found = references(stage, b"x")
    assert not found.problems
    stage.both("rename", "/b/c", "/c")
    stage.both("rmtree", "/b")
    assert {p.why for p in references(stage, b"b").problems} == {"still needs /b: commit both"}
