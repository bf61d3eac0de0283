# SPDX-License-Identifier: GPL-2.0-or-later
"""vudebug."""

from __future__ import annotations

import pytest

from pyview.cli import main


def test_tags_of_the_view(inside, core, capfd):
    assert main(["vudebug", "+ps", "-p"]) == 0
    assert core.debugged == [(1, False, "s")]
    assert capfd.readouterr().out == ""
    assert main(["vudebug"]) == 0
    assert "+s  syscalls" in capfd.readouterr().out
    assert main(["vudebug", "?"]) == 0
    assert "-p  paths" in capfd.readouterr().out
    assert len(core.debugged) == 1


def test_tags_of_one_command(inside, core, became):
    with pytest.raises(became) as caught:
        main(["vudebug", "+c", "--", "true", "--x"])
    assert caught.value.argv == ["true", "--x"]
    assert core.debugged == [(1, True, "c")]


@pytest.mark.parametrize(
    ("arguments", "status"), [(["+z"], 1), (["--"], 2), (["+s", "--"], 2), (["--", "true"], 2)]
)
def test_wrong_ones(inside, core, capfd, arguments, status):
    assert main(["vudebug", *arguments]) == status
    assert capfd.readouterr().err.count("\n") == 1
    assert core.debugged == []
