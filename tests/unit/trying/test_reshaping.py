# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes that the host can't take as they are."""

from __future__ import annotations

import os

from stage import picture

from pyview.trying import commit as committing
from pyview.trying.permissions import Rights
from pyview.trying.reshaping import apart, ours, seen_from
from pyview.trying.trees import Plain


def across(monkeypatch, *mounts: bytes) -> None:
    """As if some directories lay on file systems of their own."""
    real = Rights.__init__

    def init(self, host):
        real(self, host)
        self._mounted = set(mounts)

    monkeypatch.setattr(committing.Rights, "__init__", init)


def test_a_rename_to_another_file_system_is_a_copy(stage, monkeypatch):
    """Of all that the view shows there; links between names of the two systems can't be."""
    for call in [
        ("write", "/a/d/new", b"1"),
        ("rename", "/b/c", "/a/d/c"),
        ("rename", "/a/d", "/b/d"),
        ("append", "/b/d/f", b"more"),
        ("unlink", "/b/d/e/x"),
        ("rename", "/f", "/b/f2"),
    ]:
        assert stage.both(*call), call
    across(monkeypatch, b"b")
    renamed = []
    real = os.rename

    def watched(old, new, **more):
        renamed.append((old.removeprefix(os.fsencode(stage.host)), new))
        real(old, new, **more)

    monkeypatch.setattr(os, "rename", watched)
    outcome = stage.commit()
    assert outcome.done, outcome.problems
    assert picture(str(stage.host)) == picture(str(stage.copy))
    assert not [old for old, new in renamed if old == b"/f" and b"/b/" in new]


def test_names_on_one_file_system_are_renamed(stage):
    stage.both("rename", "/a", "/x")
    changes = stage.changes()
    assert apart(changes, stage.view(), lambda path: b"") == changes


def test_owners_that_stay_what_they_are(stage):
    stage.both("write", "/n", b"")
    stage.both("chmod", "/f", 0o600)
    new, old = stage.change("n"), stage.change("f")
    new.new = new.new._replace(uid=12345)
    old.new = old.new._replace(uid=12345)
    assert ours(new).uid == os.geteuid()
    assert ours(old).uid == old.old.uid
    stage.both("unlink", "/g")
    assert ours(stage.change("g")) is None


def test_what_layers_have_made_of_the_host(stage):
    stage.both("write", "/n", b"")
    stage.both("append", "/f", b"x")
    stage.both("unlink", "/g")
    (stage.host / "n").write_bytes(b"layer")
    os.unlink(stage.host / "f")
    changes = stage.changes()
    os.unlink(stage.host / "g")
    kinds = {c.path: c.kind for c in seen_from(Plain(os.fsencode(stage.host)), changes)}
    assert kinds == {b"n": "modified", b"f": "added"}
