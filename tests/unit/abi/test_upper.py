# SPDX-License-Identifier: GPL-2.0-or-later
"""The format of what a copy-on-write view keeps."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview.abi import upper

number = st.integers(0, 2**32 - 1)


@given(st.sampled_from(sorted(upper.KINDS)), st.integers(0, 0o7777), st.tuples(*[number] * 4))
def test_a_record_is_read_as_it_was_written(kind, mode, numbers):
    record = upper.Record(kind, mode, *numbers)
    again = upper.Record.parse(record.format())
    assert [getattr(again, f) for f in again.__slots__] == [
        getattr(record, f) for f in record.__slots__
    ]


@pytest.mark.parametrize("value", [b"", b"x 644 0 0 0 0", b"f 999 0 0 0 0", b"f 644", b"\xff"])
def test_damage_is_seen(value):
    with pytest.raises(ValueError):
        upper.Record.parse(value)


def test_fields_of_later_versions_are_no_damage():
    assert upper.Record.parse(b"f 4755 1 2 0 77 more").mode == 0o4755


def test_names():
    assert upper.index_name(0xFE00, 255) == b".-/i/fe00-ff"
    assert upper.is_own("user.view")
    assert upper.is_own("user.view.o")
    assert not upper.is_own("user.viewer")
    assert all(stat.S_IFMT(kind) == kind for kind in upper.KINDS.values())
