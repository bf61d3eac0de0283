# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_rmmod."""

from __future__ import annotations

from pyview.cli import main


def test_it_unloads(inside, core):
    assert main(["vu_insmod", "unreal"]) == 0
    assert main(["um_del_service", "unreal"]) == 0
    assert not inside.modules(core.view)


def test_busy_and_missing(inside, core, capfd):
    main(["vu_insmod", "unreal"])
    core.busy_targets.add("/unreal")
    assert main(["vu_rmmod", "unreal"]) == 1
    assert main(["vu_rmmod", "nosuch"]) == 1
    assert main(["vu_rmmod"]) == 2
    assert capfd.readouterr().err.splitlines()[:2] == [
        "vu_rmmod: unreal: Device or resource busy",
        "vu_rmmod: nosuch: not loaded",
    ]
