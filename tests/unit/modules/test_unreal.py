# SPDX-License-Identifier: GPL-2.0-or-later
"""unreal: twice the whole tree, and not a third time."""

from __future__ import annotations

import pytest

from pyview.modules.unreal import Unreal
from pyview.view import View


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/etc/passwd", "/etc/passwd"),
        ("/unreal/etc/passwd", "/etc/passwd"),
        ("/unreal/unreal/etc/passwd", "/etc/passwd"),
        ("/unreal", "/"),
        ("/unreal/unreal", "/"),
        ("/unreal/unreal/unreal", "/unreal"),  # which the kernel does not have: ENOENT
        ("/unrealistic", "/unrealistic"),
    ],
)
def test_names(path, real):
    view = View()
    Unreal().load(view)
    assert view.real(path) == real
