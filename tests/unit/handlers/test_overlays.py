# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on names in an overlay, and on real descriptors of what it shows."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from playbook import Nobody, play

from pyview.abi.stat import pack_stat
from pyview.handlers.caller import AT_FDCWD
from pyview.modules.viewfs.mount import mount
from pyview.verdicts import At, Done, Emulate, Give, Real, Redirect
from pyview.view import View

WRITE = os.O_WRONLY | os.O_CREAT


def over(room, **options):
    """A caller in a view where the directory `low` is seen through an overlay."""
    (room / "low" / "d").mkdir(parents=True)
    (room / "up").mkdir(exist_ok=True)
    (room / "low" / "d" / "file").write_bytes(b"lower")
    view = View()
    tree = mount(view.now(), str(room / "up"), str(room / "low"), **options)
    view.mount(str(room / "low"), tree, kind="viewfs")
    caller = Nobody(view, str(room / "low"))
    caller.room, caller.tree = room, tree
    return caller


@pytest.fixture
def cow(tmp_path):
    caller = over(tmp_path, cow=True)
    yield caller
    assert (tmp_path / "low/d/file").read_bytes() == b"lower"
    assert os.listdir(tmp_path / "low/d") == ["file"]
    caller.tree.unmounted()


@pytest.fixture
def mincow(tmp_path):
    caller = over(tmp_path, mincow=True)
    yield caller
    caller.tree.unmounted()


def given(verdict):
    """What the descriptor of a verdict is open for; it is closed."""
    assert isinstance(verdict, Give)
    name = os.readlink(f"/proc/self/fd/{verdict.fd}")
    os.close(verdict.fd)
    return name


def refused(caller, *results):
    with pytest.raises(OSError) as raised:
        play(caller, *results)
    return raised.value.errno


def test_what_is_not_touched_is_the_kernels(cow):
    assert play(cow.calls("open", "d/file", os.O_RDONLY, 0)) == (Real(True), [])
    assert play(cow.calls("stat", "d/file", 0x5000)) == (Real(True), [])
    assert play(cow.calls("chdir", "d"), 0) == (Done(), [Redirect({})])


def test_opening_for_writing_gives_the_copy(cow):
    verdict, _ = play(cow.calls("open", "d/file", os.O_RDWR, 0))
    assert given(verdict) == f"{cow.room}/up/d/file"
    assert verdict.alone
    assert (cow.room / "up/d/file").read_bytes() == b"lower"
    number = cow.view.covers()[0].kept
    assert cow.notes[-1] == ("opened", f"{cow.room}/up/d/file", os.O_RDWR, 0, number)
    verdict, _ = play(cow.calls("open", "d/file", os.O_RDONLY, 0))
    assert (verdict.real, verdict.domain) == (f"{cow.room}/up/d/file", number)


def test_a_new_file_is_the_callers_with_its_umask(cow):
    cow.umask = 0o027
    verdict, _ = play(cow.calls("openat", AT_FDCWD, "new", WRITE | os.O_EXCL, 0o666))
    assert given(verdict) == f"{cow.room}/up/new"
    assert stat.S_IMODE(cow.tree.lstat("/new").st_mode) == 0o666 & ~cow.ids().umask
    assert refused(cow.calls("openat", AT_FDCWD, "new", WRITE | os.O_EXCL, 0)) == errno.EEXIST


@pytest.mark.parametrize(
    ("name", "flags", "number"),
    [
        ("d", os.O_WRONLY, errno.EISDIR),
        ("d", WRITE, errno.EISDIR),
        ("d/file", os.O_WRONLY | os.O_DIRECTORY, errno.ENOTDIR),
        ("d/file/", os.O_WRONLY, errno.ENOTDIR),
        ("new/", WRITE, errno.EISDIR),
        ("none", os.O_WRONLY, errno.ENOENT),
        ("none/new", WRITE, errno.ENOENT),
        ("d/file/new", WRITE, errno.ENOTDIR),
    ],
)
def test_what_cannot_be_opened(cow, name, flags, number):
    assert refused(cow.calls("open", name, flags, 0o600)) == number
    assert os.listdir(cow.room / "up") == [".-"]


