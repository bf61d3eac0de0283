# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_insmod."""

from __future__ import annotations

import os

from pyview.cli import main


def names(inside, core):
    return [(one.name, one.permanent) for one in inside.modules(core.view)]


def test_names_and_files(inside, core, box, monkeypatch):
    monkeypatch.chdir(os.path.dirname(box))
    assert main(["vu_insmod", "unreal", "./vuboxes.py,word=w"]) == 0
    assert names(inside, core) == [("unreal", False), ("vuboxes", False)]
    assert core.view.top("/w")


def test_permanent(inside, core):
    assert main(["um_add_service", "-p", "unreal"]) == 0
    assert names(inside, core) == [("unreal", True)]


def test_failures_are_one_line(inside, core, capfd):
    assert main(["vu_insmod", "nosuch"]) == 1
    assert main(["vu_insmod"]) == 2
    assert main(["vu_insmod", ""]) == 1
    first, second, third = capfd.readouterr().err.splitlines()
    assert first.startswith("vu_insmod: nosuch: no such module")
    assert second.startswith("vu_insmod: which module?")
    assert third == "vu_insmod: a module's name is missing"
    assert names(inside, core) == []
