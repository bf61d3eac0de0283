# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody else has changed meanwhile."""

from __future__ import annotations

import os
import shutil

import pytest
from stage import picture

HOST = {
    "written": lambda host: (host / "f").write_bytes(b"host"),
    "replaced": lambda host: (os.unlink(host / "f"), (host / "f").write_bytes(b"host")),
    "deleted": lambda host: os.unlink(host / "f"),
    "permissions": lambda host: os.chmod(host / "f", 0o640),
    "became a directory": lambda host: (os.unlink(host / "f"), os.mkdir(host / "f")),
}
VIEW = {
    "written": [("append", "/f", b"view")],
    "deleted": [("unlink", "/f")],
    "permissions": [("chmod", "/f", 0o600)],
    "renamed": [("rename", "/f", "/x")],
    "replaced": [("rename", "/g", "/f")],
    "became a directory": [("unlink", "/f"), ("mkdir", "/f")],
}


@pytest.mark.parametrize("theirs", HOST)
@pytest.mark.parametrize("ours", VIEW)
def test_one_file_changed_by_both(stage, ours, theirs):
    for call in VIEW[ours]:
        stage.both(*call)
    stage.both("write", "/other", b"1")
    stage.ended()
    HOST[theirs](stage.host)
    before = picture(str(stage.host))
    outcome = stage.commit()
    if ours != theirs or ours not in ("deleted", "became a directory"):  # they agree
        assert outcome.conflicts, outcome.changes
        assert picture(str(stage.host)) == before
        assert stage.commit(theirs=True).done
    left = picture(str(stage.host))
    assert left.pop("/other")
    assert {k: v[:6] for k, v in left.items()} == {k: v[:6] for k, v in before.items()}


@pytest.mark.parametrize("ours", ["written", "deleted", "replaced", "became a directory"])
@pytest.mark.parametrize("theirs", HOST)
def test_force_makes_it_what_the_view_shows(stage, ours, theirs):
    for call in VIEW[ours]:
        stage.both(*call)
    stage.ended()
    HOST[theirs](stage.host)
    outcome = stage.commit(force=True)
    assert outcome.done, outcome.problems
    assert stage.alike()


def test_data_that_is_gone_cannot_be_forced(stage):
    stage.both("chmod", "/f", 0o600)
    stage.ended()
    os.unlink(stage.host / "f")
    outcome = stage.commit(force=True)
    assert [problem.why for problem in outcome.problems] == ["its data is gone"]


def test_something_appeared_where_the_view_has_something_new(stage):
    stage.both("write", "/new", b"view")
    stage.ended()
    (stage.host / "new").write_bytes(b"host")
    outcome = stage.commit()
    assert [conflict.why for conflict in outcome.conflicts] == ["appeared"]


def test_something_new_in_a_directory_that_the_view_deleted(stage):
    stage.both("rmtree", "/a")
    stage.ended()
    (stage.host / "a/d/precious").write_bytes(b"host")
    outcome = stage.commit()
    assert [conflict.path for conflict in outcome.conflicts] == [b"a"]
    assert (stage.host / "a/d/precious").exists()


def test_what_happened_elsewhere_in_a_directory_is_no_conflict(stage):
    stage.both("append", "/a/f", b"x")
    stage.both("rename", "/b", "/moved")
    stage.ended()
    (stage.host / "a/g").write_bytes(b"host")
    (stage.host / "b/more").write_bytes(b"host")
    assert stage.commit().done
    assert (stage.host / "moved/more").read_bytes() == b"host"
    assert (stage.host / "a/f").read_bytes().endswith(b"x")


def test_the_directory_of_something_new_is_gone(stage):
    stage.both("write", "/b/c/new", b"")
    stage.ended()
    shutil.rmtree(stage.host / "b/c")
    assert stage.commit().conflicts
    assert not (stage.host / "b/c").exists()


def test_a_change_during_the_run(stage):
    """Nobody said what the host had been: the run's beginning decides."""
    stage.both("append", "/f", b"x")
    while os.stat(stage.host / "f").st_ctime_ns <= stage.directory.about["stamp"]:
        os.utime(stage.host / "f")
    assert [conflict.why for conflict in stage.commit().conflicts] == [
        "was changed while the command ran"
    ]


def test_uppers_that_no_run_of_ours_made_are_taken_as_they_are(stage):
    stage.both("append", "/f", b"x")
    stage.directory.about |= {"stamp": 0, "running": False}
    assert stage.commit().done
    assert stage.alike()


@pytest.mark.needs("user")
def test_what_the_command_could_not_read_is_not_what_it_saw(stage):
    """A view shows something made up in place of /etc/shadow; root must not put that there."""
    stage.model.append("/f", b"x")
    os.chmod(stage.host / "f", 0)
    stage.ended()
    os.chmod(stage.host / "f", 0o644)
    (conflict,) = stage.commit().conflicts
    assert conflict.why == "could not be read by the command, which saw something else"


def test_bytes_that_lie_in_a_file_that_is_another_one_now(stage):
    stage.both("link", "/f", "/x")
    stage.ended()
    os.rename(stage.host / "g", stage.host / "f")
    assert [conflict.path for conflict in stage.commit().conflicts] == [b"f", b"x"]


RUNS = {
    "written in, then gone": [[("append", "/b/f", b"x")], [("rmtree", "/b")]],
    "new in it, then gone": [[("write", "/b/c/n", b"x")], [("rmtree", "/b")]],
    "gone, then new": [[("rmtree", "/b")], [("mkdir", "/b"), ("write", "/b/n", b"x")]],
    "gone, then a file, then new": [[("rmtree", "/b")], [("write", "/b", b"")],
                                    [("unlink", "/b"), ("mkdir", "/b")]],
    "moved out and written, then gone": [[("rename", "/b/c/y", "/y"), ("append", "/y", b"x")],
                                         [("rmtree", "/b")]],
    "the same at once": [[("rename", "/b/c/y", "/y"), ("append", "/y", b"x"), ("rmtree", "/b")]],
}  # fmt: skip


@pytest.mark.parametrize("runs", RUNS.values(), ids=RUNS)
def test_nobody_but_the_runs_has_changed_anything(stage, runs):
    for run in runs:
        stage.directory.begin(["test"], [])
        for call in run:
            assert stage.both(*call)
        stage.ended()
    outcome = stage.commit()
    assert outcome.done, outcome.conflicts
    assert stage.alike()


@pytest.mark.parametrize("runs", RUNS.values(), ids=RUNS)
def test_a_directory_that_went_was_changed_inside(stage, runs):
    for run in runs:
        stage.directory.begin(["test"], [])
        for call in run:
            assert stage.both(*call)
        stage.ended()
    (stage.host / "b/c/theirs").write_bytes(b"host")
    before = picture(str(stage.host))
    assert {conflict.path.split(b"/")[0] for conflict in stage.commit().conflicts} == {b"b"}
    assert picture(str(stage.host)) == before


def test_a_file_of_the_first_run_was_changed_before_the_second_removed_it(stage):
    stage.both("append", "/b/f", b"x")
    stage.ended()
    (stage.host / "b/f").write_bytes(b"host")
    stage.directory.begin(["test"], [])
    stage.both("rmtree", "/b")
    stage.ended()
    assert {conflict.path.split(b"/")[0] for conflict in stage.commit().conflicts} == {b"b"}
