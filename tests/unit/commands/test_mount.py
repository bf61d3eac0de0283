# SPDX-License-Identifier: GPL-2.0-or-later
"""mount in a view: ours, or the system's."""

from __future__ import annotations

import pytest

from pyview.cli import main
from pyview.commands.mount import system
from pyview.entry import ALIASES


@pytest.fixture
def boxed(inside, box):
    assert main(["vu_insmod", box]) == 0


def test_what_the_view_mounts_is_ours(boxed, core):
    assert main(["mount", "-t", "umbox", "none", "/b"]) == 0
    assert main(["mount", "--bind", "/usr", "/u"]) == 0
    assert main(["mount", "--move", "/u", "/w"]) == 0
    assert [mount.target for mount in core.view.mounts[1:]] == ["/b", "/w"]


@pytest.mark.parametrize(
    "arguments", ["-t ext4 a /b", "/mnt", "-a", "--move /x /y", "-h", "-t vubox", "a /b", "-V"]
)
def test_all_else_is_the_systems(boxed, core, became, arguments):
    with pytest.raises(became) as caught:
        main(["mount", *arguments.split()])
    assert caught.value.file == caught.value.argv[0] == system("mount")
    assert caught.value.argv[1:] == arguments.split()


def test_our_failures_are_ours(boxed, capfd):
    assert main(["mount", "-t", "vubox", "-o", "nosuch", "none", "/b"]) == 1
    assert capfd.readouterr().err.startswith("mount: /b: unknown option: nosuch")


def test_the_systems_lists_both_for_it_reads_the_views_mountinfo(boxed, became):
    main(["mount", "-t", "vubox", "none", "/b"])
    with pytest.raises(became) as caught:
        main(["mount"])
    assert caught.value.argv == [system("mount")]


def test_outside_a_view_it_is_the_systems(became):
    with pytest.raises(became):
        main(["mount", "-t", "vubox", "none", "/b"])


def test_our_own_directory_is_passed_over(monkeypatch):
    monkeypatch.setenv("PATH", f"{ALIASES}:/nosuch::/bin")
    assert system("mount") == "/bin/mount"
