# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are while they are moved; test_commit.py shows that they arrive."""

from __future__ import annotations

import os

from pyview.trying.journal import Journal
from pyview.trying.permissions import Rights
from pyview.trying.staging import Staging, _Moves
from pyview.trying.trees import Plain


def test_things_move_with_the_directories_that_they_are_in():
    moves = _Moves()
    assert moves.now(b"a/b/c") == b"a/b/c"
    assert moves.move(b"a/b", b"", b"t1") == (b"a/b", b"t1")
    assert moves.move(b"a", b"", b"t2") == (b"a", b"t2")
    assert moves.now(b"a/b/c") == b"t1/c"
    assert moves.now(b"a/x") == b"t2/x"
    assert moves.move(b"a/b", b"a", b"new") == (b"t1", b"t2/new")
    assert moves.now(b"a/b/c") == b"t2/new/c"
    assert moves.moved(b"a")
    assert not moves.moved(b"a/x")


def test_two_things_that_exchange_their_names():
    moves = _Moves()
    moves.move(b"a", b"", b"t1")
    moves.move(b"b", b"", b"t2")
    assert moves.move(b"a", b"", b"b") == (b"t1", b"b")
    assert moves.move(b"b", b"", b"a") == (b"t2", b"a")
    assert moves.now(b"a/x") == b"b/x"


def test_what_is_made_has_its_attributes_before_it_is_in_its_place(stage):
    stage.both("mkdir", "/n")
    stage.both("write", "/n/x", b"1")
    stage.both("chmod", "/n", 0o500)
    host, view, journal = Plain(os.fsencode(stage.host)), stage.view(), Journal(stage.directory)
    staging = Staging(journal, view, host, Rights(host), {})
    staging.prepare(stage.changes())
    staging.undo.close()
    (made,) = [name for name in os.listdir(stage.host) if name.startswith(".vutry-")]
    assert (stage.host / made).stat().st_mode & 0o777 == 0o500
    assert os.listdir(stage.host / made) == ["x"]
    staging.plan(stage.changes())
    assert journal.steps == [["rename", made, "n"]]
    journal.clear()
    journal.close()
    assert not (stage.host / made).exists()
