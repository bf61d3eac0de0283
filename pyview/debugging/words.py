# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of ptrace(2) and wait(2): linux/ptrace.h, asm/ptrace-abi.h, linux/wait.h."""

from __future__ import annotations

from enum import IntEnum

TRACEME, CONT, KILL, SINGLESTEP = 0, 7, 8, 9
ATTACH, DETACH, SYSCALL = 16, 17, 24
SYSEMU, SYSEMU_SINGLESTEP, SINGLEBLOCK = 31, 32, 33
OLDSETOPTIONS, SETOPTIONS, GETEVENTMSG = 21, 0x4200, 0x4201
GETSIGINFO, SETSIGINFO, GETREGSET, SETREGSET = 0x4202, 0x4203, 0x4204, 0x4205
SEIZE, INTERRUPT, LISTEN, PEEKSIGINFO = 0x4206, 0x4207, 0x4208, 0x4209
GET_SYSCALL_INFO = 0x420E
PEEKUSER, POKEUSER = 3, 6

RESUMES = frozenset({CONT, SINGLESTEP, SYSCALL, SYSEMU, SYSEMU_SINGLESTEP, SINGLEBLOCK})
STEPS = frozenset({SINGLESTEP, SYSEMU_SINGLESTEP})


class Event(IntEnum):
    """PTRACE_EVENT_*; the option that asks for one, but for STOP, is the bit of its number."""

    FORK = 1
    VFORK = 2
    CLONE = 3
    EXEC = 4
    VFORK_DONE = 5
    EXIT = 6
    SECCOMP = 7
    STOP = 128


TRACESYSGOOD, EXITKILL, SUSPEND_SECCOMP = 1, 1 << 20, 1 << 21
OPTIONS = 0xFF | EXITKILL | SUSPEND_SECCOMP
#: Options whose events the core has the kernel report only for who asked: VFORK_DONE, EXIT.
RARE = 1 << Event.VFORK_DONE | 1 << Event.EXIT

WNOHANG, WEXITED, WNOWAIT, WNOTHREAD = 1, 4, 0x01000000, 0x20000000
P_ALL, P_PID, P_PGID, P_PIDFD = range(4)
CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED = range(1, 6)

SIGINT, SIGTRAP, SIGKILL, SIGCHLD, SIGSTOP, LAST_SIGNAL = 2, 5, 9, 17, 19, 64
TRAP_TRACE = 2  # si_code of a step
SI_USER, SI_KERNEL = 0, 0x80
ENTRY_MESSAGE, EXIT_MESSAGE = 1, 2  # PTRACE_EVENTMSG_SYSCALL_*
ORIG_RAX = 15 * 8  # offset in struct user
