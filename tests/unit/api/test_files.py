# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left out of a file answers as documented."""

from __future__ import annotations

import select

import pytest
from operations import call, operations, undocumented

from pyview import api

#: These have an answer of their own.
QUIET = {"stat", "linear", "lock", "fsync", "close", "ready", "known", "relocated"}


@pytest.mark.parametrize("name", [name for name in operations(api.File) if name != "poll"])
def test_an_operation_left_out_is_refused_or_does_nothing(name):
    if name in QUIET:
        assert call(api.File(), name) is None
    elif name == "extents":
        assert list(call(api.File(), name)) == []
    else:
        with pytest.raises(OSError):
            call(api.File(), name)


def test_every_operation_says_what_it_is():
    assert undocumented(api.File) == []


def test_a_plain_file_is_always_ready():
    assert api.File().poll() & select.POLLIN


def test_whoever_waits_is_told_when_a_file_is_ready():
    told = []
    file = api.File()
    file.ready()
    file._told = lambda: told.append(True)
    file.ready()
    assert told == [True]
