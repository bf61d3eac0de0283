# SPDX-License-Identifier: GPL-2.0-or-later
"""The seccomp program that decides which calls stop: table in, bytes out.

It may not load a program, know a call by name, or repeat a fact of the table.

When filters are stacked the kernel takes the strictest answer: ERRNO before
USER_NOTIF before TRACE before ALLOW (cf. seccomp(2)).  A program decides by
(arch, nr) before it loads an argument, so that the kernel remembers which numbers
are always allowed and runs no program at all for them (Linux >= 5.11, kernel/seccomp.c:
seccomp_cache_prepare).
"""

import errno
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .reach import CHUNK, EVERYWHERE, Reach
from .syscalls import CALLS, Call, Stop, When

# <linux/seccomp.h>, <linux/audit.h>
SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_TRACE = 0x7FF00000
SECCOMP_RET_ALLOW = 0x7FFF0000
AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_I386 = 0x40000003

# <linux/bpf_common.h>: the instructions used here, each with BPF_K or BPF_ABS
LD_W = 0x20
JA, JEQ, JGE, JSET = 0x05, 0x15, 0x35, 0x45
RET = 0x06
BPF_MAXINSNS = 4096

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]
NR_AT, ARCH_AT, ARGS_AT = 0, 4, 16

# enum pv_seccomp: a stop's data tell that it is ours, and that it is for the record only.
TRACED = SECCOMP_RET_TRACE | 0x7076
TOLD = SECCOMP_RET_TRACE | 0x7072
REFUSED = SECCOMP_RET_ERRNO | errno.ENOSYS
RETURNS: dict[Stop, int] = {
    Stop.NONE: SECCOMP_RET_ALLOW,
    Stop.LISTENER: SECCOMP_RET_USER_NOTIF,
    Stop.TRACER: TRACED,
    Stop.REFUSE: REFUSED,
}

Code = list[tuple[int, int, int, int]]  # (code, jt, jf, k) of struct sock_filter


class Action(NamedTuple):
    """What a program returns for a number: `then`, or only if a condition holds.

    With conditions in `when`, `then` is returned if any of them holds, else `otherwise`.
    """

    then: int
    when: tuple[When, ...] = ()
    otherwise: int = SECCOMP_RET_ALLOW


class Outcome(NamedTuple):
    """What run() found: the value returned, instructions run, whether an argument was loaded."""

    value: int
    steps: int
    loaded: bool


def decide(action: Action) -> Code:
    """The code of one action; it ends the program."""
    code: Code = []
    for test in action.when:
        low = ARGS_AT + 8 * test.arg
        hit = (RET, 0, 0, action.then)
        if test.kind == "nonzero":
            for half in (low, low + 4):
                code += [(LD_W, 0, 0, half), (JEQ, 1, 0, 0), hit]
        elif test.kind in ("below", "from"):
            code += _compared(low, test.values[0], test.kind == "from", hit)
        elif test.kind == "eq":
            code.append((LD_W, 0, 0, low))
            for value in test.values:
                code += [(JEQ, 0, 1, value), hit]
        else:  # bits, clear
            bits = 0
            for value in test.values:
                bits |= value
            skip = (1, 0) if test.kind == "clear" else (0, 1)
            code += [(LD_W, 0, 0, low), (JSET, *skip, bits), hit]
    return [*code, (RET, 0, 0, action.otherwise if action.when else action.then)]


def _compared(low: int, border: int, beyond: bool, hit: tuple[int, int, int, int]) -> Code:
    """`hit` for an argument (64 bits, at `low`) from `border` on; not `beyond`: for less."""
    upper, lower = divmod(border, 1 << 32)
    return [
        (LD_W, 0, 0, low + 4),
        (JEQ, 1, 0, upper),
        (JGE, *((2, 3) if beyond else (3, 2)), upper),
        (LD_W, 0, 0, low),
        (JGE, *((0, 1) if beyond else (1, 0)), lower),
        hit,
    ]


def search(runs: Sequence[tuple[int, Action]]) -> Code:
    """The code that finds the run a number lies in; each run is (first number, action)."""
    if len(runs) == 1:
        return decide(runs[0][1])
    middle = len(runs) // 2
    below, above = search(runs[:middle]), search(runs[middle:])
    first = runs[middle][0]
    if len(below) <= 0xFF:  # a conditional jump has 8 bits
        return [(JGE, len(below), 0, first), *below, *above]
    return [(JGE, 0, 1, first), (JA, 0, 0, len(below)), *below, *above]


