# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_lsmod."""

from __future__ import annotations

from pyview.cli import main


def test_a_line_for_each_module(inside, box, capfd):
    assert main(["vu_lsmod"]) == 0
    assert capfd.readouterr().out == ""
    main(["vu_insmod", "unreal", box])
    assert main(["um_ls_service"]) == 0
    unreal, boxes = capfd.readouterr().out.splitlines()
    assert unreal.split()[:2] == ["unreal", "0"]
    assert boxes == "vuboxes  0  box - a tree with one name in it"


def test_it_takes_nothing(inside, capfd):
    assert main(["vu_lsmod", "x"]) == 2
    assert capfd.readouterr().err.startswith("vu_lsmod: ")
