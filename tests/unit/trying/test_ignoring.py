# SPDX-License-Identifier: GPL-2.0-or-later
"""Patterns of names to leave out."""

from __future__ import annotations

import pytest

from pyview.trying.ignoring import Ignored


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.o", b"a/b.o", True),
        ("*.o", b"a/b.c", False),
        ("*.o", b"dir.o/inside", True),
        ("cache/", b"home/me/cache/x", True),
        ("/tmp", b"tmp", True),
        ("/tmp", b"tmp/x/y", True),
        ("/tmp", b"var/tmp/x", False),
        ("/home/*/x", b"home/me/x", True),
        ("/home/*/x", b"home/me/too/x", False),
        ("/home/**/x", b"home/me/too/x", True),
        ("/home/**/x", b"home/x", True),
        ("home/m?", b"home/me", True),
        ("/a?b", b"a/b", False),
        ("x\udcff", b"x\xff", True),
        ("[ab]", b"b", True),
    ],
)
def test_patterns(pattern, path, expected):
    assert Ignored([pattern]).matches(path) is expected


def test_none_and_several():
    assert not Ignored([])
    assert not Ignored([]).matches(b"a")
    assert Ignored(["a", "/b"]).matches(b"b")
