# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done to a task over several stops, with a core that only writes down what it is told."""

from __future__ import annotations

import copy
import errno
from itertools import pairwise
from signal import SIGSTOP
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview import core, procedures
from pyview.procedures import MASK, RED_ZONE, RESTARTNOINTR, RESTARTSYS, SCRATCH, WAIT, Lost, encode
from pyview.verdicts import Block

TO_EXIT = (core.TO_EXIT, 0)
NUMBERS = {"mmap": 9, "munmap": 11, "prctl": 157, "seccomp": 317, "close": 3}
TID, SP, IP = 0x7FFFFFF0, 0x7000_0000, 0x400_000


def registers(**values):
    start = {"nr": 2, "value": 0, "args": [10, 20, 30, 40, 50, 60], "ip": IP, "sp": SP}
    return SimpleNamespace(**{**start, **values})


class Task:
    """A task in a memory of its own, as pyview.core shows one."""

    def __init__(self, monkeypatch):
        self.regs = registers()
        self.stored: dict[int, bytes] = {}
        self.writable = True
        self.blocked = False
        self.record = SimpleNamespace(let_next=0, tid=TID)
        self.notes = []
        for name in ("registers", "set_registers", "poke", "task", "interrupt", "reply",
                     "call_site", "descriptor", "block_signals", "unblock_signals"):  # fmt: skip
            monkeypatch.setattr(core, name, getattr(self, name))
        monkeypatch.setattr(core, "copy_registers", copy.deepcopy)

    def registers(self, tid):
        return copy.deepcopy(self.regs)

    def set_registers(self, tid, regs):
        self.regs = copy.deepcopy(regs)

    def poke(self, tid, address, data):
        if not self.writable and address < SP:
            return False
        self.stored[address] = data
        return True

    def task(self, tid):
        return self.record

    def interrupt(self, tid):
        self.notes.append("interrupt")

    def reply(self, listener, cookie, value):
        self.notes.append(("reply", listener, cookie, value))

    def block_signals(self, tid):
        assert not self.blocked
        self.blocked = True
        return 0x55

    def unblock_signals(self, tid, mask):
        assert mask == 0x55
        self.blocked = False

    def call_site(self, tid):
        return 0x5000

    def descriptor(self, record, fd):
        self.notes.append(("descriptor", fd))
        return 99

    def exits(self, value, **changes):
        """The call it was resumed for is over."""
        for name, change in changes.items():
            setattr(self.regs, name, change)
        self.regs.value = value & MASK
        return SimpleNamespace(kind=core.EXIT, value=value, tid=TID, message=0)


@pytest.fixture
def task(monkeypatch):
    return Task(monkeypatch)


def stop(kind, **more):
    return SimpleNamespace(**{"kind": kind, "value": 0, "tid": TID, "message": 0, **more})


def last(procedure, sent):
    """Send the last stop; what the procedure returns."""
    with pytest.raises(StopIteration) as end:
        procedure.send(sent)
    return end.value.value


# -- arguments -----------------------------------------------------------------------------------

words = st.dictionaries(
    st.integers(0, 5),
    st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=40)
    | st.builds(
        lambda data, texts: Block(
            bytes(8 * len(texts)) + data, tuple((8 * i, text) for i, text in enumerate(texts))
        ),
        st.binary(max_size=40),
        st.lists(st.binary(max_size=20), max_size=4),
    ),
)


@given(words, st.integers(0, 2**46).map(lambda address: address & ~15))
def test_what_is_encoded_is_where_the_registers_point(given_, address):
    found, data = encode(given_, address)
    assert set(found) == set(given_)

    def at(pointer, length):
        assert address <= pointer
        assert pointer + length <= address + len(data)
        return data[pointer - address : pointer - address + length]

    spans = []
    for index, word in given_.items():
        if isinstance(word, int):
            assert found[index] == word % 2**64
            continue
        wanted = word if isinstance(word, bytes) else word.data
        assert found[index] % 8 == 0
        spans.append((found[index], len(wanted)))
        if isinstance(word, bytes):
            assert at(found[index], len(word)) == word
            continue
        block = at(found[index], len(word.data))
        head = 8 * len(word.pointers)
        assert block[head:] == word.data[head:]
        for offset, text in word.pointers:
            pointer = int.from_bytes(block[offset : offset + 8], "little")
            assert at(pointer, len(text)) == text
            spans.append((pointer, len(text)))
    spans.sort()
    for (start, length), (following, _) in pairwise(spans):
        assert start + length <= following


