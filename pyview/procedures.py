# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done to a stopped task over several stops: run a call in it, install a filter.

A procedure is a generator: it yields how the task is to go on, (how, signal), and gets its next
stop.  While it runs, every stop of the task is its own.  `core.Gone` ends it at any moment.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Mapping
from typing import Any

from pyview import core
from pyview.verdicts import Word

Stop = Any  # struct pv_stop *
Procedure = Generator[tuple[int, int], Stop, None]
Step = tuple[int, int]

WAIT: Step = (core.GO, -1)  # it is running already: only wait for its next stop
PARK: Step = (core.GO, -2)  # it stays stopped until somebody else's work is done
MASK = (1 << 64) - 1
RED_ZONE = 128  # bytes below the stack pointer that a leaf function may use
RESTARTSYS, RESTARTNOINTR = -512, -513  # the kernel's own, linux/errno.h
RESTARTS = range(-516, -511)
PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
NEW_LISTENER = 0x8  # SECCOMP_FILTER_FLAG_NEW_LISTENER
HEAD = 16  # sizeof(struct sock_fprog)
SCRATCH = 16384  # bytes of a mapping for what does not fit below a small stack


class Lost(Exception):
    """The task went another way (a signal came first): its call will come again."""


def encode(words: Mapping[int, Word], address: int) -> tuple[dict[int, int], bytes]:
    """Registers and the bytes at `address` they point to, for arguments that are not numbers."""
    registers: dict[int, int] = {}
    data = b""

    def put(piece: bytes) -> int:
        nonlocal data
        at = address + len(data)
        data += piece.ljust((len(piece) + 15) & ~7, b"\0")
        return at

    for index, word in words.items():
        if isinstance(word, int):
            registers[index] = word & MASK
        elif isinstance(word, bytes):
            registers[index] = put(word)
        else:
            block = bytearray(word.data)
            for offset, piece in word.pointers:
                block[offset : offset + 8] = put(piece).to_bytes(8, "little")
            registers[index] = put(bytes(block))
    return registers, data


def run(tid: int, regs: Any, number: int, args: tuple[int, ...]) -> Generator[Step, Stop, int]:
    """Run one call in a task that is stopped outside of any call, at an instruction `regs.ip`.

    Signals stay pending meanwhile.  Whoever calls this gives the task its registers back.
    """
    mine = core.copy_registers(regs)
    mine.nr, mine.value = core.NO_CALL, number
    for index, value in enumerate(args):
        mine.args[index] = value & MASK
    core.set_registers(tid, mine)
    stop = yield from _entered(tid, through=True)
    if stop.kind != core.EXIT:
        raise Lost
    return int(stop.value)


def _entered(tid: int, *, through: bool) -> Generator[Step, Stop, Stop]:
    """Let a task make the call that its registers say, before any signal of its own.

    `through`: signals stay pending until it is over, and a job that stops does so afterwards; else
    both come as soon as the call is under way.  Only SIGSTOP can't be kept out, and is let in.
    """
    mask, blocked, stops = core.block_signals(tid), True, False
    try:
        stop = yield core.TO_EXIT, 0
        while stop.kind in (core.ENTRY, core.TRACED, core.TRAP, core.GROUP, core.SIGNAL):
            if stop.kind == core.ENTRY and blocked and not through:
                core.unblock_signals(tid, mask)
                blocked = False
            if stop.kind == core.GROUP and not through:
                stop = yield core.STAY_STOPPED, 0
                continue
            stops = stops or stop.kind == core.GROUP
            stop = yield core.TO_EXIT, stop.message if stop.kind == core.SIGNAL else 0
    finally:
        if blocked:
            core.unblock_signals(tid, mask)
    if stops:
        core.interrupt(tid)
    return stop


def place(
    tid: int, regs: Any, words: Mapping[int, Word], mapped: int = 0
) -> tuple[dict[int, int], bool]:
    """Store what arguments point to, below the stack or in `mapped`; False: no room there."""
    _, data = encode(words, 0)
    address = mapped or (regs.sp - RED_ZONE - len(data)) & ~15
    registers, data = encode(words, address)
    return registers, not data or (address > 0 and core.poke(tid, address, data))


