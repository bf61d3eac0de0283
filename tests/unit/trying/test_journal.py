# SPDX-License-Identifier: GPL-2.0-or-later
"""Single steps of a commit: done, done again, taken back.  test_commit.py has whole ones."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pyview.trying.copying import attributes_of
from pyview.trying.journal import COMMIT, Journal, Undo
from pyview.trying.trees import Plain


@pytest.fixture
def journal(stage):
    made = Journal(stage.directory)
    yield made
    made.close()


def contents(stage) -> dict[str, bytes]:
    return {
        name: (stage.host / name).read_bytes()
        for name in sorted(os.listdir(stage.host))
        if (stage.host / name).is_file() and name != "l"
    }


def old_of(stage, name: bytes):
    plain = Plain(os.fsencode(stage.host))
    return attributes_of(plain.look(name), plain.xattrs(name))


STEPS = {
    "rename": lambda stage: ["rename", "f", "x"],
    "link": lambda stage: ["link", "f", "x"],
    "replace": lambda stage: ["replace", "g", "f", "backup"],
    "write": lambda stage: ["write", "f", "f", ".-/try.kept/0", old_of(stage, b"f")],
    "dress": lambda stage: ["dress", "f", old_of(stage, b"f") | {"mode": 0o600, "mtime": 7},
                            old_of(stage, b"f")],
}  # fmt: skip


@pytest.mark.parametrize("kind", STEPS)
def test_a_step_may_be_done_again_and_taken_back(stage, journal, kind):
    os.mkdir(stage.upper / ".-/try.kept")
    (stage.upper / ".-/try.kept/0").write_bytes((stage.host / "f").read_bytes())
    (stage.upper / "f").write_bytes(b"written")
    before, mode = contents(stage), (stage.host / "f").stat().st_mode
    word, *rest = STEPS[kind](stage)
    getattr(journal, "do_" + word)(*rest)
    once = contents(stage)
    assert once != before or (stage.host / "f").stat().st_mode != mode
    getattr(journal, "do_" + word)(*rest)
    assert contents(stage) == once
    getattr(journal, "undo_" + word)(*rest)
    if kind == "replace":
        before.pop("g")  # the new file is what preparing has made
    assert contents(stage) == before
    assert (stage.host / "f").stat().st_mode == mode
    getattr(journal, "undo_" + word)(*rest)
    assert contents(stage) == before


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EMLINK])
def test_where_there_are_no_links_files_are_replaced_all_the_same(
    stage, journal, monkeypatch, refusal
):
    def no(*_words, **_more):
        raise OSError(refusal, "no links")

    before = contents(stage)
    monkeypatch.setattr(os, "link", no)
    journal.do_replace("g", "f", "backup")
    assert (stage.host / "f").read_bytes() == before["g"]
    journal.undo_replace("g", "f", "backup")
    assert (stage.host / "f").read_bytes() == before["f"]
    journal.do_link("f", "copy")
    assert (stage.host / "copy").read_bytes() == before["f"]


def test_nothing_is_under_way(journal):
    assert not journal.found()
    assert not journal.begun()


def test_what_was_prepared_is_cleared(stage, journal):
    undo = Undo(stage.directory)
    undo.will_make(b"temporary")
    undo.will_make(b"a/never made")
    undo.will_open(b"a", 0o555)
    undo.close()
    os.chmod(stage.host / "a", 0o755)
    (stage.host / "temporary").mkdir()
    (stage.host / "temporary/x").touch()
    assert journal.begun()
    journal.clear()
    assert not (stage.host / "temporary").exists()
    assert (stage.host / "a").stat().st_mode & 0o777 == 0o555
    assert not journal.begun()
    os.chmod(stage.host / "a", 0o755)


def test_steps_are_counted(stage, journal):
    journal.steps = [["rename", "f", "x"], ["rename", "nowhere/y", "nowhere/x"]]
    (stage.host / "nowhere").touch()
    journal.steps[1] = ["replace", "g", "missing", "backup"]
    journal.write()
    with pytest.raises(FileNotFoundError):
        journal.run()
    again = Journal(stage.directory)
    assert again.found()
    assert again._count() == 1
    again.back()
    again.close()
    assert (stage.host / "f").exists()
    assert not journal.found()


def test_nobody_goes_on_with_what_another_has_begun(stage, journal, monkeypatch):
    """Root, above all: the steps could be anything."""
    journal.steps = [["rename", "f", "x"]]
    journal.write()
    Undo(stage.directory).close()
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    for work in (Journal(stage.directory).found, Journal(stage.directory).clear):
        with pytest.raises(OSError, match="of another user") as caught:
            work()
        assert caught.value.errno == errno.EPERM
    monkeypatch.undo()
    assert (stage.host / "f").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": [["fly"]], "after": []}'])
def test_a_damaged_journal_is_followed_nowhere(stage, text):
    Path(os.fsdecode(stage.directory.own(COMMIT))).write_text(text)
    with pytest.raises(OSError) as caught:
        Journal(stage.directory).found()
    assert caught.value.errno == errno.EUCLEAN
