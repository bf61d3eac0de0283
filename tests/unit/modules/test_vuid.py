# SPDX-License-Identifier: GPL-2.0-or-later
"""vuid: claims identity for as long as it is loaded."""

from __future__ import annotations

import pytest

from pyview.registry import load
from pyview.view import View


@pytest.mark.parametrize("name", ["vuid", "unrealuidgid"])
def test_it_claims_identity(name):
    view = View()
    loaded = load(view, name, print)
    assert (loaded.name, view.claims, loaded.claims) == ("vuid", {"identity"}, {"identity"})
    assert loaded.mounts == []
    assert View(2, "", view).claims == {"identity"}


def test_there_are_no_other_claims():
    with pytest.raises(OSError, match="Invalid"):
        View().claim("everything")
