# SPDX-License-Identifier: GPL-2.0-or-later
"""A caller in a view that has /unreal and, at /v, a tree that is not the kernel's."""

from __future__ import annotations

import pytest
from playbook import Nobody

from pyview.api import Tree
from pyview.paths import cover_of
from pyview.view import View


@pytest.fixture
def view():
    view = View()
    view.mount("/unreal", view.now(), kind="unreal")
    view.mount("/v", Tree(), kind="virtual")
    return view


@pytest.fixture
def number(view):
    """The number of the domain at /unreal."""
    return cover_of(view, "/unreal").number


@pytest.fixture
def caller(view, tmp_path):
    """Its working directory is an empty one."""
    return Nobody(view, str(tmp_path))
