# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on names in an overlay, and on real descriptors of what it shows."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from playbook import play

from pyview.handlers.caller import AT_FDCWD
from pyview.verdicts import At, Done, Emulate, Give, Real, Redirect

WRITE = os.O_WRONLY | os.O_CREAT


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


def test_writing_to_what_a_merge_shows_is_EROFS(merge):
    assert refused(merge.calls("open", "own", os.O_WRONLY, 0)) == errno.EROFS
    assert refused(merge.calls("unlink", "own")) == errno.EROFS
    verdict, _ = play(merge.calls("open", "own", os.O_RDONLY, 0))
    assert isinstance(verdict, At)
