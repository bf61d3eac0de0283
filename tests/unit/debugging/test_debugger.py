# SPDX-License-Identifier: GPL-2.0-or-later
"""Debuggers and tracees, with stops that the test plays and no process at all."""

from __future__ import annotations

import errno
import struct

import pytest

from pyview import core
from pyview.debugging.waits import Want
from pyview.debugging.words import (
    ATTACH,
    CONT,
    DETACH,
    EXITKILL,
    GET_SYSCALL_INFO,
    GETEVENTMSG,
    GETSIGINFO,
    INTERRUPT,
    KILL,
    LISTEN,
    ORIG_RAX,
    POKEUSER,
    SEIZE,
    SETOPTIONS,
    SIGKILL,
    SIGSTOP,
    SIGTRAP,
    SINGLESTEP,
    SYSCALL,
    TRACEME,
    TRACESYSGOOD,
    Event,
)
from pyview.verdicts import Emulate, Real

DEBUGGER, CHILD, STRANGER, THREAD = 10, 20, 30, 31
STATUS, INFO, WORD = 0x1000, 0x2000, 0x3000
USR1 = 10


def status(code):
    return code << 8 | 0x7F


def test_a_signal_is_shown_and_passes_as_the_debugger_says(scene):
    scene.seized()
    assert scene.stops(core.SIGNAL, USR1)
    assert not scene.machine.said("resume")
    assert scene.waits() == (CHILD, status(USR1))
    assert isinstance(scene.waits(), Want)  # told once
    assert scene.asks(CONT, CHILD, 0, USR1) == Emulate(0)
    assert scene.machine.said("resume", "goes") == [
        ("goes", CHILD, CONT), ("resume", CHILD, core.GO, USR1),
    ]  # fmt: skip
    assert scene.asks(CONT, CHILD).value == -errno.ESRCH


def test_a_call_is_shown_twice_and_has_its_number_when_the_core_answered_it(scene):
    scene.seized(TRACESYSGOOD)
    scene.stops(core.SIGNAL, USR1)
    scene.asks(SYSCALL, CHILD)
    scene.machine.numbers[CHILD] = 2
    scene.stops(core.ENTRY, nr=2, ip=100)
    assert scene.waits() == (CHILD, status(SIGTRAP | 0x80))
    assert scene.asks(GETEVENTMSG, CHILD, 0, WORD).poke == ((WORD, (1).to_bytes(8, "little")),)
    scene.asks(SYSCALL, CHILD)
    scene.machine.numbers[CHILD] = -1
    scene.machine.said()
    scene.stops(core.EXIT)
    assert ("ptrace", POKEUSER, CHILD, ORIG_RAX, 2) in scene.machine.done
    assert scene.waits() == (CHILD, status(SIGTRAP | 0x80))


def test_a_call_that_the_core_repeats_is_seen_once(scene):
    scene.seized(TRACESYSGOOD)
    scene.stops(core.SIGNAL, USR1)
    scene.asks(SYSCALL, CHILD)
    scene.stops(core.ENTRY, nr=2, ip=100)
    scene.asks(SYSCALL, CHILD)
    scene.machine.places[CHILD] = 100 - core.CALL_LENGTH
    assert not scene.room.finished(CHILD, core.EXIT)  # it comes again
    assert scene.stops(core.ENTRY, nr=2, ip=100)
    assert not scene.room.holds(CHILD)
    scene.machine.places[CHILD] = 100
    assert scene.room.finished(CHILD, core.EXIT)
    assert scene.room.holds(CHILD)


def test_a_call_that_a_signal_took_back_has_an_end_first(scene):
    scene.seized(TRACESYSGOOD)
    scene.stops(core.SIGNAL, USR1)
    scene.asks(SYSCALL, CHILD)
    scene.stops(core.ENTRY, nr=2, ip=100)
    scene.asks(SYSCALL, CHILD)
    scene.stops(core.SIGNAL, USR1)
    assert scene.waits() == (CHILD, status(SIGTRAP | 0x80))
    info = scene.asks(GET_SYSCALL_INFO, CHILD, 96, WORD).poke[0][1]
    assert (info[0], struct.unpack_from("=q", info, 24)[0]) == (2, -513)
    scene.machine.said()
    scene.asks(SYSCALL, CHILD)
    assert not scene.machine.said("resume")
    assert scene.waits() == (CHILD, status(USR1))
    scene.asks(SYSCALL, CHILD, 0, USR1)
    assert scene.machine.said("resume") == [("resume", CHILD, core.GO, USR1)]


def test_a_step_over_a_call_of_the_cores_ends_after_it(scene):
    scene.seized()
    scene.stops(core.SIGNAL, USR1)
    scene.asks(SINGLESTEP, CHILD)
    assert scene.room.finished(CHILD, core.EXIT)
    info = scene.asks(GETSIGINFO, CHILD, 0, WORD).poke[0][1]
    assert struct.unpack_from("=iii", info) == (SIGTRAP, 0, 2)