def redirected(
    tid: int,
    number: int,
    words: Mapping[int, Word],
    numbers: Mapping[str, int],
    at_entry: bool,
    other: int = -1,
) -> Generator[Step, Stop, tuple[int, int]]:
    """Run the call `number`, the task's own, or `other`, with other arguments; its result.

    With it comes 0, or the thread id after a program has been executed: the thread group's.

    `at_entry`: it is stopped before the call; otherwise after it was answered with RESTARTNOINTR.
    Afterwards the task is stopped after the call, all registers but the result as they were.
    """
    saved = core.registers(tid)
    if not at_entry:
        saved.nr = number
    mine = core.copy_registers(saved)
    registers, fits = place(tid, saved, words)
    mapped = 0
    if not fits:
        try:
            mapped = yield from _map(tid, saved, numbers, at_entry)
        except Lost:
            _restart(tid, saved)
            raise
        except OSError as error:
            last = core.copy_registers(saved)
            last.value = -(error.errno or errno.ENOMEM) & MASK
            core.set_registers(tid, last)
            raise
        registers, fits = place(tid, saved, words, mapped)
        at_entry = False
    for index, value in registers.items():
        mine.args[index] = value
    run_number = saved.nr if other < 0 else other
    if at_entry:
        mine.nr = run_number
        core.set_registers(tid, mine)
        pass_listener(tid, other >= 0)
        after = yield core.TO_EXIT, 0
        while after.kind in (core.ENTRY, core.TRACED, core.TRAP):
            after = yield core.TO_EXIT, 0
        # A signal may come before the listener has let another call run: it never began.
        at_entry = other < 0 or after.kind != core.EXIT or after.value not in RESTARTS
    if not at_entry:
        mine.ip, mine.nr, mine.value = saved.ip - core.CALL_LENGTH, core.NO_CALL, run_number
        core.set_registers(tid, mine)
        pass_listener(tid, True)
        after = yield from _entered(tid, through=other >= 0)
    pass_listener(tid, False)
    if after.kind == core.EXEC:
        return 0, int(after.tid)
    if after.kind != core.EXIT:
        _restart(tid, saved)
        raise Lost
    value = int(after.value)
    record = core.task(tid)
    if value == RESTARTSYS and record is not None:
        record.began = 1
    last = core.registers(tid)
    last.nr = number  # what the kernel makes again when a signal has cut it short
    for index in registers:
        last.args[index] = saved.args[index]
    core.set_registers(tid, last)
    if mapped:
        last.ip -= core.CALL_LENGTH
        yield from run(tid, last, numbers["munmap"], (mapped, SCRATCH))
        last.ip += core.CALL_LENGTH
        core.set_registers(tid, last)
        if value in RESTARTS:
            core.interrupt(tid)  # the signal may be another thread's by now
    return value, 0


def pass_listener(tid: int, on: bool) -> None:
    """Let the next call of the task that goes to the listener run."""
    record = core.task(tid)
    if record is not None:
        record.let_next = int(on)


def _restart(tid: int, saved: Any) -> None:
    """Back to where the kernel will make the original call again."""
    again = core.copy_registers(saved)
    again.value = RESTARTNOINTR & MASK
    core.set_registers(tid, again)


def _map(
    tid: int, saved: Any, numbers: Mapping[str, int], at_entry: bool
) -> Generator[Step, Stop, int]:
    """Map scratch memory in the task.  Errors: ENOMEM."""
    args = (0, SCRATCH, 3, 0x22, -1, 0)  # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    regs = core.copy_registers(saved)
    if at_entry:
        regs.nr = numbers["mmap"]
        for index, value in enumerate(args):
            regs.args[index] = value & MASK
        core.set_registers(tid, regs)
        stop = yield core.TO_EXIT, 0
        value = int(stop.value)
    else:
        regs.ip -= core.CALL_LENGTH
        value = yield from run(tid, regs, numbers["mmap"], args)
    if -4096 < value < 0:
        raise OSError(-value, os.strerror(-value))
    return value


