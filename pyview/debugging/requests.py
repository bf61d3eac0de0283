# SPDX-License-Identifier: GPL-2.0-or-later
"""The requests of ptrace(2) that read or write a stopped tracee: what goes where.

The core makes the same request itself and carries the bytes between its memory and the debugger's.
"""

from __future__ import annotations

import errno
import struct
from typing import NamedTuple, Protocol

from pyview.api import refuse
from pyview.debugging.tracee import Tracee
from pyview.debugging.words import (
    GET_SYSCALL_INFO,
    GETEVENTMSG,
    GETREGSET,
    GETSIGINFO,
    OLDSETOPTIONS,
    OPTIONS,
    PEEKSIGINFO,
    SETOPTIONS,
    SETREGSET,
    SETSIGINFO,
    SUSPEND_SECCOMP,
    Event,
)

MOST = 1 << 20  # bytes of one transfer; the largest register set has some 10 KiB
WORD, SIGINFO, FILTER = 8, 128, 8  # bytes of a word, siginfo_t, struct sock_filter

#: Structures of one size that `data` points to: GETREGS, GETFPREGS, GETFPXREGS, GETSIGINFO...
READS = {12: 216, 14: 512, 18: 512, GETSIGINFO: SIGINFO, 25: 16}
WRITES = {13: 216, 15: 512, 19: 512, SETSIGINFO: SIGINFO, 26: 16}
PEEKS = frozenset({1, 2, 3})  # TEXT, DATA, USER: a word goes to `data`
#: `data` points to as many bytes as `addr` says: GETSIGMASK, GET_SYSCALL_INFO,
#: GET_RSEQ_CONFIGURATION, GET_SYSCALL_USER_DISPATCH_CONFIG; and the SETs.
SIZED_READS = frozenset({0x420A, GET_SYSCALL_INFO, 0x420F, 0x4211})
SIZED_WRITES = frozenset({0x420B, 0x4210, 0x4212})
GET_FILTER, GET_METADATA, ARCH_PRCTL = 0x420C, 0x420D, 30
SIGINFOS = frozenset({GETSIGINFO, SETSIGINFO})
ARCH_GETS = frozenset({0x1003, 0x1004})  # ARCH_GET_FS, ARCH_GET_GS


class Answer(NamedTuple):
    """The result of a request and what goes to the debugger's memory."""

    value: int = 0
    poke: tuple[tuple[int, bytes], ...] = ()


class Ptrace(Protocol):
    """ptrace(2) as the core makes it, and the debugger's memory."""

    def ptrace(self, request: int, tid: int, address: int, data: int | bytearray) -> int:
        """A request; a bytearray is what `data` points to.  Errors: ptrace(2)'s; Gone for ESRCH."""

    def options(self, tid: int, rare: int) -> None:
        """Have the kernel report these events too."""

    def peek(self, tid: int, address: int, length: int) -> bytes:
        """Memory of the debugger.  Errors: EFAULT."""

    def hides_filters(self, tid: int) -> bool:
        """Whether the core's filter has its word before the task's own has its."""


def transfer(ptrace: Ptrace, tracee: Tracee, request: int, addr: int, data: int) -> Answer:
    """Carry out a request that neither attaches nor resumes.  Errors: as ptrace(2)."""
    assert tracee.stop is not None
    if request == GETEVENTMSG:
        return Answer(0, ((data, tracee.stop.message.to_bytes(WORD, "little")),))
    if request in (SETOPTIONS, OLDSETOPTIONS):
        return _set_options(ptrace, tracee, data)
    if request in SIGINFOS and tracee.stop.job and not tracee.seized:
        raise refuse(errno.EINVAL)  # how a job-control stop is told from a signal's
    if request == GETSIGINFO and tracee.stop.siginfo:
        return Answer(0, ((data, tracee.stop.siginfo),))
    if request == GET_SYSCALL_INFO and tracee.stop.info:
        return _call_info(ptrace, tracee, addr, data)
    if request == GETREGSET:
        return _get_set(ptrace, tracee, addr, data)
    if request in PEEKS or request in READS or request in SIZED_READS:
        size = WORD if request in PEEKS else READS.get(request, min(addr, MOST))
        room = bytearray(size)
        value = ptrace.ptrace(request, tracee.tid, addr, room)
        length = min(value, size) if request == GET_SYSCALL_INFO else size
        return Answer(value, ((data, bytes(room[:length])),))
    return Answer(*_write(ptrace, tracee, request, addr, data))