def test_changes_are_the_overlays(cow):
    assert play(cow.calls("mkdir", "sub", 0o755)) == (Emulate(0), [])
    assert play(cow.calls("rename", "d", "sub/d")) == (Emulate(0), [])
    assert play(cow.calls("chmod", "sub/d/file", 0o4711)) == (Emulate(0), [])
    assert play(cow.calls("unlink", "sub/d/file"))[0] == Emulate(0)
    assert refused(cow.calls("stat", "sub/d/file", 0x5000)) == errno.ENOENT


def test_attributes_of_what_was_touched_are_the_overlays(cow):
    play(cow.calls("chown", "d/file", 7, 8))
    verdict, _ = play(cow.calls("stat", "d/file", 0x5000))
    assert verdict == Emulate(0, ((0x5000, pack_stat(cow.tree.lstat("/d/file"))),))
    assert cow.tree.lstat("/d/file").st_uid == 7
    fd = os.open(cow.room / "low/d/file", os.O_RDONLY)  # of the lower, before it was touched
    verdict, _ = play(cow.calls("fstat", fd, 0x5000))
    assert verdict.poke[0][1] == pack_stat(cow.tree.lstat("/d/file"))
    verdict, _ = play(cow.calls("newfstatat", fd, "", 0x5000, 0x1000))
    assert verdict.poke[0][1] == pack_stat(cow.tree.lstat("/d/file"))
    os.close(fd)


def test_changes_by_descriptor(cow):
    fd = os.open(cow.room / "low/d/file", os.O_RDONLY)
    assert play(cow.calls("fchmod", fd, 0o600)) == (Emulate(0), [])
    assert stat.S_IMODE(cow.tree.lstat("/d/file").st_mode) == 0o600
    assert play(cow.calls("fchown", fd, 3, -1))[0] == Emulate(0)
    assert cow.tree.lstat("/d/file").st_uid == 3
    os.close(fd)
    assert play(cow.calls("fchmod", 0, 0o600)) == (Real(), [])


def test_mincow_tries_the_kernel_first(mincow):
    assert play(mincow.calls("mkdir", "sub", 0o755), 0) == (Done(), [Redirect({})])
    assert play(mincow.calls("mkdir", "sub", 0o755), -errno.ENOSPC) == (Done(), [Redirect({})])
    for error in (errno.EACCES, errno.EPERM, errno.EROFS):
        verdict, asked = play(mincow.calls("mkdir", f"sub{error}", 0o755), -error)
        assert (verdict, asked) == (Emulate(0), [Redirect({})])
        assert (mincow.room / "up" / f"sub{error}").is_dir()
    verdict, _ = play(mincow.calls("open", "d/file", os.O_WRONLY, 0))
    assert given(verdict) == f"{mincow.room}/low/d/file"


def test_mincow_for_who_is_not_like_the_core(mincow):
    mincow.is_alike = False
    assert play(mincow.calls("open", "d/file", os.O_WRONLY, 0), 5)[0] == Done()
    verdict, asked = play(mincow.calls("open", "d/file", os.O_WRONLY, 0), -errno.EACCES, 5)
    assert verdict == Done()
    kept = f"{mincow.room}/up/d/file".encode() + b"\0"
    assert asked == [Redirect({}), Redirect({0: kept, 1: os.O_WRONLY})]


def test_writing_to_what_a_merge_shows_is_EROFS(tmp_path):
    (tmp_path / "up").mkdir()
    (tmp_path / "up/own").write_text("")
    caller = over(tmp_path, merge=True)
    assert refused(caller.calls("open", "own", os.O_WRONLY, 0)) == errno.EROFS
    assert refused(caller.calls("unlink", "own")) == errno.EROFS
    verdict, _ = play(caller.calls("open", "own", os.O_RDONLY, 0))
    assert isinstance(verdict, At)