def test_a_debugger_of_the_old_kind_sees_sigstop_and_sigtrap(scene):
    assert scene.asks(ATTACH, STRANGER) == Emulate(0)
    assert ("wants", STRANGER, True) in scene.machine.done
    scene.stops(core.TRAP, tid=STRANGER)
    assert scene.waits() == (STRANGER, status(SIGSTOP))
    scene.machine.said()
    scene.asks(CONT, STRANGER, 0, SIGSTOP)  # lets it pass: now it has to be sent
    assert scene.machine.said("kill", "resume") == [
        ("kill", STRANGER, SIGSTOP), ("resume", STRANGER, core.GO, 0),
    ]  # fmt: skip
    assert scene.stops(core.SIGNAL, SIGSTOP, tid=STRANGER)  # which it has seen
    assert scene.machine.said("resume") == [("resume", STRANGER, core.GO, SIGSTOP)]
    scene.stops(core.GROUP, SIGSTOP, tid=STRANGER)
    assert scene.waits() == (STRANGER, status(SIGSTOP))
    assert scene.asks(LISTEN, STRANGER).value == -errno.EIO
    assert scene.asks(INTERRUPT, STRANGER).value == -errno.EIO
    scene.asks(CONT, STRANGER)
    scene.machine.said()
    scene.stops(core.EXEC, STRANGER, tid=STRANGER)
    assert ("kill", STRANGER, SIGTRAP) in scene.machine.done


def test_one_that_listens_is_not_stopped_for_requests_but_for_jobs(scene):
    scene.seized()
    scene.stops(core.GROUP, SIGSTOP)
    assert scene.waits() == (CHILD, status(SIGSTOP | Event.STOP << 8))
    scene.machine.said()
    assert scene.asks(LISTEN, CHILD) == Emulate(0)
    assert scene.machine.said("resume") == [("resume", CHILD, core.STAY_STOPPED)]
    assert scene.asks(CONT, CHILD).value == -errno.ESRCH
    scene.stops(core.TRAP, SIGTRAP)
    assert scene.waits() == (CHILD, status(SIGTRAP | Event.STOP << 8))


def test_stops_of_the_cores_own_stay_with_it(scene):
    scene.seized()
    assert scene.stops(core.TRAP, SIGTRAP)
    assert scene.machine.said("resume") == [("resume", CHILD, core.GO, 0)]
    scene.asks(INTERRUPT, CHILD)
    scene.stops(core.TRAP, SIGTRAP)
    assert scene.room.holds(CHILD)


def test_its_children_are_tracees_and_stop_first(scene):
    scene.seized(1 << Event.FORK | 1 << Event.EXIT)
    scene.stops(core.BORN, STRANGER, nr=Event.FORK, value=1)
    told = {scene.waits(), scene.waits()}
    assert told == {
        (CHILD, status(SIGTRAP | Event.FORK << 8)), (STRANGER, status(SIGTRAP | Event.STOP << 8)),
    }  # fmt: skip
    scene.asks(CONT, STRANGER)
    scene.stops(core.EXITING, 0x300, tid=STRANGER)
    assert scene.waits() == (STRANGER, status(SIGTRAP | Event.EXIT << 8))
    scene.machine.said()
    scene.room.died(STRANGER, 0x300)
    assert scene.machine.said("tell") == [("tell", DEBUGGER, 1, STRANGER, 1000, 3)]
    assert scene.waits() == (STRANGER, 0x300)


def test_children_of_others_go_their_way(scene):
    scene.seized()
    scene.stops(core.BORN, STRANGER, nr=Event.FORK, value=1)
    assert ("traced", STRANGER, 0) in scene.machine.done
    assert ("resume", STRANGER) in scene.machine.done


def test_of_its_own_child_the_kernel_tells_the_end(scene):
    scene.seized()
    scene.room.died(CHILD, 0)
    assert not scene.machine.said("tell")
    assert scene.waits() == Real()


def test_when_the_debugger_dies_its_tracees_are_free_or_die(scene):
    scene.seized(EXITKILL)
    scene.seized(0, STRANGER)
    scene.stops(core.SIGNAL, USR1, tid=STRANGER)
    scene.machine.said()
    scene.room.died(DEBUGGER, SIGKILL)
    done = scene.machine.said("kill", "resume", "traced")
    assert ("kill", CHILD, SIGKILL) in done
    assert ("resume", STRANGER, core.GO, USR1) in done  # nobody had been told of it
    assert not scene.room.holds(STRANGER)


def test_a_thread_that_executes_takes_its_leaders_place(scene):
    scene.seized(1 << Event.EXEC, STRANGER)
    scene.seized(1 << Event.EXEC, THREAD)
    scene.room.renamed(THREAD, STRANGER)
    scene.stops(core.EXEC, THREAD, tid=STRANGER)
    assert scene.waits() == (STRANGER, status(SIGTRAP | Event.EXEC << 8))
    assert scene.asks(CONT, THREAD).value == -errno.ESRCH
    assert scene.asks(CONT, STRANGER).value == 0