def _write(
    ptrace: Ptrace, tracee: Tracee, request: int, addr: int, data: int
) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """Requests that give something to the tracee, and the odd ones."""
    tid, caller = tracee.tid, tracee.tracer
    if request in WRITES or request in SIZED_WRITES:
        given = _whole(ptrace, caller, data, WRITES.get(request, min(addr, MOST)))
        return ptrace.ptrace(request, tid, addr, given), ()
    if request == SETREGSET:
        base, length = struct.unpack("=QQ", _whole(ptrace, caller, data, 16))
        given = _whole(ptrace, caller, base, min(length, MOST))
        return _with_vector(ptrace, request, tid, addr, given)[0], ()
    if request == PEEKSIGINFO:
        _, _, count = struct.unpack("=QIi", _whole(ptrace, caller, addr, 16))
        words, room = _whole(ptrace, caller, addr, 16), bytearray(max(0, min(count, 512)) * SIGINFO)
        value = _pointed(ptrace, request, tid, words, room)
        return value, ((data, bytes(room[: value * SIGINFO])),)
    if request == GET_FILTER:
        count = ptrace.ptrace(request, tid, addr, 0)
        room = bytearray(count * FILTER)
        if data:
            ptrace.ptrace(request, tid, addr, room)
        return count, ((data, bytes(room)),) if data else ()
    if request == GET_METADATA:
        words = _whole(ptrace, caller, data, min(addr, MOST))
        return ptrace.ptrace(request, tid, addr, words), ((data, bytes(words)),)
    if request == ARCH_PRCTL and data in ARCH_GETS:
        room = bytearray(WORD)  # the one request with its pointer in `addr`
        value = _pointed(ptrace, request, tid, room, data)
        return value, ((addr, bytes(room)),)
    return ptrace.ptrace(request, tid, addr, data), ()


def _whole(ptrace: Ptrace, tid: int, address: int, size: int) -> bytearray:
    given = bytearray(ptrace.peek(tid, address, size))
    if len(given) < size:
        raise refuse(errno.EFAULT)
    return given


def _set_options(ptrace: Ptrace, tracee: Tracee, options: int) -> Answer:
    if options & ~OPTIONS or (options >> Event.SECCOMP & 1 and ptrace.hides_filters(tracee.tid)):
        raise refuse(errno.EINVAL)
    if options & SUSPEND_SECCOMP:
        raise refuse(errno.EPERM)  # only for who may administer the machine: the core may not
    tracee.options = options
    if tracee.rare() != tracee.reported:
        ptrace.options(tracee.tid, tracee.rare())
        tracee.reported = tracee.rare()
    return Answer()


def _call_info(ptrace: Ptrace, tracee: Tracee, size: int, data: int) -> Answer:
    """GET_SYSCALL_INFO at a stop which the kernel takes for another one."""
    assert tracee.stop is not None
    room = bytearray(96)
    ptrace.ptrace(GET_SYSCALL_INFO, tracee.tid, len(room), room)
    info = bytearray(tracee.stop.info)
    info[4:24] = room[4:24]  # architecture, instruction and stack pointer
    return Answer(len(info), ((data, bytes(info[:size])),))


def _get_set(ptrace: Ptrace, tracee: Tracee, addr: int, data: int) -> Answer:
    base, length = struct.unpack("=QQ", _whole(ptrace, tracee.tracer, data, 16))
    room = bytearray(min(length, MOST))
    value, got = _with_vector(ptrace, GETREGSET, tracee.tid, addr, room)
    return Answer(value, ((base, bytes(room[:got])), (data + 8, got.to_bytes(WORD, "little"))))


def _with_vector(
    ptrace: Ptrace, request: int, tid: int, addr: int, room: bytearray
) -> tuple[int, int]:
    """A request with a struct iovec; its result, and the length that comes back."""
    vector = bytearray(struct.pack("=QQ", address_of(room), len(room)))
    value = ptrace.ptrace(request, tid, addr, vector)
    return value, int.from_bytes(vector[8:], "little")


def _pointed(ptrace: Ptrace, request: int, tid: int, addr: bytearray, data: int | bytearray) -> int:
    """A request whose `addr` is a pointer."""
    return ptrace.ptrace(request, tid, address_of(addr), data)


def address_of(room: bytearray) -> int:
    """Where the bytes are; they must not be resized while that is used."""
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(room)) if room else 0
