# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process may do unheard with devices' descriptors."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pyview.reach import EVERYWHERE, NOTHING, READING, Reach, had_by

DISK = Reach(False, EVERYWHERE, 1 << 30)
WINDOW = Reach(True, 1 << 20, 1 << 20, 4096)


@pytest.fixture
def record():
    return SimpleNamespace(descriptors=0, direct=0, windowed=0, reads_below=0, writes_below=0)


def test_at_first_nothing_stops(record):
    assert had_by(record) == Reach(False, EVERYWHERE, EVERYWHERE)
    assert not any(reach.of(record) for reach in (DISK, WINDOW, READING, NOTHING))


def test_who_stops_beyond_less_stops_beyond_more(record):
    DISK.narrows(record)
    assert DISK.of(record)
    assert Reach(False, EVERYWHERE, 1 << 31).of(record)
    assert not any(reach.of(record) for reach in (WINDOW, READING, NOTHING))
    WINDOW.narrows(record)
    assert WINDOW.of(record)
    assert DISK.of(record)
    assert not Reach(True, 1 << 19, 1 << 20).of(record)
    assert not READING.of(record)
    READING.narrows(record)
    assert had_by(record) == Reach(True, 1 << 20, 0)


def test_who_stops_for_everything_needs_no_more(record):
    NOTHING.narrows(record)
    assert all(reach.of(record) for reach in (DISK, WINDOW, READING, NOTHING))


def test_nothing_is_less_than_what_a_small_device_lets(record):
    """Who may do nothing unheard with one is not ready for any other emulated descriptor."""
    Reach(True, 0, 0, 4096).narrows(record)
    assert not NOTHING.of(record)
