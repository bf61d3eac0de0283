# SPDX-License-Identifier: GPL-2.0-or-later
"""A caller in a view that has /unreal and, at /v and /e, trees that are not the kernel's."""

from __future__ import annotations

import pytest
from playbook import Nobody

from pyview.api import Tree
from pyview.modules.unreal import Emulated
from pyview.paths import cover_of
from pyview.view import Past, View


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


@pytest.fixture
def top(tmp_path):
    """What /e shows: `file` (b"0123456789"), `link` to it, and `sub` with `inner` in it."""
    made = tmp_path / "top"
    made.mkdir()
    (made / "file").write_bytes(b"0123456789")
    (made / "link").symlink_to("file")
    (made / "sub").mkdir()
    (made / "sub" / "inner").write_bytes(b"")
    return made


@pytest.fixture
def emulated(caller, view, top):
    """The caller, who sees at /e an emulated tree that shows `top`."""
    view.mount("/e", Emulated(Past(View(), 0, str(top))), kind="emulated")
    caller.tree = view.top("/e").tree
    yield caller
    for pages in caller.pages_given:
        pages.close()
    for opened in caller.objects.values():
        opened.file.close()
