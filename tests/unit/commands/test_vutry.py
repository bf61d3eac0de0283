# SPDX-License-Identifier: GPL-2.0-or-later
"""vutry's words; test_attempts.py has what happens around a command."""

from __future__ import annotations

import json
import os
import signal

import pytest
from stage import picture

from pyview.cli import main
from pyview.trying.journal import Journal

# -- words -----------------------------------------------------------------------------------------


@pytest.fixture
def changed(there):
    there.both("append", "/f", b"more\n")
    there.both("write", "/a/new", b"12345")
    there.both("rmtree", "/b")
    there.ended()
    return str(there.upper)


def test_summary(there, changed, capfd):
    assert main(["vutry", "summary", changed]) == 0
    assert capfd.readouterr().out == (
        "1 added, 1 modified, 1 deleted (12 B)\n  /a/\nA   new  5 B\nD /b/  4 entries, 38 B\n"
        "M /f  2 B -> 7 B\n"
    )
    assert main(["vutry", "summary", "-i", "new", changed, "a", "f"]) == 0
    assert capfd.readouterr().out == "1 modified (7 B)\nM /f  2 B -> 7 B\n"


def test_summary_for_programs(there, changed, capfd):
    assert main(["vutry", "summary", "--json", changed]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["counts"] == {
        "added": 1, "modified": 1, "renamed": 0, "metadata": 0, "deleted": 1,
    }  # fmt: skip
    assert record["status"] == 0


def test_diff(there, changed, capfd):
    assert main(["vutry", "diff", changed, str(there.host / "f")]) == 0
    assert "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n 0\n+more\n" in capfd.readouterr().out


def test_commit(there, changed, capfd):
    assert main(["vutry", "commit", changed]) == 0
    assert there.alike()
    assert capfd.readouterr() == (
        "", "vutry: committed: 1 added, 1 modified, 1 deleted (12 B)\n"
    )  # fmt: skip
    assert main(["vutry", "summary", changed]) == 0
    assert capfd.readouterr().out == "no changes\n"


def test_commit_of_some(there, changed, capfd):
    assert main(["vutry", "commit", changed, "f", "b"]) == 0
    err = capfd.readouterr().err
    assert err == f"vutry: committed: 1 modified, 1 deleted (7 B); 1 left in {changed}\n"
    assert not (there.host / "b").exists()
    assert not (there.host / "a/new").exists()


def test_conflicts_have_a_status(there, changed, capfd):
    (there.host / "f").write_bytes(b"host")
    before = picture(str(there.host))
    assert main(["vutry", "commit", changed]) == 3
    assert capfd.readouterr().err == (
        "vutry: /f: was changed\n"
        "vutry: nothing was committed (--force: all the same; --theirs: the rest)\n"
    )
    assert picture(str(there.host)) == before
    assert main(["vutry", "commit", "--theirs", changed]) == 0
    assert (there.host / "f").read_bytes() == b"host"
    assert (there.host / "a/new").exists()


def test_force(there, changed):
    (there.host / "f").write_bytes(b"host")
    assert main(["vutry", "commit", "--force", changed]) == 0
    assert there.alike()


def test_a_killed_commit(there, changed, capfd, monkeypatch):
    real, left = Journal._tick, [2]

    def deadly(*words):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        real(*words)

    for end in (["commit", "--undo"], ["commit"]):
        left[0] = 2
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "_tick", deadly)
            pid = os.fork()
            if pid == 0:
                main(["vutry", "commit", changed])
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        capfd.readouterr()
        assert main(["vutry", "discard", changed]) == 1
        assert "vutry commit completes it, vutry commit --undo takes it back" in (
            capfd.readouterr().err
        )
        assert main(["vutry", *end, changed]) == 0
        if end[-1] == "--undo":
            assert capfd.readouterr().err == "vutry: the commit is taken back\n"
            assert main(["vutry", "commit", "--undo", changed]) == 1
            assert "no commit of it was interrupted" in capfd.readouterr().err
            assert (there.host / "b/f").exists()
        else:
            assert capfd.readouterr().err == "vutry: the interrupted commit is complete\n"
    assert there.alike()


def test_discard(there, changed):
    assert main(["vutry", "discard", changed]) == 0
    assert os.listdir(changed) == [".-"]
    assert not (there.host / "a/new").exists()


def test_explore(there, changed, command, monkeypatch, capfd):
    monkeypatch.setenv("SHELL", "/bin/sh")
    command.calls = [("write", "/explored", b"")]
    command.status = 4
    assert main(["vutry", "explore", changed]) == 4
    assert command.ran == [(["/bin/sh"], [])]
    assert "A /explored" in capfd.readouterr().err


# -- wrong input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ([], 2, "a command is needed (see --help)"),
        (["-n", "-y", "true"], 2, "-n and -y: one of them"),
        (["commit"], 2, "the following arguments are required: DIR"),
        (["summary", "nosuch"], 1, "nosuch: No such file or directory"),
        (["discard", "f"], 1, "f: Not a directory"),
        (["diff", "a"], 1, "a: keeps no changes of a view"),
        (["commit", "--force", "--theirs", "../upper"], 2, "--force and --theirs: one of them"),
        (["-D", "f", "true"], 1, "f: Not a directory"),
        (["summary", "../upper", "/etc"], 1, "/etc: not below "),
    ],
)
def test_wrong_input_is_one_line(there, capfd, words, status, line):
    assert main(["vutry", *words]) == status
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"vutry: {line}")
    assert err.count("\n") == 1


def test_damage_is_told(there, changed, capfd):
    os.setxattr(there.upper / "f", "user.view", b"nonsense")
    assert main(["vutry", "commit", changed]) == 1
    assert "damaged attribute user.view" in capfd.readouterr().err
    assert (there.host / "b/f").exists()
