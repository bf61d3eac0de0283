# SPDX-License-Identifier: GPL-2.0-or-later
"""vuns."""

from __future__ import annotations

import os

from pyview.cli import main


def test_the_commands_that_made_the_view(inside, core, box, tmp_path, capfd):
    strange = tmp_path / "a name"
    strange.mkdir()
    main(["vumount", "-B", str(strange), "/mnt"])
    main(["vu_insmod", "-p", "unreal"])
    main(["vu_insmod", box])
    main(["vumount", "-t", "vubox", "-o", "size=3,ro", "x y", "/srv"])
    capfd.readouterr()
    assert main(["vuns"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "vuname outer",
        f"vumount -B '{strange}' /mnt",
        "vu_insmod -p unreal",
        f"vu_insmod {box}",
        "vumount -t vubox -o size=3,ro 'x y' /srv",
    ]
    assert main(["vuns", str(os.getpid())]) == 0


def test_wrong_use(inside, capfd):
    assert main(["vuns", "x"]) == 2
    assert main(["vuns", "1", "2"]) == 2
    assert capfd.readouterr().err.splitlines() == [
        "vuns: x: not a process id", "vuns: one process at a time",
    ]  # fmt: skip
