# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stop of the kernel's means to a debugger."""

from __future__ import annotations

import pytest

from pyview.debugging.tracee import Tracee
from pyview.debugging.words import SIGSTOP, SIGTRAP, SYSCALL, TRACESYSGOOD, Event


def tracee(*, seized=True, options=0):
    return Tracee(20, 10, 10, natural=True, seized=seized, options=options)


def codes(shown):
    return [stop.code for stop in shown]


@pytest.mark.parametrize(("options", "code"), [(0, SIGTRAP), (TRACESYSGOOD, SIGTRAP | 0x80)])
def test_a_call_has_an_entry_and_an_exit(options, code):
    found = tracee(options=options)
    assert codes(found.entered(2, 100)) == codes(found.left()) == [code]


def test_a_newborn_stops_once_in_the_way_of_its_debugger():
    for seized, code in ((True, SIGTRAP | Event.STOP << 8), (False, SIGSTOP)):
        found = tracee(seized=seized)
        found.born = True
        assert codes(found.trapped()) == [code]
        assert found.trapped() == []


def test_events_are_for_who_asked_for_them():
    assert tracee().executed(20) == tracee().bore(Event.CLONE, 30) == []
    found = tracee(options=1 << Event.EXEC | 1 << Event.CLONE)
    assert [(s.code >> 8, s.message) for s in found.executed(20)] == [(Event.EXEC, 20)]
    assert [(s.code >> 8, s.message) for s in found.bore(Event.CLONE, 30)] == [(Event.CLONE, 30)]


def test_a_signal_that_was_shown_is_not_shown_again():
    found = tracee()
    found.silent.add(10)
    assert found.signalled(10) == []
    assert codes(found.signalled(10)) == [10]


def test_what_a_procedure_ends_with_depends_on_how_it_was_let_run():
    found = tracee()
    assert found.finished(100, 2) == []
    found.mode = SYSCALL
    assert codes(found.finished(100, 2)) == [SIGTRAP]
    found.entered(2, 100)
    assert found.finished(98, 2) == []


def test_stops_are_seen_one_after_the_other():
    found = tracee()
    found.entered(2, 100)
    found.hold(1, found.signalled(10))
    assert found.stop is not None
    assert found.stop.code == SIGTRAP
    found.waited = True
    assert found.next()
    assert (found.stop.code, found.waited) == (10, False)
    assert not found.next()
