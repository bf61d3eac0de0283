# SPDX-License-Identifier: GPL-2.0-or-later
"""Descriptors of what lies in an overlay: what fstat(2) says, and what is changed through them."""

from __future__ import annotations

import os
import stat

from playbook import play

from pyview.abi.stat import pack_stat
from pyview.verdicts import Emulate, Real


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