def program(
    actions: Mapping[int, Action],
    default: int,
    arch: int = AUDIT_ARCH_X86_64,
    foreign: int = REFUSED,
) -> bytes:
    """A sock_filter[]: `actions` by call number, `default` for every other number.

    A call of another architecture gets `foreign`.  Neighbours with one action are one
    run, and runs are searched by halves: log2(runs) comparisons a call.

    Precondition: numbers are not negative.  Errors: ValueError when the program is longer
    than BPF_MAXINSNS.
    """
    other = Action(default)
    runs: list[tuple[int, Action]] = [(0, other)]
    for number in sorted({edge for n in actions for edge in (n, n + 1)}):
        action = actions.get(number, other)
        if number == 0:
            runs[0] = (0, action)
        elif action != runs[-1][1]:
            runs.append((number, action))
    code = [
        (LD_W, 0, 0, ARCH_AT),
        (JEQ, 1, 0, arch),
        (RET, 0, 0, foreign),
        (LD_W, 0, 0, NR_AT),
        *search(runs),
    ]
    if len(code) > BPF_MAXINSNS:
        raise ValueError(f"a program of {len(code)} instructions")
    return b"".join(struct.pack("=HBBI", *i) for i in code)


def path_tier(
    numbers: Mapping[str, int], calls: Iterable[Call] = CALLS, *, told: bool = False
) -> bytes:
    """The program of the path tier: every row's `stop` and `when`, ENOSYS for the rest.

    The rest is every number that `calls` has no row for, the x32 calls and those of i386:
    a call that nobody described must not walk out of the view.

    `told`: what gets ENOSYS stops first, so that --trace and --summary can name it.

    Errors: KeyError for a row that `numbers` does not know.
    """
    refused = TOLD if told else REFUSED
    returns = RETURNS | {Stop.REFUSE: refused}
    actions = {numbers[c.name]: Action(returns[c.stop], c.when) for c in calls}
    return program(actions, default=refused, foreign=refused)


MESSAGES = ("sendmsg", "recvmsg", "recvmmsg", "pidfd_getfd")


def message_tier(numbers: Mapping[str, int]) -> bytes:
    """For a process in whose messages names of the view, or emulated descriptors, may come.

    It is stacked on the path tier, which has refused already what nobody described.
    """
    actions = {numbers[name]: Action(TRACED) for name in MESSAGES}
    return program(actions, default=SECCOMP_RET_ALLOW)


def descriptor_tier(numbers: Mapping[str, int], calls: Iterable[Call] = CALLS) -> bytes:
    """For a process that has an emulated descriptor: every row's `held`."""
    actions = {numbers[c.name]: Action(TRACED, c.held) for c in calls if c.held is not None}
    return program(actions, default=SECCOMP_RET_ALLOW)


#: What the kernel does right with a direct descriptor: nothing of it can leave the device.
UNHEARD = (
    *("read", "readv", "pread64", "preadv", "preadv2", "mmap", "readahead", "fadvise64"),
    *("fsync", "fdatasync", "sync_file_range"),
)


RLIMIT_FSIZE = 1
#: Calls that set that limit: which argument tells of what it is one.
LIMITS = {"setrlimit": 0, "prlimit64": 1}


def native_tier(numbers: Mapping[str, int], reach: Reach, calls: Iterable[Call] = CALLS) -> bytes:
    """For a process that has a direct descriptor, or a window, and no other emulated one."""
    unheard = () if reach.windowed else UNHEARD
    actions = {
        numbers[c.name]: Action(TRACED, c.held)
        for c in calls
        if c.held is not None and c.name not in unheard
    }
    if not reach.windowed:
        others = (When(2, "eq", (os.SEEK_DATA, os.SEEK_HOLE)),)  # which devices have not
        actions[numbers["lseek"]] = Action(TRACED, others)
    for name, arg in LIMITS.items():
        actions[numbers[name]] = Action(TRACED, (When(arg, "eq", (RLIMIT_FSIZE,)),))
    for name, border in (("pread64", reach.reads), ("pwrite64", reach.writes)):
        if border == EVERYWHERE:
            actions.pop(numbers[name], None)
        elif border > reach.low:
            outside = [When(3, "from", (border,)), When(2, "from", (CHUNK + 1,))]
            if reach.low:
                outside.append(When(3, "below", (reach.low,)))
            actions[numbers[name]] = Action(TRACED, tuple(outside))
    return program(actions, default=SECCOMP_RET_ALLOW)