@given(words)
def test_the_length_does_not_depend_on_the_place(given_):
    assert len(encode(given_, 0)[1]) == len(encode(given_, 0x1000)[1])


def test_numbers_need_no_memory():
    assert encode({0: -100, 3: 5}, 0x1000) == ({0: 2**64 - 100, 3: 5}, b"")


def test_place_keeps_clear_of_the_red_zone(task):
    found, fits = procedures.place(TID, task.regs, {1: b"name\0"})
    ((address, data),) = task.stored.items()
    assert fits
    assert found == {1: address}
    assert address % 16 == 0
    assert address + len(data) <= SP - RED_ZONE


def test_place_says_when_there_is_no_room(task):
    assert procedures.place(TID, registers(sp=64), {1: b"name\0"})[1] is False
    task.writable = False
    assert procedures.place(TID, task.regs, {1: b"name\0"})[1] is False
    assert procedures.place(TID, task.regs, {1: 5}) == ({1: 5}, True)
    assert procedures.place(TID, task.regs, {1: b"name\0"}, SP + 64) == ({1: SP + 64}, True)


# -- one call ------------------------------------------------------------------------------------


def test_a_call_is_run_where_the_task_stands(task):
    procedure = procedures.run(TID, task.regs, 39, (1, -1))
    assert next(procedure) == TO_EXIT
    assert (task.regs.nr, task.regs.value, task.regs.ip) == (core.NO_CALL, 39, IP)
    assert task.regs.args == [1, MASK, 30, 40, 50, 60]
    assert procedure.send(stop(core.ENTRY)) == TO_EXIT
    assert procedure.send(stop(core.TRACED)) == TO_EXIT
    assert procedure.send(stop(core.TRAP)) == TO_EXIT  # of an interrupt that came late
    assert task.blocked
    assert last(procedure, task.exits(-5)) == -5
    assert not task.blocked


def test_a_job_that_stops_before_the_call_stops_after_it(task):
    procedure = procedures.run(TID, task.regs, 39, ())
    next(procedure)
    assert procedure.send(stop(core.SIGNAL, message=SIGSTOP)) == (core.TO_EXIT, SIGSTOP)
    assert procedure.send(stop(core.GROUP, message=SIGSTOP)) == TO_EXIT
    assert procedure.send(stop(core.ENTRY)) == TO_EXIT
    assert task.blocked
    assert task.notes == []
    assert last(procedure, task.exits(5)) == 5
    assert not task.blocked
    assert task.notes == ["interrupt"]


def test_a_task_that_executes_in_place_of_the_call_is_lost(task):
    procedure = procedures.run(TID, task.regs, 39, ())
    next(procedure)
    with pytest.raises(Lost):
        procedure.send(stop(core.EXEC))
    assert not task.blocked


def test_a_task_that_is_lost_while_something_is_mapped_makes_its_call_again(task):
    task.writable = False
    procedure = procedures.redirected(TID, 2, {0: b"/etc/x\0"}, NUMBERS, False)
    next(procedure)
    with pytest.raises(Lost):
        procedure.send(stop(core.EXEC))
    assert task.regs.args == [10, 20, 30, 40, 50, 60]
    assert (task.regs.nr, task.regs.value, task.regs.ip) == (2, RESTARTNOINTR & MASK, IP)


def test_a_task_that_is_lost_while_it_installs_is_as_it_was(task):
    before = copy.deepcopy(task.regs)
    procedure = procedures.install(TID, b"", NUMBERS, LISTENER)
    next(procedure)
    with pytest.raises(Lost):
        procedure.send(stop(core.EXEC))
    assert task.regs == before


# -- the task's own call, with other arguments ---------------------------------------------------


