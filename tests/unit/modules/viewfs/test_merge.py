# SPDX-License-Identifier: GPL-2.0-or-later
"""merge: what the source has is there and can't be changed, the rest is the target's own."""

from __future__ import annotations

import errno
import os

import pytest


def test_the_source_lies_over_the_target(two):
    two.make(a=b"low", d__x=b"X")
    (two.up / "a").write_text("up")
    (two.up / "d").mkdir()
    (two.up / "d/new").write_text("")
    tree = two.mount(merge=True)
    assert two.read("/a") == b"up"
    assert two.names("/d") == ["new", "x"]
    assert tree.attempts("/d/x")
    assert not tree.attempts("/a")
    assert not tree.goes_on(errno.EACCES)
    for call in ("unlink", "rmdir"):
        with pytest.raises(OSError) as caught:
            getattr(tree, call)("/a")
        assert caught.value.errno == errno.EROFS
    assert not os.path.exists(two.up / ".-")


def test_ro_lets_nothing_be_changed(two):
    two.make(a=b"low")
    tree = two.mount(cow=True, ro=True)
    assert not tree.attempts("/a")
    with pytest.raises(OSError) as caught:
        tree.opened("/a", os.O_WRONLY, 0)
    assert caught.value.errno == errno.EROFS
