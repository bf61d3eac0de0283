# SPDX-License-Identifier: GPL-2.0-or-later
"""`pyview --doctor`: the lines, and the status."""

from __future__ import annotations

import pytest

from pyview import doctor


def test_every_check_answers_and_has_a_remedy():
    for what, _needed, check, remedy in doctor.CHECKS:
        why = check()
        assert isinstance(why, str), what
        assert "\n" not in what + why + remedy
        assert remedy


def test_this_machine_can_be_asked(capfd):
    status = doctor.main()
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == len(doctor.CHECKS)
    assert {line.split()[0] for line in lines} <= {"ok", "missing", "without"}
    assert status == any(line.startswith("missing") for line in lines)


@pytest.mark.parametrize(
    ("needed", "word", "status"), [(True, "missing", 1), (False, "without", 0)]
)
def test_what_lacks_is_said_with_its_remedy(monkeypatch, capfd, needed, word, status):
    check = ("a thing", needed, lambda: "there is none", "get one")
    monkeypatch.setattr(doctor, "CHECKS", (check,))
    assert doctor.main() == status
    assert capfd.readouterr().out == f"{word}  a thing: there is none; get one\n"


def test_a_call_that_the_kernel_refuses_is_named(monkeypatch):
    assert doctor._in_child(lambda: doctor._libc.close(-1)) == "Bad file descriptor"
    assert doctor._in_child(lambda: 1) == ""


def test_a_kernel_is_compared_by_number_not_by_text():
    assert doctor._kernel((3, 9))() == ""
    assert doctor._kernel((999, 0))().startswith("this is ")
