# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens around a command: summary, questions, answers, statuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pyview.cli import main
from pyview.commands import Failure
from pyview.trying import attempts, copying, reporting
from pyview.trying.state import Directory

SUMMARY = "vutry: 1 added, 1 modified (12 B)\nM /f  2 B -> 7 B\nA /new  5 B\n"


def temporary(there) -> list[Path]:
    return list((there.home / "tmp").iterdir())


def answers(monkeypatch, *lines: str) -> None:
    """A terminal, on which somebody types."""
    left = list(lines)
    monkeypatch.setattr(attempts, "interactive", lambda: True)
    monkeypatch.setattr(sys.stdin, "readline", lambda: left.pop(0) if left else "")


# -- running ---------------------------------------------------------------------------------------


def test_not_on_a_terminal_the_changes_are_kept_and_named(there, command, capfd):
    command.status = 5
    assert main(["vutry", "make", "-k", "all"]) == 5
    (kept,) = temporary(there)
    out, err = capfd.readouterr()
    assert (out, err) == ("", SUMMARY + f"vutry: the changes are in {kept}\n")
    assert command.ran == [(["make", "-k", "all"], [])]
    assert not (there.host / "new").exists()
    assert (kept.stat().st_mode & 0o777) == 0o700


def test_n_prints_the_directory_alone_on_stdout(there, command, capfd):
    assert main(["vutry", "-n", "cmd"]) == 0
    (kept,) = temporary(there)
    assert capfd.readouterr() == (f"{kept}\n", SUMMARY)
    command.calls = []
    assert main(["vutry", "-n", "cmd"]) == 0
    assert len(temporary(there)) == 2


def test_a_command_that_changes_nothing_leaves_nothing(there, command, capfd):
    command.calls = []
    command.status = 3
    assert main(["vutry", "--", "summary"]) == 3
    assert temporary(there) == []
    assert capfd.readouterr() == ("", "")
    assert command.ran == [(["summary"], [])]


def test_y_commits_what_succeeded(there, command, capfd):
    assert main(["vutry", "-y", "cmd"]) == 0
    assert there.alike()
    assert temporary(there) == []
    assert capfd.readouterr().err == SUMMARY + "vutry: committed: 1 added, 1 modified (12 B)\n"


def test_y_keeps_what_failed(there, command, capfd):
    command.status = 2
    assert main(["vutry", "-y", "cmd"]) == 2
    (kept,) = temporary(there)
    assert capfd.readouterr().err == SUMMARY + (
        "vutry: not committed: the command failed with status 2\n"
        f"vutry: the changes are in {kept}\n"
    )


def test_y_that_cannot_commit_has_a_status_of_its_own(there, command, capfd, monkeypatch):
    def full(*_words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copying, "copy_into", full)
    assert main(["vutry", "-y", "cmd"]) == 125
    (kept,) = temporary(there)
    assert f"No space left on device\nvutry: the changes are in {kept}\n" in capfd.readouterr().err


def test_a_directory_of_one_s_own_is_kept_and_used_again(there, command, capfd):
    command.calls = [("write", "/one", b"")]
    assert main(["vutry", "-D", "../mine", "cmd"]) == 0
    mine = there.home / "mine"
    command.calls = [("write", "/two", b"")]
    assert main(["vutry", "-D", str(mine), "cmd"]) == 0
    assert capfd.readouterr().err.endswith(
        f"vutry: 2 added\nA /one  0 B\nA /two  0 B\nvutry: the changes are in {mine}\n"
    )
    assert main(["vutry", "commit", str(mine)]) == 0
    assert there.alike()
    assert main(["vutry", "discard", str(mine)]) == 0
    assert os.listdir(mine) == [".-"]


def test_layers(there, command, capfd):
    assert main(["vutry", "-D", "../one", "cmd"]) == 0
    command.calls = [("write", "/other", b"")]
    one = str(there.home / "one")
    assert main(["vutry", "-D", "../two", "-L", "../one", "cmd"]) == 0
    assert command.ran[-1] == (["cmd"], [one])
    capfd.readouterr()
    assert main(["vutry", "-L", "../nothing", "cmd"]) == 1
    assert capfd.readouterr().err == "vutry: ../nothing: No such file or directory\n"
    assert main(["vutry", "-L", "a", "cmd"]) == 1
    assert capfd.readouterr().err == "vutry: a: keeps no changes of a view\n"


def test_ignored_names_are_not_seen(there, command, capfd):
    assert main(["vutry", "-y", "-i", "new", "cmd"]) == 0
    assert "new" not in capfd.readouterr().err
    assert not (there.host / "new").exists()
    assert (there.host / "f").read_bytes() == b"0\nmore\n"
    assert temporary(there) == []


def test_a_summary_is_not_endless(there, command, capfd):
    command.calls = [("write", f"/{number}", b"") for number in range(100)]
    assert main(["vutry", "cmd"]) == 0
    err = capfd.readouterr().err
    assert err.count("\n") == reporting.LINES + 2
    assert "  ... 41 more lines (vutry summary shows them)\n" in err


