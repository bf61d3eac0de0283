# SPDX-License-Identifier: GPL-2.0-or-later
"""One main for all commands: who is called, and how failures look."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyview import cli, control, entry
from pyview.commands import Failure

ROOT = Path(cli.__file__).parents[1]


# What does its work also where there is no view.
ANYWHERE = {"mount", "pyview", "sudo", "umount", "vu_mkcow", "vu_moo", "vutry"}


@pytest.mark.parametrize("program", sorted(set(cli.COMMANDS) - ANYWHERE))
def test_outside_a_view_every_command_says_so(program, capfd):
    words = {"vumount": ["-t", "x", "a", "b"], "vuumount": ["/a"], "vudebug": ["+s"]}
    words["viewsudo"] = ["true"]
    arguments = words.get(cli.COMMANDS[program], ["x"] if "mod" in cli.COMMANDS[program] else [])
    if cli.COMMANDS[program] == "vu_lsmod":
        arguments = []
    assert cli.main([f"/somewhere/{program}", *arguments]) == 1
    out, err = capfd.readouterr()
    assert (out, err) == ("", f"{program}: not in a view (start one with: pyview)\n")


@pytest.mark.parametrize("program", sorted(set(cli.COMMANDS) - {"sudo"}))
def test_an_unknown_option_is_one_line_and_status_2(program, capfd, became):
    if program in ("mount", "umount"):
        with pytest.raises(became):  # the system's own knows it perhaps
            cli.main([program, "--nosuch", "x"])
        return
    assert cli.main([program, "--nosuch"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"{program}: ")
    assert err.count("\n") == 1
    assert "--nosuch" in err


@pytest.mark.parametrize("program", sorted(set(cli.COMMANDS) - {"mount", "umount", "sudo"}))
def test_every_command_has_help(program, capfd):
    with pytest.raises(SystemExit) as caught:
        cli.main([program, "--help"])
    assert not caught.value.code
    assert capfd.readouterr().out.startswith(f"usage: {program} ")


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (Failure(5, "why"), 5, "pyview: why\n"),
        (control.NotInView(), 1, "pyview: not in a view (start one with: pyview)\n"),
        (OSError(2, "No such file", "/x"), 1, "pyview: /x: No such file\n"),
        (OSError("odd"), 1, "pyview: odd\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_failures_become_lines(monkeypatch, capfd, raised, status, said):
    def fail(program, arguments):
        raise raised

    monkeypatch.setattr("pyview.commands.pyview.main", fail)
    assert cli.main(["pyview"]) == status
    assert capfd.readouterr().err == said


def test_every_command_has_an_alias_that_runs_it():
    names = set(os.listdir(entry.ALIASES))
    assert names == set(cli.COMMANDS)
    texts = {Path(entry.ALIASES, name).read_text() for name in names - {"pyview"}}
    assert len(texts) == 1
    assert all(os.access(Path(entry.ALIASES, name), os.X_OK) for name in names)


@pytest.mark.parametrize("start", [[str(ROOT / "pyview/aliases/vu_lsmod")], ["./vu_lsmod"]])
def test_an_alias_needs_nothing_of_its_surroundings(start):
    done = subprocess.run(
        start,
        env={"PATH": "/usr/bin:/bin", "PYVIEW_PYTHON": sys.executable},
        cwd=entry.ALIASES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "vu_lsmod: not in a view (start one with: pyview)\n"


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "pyview", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("pyview ")
