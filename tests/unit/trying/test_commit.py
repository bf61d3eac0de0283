# SPDX-License-Identifier: GPL-2.0-or-later
"""After a commit the host is what the view showed; a plain copy, changed alike, is the oracle."""

from __future__ import annotations

import errno
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from stage import Stage, furnish, picture

from pyview.abi import upper
from pyview.trying import copying
from pyview.trying.changes import walk
from pyview.trying.commit import TooLateError, interrupted, scan_for, undo, wipe
from pyview.trying.ignoring import Ignored
from pyview.trying.journal import Journal, Undo
from pyview.trying.trees import Plain


def anything(rnd: random.Random, stage: Stage) -> None:
    """Some call on some names."""
    places = ["", "/a", "/b", "/a/d", "/a/d/e", "/b/c", "/n", "/n/m"]

    def name() -> str:
        return rnd.choice(places) + "/" + rnd.choice("fghlxydabcenm")

    call = rnd.choice(
        "write write append mkdir unlink unlink rmdir rename rename rename symlink link chmod "
        "utime rmtree setxattr mkfifo".split()
    )
    words: tuple[object, ...] = (name(),)
    if call in ("write", "append"):
        target = stage.native.at(str(words[0]))
        if os.path.islink(target) or (os.path.exists(target) and not os.path.isfile(target)):
            return
        words += (rnd.randbytes(rnd.randrange(20)),)
    elif call in ("rename", "link"):
        words += (name(),)
    elif call == "symlink":
        words = (rnd.choice(["f", "../x", "nowhere"]), name())
    elif call in ("chmod", "utime", "setxattr"):
        target = stage.native.at(str(words[0]))
        if os.path.islink(target) or not (os.path.isdir(target) or os.path.isfile(target)):
            return
        modes = [0o555, 0o755, 0o711] if os.path.isdir(target) else [0o600, 0o444, 0o755]
        extra = {
            "chmod": (rnd.choice(modes),),
            "utime": (rnd.randrange(10**9) * 10**9,),
            "setxattr": ("user.other", rnd.randbytes(3)),
        }
        words += extra[call]
    paths = words[1:] if call == "symlink" else words[: 1 + (call in ("rename", "link"))]
    if call == "rmtree":
        paths += (f"{paths[0]}/x",)
    if all(through_no_link(stage, str(path)) for path in paths):
        stage.both(call, *words)


def through_no_link(stage: Stage, path: str) -> bool:
    """The model doesn't follow symbolic links."""
    parent = os.path.dirname(stage.native.at(path))
    return os.path.realpath(parent) == parent


@pytest.mark.parametrize("seed", range(80))
def test_whatever_was_done(tmp_path, seed):
    rnd = random.Random(seed)
    stage = Stage(tmp_path)
    furnish(stage.host)
    stage.start()
    for _ in range(rnd.choice([1, 3, 10, 40])):
        anything(rnd, stage)
    outcome = stage.commit()
    assert outcome.done, (outcome.conflicts, outcome.problems)
    assert picture(str(stage.host)) == picture(str(stage.copy))
    assert not stage.changes()
    assert os.listdir(stage.upper) == [".-"]


# -- interrupted -----------------------------------------------------------------------------------

PLENTY = [
    ("append", "/f", b"more"), ("write", "/a/new", b"x"), ("mkdir", "/n"), ("write", "/n/x", b"1"),
    ("rename", "/a/d", "/n/d"), ("write", "/n/d/e/y", b"2"), ("unlink", "/g"), ("rmtree", "/b/c"),
    ("append", "/b/h", b"both"), ("rename", "/a/f", "/a/renamed"), ("chmod", "/a", 0o711),
    ("unlink", "/l"), ("mkdir", "/l"), ("link", "/a/g", "/a/g2"), ("symlink", "x", "/n/link"),
    ("chmod", "/a/g", 0o600),
]  # fmt: skip


def plenty(stage: Stage) -> None:
    for call in PLENTY:
        assert stage.both(*call), call


