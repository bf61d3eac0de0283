# SPDX-License-Identifier: GPL-2.0-or-later
"""examples/ loads as its files say, in a view without processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyview.registry import load
from pyview.view import View

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
EXPECTED = {
    "01_unreal.py": ("", {"/again/etc": "/etc", "/again/again/etc": "/etc"}),
    "02_one_file.py": (",shown=/tmp/motd,at=/etc/motd", {"/etc/motd": "/tmp/motd", "/etc": "/etc"}),
    "03_elsewhere.py": (",shown=/usr/include,at=/h", {"/h": "/usr/include", "/h/x": "/usr/include/x"}),  # noqa: E501
    "04_hidden.py": (",at=/a,at=/b", {"/a/x": "/proc/0/x", "/b": "/proc/0", "/c": "/c"}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_a_rung_of_the_ladder(name):
    options, names = EXPECTED[name]
    view = View()
    loaded = load(view, str(EXAMPLES / name) + options, pytest.fail)
    assert loaded.line
    assert {path: view.real(path) for path in names} == names


def test_a_rung_offers_a_mount_type():
    view = View()
    types = load(view, str(EXAMPLES / "03_elsewhere.py"), pytest.fail).module.types
    view.mount("/i", types["elsewhere"](view.now(), "/usr/share/"))
    assert view.real("/i") == "/usr/share"
    assert view.real("/i/doc") == "/usr/share/doc"
