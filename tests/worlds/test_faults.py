# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong in a module, or is missing to the core, ends one call; the view lives on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from worlds.world import pyview_command

GUESTS = Path(__file__).parents[1] / "guests"
sys.path.insert(0, str(GUESTS))
from wrong import FAULTS, OPERATIONS, RAISED  # noqa: E402  (beside the guests)

#: What is asked of a file beside its caller's call: a mistake in it is told, and the call goes on.
ASIDE = ("linear", "poll", "close")


@pytest.fixture(scope="module")
def told(worlds, tmp_path_factory):
    """What each operation that goes wrong answers: (operation, fault) -> errno's name; the log."""
    room = tmp_path_factory.mktemp("wrong")
    guest = GUESTS / "wrong.py"
    script = f"/usr/bin/python3 {guest}; echo status $?; cat /etc/hostname; vu_lsmod"
    options = ["-N", "-o", room / "log", "-p", guest]
    command = [pyview_command(), *options, "--", "sh", "-c", script]
    done = worlds["native"].run(command, cwd=room)
    lines = done.stdout.splitlines()
    end = lines.index("status 0")
    assert lines[end + 1] == Path("/etc/hostname").read_text().strip()
    assert lines[end + 2].startswith("wrong ")
    answers = {(operation, fault): name for operation, fault, name in map(str.split, lines[:end])}
    return answers, (room / "log").read_text()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_a_module_raises_is_EIO(told, operation):
    answers, _ = told
    found = {fault: answers[operation, fault] for fault in ("recursion", *RAISED)}
    if operation in ASIDE:
        assert set(found.values()) == {"ok"}
    else:
        assert found.pop("memory") == "ENOMEM"
        assert set(found.values()) == {"EIO"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nonsense_is_EIO_where_it_matters(told, operation):
    answers, _ = told
    found = {answers[operation, fault] for fault in FAULTS}
    assert found <= {"EIO", "ENOMEM", "ok", "EINVAL", "ERANGE"}
    if operation in ("real", "lstat", "entries", "pread", "pwrite", "size", "stat", "statvfs"):
        kept = {"real": {"none"}, "stat": {"none"}, "pread": {"zero"}, "size": {"zero"}}
        wrong = set(FAULTS) - kept.get(operation, set())
        assert {f for f in wrong if answers[operation, f] == "ok"} == set()


def test_each_mistake_is_told_once_and_none_is_the_cores(told):
    answers, log = told
    assert "the core went wrong" not in log
    raised = [key for key, name in answers.items() if name in ("EIO", "ENOMEM")]
    aside = [key for key in answers if key[0] in ASIDE and key[1] in ("recursion", *RAISED)]
    plain = [key for key in raised if key[1] == "nameless"]  # an OSError: EIO as it is
    assert log.count("Traceback") >= len(raised) + len(aside) - len(plain)
    assert os.path.join("pyview", "tracer.py") not in log
