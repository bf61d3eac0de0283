# SPDX-License-Identifier: GPL-2.0-or-later
"""A caller in a view that has /unreal and, at /v and /e, trees that are not the kernel's.

Or in one where an overlay shows the directory `low`.
"""

from __future__ import annotations

import os

import pytest
from playbook import Nobody
from twins import Twins

from pyview.api import Tree
from pyview.modules.unreal import Emulated
from pyview.modules.viewfs.mount import mount
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


@pytest.fixture
def twins(tmp_path):
    """An empty directory, and another one that is seen through a virtual tree."""
    for name in ("plain", "shown"):
        (tmp_path / name).mkdir()
    made = Twins(str(tmp_path / "plain"), str(tmp_path / "shown"))
    yield made
    made.close()


# -- overlays (test_overlays, test_claimed) -------------------------------------------------------


def over(room, **options):
    """A caller in a view where the directory `low` is seen through an overlay."""
    (room / "low" / "d").mkdir(parents=True)
    (room / "up").mkdir(exist_ok=True)
    (room / "low" / "d" / "file").write_bytes(b"lower")
    view = View()
    tree = mount(view.now(), str(room / "up"), str(room / "low"), **options)
    view.mount(str(room / "low"), tree, kind="viewfs")
    caller = Nobody(view, str(room / "low"))
    caller.room, caller.tree = room, tree
    return caller


@pytest.fixture
def cow(tmp_path):
    caller = over(tmp_path, cow=True)
    yield caller
    assert (tmp_path / "low/d/file").read_bytes() == b"lower"
    assert os.listdir(tmp_path / "low/d") == ["file"]
    caller.tree.unmounted()


@pytest.fixture
def mincow(tmp_path):
    caller = over(tmp_path, mincow=True)
    yield caller
    caller.tree.unmounted()


@pytest.fixture
def merge(tmp_path):
    """One whose upper has the file `own`."""
    (tmp_path / "up").mkdir()
    (tmp_path / "up/own").write_text("")
    return over(tmp_path, merge=True)
