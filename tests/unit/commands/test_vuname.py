# SPDX-License-Identifier: GPL-2.0-or-later
"""vuname and viewname."""

from __future__ import annotations

import os

import pytest

from pyview.cli import main


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["vuname"], "{u.sysname}"),
        (["viewname"], "outer"),
        (["vuname", "-V"], "outer"),
        (["vuname", "-nr"], "{u.nodename} {u.release}"),
        (["vuname", "-U"], "{pid}.1"),
        (["vuname", "-P"], "outer[{pid}.1]"),
        (["vuname", "-a"], "{u.sysname} {u.nodename} {u.release} {u.version} {u.machine} GNU/Linux"
         " {pid}.1 outer"),
    ],
)  # fmt: skip
def test_what_is_printed(inside, capfd, argv, expected):
    assert main(argv) == 0
    assert capfd.readouterr().out == expected.format(u=os.uname(), pid=os.getpid()) + "\n"


def test_the_name_is_set(inside, core):
    assert main(["vuname", "été"]) == 0
    assert core.view.name == "été"


@pytest.mark.parametrize(
    ("argv", "status"), [(["-a", "x"], 2), (["a", "b"], 2), (["a\nb"], 1), (["-q"], 2)]
)
def test_a_wrong_name_changes_nothing(inside, core, capfd, argv, status):
    assert main(["vuname", *argv]) == status
    assert capfd.readouterr().err.count("\n") == 1
    assert core.view.name == "outer"
