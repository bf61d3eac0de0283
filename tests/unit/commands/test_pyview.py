# SPDX-License-Identifier: GPL-2.0-or-later
"""pyview's options, and the way into a child view."""

from __future__ import annotations

import sys
import types

import pytest

from pyview.cli import main
from pyview.commands.pyview import located, parse
from pyview.settings import Settings


def shown(settings):
    return {name: value for name in Settings.__slots__ if (value := getattr(settings, name))}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["cmd", "-V", "x"], {"argv": ["cmd", "-V", "x"]}),
        (["--", "cmd"], {"argv": ["cmd"]}),
        (["-V", "n", "cmd", "-N", "--", "-x"], {"name": "n", "argv": ["cmd", "-N", "--", "-x"]}),
        (["-N", "--", "cmd", "--", "x"], {"norc": True, "argv": ["cmd", "--", "x"]}),
        (["-p", "a,b=c", "--preload", "d", "x"], {"preload": ["a,b=c", "d"], "argv": ["x"]}),
        (["-m", "a:b:c", "-m", "d:e:f", "x"], {"mounts": ["a:b:c", "d:e:f"], "argv": ["x"]}),
        (["-f", "rc", "x"], {"rc": "rc", "argv": ["x"]}),
        (["-d", "+s m", "-o", "f", "x"], {"debug": ["+s", "m"], "output": "f", "argv": ["x"]}),
        (["--trace", "--summary", "x"], {"trace": True, "summary": True, "argv": ["x"]}),
        (["--name=n", "x"], {"name": "n", "argv": ["x"]}),
        ([], {"argv": ["/bin/fish"]}),
        (["-N"], {"norc": True, "argv": ["/bin/fish"]}),
    ],
)
def test_options(monkeypatch, arguments, expected):
    monkeypatch.setenv("SHELL", "/bin/fish")
    assert shown(parse("pyview", arguments)) == expected


def test_without_SHELL_there_is_sh(monkeypatch):
    monkeypatch.delenv("SHELL", raising=False)
    assert parse("pyview", []).argv == ["/bin/sh"]


@pytest.mark.parametrize("arguments", [["-V"], ["--nosuch", "cmd"], ["--pre", "x", "cmd"], ["-x"]])
def test_a_wrong_option_is_status_2_and_one_line(arguments, capfd):
    assert main(["pyview", *arguments]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_paths_of_modules_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located("./m.py,a=./b") == f"{tmp_path}/m.py,a=./b"
    assert located("m.py") == f"{tmp_path}/m.py"
    assert located("unreal,x") == "unreal,x"


def test_outside_a_view_a_core_is_started(monkeypatch):
    started = []

    def run(settings):
        started.append(settings.argv)
        raise SystemExit(0)

    monkeypatch.setitem(sys.modules, "pyview.launch", types.SimpleNamespace(run=run))
    with pytest.raises(SystemExit):
        main(["pyview", "cmd"])
    assert started == [["cmd"]]


def test_inside_a_view_it_becomes_a_child_view(inside, core, became):
    with pytest.raises(became) as caught:
        main(["pyview", "-V", "inner", "-p", "unreal", "-d", "+s", "true"])
    assert caught.value.argv == ["true"]
    assert (core.view.number, core.view.name, core.view.parent.number) == (2, "inner", 1)
    assert [one.name for one in inside.modules(core.view)] == ["unreal"]
    assert not inside.modules(core.view.parent)
    assert core.debugged == [(2, False, "s")]


@pytest.mark.parametrize("option", [["--trace"], ["--summary"], ["-o", "f"]])
def test_what_only_the_outermost_view_has_is_refused_inside(inside, core, option, capfd):
    assert main(["pyview", *option, "true"]) == 2
    assert "only for the outermost view" in capfd.readouterr().err
    assert len(core.all_views) == 1


def test_a_command_that_is_not_there_is_127_inside_too(inside, became, capfd):
    assert main(["pyview", "nosuchcommand"]) == 127
    assert capfd.readouterr().err == "pyview: nosuchcommand: command not found\n"
