# SPDX-License-Identifier: GPL-2.0-or-later
"""When a change goes to the upper, and what is opened for it.

tests/worlds/test_viewfs.py has the truth table from a program's side.
"""

from __future__ import annotations

import errno
import os

from pyview.api import Who


def test_truncating_copies_only_what_stays(filled):
    filled.tree.truncate("/d/x", 0)
    assert filled.read("/d/x") == b""
    filled.write("/a", b"", os.O_WRONLY | os.O_TRUNC)
    assert filled.read("/a") == b""


def test_what_is_tried_below_first(two):
    two.make(d__x=b"X")
    tree = two.mount(mincow=True)
    assert tree.attempts("/d/x")
    assert tree.goes_on(errno.EACCES)
    assert not tree.goes_on(errno.ENOENT)
    two.write("/d/y", b"")
    assert not tree.attempts("/d/x")  # its directory is in the upper
    tree.who = Who(0, 0, virtual=True)
    assert not tree.attempts("/z")
