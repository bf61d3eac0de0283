# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that are remembered: until an overlay turns, for a second, and not too many."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pyview import ways
from pyview.ways import LIFETIME, ROOM, Ways


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(ways, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_what_is_kept_is_known_until_an_overlay_turns(clock):
    known = Ways()
    assert known.get("a", 0) is None
    known.keep("a", 0, "there")
    assert known.get("a", 0) == "there"
    assert known.get("b", 0) is None
    assert known.get("a", 1) is None
    assert known.get("a", 0) is None  # the turn has cleared it


def test_what_is_kept_after_a_turn_replaces_all(clock):
    known = Ways()
    known.keep("a", 0, "there")
    known.keep("b", 1, "here")
    assert known.get("b", 1) == "here"
    assert known.get("a", 1) is None


def test_nothing_is_known_for_longer_than_a_second(clock):
    known = Ways()
    known.keep("a", 0, "there")
    clock[0] += LIFETIME / 2
    assert known.get("a", 0) == "there"
    clock[0] += LIFETIME / 2
    assert known.get("a", 0) is None


def test_there_is_room_for_so_many(clock):
    known = Ways()
    for number in range(ROOM + 1):
        known.keep(number, 0, number)
    assert known.get(ROOM, 0) == ROOM
    assert known.get(0, 0) is None
