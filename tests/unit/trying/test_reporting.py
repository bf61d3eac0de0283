# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user is told."""

from __future__ import annotations

import os

from pyview.trying import reporting
from pyview.trying.commit import Outcome
from pyview.trying.conflicts import Conflict
from pyview.trying.permissions import Problem


def test_a_summary_goes_to_stderr(stage, capfd):
    stage.both("write", "/x", b"")
    reporting.tell("vutry", stage.changes())
    assert capfd.readouterr() == ("", "vutry: 1 added\nA /x  0 B\n")


def test_differences_go_to_stdout(stage, capfd):
    stage.both("unlink", "/g")
    stage.both("unlink", "/f")
    reporting.show_diff(stage.directory, ["f"], [])
    assert capfd.readouterr().out.startswith("diff --git a/g b/g\ndeleted file mode 100644\n")


def test_what_became_of_a_commit(stage, capfd, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/usr/bin")
    stage.both("write", "/x\n", b"")
    (change,) = stage.changes()
    reporting.report("vutry", stage.directory, Outcome(conflicts=[Conflict(change, b"a", "why")]))
    reporting.report("vutry", stage.directory, Outcome(problems=[Problem(b"x\n", "why not")]))
    closed = Problem(b"y", "not yours", rights=True)
    reporting.report("vutry", stage.directory, Outcome(problems=[closed]))
    reporting.report("vutry", stage.directory, Outcome(resumed=True))
    reporting.report("vutry", stage.directory, Outcome([change], left=2))
    assert capfd.readouterr().err == (
        "vutry: /a: why\n"
        "vutry: nothing was committed (--force: all the same; --theirs: the rest)\n"
        "vutry: $'/x\\n': why not\n"
        "vutry: nothing was committed\n"
        "vutry: /y: not yours\n"
        f"vutry: nothing was committed (root may: sudo vutry commit {stage.upper})\n"
        "vutry: the interrupted commit is complete\n"
        f"vutry: committed: 1 added; 2 left in {stage.upper}\n"
    )
