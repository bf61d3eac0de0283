# SPDX-License-Identifier: GPL-2.0-or-later
"""The filter's program: the table's answer for every call, by interpreter and by kernel."""

import ctypes
import errno
import json
import mmap
import os
import struct

import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyview import filter as tier
from pyview._core import lib
from pyview.filter import (
    AUDIT_ARCH_I386,
    AUDIT_ARCH_X86_64,
    CLOSING,
    MAPPINGS,
    MESSAGES,
    REFUSED,
    RETURNS,
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS,
    SECCOMP_RET_TRACE,
    SECCOMP_RET_USER_NOTIF,
    TOLD,
    TRACED,
    Action,
    closing_tier,
    descriptor_tier,
    identity_tier,
    mapping_tier,
    message_tier,
    native_tier,
    path_tier,
    program,
    ptrace_tier,
    run,
    wait_tier,
)
from pyview.reach import CHUNK, EVERYWHERE, Reach
from pyview.syscalls import BY_NAME, CALLS, X32, Stop, When

pytestmark = pytest.mark.skipif(not oracle.HEADER.exists(), reason="no x86-64 kernel headers")

PATH_TIER = path_tier(oracle.numbers()) if oracle.HEADER.exists() else b""
BY_NUMBER = {oracle.numbers()[c.name]: c for c in CALLS} if oracle.HEADER.exists() else {}
TOP = 600
NO_ARGS = (0,) * 6