@pytest.mark.parametrize("at_entry", [True, False])
def test_a_redirected_call_leaves_the_registers_as_they_were(task, at_entry):
    procedure = procedures.redirected(TID, 2, {0: b"/etc/x\0", 2: 5}, NUMBERS, at_entry)
    assert next(procedure) == TO_EXIT
    ((address, data),) = task.stored.items()
    assert data.startswith(b"/etc/x\0")
    assert task.regs.args == [address, 20, 5, 40, 50, 60]
    if at_entry:
        assert (task.regs.ip, task.regs.nr, task.record.let_next) == (IP, 2, 0)
    else:  # the call is made again, and must not come to the listener
        assert task.regs.ip == IP - core.CALL_LENGTH
        assert (task.regs.nr, task.regs.value) == (core.NO_CALL, 2)
        assert task.record.let_next == 1
    for kind in (core.ENTRY, core.TRACED, core.TRAP):
        assert procedure.send(stop(kind)) == TO_EXIT
    assert last(procedure, task.exits(3, ip=IP, nr=MASK)) == (3, 0)
    assert task.regs.args == [10, 20, 30, 40, 50, 60]
    assert (task.regs.ip, task.regs.value, task.record.let_next) == (IP, 3, 0)


def test_a_program_that_was_executed_has_other_registers(task):
    procedure = procedures.redirected(TID, 59, {0: b"/bin/x\0"}, NUMBERS, True)
    next(procedure)
    before = copy.deepcopy(task.regs)
    assert last(procedure, stop(core.EXEC, tid=5)) == (0, 5)
    assert task.regs == before


def test_a_signal_waits_until_the_call_is_under_way(task):
    """Else it would be made again from the start, with all that was done for it so far."""
    procedure = procedures.redirected(TID, 2, {0: b"/etc/x\0"}, NUMBERS, False)
    next(procedure)
    assert task.blocked
    assert procedure.send(stop(core.SIGNAL, message=SIGSTOP)) == (core.TO_EXIT, SIGSTOP)
    assert procedure.send(stop(core.GROUP, message=SIGSTOP)) == (core.STAY_STOPPED, 0)
    assert procedure.send(stop(core.TRAP)) == TO_EXIT
    assert task.blocked
    assert procedure.send(stop(core.ENTRY)) == TO_EXIT
    assert not task.blocked
    assert last(procedure, task.exits(-4, ip=IP)) == (-4, 0)
    assert task.regs.args == [10, 20, 30, 40, 50, 60]


def test_what_is_run_in_place_of_the_call_is_not_cut_short_nor_made_again(task):
    procedure = procedures.redirected(TID, 2, {0: 7}, NUMBERS, False, NUMBERS["close"])
    next(procedure)
    assert task.regs.value == NUMBERS["close"]
    assert procedure.send(stop(core.ENTRY)) == TO_EXIT
    assert task.blocked
    assert last(procedure, task.exits(0, ip=IP, nr=NUMBERS["close"])) == (0, 0)
    assert not task.blocked
    assert task.regs.nr == 2


def test_what_a_signal_keeps_from_beginning_in_place_of_the_call_is_made_again(task):
    """The listener's calls can be interrupted before they have begun."""
    procedure = procedures.redirected(TID, 2, {0: 7}, NUMBERS, True, NUMBERS["close"])
    assert next(procedure) == TO_EXIT
    assert not task.blocked
    assert procedure.send(task.exits(RESTARTSYS, ip=IP, nr=NUMBERS["close"])) == TO_EXIT
    assert task.blocked
    assert (task.regs.ip, task.regs.value) == (IP - core.CALL_LENGTH, NUMBERS["close"])
    assert task.record.let_next == 1
    assert last(procedure, task.exits(3, ip=IP, nr=NUMBERS["close"])) == (3, 0)
    assert (task.blocked, task.record.let_next, task.regs.nr) == (False, 0, 2)


def test_the_kernel_looks_again_whether_an_interrupted_call_is_made_again(task):
    """A signal for the whole process may have gone to another thread meanwhile."""
    task.writable = False
    procedure = procedures.redirected(TID, 2, {0: b"/etc/x\0"}, NUMBERS, True)
    next(procedure)
    procedure.send(task.exits(0x7FFF_F000_0000, ip=IP))
    procedure.send(task.exits(RESTARTSYS, ip=IP))
    assert "interrupt" not in task.notes
    assert last(procedure, task.exits(0, ip=IP)) == (RESTARTSYS, 0)
    assert task.notes[-1] == "interrupt"