def test_a_command_that_cannot_start_leaves_nothing(there, monkeypatch, capfd):
    def refuse(*_words):
        raise Failure(127, "nosuch: command not found")

    monkeypatch.setattr("pyview.trying.session.run", refuse)
    assert main(["vutry", "nosuch"]) == 127
    assert capfd.readouterr().err == "vutry: nosuch: command not found\n"
    assert temporary(there) == []


def test_what_still_runs_is_not_looked_at(there, command, capfd, monkeypatch):
    monkeypatch.setattr("pyview.trying.kept.PATIENCE", 0.01)
    others = []

    def run(program, directory, argv):
        command.run(program, directory, argv)
        other = Directory(directory.name)
        other.lock(0)
        others.append(other)
        return 0

    monkeypatch.setattr("pyview.trying.session.run", run)
    assert main(["vutry", "cmd"]) == 0
    (kept,) = temporary(there)
    line = f"vutry: processes of it still run; the changes are in {kept}\n"
    assert capfd.readouterr() == ("", line)
    assert main(["vutry", "commit", str(kept)]) == 1
    assert "in use" in capfd.readouterr().err
    others[0].unlock()


# -- answers ---------------------------------------------------------------------------------------


def test_yes(there, command, capfd, monkeypatch):
    answers(monkeypatch, "what?\n", "y\n")
    command.status = 9
    assert main(["vutry", "cmd"]) == 9
    assert there.alike()
    assert temporary(there) == []
    assert capfd.readouterr().err.count(attempts.QUESTION) == 2


def test_no(there, command, monkeypatch):
    answers(monkeypatch, "n\n")
    assert main(["vutry", "cmd"]) == 0
    assert not (there.host / "new").exists()
    assert temporary(there) == []


@pytest.mark.parametrize("typed", [["k\n"], []])
def test_later(there, command, capfd, monkeypatch, typed):
    answers(monkeypatch, *typed)
    assert main(["vutry", "cmd"]) == 0
    (kept,) = temporary(there)
    assert capfd.readouterr().err.endswith(f"vutry: the changes are in {kept}\n")


def test_interrupted_at_the_question_is_later(there, command, monkeypatch):
    answers(monkeypatch)

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.stdin, "readline", interrupted)
    assert main(["vutry", "cmd"]) == 0
    assert len(temporary(there)) == 1


def test_diff_and_explore_first(there, command, capfd, monkeypatch):
    answers(monkeypatch, "d\n", "e\n", "y\n")
    monkeypatch.setenv("SHELL", "/bin/my-shell")
    run = command.run

    def then(program, directory, argv):
        command.calls = command.calls if argv == ["cmd"] else [("write", "/explored", b"")]
        return run(program, directory, argv)

    monkeypatch.setattr("pyview.trying.session.run", then)
    assert main(["vutry", "cmd"]) == 0
    out, err = capfd.readouterr()
    assert "+more\n" in out
    assert [argv for argv, _ in command.ran] == [["cmd"], ["/bin/my-shell"]]
    assert "vutry: 2 added, 1 modified" in err
    assert (there.host / "explored").exists()


def test_yes_that_cannot_be(there, command, capfd, monkeypatch):
    def readline():
        (there.host / "f").write_bytes(b"host")
        return "y\n"

    answers(monkeypatch)
    monkeypatch.setattr(sys.stdin, "readline", readline)
    assert main(["vutry", "cmd"]) == 125
    err = capfd.readouterr().err
    assert "vutry: /f: was changed\nvutry: nothing was committed" in err
    assert len(temporary(there)) == 1


@pytest.mark.parametrize(
    ("stdin", "stdout", "stderr", "expected"),
    [
        ("tty", "tty", "tty", True),
        ("tty", "file", "tty", True),
        ("tty", "pipe", "tty", False),
        ("pipe", "tty", "tty", True),  # the terminal is opened for the answer
        ("pipe", "pipe", "tty", False),
        ("file", "tty", "tty", False),
        ("tty", "tty", "file", False),
    ],
)
def test_who_is_asked(tmp_path, monkeypatch, stdin, stdout, stderr, expected):
    kinds = dict(enumerate((stdin, stdout, stderr)))
    monkeypatch.setattr(os, "isatty", lambda fd: kinds[fd] == "tty")
    monkeypatch.setattr(attempts, "_terminal_is_input", lambda: True)
    read, write = os.pipe()
    regular = os.open(tmp_path / "f", os.O_CREAT | os.O_WRONLY)
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda fd: real(write if kinds[fd] == "pipe" else regular))
    assert attempts.interactive() is expected
    monkeypatch.undo()
    for fd in (read, write, regular):
        os.close(fd)


def test_long_copies_have_a_bar_on_a_terminal(there, command, capfd, monkeypatch):
    monkeypatch.setattr(attempts, "MUCH", 4)
    monkeypatch.setattr("pyview.commands.vu_moo.os.isatty", lambda fd: fd == 2)
    assert main(["vutry", "-y", "cmd"]) == 0
    assert "100 %\r\x1b[K" in capfd.readouterr().err