def asleep(tid: int, numbers: Mapping[str, int]) -> Generator[Step, Stop, None]:
    """The task sleeps in place of its call, until it is interrupted or gets a signal.

    Afterwards the kernel decides as it does for any call that a signal ends (ERESTARTSYS): EINTR,
    or the call comes again.  The task is stopped before the call.
    """
    saved = core.registers(tid)
    mine = core.copy_registers(saved)
    mine.nr = numbers["pause"]
    core.set_registers(tid, mine)
    stop = yield core.TO_EXIT, 0
    while stop.kind in (core.ENTRY, core.TRACED, core.TRAP):
        stop = yield core.TO_EXIT, 0
    saved.value = RESTARTSYS & MASK
    core.set_registers(tid, saved)
    if stop.kind != core.EXIT:
        raise Lost


def skipped(tid: int) -> Generator[Step, Stop, None]:
    """A call that the task is stopped before does not run; the task is stopped right after it."""
    saved = core.registers(tid)
    core.answer(tid, RESTARTNOINTR)
    stop = yield core.TO_EXIT, 0
    while stop.kind in (core.ENTRY, core.TRACED, core.TRAP):
        stop = yield core.TO_EXIT, 0
    if stop.kind != core.EXIT:
        _restart(tid, saved)
        raise Lost


def stopped_by_us(tid: int, listener: int, cookie: int) -> Generator[Step, Stop, None]:
    """Turn a call that waits at the listener into a ptrace stop right after it.

    The call is answered with the kernel's own "make it again", while a stop is pending that comes
    first; the program sees neither.
    """
    core.interrupt(tid)
    core.reply(listener, cookie, RESTARTNOINTR)
    stop = yield WAIT
    if stop.kind not in (core.TRAP, core.EXIT):  # EXIT: a debugger in the view looks at calls
        raise Lost


def halted(tid: int, awaited: set[int]) -> Generator[Step, Stop, None]:
    """Stop a task wherever it is; it is not in a call of the listener's afterwards.

    `awaited` holds it until then: a call that comes first is to be made again.
    """
    core.interrupt(tid)
    awaited.add(tid)
    try:
        stop = yield WAIT
        record = core.task(tid)
        while stop.kind == core.SIGNAL and not record.debug & core.TRACEE:
            stop = yield core.GO, stop.message
    finally:
        awaited.discard(tid)
    if stop.kind not in (core.TRAP, core.GROUP):
        raise Lost
    regs = core.registers(tid)
    ended = regs.nr != core.NO_CALL and regs.value == -errno.EINTR & MASK
    if ended and stop.kind == core.TRAP and not _has_signal(tid):
        # epoll_wait(2) and its like, whose EINTR programs take for a signal: signal(7).
        regs.value = RESTARTNOINTR & MASK
        core.set_registers(tid, regs)


def _has_signal(tid: int) -> bool:
    """Whether a signal waits to be delivered to a task."""
    sets = {}
    try:
        with open(f"/proc/{tid}/status") as file:
            for line in file:
                if line.startswith(("SigPnd", "ShdPnd", "SigBlk")):
                    sets[line[:6]] = int(line.split()[1], 16)
    except OSError:
        return True  # the last one
    return bool((sets["SigPnd"] | sets["ShdPnd"]) & ~sets["SigBlk"])


def revealed(
    tid: int, number: int, listener: int, cookie: int, prctl: int
) -> Generator[Step, Stop, None]:
    """Make a task readable that executes a file which it may only execute, then repeat its call.

    The kernel has made it non-dumpable, which keeps everybody out, its own tracer too.
    """
    yield from stopped_by_us(tid, listener, cookie)
    saved = core.registers(tid)
    saved.nr = number
    regs = core.copy_registers(saved)
    regs.ip -= core.CALL_LENGTH
    try:
        yield from run(tid, regs, prctl, (PR_SET_DUMPABLE, 1, 0, 0, 0))
    except Lost:
        _restart(tid, saved)
        raise
    regs.nr, regs.value = core.NO_CALL, number
    core.set_registers(tid, regs)