def in_child(work) -> int:
    """Do something in a process of its own; its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(77)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refusal(work) -> OSError | None:
    try:
        work()
    except OSError as error:
        return error
    return None


def changed(home: Path) -> tuple[Stage, Any]:
    """A stage where plenty was done, and the host before it is committed."""
    home.mkdir()
    stage = Stage(home)
    furnish(stage.host)
    stage.start()
    plenty(stage)
    stage.ended()
    return stage, picture(str(stage.host))


PLACES = {
    "before a step is counted": (Journal, "_tick"),
    "before something is made": (Undo, "will_make"),
    "before something is cleaned up": (copying, "remove"),
    "before a directory is dressed": (copying, "dress"),
}


def killed_at(home: Path, place: str, at: int, monkeypatch) -> tuple[Stage, Any, int]:
    """A commit that is killed when it comes to a place for the time `at`.

    The host before it, and how it ended.
    """
    owner, name = PLACES[place]
    real, left = getattr(owner, name), [at]
    stage, before = changed(home)

    def deadly(*words, **more):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(*words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, deadly)
        ended = in_child(stage.commit)
    assert ended in (0, -signal.SIGKILL)
    return stage, before, ended


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_the_next_commit_completes(tmp_path, place, monkeypatch):
    for at in range(100):
        stage, _, ended = killed_at(tmp_path / str(at), place, at, monkeypatch)
        if ended == 0:
            break
        if stage.upper.exists() and (stage.upper / ".-").exists():
            outcome = stage.commit()
            assert outcome.done, (at, outcome.conflicts, outcome.problems)
        assert picture(str(stage.host)) == picture(str(stage.copy)), at
        assert os.listdir(stage.upper) == [".-"]
        assert os.listdir(stage.upper / ".-") == ["lock"]
    assert at > 2


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_it_is_taken_back_or_complete(tmp_path, place, monkeypatch):
    for at in range(100):
        stage, before, ended = killed_at(tmp_path / str(at), place, at, monkeypatch)
        if ended == 0:
            break
        try:
            taken_back = undo(stage.directory)
        except TooLateError:
            assert picture(str(stage.host)) == picture(str(stage.copy)), at
            assert os.listdir(stage.upper / ".-") == ["lock"]
            assert not undo(stage.directory)
            continue
        if picture(str(stage.host)) != picture(str(stage.copy)):
            assert picture(str(stage.host)) == before, (at, taken_back)
            assert stage.commit().done
        assert picture(str(stage.host)) == picture(str(stage.copy)), at
    assert at > 2


@pytest.mark.parametrize(("owner", "name"), [(os, "rename"), (os, "link"), (copying, "dress")])
def test_when_a_step_fails_nothing_was_done(tmp_path, owner, name, monkeypatch):
    real = getattr(owner, name)
    failed = 0
    for at in range(100):
        home = tmp_path / str(at)
        stage, before = changed(home)
        countdown = [at]

        def failing(*words, real=real, countdown=countdown, **more):
            countdown[0] -= 1
            if countdown[0] == -1 and sys._getframe(1).f_code.co_name.startswith(("do_", "_make")):
                raise OSError(errno.ENOSPC, "No space left on device", words[0])
            return real(*words, **more)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, failing)
            failure = refusal(stage.commit)
        if failure is not None:
            assert failure.errno == errno.ENOSPC
            failed += 1
            assert picture(str(stage.host)) == before, at
            assert not [name for name in os.listdir(stage.upper / ".-") if "commit" in name]
        if countdown[0] >= 0:
            break
        if picture(str(stage.host)) == before:
            assert stage.commit().done
        assert picture(str(stage.host)) == picture(str(stage.copy)), at
    assert failed


def test_an_interrupted_commit_can_be_taken_back(stage, monkeypatch):
    plenty(stage)
    stage.ended()
    before = picture(str(stage.host))
    real, left = Journal._tick, [5]

    def deadly(*words):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_tick", deadly)
        assert in_child(stage.commit) == -signal.SIGKILL
    assert interrupted(stage.directory)
    assert picture(str(stage.host)) != before
    assert undo(stage.directory)
    assert picture(str(stage.host)) == before
    assert not undo(stage.directory)
    stage.ended()


def test_a_full_disk_changes_nothing(stage, monkeypatch):
    plenty(stage)
    before = picture(str(stage.host))

    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copying, "copy_into", full)
    with pytest.raises(OSError) as caught:
        stage.commit()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename in (b"/a/new", b"/b/f", b"/b/h")
    assert picture(str(stage.host)) == before
    assert not os.path.lexists(stage.upper / ".-" / "try.undo")


def test_an_interrupt_takes_it_back(stage, monkeypatch):
    plenty(stage)
    before = picture(str(stage.host))
    for place in ((copying, "copy_into"), (Journal, "do_replace")):
        with monkeypatch.context() as patch:

            def interrupted(*_words):
                raise KeyboardInterrupt

            patch.setattr(*place, interrupted)
            with pytest.raises(KeyboardInterrupt):
                stage.commit()
        assert picture(str(stage.host)) == before
    assert stage.commit().done
    assert stage.alike()


def test_discarding_removes_what_a_killed_commit_has_prepared(stage, monkeypatch):
    plenty(stage)
    before = picture(str(stage.host))

    def deadly(*_words):
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", deadly)
        assert in_child(stage.commit) == -signal.SIGKILL
    assert picture(str(stage.host)) != before
    wipe(stage.directory)
    assert picture(str(stage.host)) == before


def test_where_nothing_can_be_noted_changes_are_seen_all_the_same(stage, monkeypatch):
    plenty(stage)

    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    view = stage.view()
    assert scan_for(stage.directory, view.top, view.lower).changes
    assert not os.path.exists(stage.upper / ".-/try.base.new")
    assert stage.directory.about["running"]
    view.close()


# -- parts -----------------------------------------------------------------------------------------


def test_chosen_paths_and_then_the_rest(stage):
    plenty(stage)
    stage.ended()
    outcome = stage.commit(paths=[b"n"])
    assert outcome.done
    assert outcome.left
    assert (stage.host / "n/x").read_bytes() == b"1"
    assert (stage.host / "n/d/e/y").exists()
    assert not (stage.host / "a/d").exists()
    assert (stage.host / "g").exists()
    assert not [c for c in stage.changes() if c.path.startswith(b"n")]
    assert picture_of(stage.view()) == native_picture(stage)
    outcome = stage.commit()
    assert outcome.done, (outcome.conflicts, outcome.problems)
    assert stage.alike()


def picture_of(view) -> dict[bytes, bytes]:
    """Names and bytes that a view shows."""
    return {
        path: Path(os.fsdecode(view.content(path))).read_bytes()
        for path, node in walk(view, b"")
        if node.kind == "f"
    }


def native_picture(stage: Stage) -> dict[bytes, bytes]:
    return picture_of(Plain(os.fsencode(stage.copy)))


@pytest.mark.parametrize("seed", range(25))
def test_part_by_part(tmp_path, seed):
    rnd = random.Random(1000 + seed)
    stage = Stage(tmp_path)
    furnish(stage.host)
    stage.start()
    for _ in range(12):
        anything(rnd, stage)
    stage.ended()
    while changes := stage.changes():
        outcome = stage.commit(paths=[rnd.choice(changes).path])
        if not outcome.done:
            assert not outcome.conflicts, outcome.conflicts
            assert "still needs" in outcome.problems[0].why
            assert stage.commit().done
        assert picture_of(stage.view()) == native_picture(stage)
    stage.commit()
    assert stage.alike()


def test_what_another_change_still_needs_is_not_removed(stage):
    stage.both("link", "/f", "/f2")
    stage.both("unlink", "/f")
    stage.both("rename", "/f2", "/f3")
    stage.both("link", "/f3", "/f4")
    names = {change.path for change in stage.changes()}
    assert names == {b"f3", b"f4"}
    outcome = stage.commit(paths=[b"f3"])
    assert outcome.done or "still needs" in outcome.problems[0].why
    assert stage.commit().done
    assert stage.alike()


def test_what_is_ignored_stays_where_it_is(stage):
    stage.both("write", "/a/x.o", b"1")
    stage.both("write", "/a/x.c", b"2")
    outcome = stage.commit(ignored=Ignored(["*.o"]))
    assert outcome.left == 1
    assert (stage.host / "a/x.c").exists()
    assert not (stage.host / "a/x.o").exists()
    assert [change.path for change in stage.changes()] == [b"a/x.o"]


# -- permissions -----------------------------------------------------------------------------------


@pytest.mark.needs("user")
def test_what_we_may_not_do_is_listed_and_nothing_is_done(stage):
    stage.model.write("/a/new", b"1")
    stage.model.write("/b/new", b"1")
    place = stage.upper / "a/new"
    os.setxattr(place, upper.RECORD, upper.Record("f", 0o644, 0, 0).format())
    outcome = stage.commit()
    assert [problem.path for problem in outcome.problems] == [b"a/new"]
    assert "would belong to 0:0" in outcome.problems[0].why
    assert not (stage.host / "b/new").exists()
    assert stage.commit(no_owner=True).done
    assert (stage.host / "a/new").stat().st_uid == os.geteuid()


@pytest.mark.needs("user")
def test_our_own_directory_that_is_closed_is_opened_for_a_moment(stage):
    os.chmod(stage.host / "a", 0o555)
    os.chmod(stage.copy / "a", 0o755)
    stage.native.write("/a/new", b"1")
    stage.native.unlink("/a/f")
    stage.model.write("/a/new", b"1")
    stage.model.unlink("/a/f")
    os.chmod(stage.copy / "a", 0o555)
    assert stage.commit().done
    assert stage.alike()


def test_holes_stay_holes(stage):
    with open(stage.upper / "sparse", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"x")
    assert stage.commit().done
    found = os.stat(stage.host / "sparse")
    assert found.st_size == 64 << 20
    assert found.st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    "calls",
    [
        [("append", "/b/f", b"x"), ("unlink", "/b/f")],
        [("chmod", "/b/f", 0o600), ("unlink", "/b/f")],
        [("append", "/b/f", b"x"), ("unlink", "/b/f"), ("write", "/b/f", b"other")],
        [("append", "/b/f", b"x"), ("rename", "/g", "/b/f")],
        [("append", "/b/f", b"x"), ("rename", "/b/f", "/b/new")],
        [("append", "/b/f", b"x"), ("unlink", "/b/f"), ("unlink", "/b/h")],
        [("append", "/b/f", b"x"), ("rmtree", "/b")],
        [("append", "/b/f", b"x"), ("unlink", "/b/h"), ("link", "/b/f", "/b/h")],
        [("append", "/b/f", b"x"), ("rename", "/b/h", "/b/f")],
    ],
)
def test_names_of_one_file_stay_that(stage, calls):
    for call in calls:
        assert stage.both(*call)
    assert stage.commit().done
    assert stage.alike()


@pytest.mark.parametrize(
    "calls",
    [
        [("rename", "/b", "/a/x"), ("mkdir", "/b"), ("write", "/b/n", b"n")],
        [("rename", "/b", "/a/x"), ("mkdir", "/b"), ("write", "/b/f", b"other"),
         ("append", "/a/x/f", b"x"), ("chmod", "/b", 0o700)],
        [("rename", "/a/d", "/d"), ("chmod", "/d/f", 0o600), ("link", "/d/f", "/f2")],
        [("rename", "/b/c", "/c"), ("rename", "/b", "/x"), ("mkdir", "/b"),
         ("rename", "/c", "/b/c")],
        [("rename", "/a/d", "/d"), ("rename", "/a", "/x"), ("mkdir", "/a"), ("mkdir", "/a/d"),
         ("write", "/a/d/n", b"n")],
        [("rename", "/a/d", "/d"), ("mkdir", "/a/d"), ("rename", "/d", "/a/d/d")],
        [("rename", "/a", "/x"), ("mkdir", "/a"), ("rename", "/b", "/a/b"), ("mkdir", "/b"),
         ("write", "/b/n", b"n"), ("rename", "/x/f", "/a/f")],
    ],
)  # fmt: skip
def test_a_directory_in_the_place_of_one_that_was_renamed(stage, calls):
    for call in calls:
        assert stage.both(*call), call
    outcome = stage.commit()
    assert outcome.done, (outcome.conflicts, outcome.problems)
    assert stage.alike()