def identity_tier(numbers: Mapping[str, int], calls: Iterable[Call] = CALLS) -> bytes:
    """For a view that has users and groups of its own: every row's `identity`."""
    actions = {numbers[c.name]: Action(TRACED, c.identity) for c in calls if c.identity is not None}
    return program(actions, default=SECCOMP_RET_ALLOW)


MAPPINGS = ("munmap", "mremap", "msync")


def mapping_tier(numbers: Mapping[str, int]) -> bytes:
    """For a process that has an emulated file mapped: when it may be written back."""
    actions = {numbers[name]: Action(TRACED) for name in MAPPINGS}
    return program(actions, default=SECCOMP_RET_ALLOW)


def watching_tier(numbers: Mapping[str, int]) -> bytes:
    """For a process that has a list of mounts open: when it is about to watch it by epoll."""
    adds = Action(TRACED, (When(1, "eq", (1,)),))  # EPOLL_CTL_ADD
    return program({numbers["epoll_ctl"]: adds}, default=SECCOMP_RET_ALLOW)


CLOSING = ("close", "close_range", "dup2", "dup3")


def closing_tier(numbers: Mapping[str, int]) -> bytes:
    """For a process that has locked an emulated file: when it closes it, by any descriptor."""
    actions = {numbers[name]: Action(TRACED) for name in CLOSING}
    return program(actions, default=SECCOMP_RET_ALLOW)


#: What overlays must hear of though it names no file: attributes that are not the kernel's, and
#: changes of files that are still those below.
OVERLAID = (
    *("fstat", "fchmod", "fchown", "fgetxattr", "fsetxattr", "flistxattr", "fremovexattr"),
    *("fsync", "fdatasync", "sync_file_range", "syncfs"),
)


def overlay_tier(numbers: Mapping[str, int]) -> bytes:
    """For every process of a view with an overlay."""
    from .abi.ioctl import CHANGES_FILE  # not before it is needed

    actions = {numbers[name]: Action(TRACED) for name in OVERLAID}
    actions[numbers["ioctl"]] = Action(TRACED, (When(1, "eq", CHANGES_FILE),))
    return program(actions, default=SECCOMP_RET_ALLOW)


WAITS = ("wait4", "waitid")


def ptrace_tier(numbers: Mapping[str, int]) -> bytes:
    """For a program that may call ptrace, in a view that has no path tier."""
    actions = {numbers["ptrace"]: Action(TRACED)}
    return program(actions, default=SECCOMP_RET_ALLOW, foreign=SECCOMP_RET_ALLOW)


def wait_tier(numbers: Mapping[str, int]) -> bytes:
    """For a process that has tracees."""
    actions = {numbers[name]: Action(TRACED) for name in WAITS}
    return program(actions, default=SECCOMP_RET_ALLOW, foreign=SECCOMP_RET_ALLOW)


def run(
    prog: bytes, nr: int, args: Sequence[int] = (0,) * 6, arch: int = AUDIT_ARCH_X86_64
) -> Outcome:
    """Interpret `prog` on one call, as the kernel does.  For tests."""
    data = struct.pack("=IIQ6Q", nr & 0xFFFFFFFF, arch, 0, *(a % (1 << 64) for a in args))
    code = list(struct.iter_unpack("=HBBI", prog))
    acc, pc, steps, loaded = 0, 0, 0, False
    while True:
        op, jt, jf, k = code[pc]
        pc += 1
        steps += 1
        if op == LD_W:
            acc = struct.unpack_from("=I", data, k)[0]
            loaded = loaded or k >= ARGS_AT
        elif op == RET:
            return Outcome(k, steps, loaded)
        elif op == JA:
            pc += k
        else:
            taken = {JEQ: acc == k, JGE: acc >= k, JSET: acc & k != 0}[op]
            pc += jt if taken else jf