# Registers near what conditions look at: zero halves, single bits, small numbers.
registers = st.one_of(
    st.sampled_from([0, 1, 3, 4, 5, 1 << 32, 3 | 1 << 32, 0x00800000, 0x00800000 << 32, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
six = st.tuples(*[registers] * 6)


def wanted(nr: int, args: tuple[int, ...]) -> int:
    row = BY_NUMBER.get(nr)
    return REFUSED if row is None else RETURNS[row.stops(args)]


@given(st.integers(0, TOP), six)
@example(oracle.numbers()["accept"] if oracle.HEADER.exists() else 0, (0, 1 << 32, 0, 0, 0, 0))
def test_the_program_answers_as_the_table(nr, args):
    assert run(PATH_TIER, nr, args).value == wanted(nr, args)


def test_every_number_gets_the_tables_answer():
    for args in (NO_ARGS, (2**64 - 1,) * 6, (3,) * 6, (1 << 32,) * 6, (0x00800000,) * 6):
        for nr in range(TOP):
            assert run(PATH_TIER, nr, args).value == wanted(nr, args), nr


@given(st.integers(0, 2**32 - 1), six)
def test_a_number_without_a_row_is_ENOSYS(nr, args):
    if nr not in BY_NUMBER:
        assert run(PATH_TIER, nr, args).value == SECCOMP_RET_ERRNO | errno.ENOSYS


@given(st.integers(0, TOP), six)
def test_calls_of_other_kinds_are_ENOSYS(nr, args):
    assert run(PATH_TIER, nr | X32, args).value == REFUSED
    assert run(PATH_TIER, nr, args, arch=AUDIT_ARCH_I386).value == REFUSED
    assert run(PATH_TIER, -1, args).value == REFUSED


def test_only_conditions_load_arguments():
    """The kernel remembers an ALLOW that (arch, nr) alone decided, and skips the program."""
    loading = {nr for nr in range(TOP) if run(PATH_TIER, nr).loaded}
    assert loading == {nr for nr, row in BY_NUMBER.items() if row.when}
    assert BY_NAME["read"].when == BY_NAME["restart_syscall"].when == ()


def test_the_program_is_short():
    assert len(PATH_TIER) // 8 < 512
    assert max(run(PATH_TIER, nr, (2**64 - 1,) * 6).steps for nr in range(TOP)) < 24


def test_every_kind_of_answer_is_used():
    values = {run(PATH_TIER, nr).value for nr in range(TOP)}
    assert values == {SECCOMP_RET_ALLOW, TRACED, SECCOMP_RET_USER_NOTIF, REFUSED}
    assert run(PATH_TIER, oracle.numbers()["restart_syscall"]).value == SECCOMP_RET_ALLOW


@given(st.integers(0, TOP), six)
def test_what_is_refused_can_be_told(nr, args):
    told = path_tier(oracle.numbers(), told=True)
    plain = run(PATH_TIER, nr, args).value
    assert run(told, nr, args).value == (TOLD if plain == REFUSED else plain)
    assert run(told, nr, args, arch=AUDIT_ARCH_I386).value == TOLD
    assert run(told, nr | X32, args).value == TOLD


def test_stops_say_that_they_are_ours():
    assert TRACED == SECCOMP_RET_TRACE | lib.PV_SECCOMP_OURS
    assert TOLD == SECCOMP_RET_TRACE | lib.PV_SECCOMP_REFUSED


def test_a_row_without_a_number_is_an_error():
    with pytest.raises(KeyError):
        path_tier({"read": 0})


answers = st.sampled_from([SECCOMP_RET_ALLOW, TRACED, REFUSED])
whens = st.one_of(
    st.builds(When, st.integers(0, 5), st.just("nonzero")),
    st.builds(
        When,
        st.integers(0, 5),
        st.sampled_from(["eq", "bits"]),
        st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=3).map(tuple),
    ),
)
actions = st.builds(Action, answers, st.lists(whens, max_size=3).map(tuple), answers)


@given(st.dictionaries(st.integers(0, 500), actions, max_size=60), answers, st.data())
def test_a_program_equals_its_actions(chosen, default, data):
    code = program(chosen, default)
    for nr in data.draw(st.lists(st.integers(0, 510), min_size=1, max_size=20)):
        args = data.draw(six)
        action = chosen.get(nr, Action(default))
        hit = not action.when or any(w.holds(args) for w in action.when)
        assert run(code, nr, args).value == (action.then if hit else action.otherwise)


def test_long_jumps_reach():
    """Beyond 255 instructions a conditional jump no longer does."""
    chosen = {n: Action(SECCOMP_RET_ERRNO | n % 2 + 1) for n in range(1500)}
    code = program(chosen, default=SECCOMP_RET_ALLOW)
    for nr in range(1500):
        assert run(code, nr).value == chosen[nr].then
    assert run(code, 1500).value == SECCOMP_RET_ALLOW


def test_a_program_that_the_kernel_would_not_take_is_an_error():
    chosen = {n: Action(SECCOMP_RET_ERRNO | n % 2 + 1) for n in range(4096)}
    with pytest.raises(ValueError, match="instructions"):
        program(chosen, default=SECCOMP_RET_ALLOW)


# -- what is stacked on it -----------------------------------------------------------------------

HELD = descriptor_tier(oracle.numbers()) if oracle.HEADER.exists() else b""
MAPPED = mapping_tier(oracle.numbers()) if oracle.HEADER.exists() else b""
MAP_PRIVATE, MAP_ANONYMOUS = 0x02, 0x20
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETLK, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 6, 1030


def stops(prog: bytes, name: str, *args: int) -> bool:
    value = run(prog, oracle.numbers()[name], (*args, *NO_ARGS)[:6]).value
    assert value in (SECCOMP_RET_ALLOW, TRACED)
    return value == TRACED


@given(st.integers(0, TOP), six)
def test_the_descriptor_tier_answers_as_the_table(nr, args):
    row = BY_NUMBER.get(nr)
    held = row is not None and row.held is not None
    wanted = held and (not row.held or any(when.holds(args) for when in row.held))
    assert run(HELD, nr, args).value == (TRACED if wanted else SECCOMP_RET_ALLOW)


SIZES = st.sampled_from([0, 1, 4096, 1 << 32, 5 << 32, (5 << 32) + 7, EVERYWHERE])


@given(st.booleans(), SIZES, SIZES, st.sampled_from([0, 4096, 65536]), six)
def test_the_native_tiers_stop_beyond_their_reach(windowed, reads, writes, low, args):
    if not windowed:
        reads = EVERYWHERE
    made = native_tier(oracle.numbers(), Reach(windowed, reads, writes, low))
    for name, border in (("pread64", reads), ("pwrite64", writes)):
        for count in (0, 1, CHUNK, CHUNK + 1, 1 << 40, args[2]):
            for at in (0, low - 1, low, border - 1, border, border + 1, 1 << 63, args[3]):
                at %= 1 << 64
                inside = low <= at < border and count <= CHUNK
                stop = not (border == EVERYWHERE or inside)
                assert stops(made, name, 3, 0, count, at) is stop, (name, count, at)


def test_a_direct_descriptor_is_read_and_mapped_without_a_stop_and_a_window_is_not():
    direct = native_tier(oracle.numbers(), Reach(False, EVERYWHERE, 0))
    window = native_tier(oracle.numbers(), Reach(True, 1 << 30, 0, 4096))
    for name in ("read", "preadv", "fsync", "lseek"):
        assert not stops(direct, name, 3)
        assert stops(window, name, 3)
    assert not stops(direct, "mmap", 0, 4096, 3, MAP_PRIVATE, 3)
    assert stops(window, "mmap", 0, 4096, 3, MAP_PRIVATE, 3)
    for one in (direct, window):
        for name in ("write", "fstat", "ioctl", "sendmsg", "pwritev"):
            assert stops(one, name, 3), name
        assert stops(one, "setrlimit", 1)
        assert stops(one, "prlimit64", 0, 1)
        assert not stops(one, "setrlimit", 7)
        assert not stops(one, "prlimit64", 1, 7)


def test_calls_that_use_a_descriptor_stop():
    for name in ("read", "write", "pwritev2", "lseek", "fstat", "ioctl", "ftruncate", "sendfile",
                 "fchdir", "getdents64", "flock", "epoll_ctl", "sendmsg", "setns"):  # fmt: skip
        assert stops(HELD, name, 3), name


def test_calls_that_the_kernels_own_descriptor_answers_do_not():
    for name in ("close", "dup", "dup2", "dup3", "close_range", "epoll_wait", "poll", "select",
                 "getpid", "openat", "munmap", "brk", "futex"):  # fmt: skip
        assert not stops(HELD, name, 3), name


def test_fcntl_stops_where_the_file_is_meant():
    for command in (F_DUPFD, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC):
        assert not stops(HELD, "fcntl", 3, command)
        assert not stops(HELD, "fcntl", 3, command | 7 << 32)
    for command in (F_GETFL, 4, 5, F_SETLK, 7, 16, 17, 36, 37, 38, 1024, 1029, 1031, 1040):
        assert stops(HELD, "fcntl", 3, command)
        assert stops(HELD, "fcntl", 3, command | 7 << 32)


def test_only_files_are_mapped():
    assert stops(HELD, "mmap", 0, 4096, 3, MAP_PRIVATE, 3)
    assert not stops(HELD, "mmap", 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, 2**64 - 1)


def test_the_closing_tier_stops_what_closes():
    prog = closing_tier(oracle.numbers())
    assert {name for name in oracle.numbers() if stops(prog, name)} == set(CLOSING)


WHOSE = identity_tier(oracle.numbers()) if oracle.HEADER.exists() else b""


@given(st.integers(0, TOP), six)
def test_the_identity_tier_answers_as_the_table(nr, args):
    row = BY_NUMBER.get(nr)
    mine = row is not None and row.identity is not None
    wanted = mine and (not row.identity or any(when.holds(args) for when in row.identity))
    assert run(WHOSE, nr, args).value == (TRACED if wanted else SECCOMP_RET_ALLOW)


def test_calls_about_credentials_stop():
    for name in ("getuid", "getegid", "getresgid", "getgroups", "setuid", "setfsgid", "capset"):
        assert stops(WHOSE, name), name
    for option in (7, 8, 23, 24, 27, 28, 38, 39, 47):
        assert stops(WHOSE, "prctl", option)
    for option in (1, 3, 4, 15, 16, 22, 36, 40):  # names, signals, seccomp, timer slack...
        assert not stops(WHOSE, "prctl", option)
    for name in ("getpid", "openat", "read", "stat", "uname"):
        assert not stops(WHOSE, name), name


def test_the_mapping_tier_stops_what_ends_a_mapping():
    assert {name for name in oracle.numbers() if stops(MAPPED, name)} == set(MAPPINGS)


def test_the_message_tier_stops_what_passes_descriptors():
    prog = message_tier(oracle.numbers())
    assert {name for name in oracle.numbers() if stops(prog, name)} == set(MESSAGES)


def test_stacked_tiers_load_no_more_arguments_than_they_must():
    loading = {nr for nr in range(TOP) if run(HELD, nr).loaded}
    assert loading == {nr for nr, row in BY_NUMBER.items() if row.held}
    assert not any(run(MAPPED, nr).loaded for nr in range(TOP))


# -- the kernel's own interpreter ------------------------------------------------------

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
# mov eax, 20 (getpid of i386); int 0x80; ret
INT80 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def syscall(nr: int, *args: int) -> int:
    """The kernel's own result: a value or -errno."""
    ctypes.set_errno(0)
    value = libc.syscall(ctypes.c_long(nr), *map(ctypes.c_long, args))
    return -ctypes.get_errno() if value == -1 else int(value)


def under(code: bytes, *calls: tuple[int, ...], i386: bool = False) -> list[int]:
    """The results of `calls`, made in a child that has loaded the program, if there is one.

    With `i386` it makes one call, getpid by int 0x80; [] if that killed the child.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        results = []
        try:
            text = ctypes.create_string_buffer(code, len(code))
            fprog = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(text))
            page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | 4)
            page.write(INT80)
            start = ctypes.addressof(ctypes.c_char.from_buffer(page))
            getpid = ctypes.CFUNCTYPE(ctypes.c_int)(start)
            where = ctypes.create_string_buffer(fprog, len(fprog))
            if code:
                assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                address = ctypes.addressof(where)
                assert syscall(number("seccomp"), SECCOMP_SET_MODE_FILTER, 0, address) == 0
            results += [getpid()] if i386 else [syscall(*call) for call in calls]
            os.write(writing, json.dumps(results).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    assert text or i386
    return json.loads(text or "[]")


def number(name: str) -> int:
    return oracle.numbers()[name]


def test_the_kernel_takes_the_program():
    assert under(PATH_TIER, (number("getpid"),))[0] > 1


def test_the_kernel_refuses_what_has_no_row():
    calls = [(9999,), (470,), (-1,), (X32 | number("getpid"),), (512,), (337,)]
    assert under(PATH_TIER, *calls) == [-errno.ENOSYS] * len(calls)


def test_the_kernel_refuses_calls_of_i386():
    if not under(b"", i386=True):
        pytest.skip("this kernel has no i386 calls")
    assert under(PATH_TIER, i386=True) == [-errno.ENOSYS]


def test_the_kernel_stops_what_the_table_stops():
    """Without a tracer and a listener a call that stops is ENOSYS; what runs says EBADF."""
    accept, sendto, close = number("accept"), number("sendto"), number("close")
    results = under(
        PATH_TIER,
        (close, -1),
        (accept, -1, 0, 0),
        (accept, -1, 8, 8),
        (accept, -1, 1 << 32, 8),
        (sendto, -1, 0, 0, 0, 0, 0),
        (sendto, -1, 0, 0, 0, 8, 0),
        (number("prctl"), 3, 0, 0, 0, 0),
        (number("prctl"), 39, 0, 0, 0, 0),
        (number("openat"), -1, 0, 0),
        (number("mkdir"), 0, 0),
        (number("io_uring_setup"), 0, 0),
    )
    bad, none = -errno.EBADF, -errno.ENOSYS
    assert results == [bad, bad, none, none, bad, none, none, 1, none, none, none]


@pytest.mark.needs("kernel>=6.18")
def test_the_newest_kernels_next_number_is_free_or_unknown_to_the_table():
    assert max(BY_NUMBER) == 469
    assert syscall(337) == -errno.ENOSYS


def test_names_are_those_of_the_header():
    assert tier.SECCOMP_RET_KILL_PROCESS == SECCOMP_RET_KILL_PROCESS == 0x80000000
    assert AUDIT_ARCH_X86_64 == 62 | 0x80000000 | 0x40000000
    assert set(RETURNS) == set(Stop)


def test_debuggers_stop_for_what_debuggers_call_and_nothing_else():
    numbers = oracle.numbers()
    for make, names in ((ptrace_tier, {"ptrace"}), (wait_tier, {"wait4", "waitid"})):
        made = make(numbers)
        stopped = {name for name, nr in numbers.items() if run(made, nr).value == TRACED}
        assert stopped == names
        assert run(made, 26, arch=AUDIT_ARCH_I386).value == SECCOMP_RET_ALLOW
        assert not any(run(made, nr).loaded for nr in numbers.values())
