# SPDX-License-Identifier: GPL-2.0-or-later
"""viewsu and vusu: what they ask for, become, and hand on."""

from __future__ import annotations

import os
import pwd

import pytest

from pyview.cli import main
from pyview.commands import viewsu

ROOT = pwd.getpwuid(0)
ENVIRONMENT = {"PATH": "/usr/bin", "HOME": "/h", "USER": "me", "TERM": "xterm", "SECRET": "1"}


@pytest.fixture
def calls(monkeypatch):
    """The set*id calls made; none is real."""
    made = []
    for name in ("initgroups", "setgroups", "setresgid", "setresuid", "chdir"):
        monkeypatch.setattr(os, name, lambda *words, name=name: made.append((name, *words)))
    return made


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(ENVIRONMENT))


def started(became, *argv):
    with pytest.raises(became) as raised:
        main(list(argv))
    return raised.value


@pytest.mark.parametrize("program", ["viewsu", "vusu"])
def test_root_is_who_is_meant(inside, core, became, calls, environment, program):
    made = started(became, program, "-s", "/bin/sh", "-c", "id")
    assert (made.file, made.argv) == ("/bin/sh", ["sh", "-c", "id"])
    assert core.roots == [os.getpid()]
    assert [module.name for module in inside.modules(core.view)] == ["vuid"]
    assert calls == [
        ("initgroups", ROOT.pw_name, 0),
        ("setresgid", 0, 0, 0),
        ("setresuid", 0, 0, 0),
    ]
    assert made.environment["HOME"] == ROOT.pw_dir
    assert made.environment["USER"] == "me"
    assert made.environment["PATH"].endswith("/usr/bin:/usr/local/sbin:/usr/sbin:/sbin")


def test_another_user_has_its_own_name(inside, became, calls, environment):
    made = started(became, "viewsu", "-s", "/bin/sh", "nobody", "--", "-x", "file")
    nobody = pwd.getpwnam("nobody")
    assert made.argv == ["sh", "-x", "file"]
    assert calls[-1] == ("setresuid", nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
    assert made.environment["USER"] == made.environment["LOGNAME"] == "nobody"
    assert made.environment["PATH"].endswith("/usr/bin")
    again = started(became, "viewsu", "-s", "/bin/sh", str(nobody.pw_uid))
    assert again.environment["USER"] == "nobody"


@pytest.mark.parametrize("option", [["-"], ["-l"], ["--login"]])
def test_a_login_begins_anew(inside, became, calls, environment, option):
    made = started(became, "viewsu", *option, "-s", "/bin/sh")
    assert made.argv == ["-sh"]
    assert ("chdir", ROOT.pw_dir) in calls
    assert "SECRET" not in made.environment
    assert made.environment["TERM"] == "xterm"
    assert made.environment["USER"] == ROOT.pw_name


def test_the_environment_may_stay(inside, became, calls, environment):
    made = started(became, "viewsu", "-m", "-s", "/bin/sh")
    assert (made.environment["HOME"], made.environment["SHELL"]) == ("/h", "/bin/sh")


def test_a_directory_that_is_not_there_is_the_root(inside, became, calls, environment, monkeypatch):
    def chdir(name):
        calls.append(name)
        if name != "/":
            raise FileNotFoundError

    monkeypatch.setattr(os, "chdir", chdir)
    started(became, "viewsu", "-", "-s", "/bin/sh")
    assert calls[-1] == "/"


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["nobody-of-that-name"], 1, "nobody-of-that-name: no such user"),
        (["-q"], 2, "unrecognized arguments: -q"),
        (["4294967296"], 1, "4294967296: no such user"),
    ],
)
def test_a_wrong_user_changes_nothing(inside, core, capfd, calls, argv, status, said):
    assert main(["viewsu", *argv]) == status
    assert capfd.readouterr().err == f"viewsu: {said}\n"
    assert (core.roots, calls) == ([], [])


def test_outside_there_is_no_one_to_be(capfd, monkeypatch):
    monkeypatch.setattr("pyview.control.core_pid", lambda: 0)
    assert main(["viewsu"]) == 1
    assert "not in a view" in capfd.readouterr().err


def test_without_a_name_there_are_no_groups(inside, calls):
    viewsu.change(5, 6)
    assert calls == [("setgroups", []), ("setresgid", 6, 6, 6), ("setresuid", 5, 5, 5)]