def install(
    tid: int, program: bytes, numbers: Mapping[str, int], flags: int
) -> Generator[Step, Stop, int]:
    """Install a seccomp filter in a process; the core's own descriptor of its listener, or -1.

    The task is stopped by `core.interrupt`, perhaps within a call that is to go on afterwards, or
    after a call.  Errors: those of seccomp(2), EMFILE.
    """
    saved = core.registers(tid)
    try:
        value, mine = yield from _install(tid, saved, program, numbers, flags)
    finally:
        core.set_registers(tid, saved)
    if value < 0:
        raise OSError(-value, os.strerror(-value))
    return mine


def stacked(
    tid: int, program: bytes, numbers: Mapping[str, int], flags: int
) -> Generator[Step, Stop, None]:
    """Install one more filter in a process that has one: for that, its stack has room enough.

    The task is stopped as for `install`.  Errors: those of seccomp(2).
    """
    saved = core.registers(tid)
    regs = core.copy_registers(saved)
    regs.ip = core.call_site(tid)
    at = (saved.sp - RED_ZONE - len(program) - HEAD) & ~15
    prog = (len(program) // 8).to_bytes(8, "little") + (at + HEAD).to_bytes(8, "little")
    if not regs.ip or not core.poke(tid, at, prog + program):
        yield from install(tid, program, numbers, flags)
        return
    try:
        value = yield from run(tid, regs, numbers["seccomp"], (1, flags, at))
    finally:
        core.set_registers(tid, saved)
    if value < 0:
        raise OSError(-value, os.strerror(-value))


def _install(
    tid: int, saved: Any, program: bytes, numbers: Mapping[str, int], flags: int
) -> Generator[Step, Stop, tuple[int, int]]:
    """What seccomp(2) answered, and the core's own descriptor of the listener."""
    regs = core.copy_registers(saved)
    regs.ip = core.call_site(tid)
    if not regs.ip:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))  # no vDSO
    mapped = yield from run(tid, regs, numbers["mmap"], (0, SCRATCH, 3, 0x22, -1, 0))
    if -4096 < mapped < 0:
        return mapped, -1
    prog = (len(program) // 8).to_bytes(8, "little") + (mapped + 16).to_bytes(8, "little")
    core.poke(tid, mapped, prog + program)
    value = yield from run(tid, regs, numbers["prctl"], (38, 1, 0, 0, 0))  # PR_SET_NO_NEW_PRIVS
    if value == 0:
        value = yield from run(tid, regs, numbers["seccomp"], (1, flags, mapped))
    yield from run(tid, regs, numbers["munmap"], (mapped, SCRATCH))
    mine = -1
    if value > 0 or (value == 0 and flags & NEW_LISTENER):
        mine = core.descriptor(core.task(tid), value)
        yield from run(tid, regs, numbers["close"], (value,))
    return value, mine


def named(tid: int, name: bytes, numbers: Mapping[str, int]) -> Generator[Step, Stop, None]:
    """What a program that has just been executed is called: comm in proc(5), 15 bytes."""
    stop = yield core.TO_EXIT, 0  # execve has still to return
    if stop.kind != core.EXIT:
        raise Lost
    saved = core.registers(tid)
    regs = core.copy_registers(saved)
    regs.ip = core.call_site(tid)
    if not regs.ip:
        return
    address = (saved.sp - RED_ZONE - 16) & ~15
    old = core.peek(tid, address, 16)
    core.poke(tid, address, name[:15].ljust(16, b"\0"))
    try:
        yield from run(tid, regs, numbers["prctl"], (PR_SET_NAME, address, 0, 0, 0))
    finally:
        core.poke(tid, address, old)
        core.set_registers(tid, saved)


def let_go(tid: int) -> Generator[Step, Stop, None]:
    """After `install`: a call that was interrupted goes on, a stopped job stays stopped."""
    saved = core.registers(tid)
    core.interrupt(tid)
    stop = yield core.GO, 0
    if stop.kind == core.TRAP:
        core.set_registers(tid, saved)
    else:
        raise Lost
