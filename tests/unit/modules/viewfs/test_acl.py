# SPDX-License-Identifier: GPL-2.0-or-later
"""What an access list says of a mode."""

from __future__ import annotations

import errno
import struct

import pytest

from pyview.modules.viewfs.acl import inherited, mode_of

NOBODY = 0xFFFFFFFF


def value(*entries, version=2):
    packed = (struct.pack("<HHI", *entry) for entry in entries)
    return struct.pack("<I", version) + b"".join(packed)


def test_three_entries_are_the_mode():
    plain = value((1, 7, NOBODY), (4, 5, NOBODY), (32, 1, NOBODY))
    assert mode_of(plain, 0o4600) == (0o4751, True)


def test_with_others_the_mask_is_the_groups():
    more = value((1, 6, NOBODY), (2, 7, 1000), (4, 5, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))
    assert mode_of(more, 0) == (0o640, False)


@pytest.mark.parametrize(
    ("wrong", "number"),
    [
        (b"", errno.EINVAL),
        (value((1, 6, NOBODY)), errno.EINVAL),
        (value((1, 6, NOBODY)) + b"x", errno.EINVAL),
        (value((1, 7, NOBODY), version=3), errno.EOPNOTSUPP),
    ],
)
def test_what_is_none(wrong, number):
    with pytest.raises(OSError) as caught:
        mode_of(wrong, 0)
    assert caught.value.errno == number


def test_what_a_default_list_hands_on():
    """acl(5): the mode asked for limits the list, and the list the mode."""
    plain = value((1, 7, NOBODY), (4, 5, NOBODY), (32, 1, NOBODY))
    assert inherited(plain, 0o100666) == (None, 0o100640)
    more = value((1, 7, NOBODY), (2, 7, 1000), (4, 5, NOBODY), (16, 7, NOBODY), (32, 0, NOBODY))
    made = value((1, 6, NOBODY), (2, 7, 1000), (4, 5, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY))
    assert inherited(more, 0o100666) == (made, 0o100660)