@pytest.mark.parametrize("at_entry", [True, False])
def test_what_does_not_fit_below_the_stack_is_mapped_and_unmapped(task, at_entry):
    task.writable = False
    procedure = procedures.redirected(TID, 2, {0: b"/etc/x\0"}, NUMBERS, at_entry)
    assert next(procedure) == TO_EXIT
    number = task.regs.nr if at_entry else task.regs.value
    assert (number, task.regs.args[:3]) == (NUMBERS["mmap"], [0, SCRATCH, 3])
    mapped = 0x7FFF_F000_0000
    assert procedure.send(task.exits(mapped, ip=IP)) == TO_EXIT
    assert task.stored[mapped].startswith(b"/etc/x\0")
    assert task.regs.args == [mapped, 20, 30, 40, 50, 60]
    assert (task.regs.value, task.regs.ip) == (2, IP - core.CALL_LENGTH)
    assert procedure.send(task.exits(4, ip=IP)) == TO_EXIT
    assert (task.regs.value, task.regs.args[:2]) == (NUMBERS["munmap"], [mapped, SCRATCH])
    assert last(procedure, task.exits(0, ip=IP)) == (4, 0)
    assert task.regs.args == [10, 20, 30, 40, 50, 60]
    assert (task.regs.value, task.regs.ip) == (4, IP)


@pytest.mark.parametrize("at_entry", [True, False])
def test_without_memory_to_map_the_call_fails_and_the_registers_are_as_they_were(task, at_entry):
    """The tracer answers ENOMEM then; the program still relies on its argument registers."""
    task.writable = False
    procedure = procedures.redirected(TID, 2, {0: b"/etc/x\0"}, NUMBERS, at_entry)
    next(procedure)
    with pytest.raises(OSError) as raised:
        procedure.send(task.exits(-errno.ENOMEM, ip=IP))
    assert raised.value.errno == errno.ENOMEM
    assert task.regs.args == [10, 20, 30, 40, 50, 60]
    assert task.regs.ip == IP


# -- stopping and filters ------------------------------------------------------------------------


def test_a_call_at_the_listener_is_answered_while_a_stop_is_pending(task):
    procedure = procedures.stopped_by_us(TID, 4, 77)
    assert next(procedure) == WAIT
    assert task.notes == ["interrupt", ("reply", 4, 77, RESTARTNOINTR)]
    assert last(procedure, stop(core.TRAP)) is None
    for kind in (core.SIGNAL, core.GROUP):
        procedure = procedures.stopped_by_us(TID, 4, 77)
        next(procedure)
        with pytest.raises(Lost):
            procedure.send(stop(kind))


def test_a_call_that_the_task_is_stopped_before_does_not_run(task, monkeypatch):
    answers = []
    monkeypatch.setattr(core, "answer", lambda tid, value: answers.append((tid, value)))
    procedure = procedures.skipped(TID)
    assert next(procedure) == TO_EXIT
    assert answers == [(TID, RESTARTNOINTR)]
    assert procedure.send(stop(core.ENTRY)) == TO_EXIT
    assert last(procedure, stop(core.EXIT)) is None
    procedure = procedures.skipped(TID)
    next(procedure)
    with pytest.raises(Lost):
        procedure.send(stop(core.DEAD))


def drive(task, procedure, results):
    """Give each call its result; the numbers of the calls it was made to run, and its end."""
    numbers, left = [], list(results)
    step = next(procedure)
    while True:
        assert step == TO_EXIT
        numbers.append(task.regs.value)
        try:
            step = procedure.send(task.exits(left.pop(0)))
        except StopIteration as end:
            return numbers, end.value
        except OSError as error:
            return numbers, error


CALLS = [NUMBERS[name] for name in ("mmap", "prctl", "seccomp", "munmap", "close")]
LISTENER = procedures.NEW_LISTENER


