# SPDX-License-Identifier: GPL-2.0-or-later
"""What a stop of the kernel's means to the debugger of a task: pure state, no process.

The kernel's stops of a seized task are what the core sees.  A debugger that attached in the old
way (TRACEME, ATTACH) is shown the old ones: SIGSTOP and SIGTRAP in place of events.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pyview.debugging.words import (
    ENTRY_MESSAGE,
    EXIT_MESSAGE,
    RARE,
    SI_KERNEL,
    SI_USER,
    SIGSTOP,
    SIGTRAP,
    STEPS,
    SYSCALL,
    TRACESYSGOOD,
    TRAP_TRACE,
    Event,
)

RESTARTNOINTR = -513


class Shown(NamedTuple):
    """A stop as a debugger sees it.

    `code` is what wait(2) tells, a signal with an event above it; `message` GETEVENTMSG's.  The
    kernel's own account of the stop holds, but for a `siginfo` or `info` (GET_SYSCALL_INFO) given
    here.  `sent`: there is no signal yet, and one that the debugger lets pass has to be sent.
    `job`: the kernel calls it a job-control stop, of this signal or of none (CLD_STOPPED).
    """

    code: int
    message: int = 0
    siginfo: bytes = b""
    info: bytes = b""
    sent: bool = False
    job: int | None = None


def siginfo(signal: int, code: int, pid: int = 0, uid: int = 0) -> bytes:
    """A siginfo_t of a kill(2) or of the kernel."""
    return struct.pack("=iiixxxxiI", signal, 0, code, pid, uid).ljust(128, b"\0")


def no_call() -> bytes:
    """A struct ptrace_syscall_info at a stop that is about no call: its header."""
    return bytes(24)


def call_ended(value: int) -> bytes:
    """A struct ptrace_syscall_info after a call."""
    return struct.pack("=BxxxIQQqB", 2, 0xC000003E, 0, 0, value, value < 0)


class Tracee:
    """A task and its debugger, the thread `tracer` of the process `owner`.

    `natural`: that process is its parent, whom the kernel tells when it ends.
    """

    def __init__(
        self, tid: int, tracer: int, owner: int, *, natural: bool, seized: bool, options: int = 0
    ) -> None:
        self.tid, self.tracer, self.owner = tid, tracer, owner
        self.natural, self.seized, self.options = natural, seized, options
        self.uid = 0
        self.reported = 0  # the rare options that the kernel knows of
        self.stop: Shown | None = None  # as the debugger sees it now
        self.kind = 0  # the kernel's stop that is held meanwhile (core.SIGNAL...)
        self.waited = False  # wait(2) has told of it
        self.queue: list[Shown] = []  # to be shown before it runs
        self.notes: list[Shown] = []  # seen within a procedure, to be shown after it
        self.mode = 0  # the request that let it run
        self.listening = False  # PTRACE_LISTEN
        self.wanted = False  # PTRACE_INTERRUPT: a stop must come
        self.attaching = False  # PTRACE_ATTACH: the same, shown as SIGSTOP
        self.born = False  # it has not stopped yet for the first time
        self.open = False  # the entry of a call has been shown, its exit not yet
        self.nr, self.ip = -1, 0  # of that call
        self.silent: set[int] = set()  # signals that its debugger has seen already
        self.trap_of_exec = False  # a SIGTRAP of ours tells of an exec

    def has(self, event: Event) -> bool:
        """Does its debugger want to hear of this?"""
        return bool(self.options >> event & 1)

    def rare(self) -> int:
        """The options that the kernel must know of."""
        return self.options & RARE

    def _trap(self, event: Event, message: int = 0) -> Shown:
        return Shown(SIGTRAP | event << 8, message)

    def _at_call(self, message: int, info: bytes = b"") -> Shown:
        return Shown(SIGTRAP | (0x80 if self.options & TRACESYSGOOD else 0), message, b"", info)

    # -- stops -----------------------------------------------------------------------------------
    def entered(self, nr: int, ip: int) -> list[Shown]:
        """A call is about to run; one that the core had repeated has been seen."""
        if self.open:
            return []
        self.open, self.nr, self.ip = True, nr, ip
        return [self._at_call(ENTRY_MESSAGE)]

    def left(self) -> list[Shown]:
        """The call has been run or answered."""
        self.open = False
        return [self._at_call(EXIT_MESSAGE)]

    def interrupted(self) -> list[Shown]:
        """The exit of a call that the core took back for a signal: it will come again."""
        if not self.open:
            return []
        self.open = False
        return [self._at_call(EXIT_MESSAGE, call_ended(RESTARTNOINTR))]

    def signalled(self, signal: int) -> list[Shown]:
        """A signal is about to be delivered."""
        if signal in self.silent:
            self.silent.discard(signal)
            return []
        return [*self.interrupted(), Shown(signal)]

    def grouped(self, signal: int) -> list[Shown]:
        """A job-control stop."""
        self.wanted = self.attaching = False
        code = signal | (Event.STOP << 8 if self.seized else 0)
        return [*self.interrupted(), Shown(code, job=signal)]

    def trapped(self) -> list[Shown]:
        """Somebody's PTRACE_INTERRUPT, a newborn's first stop, or the end of a job-control stop."""
        if self.born or self.attaching:
            code = SI_USER if self.born else SI_KERNEL
            old = Shown(SIGSTOP, 0, siginfo(SIGSTOP, code), no_call(), sent=True)
        elif self.wanted or (self.seized and self.listening):
            old = None
        else:
            return []
        self.born = self.attaching = self.wanted = False
        new = self._trap(Event.STOP)._replace(job=0)
        return [*self.interrupted(), new if old is None or self.seized else old]

    def bore(self, event: int, child: int) -> list[Shown]:
        """It has made another task."""
        return [self._trap(Event(event), child)] if self.has(Event(event)) else []

    def executed(self, before: int) -> list[Shown]:
        """A new program has been loaded; `before`: its thread id until then."""
        return [self._trap(Event.EXEC, before)] if self.has(Event.EXEC) else []

    def told(self, event: Event, message: int) -> list[Shown]:
        """One of the rare events, or a word of its own seccomp filter."""
        return [self._trap(event, message)] if self.has(event) else []

    def finished(self, ip: int, length: int) -> list[Shown]:
        """The core has had it run something in place of its call, and that is over.

        `ip`, `length`: it goes on there; when that is the call's own instruction, the call comes
        again.
        """
        if self.open and ip == self.ip - length:
            return []
        if self.mode == SYSCALL:
            return self.left()
        if self.mode in STEPS:
            return [Shown(SIGTRAP, 0, siginfo(SIGTRAP, TRAP_TRACE), no_call(), sent=True)]
        return []

    # -- the debugger's word ---------------------------------------------------------------------
    def hold(self, kind: int, shown: list[Shown]) -> None:
        """It stays in the kernel's stop `kind`; its debugger sees these, one after the other."""
        self.kind, self.stop, self.queue = kind, shown[0], shown[1:]
        self.waited = self.listening = self.wanted = False

    def next(self) -> bool:
        """Its debugger lets it go on: is there another stop to be seen first?"""
        self.stop = self.queue.pop(0) if self.queue else None
        self.waited = False
        return self.stop is not None
