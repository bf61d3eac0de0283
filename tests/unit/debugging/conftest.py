# SPDX-License-Identifier: GPL-2.0-or-later
"""A debugger's room over tasks that are numbers."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.debugging.debugger import Debugging
from pyview.debugging.words import GET_SYSCALL_INFO, GETSIGINFO, ORIG_RAX, PEEKUSER, SEIZE, WNOHANG
from pyview.verdicts import Emulate

DEBUGGER, CHILD, STRANGER, THREAD = 10, 20, 30, 31
STATUS = 0x1000


class FakeMachine:
    """Tasks that are numbers: what was done to them is written down."""

    def __init__(self):
        self.parents = {CHILD: (DEBUGGER, DEBUGGER), STRANGER: (1, 1)}
        self.done = []
        self.numbers = {}  # the call at which a task is stopped
        self.places = {}
        self.memory = {}
        self.filtered = {DEBUGGER}
        self.hidden = set()
        self.refused, self.apart, self.jobs = set(), set(), set()

    def __getattr__(self, name):
        if name in ("resume", "options", "goes", "traced", "held", "wants", "interrupt", "kill",
                    "tell", "answer"):  # fmt: skip
            return lambda *args: self.done.append((name, *args))
        raise AttributeError(name)

    def said(self, *names):
        found = [entry for entry in self.done if entry[0] in names]
        self.done.clear()
        return found

    def ptrace(self, request, tid, address, data):
        if request == PEEKUSER and address == ORIG_RAX:
            data[:] = struct.pack("=q", self.numbers.get(tid, -1))
        elif request == GETSIGINFO:
            data[:4] = struct.pack("=i", 99)
        elif request == GET_SYSCALL_INFO:
            data[:24] = b"K" * 24
            return 24
        else:
            self.done.append(("ptrace", request, tid, address, data))
        return 0

    def peek(self, tid, address, length):
        return self.memory.get(address, b"")[:length]

    def hides_filters(self, tid):
        return tid in self.hidden

    def known(self, tid):
        return tid in (DEBUGGER, CHILD, STRANGER, THREAD)

    def numbers_differently(self, tid):
        return tid in self.apart

    def waits(self, tid):
        return tid in self.filtered

    def place(self, tid):
        return self.places.get(tid, 0)

    def process(self, tid):
        return {THREAD: STRANGER}.get(tid, tid)

    def group(self, tid):
        return 5

    def pointed(self, tid, fd):
        return STRANGER

    def parent(self, tid):
        return self.parents.get(tid, (0, 0))

    def is_child(self, tid, process):
        return self.parents.get(tid, (0, 0))[1] == process

    def uid(self, tid):
        return 1000

    def may_trace(self, tid, other):
        return other not in self.refused

    def is_stopped_job(self, tid):
        return tid in self.jobs

    def stands_still(self, tid):
        return False

    def usage(self, tid):
        return b"u" * 144


class FakeLoop:
    numbers = core.numbers()

    def __init__(self):
        self.begun, self.repeated = [], []

    def busy_with(self, tid):
        return False

    def start(self, tid, procedure):
        self.begun.append(tid)
        procedure.close()

    def again(self, tid):
        self.repeated.append(tid)

    def tier(self, tid, name):
        yield from ()


class Scene:
    """A debugger's room, and how the test plays in it."""

    def __init__(self):
        self.machine, self.loop = FakeMachine(), FakeLoop()
        self.room = Debugging(self.loop, self.machine)

    def asks(self, request, pid, addr=0, data=0, tid=DEBUGGER):
        return self.room.ptrace(tid, (request, pid, addr, data, 0, 0))

    def stops(self, kind, message=0, tid=CHILD, **more):
        stop = SimpleNamespace(kind=kind, tid=tid, message=message, nr=0, ip=0, value=0, key=0)
        vars(stop).update(more)
        return self.room.stopped(stop)

    def waits(self, pid=-1, options=WNOHANG, tid=DEBUGGER):
        """The wait status that is told, or what else comes of it."""
        answer = self.room.wait(tid, "wait4", (pid, STATUS, options, 0, 0, 0))
        if isinstance(answer, Emulate) and answer.poke:
            return answer.value, int.from_bytes(answer.poke[0][1], "little")
        return answer

    def seized(self, options=0, pid=CHILD):
        assert self.asks(SEIZE, pid, 0, options) == Emulate(0)
        self.machine.done.clear()


@pytest.fixture
def scene():
    return Scene()