def test_a_filter_is_installed_by_the_task_itself(task):
    before = copy.deepcopy(task.regs)
    program = bytes(range(16))
    procedure = procedures.install(TID, program, NUMBERS, LISTENER)
    numbers, end = drive(task, procedure, [0x9000, 0, 5, 0, 0])
    assert (numbers, end) == (CALLS, 99)
    assert task.notes == [("descriptor", 5)]
    assert task.regs == before
    # struct sock_fprog: how many instructions, where they are
    fprog = (2).to_bytes(8, "little") + (0x9010).to_bytes(8, "little")
    assert task.stored == {0x9000: fprog + program}


def test_a_filter_without_a_listener_gives_none(task):
    numbers, end = drive(task, procedures.install(TID, b"", NUMBERS, 1), [0x9000, 0, 0, 0])
    assert (numbers, end) == (CALLS[:-1], -1)


@pytest.mark.parametrize(
    ("results", "number", "calls"),
    [
        ([-errno.ENOMEM], errno.ENOMEM, CALLS[:1]),
        ([0x9000, -errno.EPERM, 0], errno.EPERM, [CALLS[0], CALLS[1], CALLS[3]]),
        ([0x9000, 0, -errno.EBUSY, 0], errno.EBUSY, CALLS[:4]),
    ],
)
def test_a_filter_that_cannot_be_installed_leaves_the_task_as_it_was(task, results, number, calls):
    before = copy.deepcopy(task.regs)
    made, error = drive(task, procedures.install(TID, b"", NUMBERS, LISTENER), results)
    assert (made, error.errno) == (calls, number)
    assert task.regs == before


def test_without_a_vdso_no_filter_is_installed(task, monkeypatch):
    monkeypatch.setattr(core, "call_site", lambda tid: 0)
    with pytest.raises(OSError) as raised:
        next(procedures.install(TID, b"", NUMBERS, 0))
    assert raised.value.errno == errno.ENOSYS


def test_the_interrupted_call_goes_on(task):
    before = copy.deepcopy(task.regs)
    procedure = procedures.let_go(TID)
    assert next(procedure) == (core.GO, 0)
    task.regs.args[0] = 0
    assert last(procedure, stop(core.TRAP)) is None
    assert task.regs == before
    procedure = procedures.let_go(TID)
    next(procedure)
    with pytest.raises(Lost):
        procedure.send(stop(core.SIGNAL))


@pytest.mark.parametrize(("pending", "value"), [(False, RESTARTNOINTR), (True, -errno.EINTR)])
def test_a_call_that_only_we_have_ended_comes_again(task, monkeypatch, pending, value):
    """epoll_wait(2) says EINTR whatever has woken it."""
    monkeypatch.setattr(procedures, "_has_signal", lambda tid: pending)
    awaited = set()
    halting = procedures.halted(TID, awaited)
    assert next(halting) == WAIT
    assert awaited == {TID}
    task.regs = registers(nr=232, value=-errno.EINTR & MASK)
    with pytest.raises(StopIteration):
        halting.send(SimpleNamespace(kind=core.TRAP))
    assert task.regs.value == value & MASK
    assert not awaited


def test_a_task_that_does_something_else_first_is_lost(task):
    halting = procedures.halted(TID, set())
    next(halting)
    with pytest.raises(Lost):
        halting.send(SimpleNamespace(kind=core.TRACED))


def test_a_task_that_has_gone_is_passed_over(monkeypatch):
    monkeypatch.setattr(core, "task", lambda tid: None)
    procedures.pass_listener(TID, True)


def test_a_hidden_program_is_made_readable_and_its_call_made_again(task):
    procedure = procedures.revealed(TID, 2, 4, 77, NUMBERS["prctl"])
    assert next(procedure) == WAIT
    assert procedure.send(stop(core.TRAP)) == TO_EXIT
    assert task.regs.value == NUMBERS["prctl"]
    assert task.regs.args[:2] == [procedures.PR_SET_DUMPABLE, 1]
    assert task.regs.ip == IP - core.CALL_LENGTH
    last(procedure, task.exits(0, ip=IP))
    assert task.regs.args == [10, 20, 30, 40, 50, 60]
    assert (task.regs.ip, task.regs.value) == (IP - core.CALL_LENGTH, 2)
