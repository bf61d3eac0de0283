# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left out of a stack or a socket is refused."""

from __future__ import annotations

import pytest
from operations import call, operations, undocumented

from pyview import api


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in (api.Socket, api.Stack) for name in operations(kind)],
)
def test_an_operation_left_out_is_refused_or_does_nothing(kind, name):
    if name == "close":
        assert call(kind(), name) is None
    else:
        with pytest.raises(OSError):
            call(kind(), name)


def test_every_operation_of_a_stack_says_what_it_is():
    assert undocumented(api.Stack) == []