def test_detached_ones_go_on_or_stay_stopped_as_a_job(scene):
    scene.seized(1 << Event.EXIT)
    scene.stops(core.GROUP, SIGSTOP)
    assert ("options", CHILD, 1 << Event.EXIT) in scene.machine.said("options")
    assert scene.asks(DETACH, CHILD) == Emulate(0)
    assert scene.machine.said("options", "resume") == [
        ("options", CHILD, 0), ("resume", CHILD, core.STAY_STOPPED),
    ]  # fmt: skip
    assert not scene.stops(core.SIGNAL, USR1)


def test_its_own_filters_word_is_the_debuggers(scene):
    scene.seized(1 << Event.SECCOMP)
    scene.stops(core.TRACED, 7)
    assert scene.waits() == (CHILD, status(SIGTRAP | Event.SECCOMP << 8))
    assert scene.asks(GETEVENTMSG, CHILD, 0, WORD).poke[0][1][0] == 7
    scene.asks(CONT, CHILD)
    assert scene.loop.repeated == [CHILD]
    assert not scene.stops(core.TRACED, core.OURS)


def test_without_a_listener_such_a_call_is_enosys(scene):
    scene.seized()
    scene.stops(core.TRACED, 7)
    assert ("answer", CHILD, -errno.ENOSYS) in scene.machine.done


@pytest.mark.parametrize(
    ("request_", "pid", "addr", "data", "error"),
    [
        (CONT, CHILD, 0, 0, errno.ESRCH),
        (SEIZE, CHILD, 1, 0, errno.EIO),
        (SEIZE, CHILD, 0, 1 << 12, errno.EIO),
        (SEIZE, STRANGER, 0, 0, errno.EPERM),
        (TRACEME, 0, 0, 0, errno.EPERM),
    ],
)
def test_what_is_refused(scene, request_, pid, addr, data, error):
    scene.machine.refused.add(STRANGER)
    assert scene.asks(request_, pid, addr, data) == Emulate(-error)


def test_only_the_debugging_thread_may_ask(scene):
    scene.seized()
    scene.stops(core.SIGNAL, USR1)
    assert scene.asks(CONT, CHILD, tid=STRANGER).value == -errno.ESRCH
    assert scene.asks(SEIZE, CHILD, tid=STRANGER).value == -errno.EPERM
    assert scene.asks(SETOPTIONS, CHILD, 0, 1 << 12).value == -errno.EINVAL
    assert scene.asks(CONT, CHILD, 0, 65).value == -errno.EIO
    assert scene.asks(KILL, CHILD) == Emulate(0)
    assert ("kill", CHILD, SIGKILL) in scene.machine.done


def test_filters_that_the_core_hides_cant_be_traced(scene):
    scene.machine.hidden.add(CHILD)
    assert scene.asks(SEIZE, CHILD, 0, 1 << Event.SECCOMP) == Emulate(-errno.EIO)
    scene.seized()
    scene.stops(core.SIGNAL, USR1)
    assert scene.asks(SETOPTIONS, CHILD, 0, 1 << Event.SECCOMP) == Emulate(-errno.EINVAL)


def test_who_has_other_numbers_for_tasks_is_no_debugger(scene):
    scene.machine.apart.add(DEBUGGER)
    assert scene.asks(SEIZE, CHILD) == Real()  # the kernel says EPERM


def test_whom_the_kernel_knows_it_answers_for(scene):
    assert scene.asks(CONT, 12345) == Real()


def test_a_debugger_without_the_wait_tier_gets_it(scene):
    scene.machine.filtered.clear()
    assert scene.asks(SEIZE, CHILD) is None  # a procedure answers
    assert scene.loop.begun == [DEBUGGER]


def test_attaching_to_a_stopped_job_ends_when_it_can_be_asked(scene):
    scene.machine.jobs.add(STRANGER)
    assert scene.asks(ATTACH, STRANGER) is None
    assert not scene.machine.said("answer", "resume")
    scene.stops(core.GROUP, SIGSTOP, tid=STRANGER)
    assert scene.machine.said("answer", "resume") == [("answer", DEBUGGER, 0), ("resume", DEBUGGER)]


def test_or_when_it_has_died(scene):
    scene.machine.jobs.add(STRANGER)
    scene.machine.filtered.clear()
    assert scene.asks(SEIZE, STRANGER) is None
    scene.room.died(STRANGER, SIGKILL)
    assert scene.loop.begun == [DEBUGGER]


def test_who_asks_to_be_traced_has_its_parent_as_debugger(scene):
    assert scene.asks(TRACEME, 0, tid=CHILD) == Emulate(0)
    scene.stops(core.SIGNAL, SIGSTOP)
    assert scene.waits() == (CHILD, status(SIGSTOP))
    assert scene.asks(TRACEME, 0, tid=CHILD) == Emulate(-errno.EPERM)
    assert scene.asks(TRACEME, 0, tid=STRANGER).value == 0
