# SPDX-License-Identifier: GPL-2.0-or-later
"""Names below a directory, deeper than PATH_MAX."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview.trying import places
from pyview.trying.places import Place, joined, parent_of, pieces, within

PART = b"d" * 100


def deep(root, levels: int) -> bytes:
    """Make a chain of directories; its path."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(PART, dir_fd=here)
        inner = os.open(PART, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open(b"leaf", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
    os.close(here)
    return b"/".join([PART] * levels)


def test_names_of_any_depth_work(tmp_path):
    path = deep(tmp_path, 100)
    place = Place(os.fsencode(tmp_path))
    for levels in (0, 1, 38, 39, 40, 41, 99, 100):
        here = b"/".join([PART] * levels)
        assert os.listdir(place.name(here)) in ([PART], [b"leaf"])
    assert os.stat(place.name(path + b"/leaf")).st_size == 0
    assert len(place._open) <= places.KEPT
    place.close()


def test_what_is_not_there_is_so_at_any_depth(tmp_path):
    path = deep(tmp_path, 60)
    place = Place(os.fsencode(tmp_path))
    with pytest.raises(FileNotFoundError):
        place.name(path.replace(PART, b"x" * 100, 1) + b"/y")
    with pytest.raises(FileNotFoundError):
        os.lstat(place.name(path + b"/nothing"))
    place.close()


def test_names_of_directories_that_moved_are_forgotten(tmp_path):
    path = deep(tmp_path, 60)
    place = Place(os.fsencode(tmp_path))
    os.lstat(place.name(path + b"/leaf"))
    os.rename(tmp_path / os.fsdecode(PART), tmp_path / "moved")
    place.forget()
    with pytest.raises(FileNotFoundError):
        place.name(path + b"/leaf")
    os.lstat(place.name(b"moved" + path[len(PART) :] + b"/leaf"))
    place.close()


def test_the_root_itself():
    assert Place(b"/").name(b"") == b"/"
    assert Place(b"/").name(b"etc") == b"/etc"
    assert os.path.samefile(Place(b"/usr").name(b""), b"/usr")


@given(st.lists(st.integers(1, 255), max_size=80))
def test_pieces_are_short_and_make_the_path(lengths):
    path = b"/".join(b"n" * length for length in lengths)
    cut = pieces(path)
    assert b"/".join(cut) == path
    assert all(len(piece) <= places.LONGEST for piece in cut)


def test_paths():
    assert joined(b"", b"a") == b"a"
    assert joined(b"a", b"b") == b"a/b"
    assert parent_of(b"a/b") == b"a"
    assert parent_of(b"a") == b""
    assert within(b"a/b", b"a")
    assert within(b"a", b"a")
    assert within(b"a", b"")
    assert not within(b"ab", b"a")
