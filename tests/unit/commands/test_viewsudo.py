# SPDX-License-Identifier: GPL-2.0-or-later
"""viewsudo: whom it becomes, and what it runs."""

from __future__ import annotations

import os
import pwd

import pytest

from pyview.cli import main

SHELL = pwd.getpwnam("nobody").pw_shell


@pytest.fixture
def calls(monkeypatch):
    """The set*id calls made; none is real."""
    made = []
    for name in ("initgroups", "setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, lambda *words, name=name: made.append((name, *words)))
    return made


def started(became, *argv):
    with pytest.raises(became) as raised:
        main(["viewsudo", *argv])
    return raised.value


def test_root_runs_it(inside, core, became, calls):
    made = started(became, "sh", "-c", "id")
    assert made.argv == ["sh", "-c", "id"]
    assert core.roots == [os.getpid()]
    assert calls[-1] == ("setresuid", 0, 0, 0)
    assert made.environment["SUDO_UID"] == str(os.getuid())
    assert made.environment["SUDO_COMMAND"] == "sh -c id"
    assert made.environment["HOME"] == pwd.getpwuid(0).pw_dir
    assert "/usr/sbin" in made.environment["PATH"].split(":")


@pytest.mark.parametrize("user", ["nobody", str(pwd.getpwnam("nobody").pw_uid)])
@pytest.mark.parametrize("group", ["root", "0", "#0"])
def test_another_user_and_group(inside, became, calls, user, group):
    nobody = pwd.getpwnam("nobody").pw_uid
    made = started(became, "-u", user, "-g", group, "--", "sh")
    assert calls == [
        ("initgroups", "nobody", 0),
        ("setresgid", 0, 0, 0),
        ("setresuid", nobody, nobody, nobody),
    ]
    assert made.environment["USER"] == "nobody"


def test_a_number_that_nobody_has(inside, became, calls):
    started(became, "-u", "#765432", "sh")
    assert calls == [
        ("setgroups", []),
        ("setresgid", os.getgid(), os.getgid(), os.getgid()),
        ("setresuid", 765432, 765432, 765432),
    ]


@pytest.mark.parametrize(
    ("options", "argv", "file"),
    [
        (["-s"], ["/bin/sh"], "/bin/sh"),
        (["-s", "echo", "a b"], ["/bin/sh", "-c", "echo a\\ b"], "/bin/sh"),
        (["-u", "nobody", "-i", "id"], [f"-{os.path.basename(SHELL)}", "-c", "id"], SHELL),
    ],
)
def test_a_shell_runs_it(inside, became, calls, monkeypatch, options, argv, file):
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setattr(os, "chdir", lambda name: None)
    made = started(became, *options)
    assert (made.argv, made.file) == (argv, file)


def test_variables_are_set(inside, became, calls):
    made = started(became, "-E", "-n", "A=1", "B=x=y", "sh", "C=2")
    assert (made.environment["A"], made.environment["B"]) == ("1", "x=y")
    assert made.argv == ["sh", "C=2"]


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        ([], 2, "which command?  (viewsudo -h)"),
        (["-u", "no-such-user", "id"], 1, "no-such-user: no such user"),
        (["-u", "4294967295", "id"], 1, "4294967295: no such user"),
        (["-g", "no-such-group", "id"], 1, "no-such-group: no such group"),
    ],
)
def test_what_is_wrong_changes_nothing(inside, core, capfd, calls, argv, status, said):
    assert main(["viewsudo", *argv]) == status
    assert capfd.readouterr().err == f"viewsudo: {said}\n"
    assert (core.roots, calls) == ([], [])
