# SPDX-License-Identifier: GPL-2.0-or-later
"""The table against the kernel's headers, its own descriptions and python-ptrace."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview import syscalls
from pyview.syscalls import (
    BY_NAME,
    CALLS,
    LOOKUPS,
    Arg,
    Call,
    Lookup,
    Null,
    Role,
    Route,
    Stop,
    When,
    check,
)

ROOT = Path(__file__).resolve().parents[2]

# Configured out of the kernel that the snapshot was taken from.
NOT_DESCRIBED = {
    "delete_module", "finit_module", "init_module", "kexec_file_load", "kexec_load",
    "map_shadow_stack",
}  # fmt: skip
# python-ptrace is older than these: lookup_dcookie is gone, membarrier has got an argument.
OUTDATED = {"lookup_dcookie", "membarrier", "uselib"}
NEWEST = 469  # file_setattr, Linux 6.17


def test_every_row_is_well_formed():
    check()


def test_the_table_runs_by_itself():
    names = runpy.run_path(str(Path(syscalls.__file__)), run_name="pyview.syscalls")
    assert len(names["CALLS"]) == len(CALLS)


def test_every_call_of_the_kernel_has_a_row():
    assert oracle.described().keys() - BY_NAME.keys() == set()


def test_every_row_is_a_call_of_the_kernel_or_refused():
    unknown = {c.name for c in CALLS if c.name not in oracle.described()}
    assert {n for n in unknown if BY_NAME[n].route is not Route.REFUSE} == NOT_DESCRIBED
    assert all(not BY_NAME[n].args for n in unknown - NOT_DESCRIBED)


def test_every_row_agrees_with_the_kernel():
    prototypes = oracle.described()
    assert [e for n in prototypes for e in oracle.disagreements(BY_NAME[n], prototypes[n])] == []


def test_the_rows_agree_with_python_ptrace():
    prototypes = pytest.importorskip("ptrace.syscall.prototypes").SYSCALL_PROTOTYPES
    compared = [n for n in prototypes if n in BY_NAME and n not in OUTDATED]
    wrong = [n for n in compared if len(prototypes[n][1]) != len(BY_NAME[n].args)]
    assert wrong == []
    assert len(compared) > 300
    paths = {
        name
        for name in compared
        for (kind, arg), ours in zip(prototypes[name][1], BY_NAME[name].args, strict=True)
        if kind == "const char *" and "name" in arg and "path" in arg and ours.role is not Role.PATH
    }
    assert paths == set()


def spoil(row: Call, index: int, **fields: object) -> Call:
    args = list(row.args)
    args[index] = args[index]._replace(**fields)
    return row._replace(args=tuple(args))


def test_the_kernel_would_tell_if_a_path_or_an_argument_were_forgotten():
    prototypes = oracle.described()
    for row in (c for c in CALLS if c.paths() and c.name in prototypes):
        for _, index in row.paths():
            spoilt = spoil(row, index, role=Role.STR)
            assert oracle.disagreements(spoilt, prototypes[row.name]) != []
        shorter = row._replace(args=row.args[1:])
        assert oracle.disagreements(shorter, prototypes[row.name]) != []


@pytest.mark.needs("root", "unshare")
def test_the_running_kernel_has_no_call_without_a_row():
    mount = "mount -t tracefs tracefs /sys/kernel/tracing && cd /sys/kernel/tracing"
    script = f"{mount} && ls events/syscalls >/dev/null && exec {sys.executable} {ROOT}/tools/"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script + "kernel_calls.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this kernel does not describe its calls (CONFIG_FTRACE_SYSCALLS)")
    names = set(json.loads(done.stdout)["calls"])
    # Newer than the table: the filter refuses them all.
    assert names - BY_NAME.keys() <= {"listns", "rseq_slice_yield"}


needs_header = pytest.mark.skipif(not oracle.HEADER.exists(), reason="no x86-64 kernel headers")


@needs_header
def test_every_number_has_one_row():
    numbers = oracle.numbers()
    assert {n for n, nr in numbers.items() if nr <= NEWEST} == BY_NAME.keys()
    assert len(set(numbers.values())) == len(numbers)
    assert {numbers[n] for n in BY_NAME} == {*range(337), *range(424, NEWEST + 1)}


@needs_header
def test_the_numbers_in_the_table_are_the_headers_if_it_knows_them():
    assert {c.name: c.nr for c in CALLS if c.nr and oracle.numbers()[c.name] != c.nr} == {}


def test_a_path_is_never_looked_at_by_nobody():
    assert [c.name for c in CALLS if c.paths() and c.stop is Stop.NONE] == []


def test_the_listener_gets_what_reads_names_or_opens_them():
    assert {c.name for c in CALLS if c.stop is Stop.LISTENER} == {
        "open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat", "statx", "access",
        "faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64",
    }  # fmt: skip


def test_calls_that_end_a_tasks_life_or_a_handler_run_untouched():
    for name in ("rt_sigreturn", "restart_syscall", "exit", "exit_group", "uretprobe", "uprobe"):
        assert BY_NAME[name].stop is Stop.NONE


def test_an_fstat_of_glibc_has_an_empty_path():
    path = BY_NAME["newfstatat"].args[1]
    assert path.allows_empty(0x1000)
    assert not path.allows_empty(0)
    assert path.null is Null.EMPTY


@pytest.mark.parametrize(
    ("name", "arg", "flags", "follows"),
    [
        ("openat", 1, 0, True),
        ("openat", 1, 0o400000, False),  # O_NOFOLLOW
        ("openat", 1, 0o100, True),  # O_CREAT
        ("openat", 1, 0o300, False),  # O_CREAT | O_EXCL: EEXIST for a symlink
        ("openat", 1, 0o200, True),  # O_EXCL alone means nothing
        ("newfstatat", 1, 0x100, False),
        ("lstat", 0, 0, False),
        ("linkat", 1, 0, False),
        ("linkat", 1, 0x400, True),  # AT_SYMLINK_FOLLOW
        ("linkat", 3, 0x400, False),
        ("name_to_handle_at", 1, 0x400, True),
        ("inotify_add_watch", 1, 0x02000000, False),
        ("fanotify_mark", 4, 0x4, False),
        ("umount2", 0, 0x8, False),
        ("umount2", 0, 0x100, True),  # not this kind of flag
        ("fchmodat", 1, 0x100, True),  # has no flags at all
        ("unlinkat", 1, 0, False),
    ],
)
def test_a_last_symlink_is_followed_as_the_man_page_says(name, arg, flags, follows):
    assert BY_NAME[name].args[arg].follows(flags) is follows


@given(st.sampled_from([a for c in CALLS for a in c.args]), st.integers(0, 2**32 - 1))
def test_only_the_bits_of_its_kind_change_how_a_path_is_looked_up(arg, flags):
    known = LOOKUPS[arg.lookup]
    flags &= ~(known.nofollow | known.follow | known.exclusive | known.empty)
    assert arg.follows(flags) is arg.follow
    assert arg.allows_empty(flags) is arg.empty


def test_paths_know_their_directory():
    assert BY_NAME["renameat2"].paths() == ((0, 1), (2, 3))
    assert BY_NAME["symlinkat"].paths() == ((1, 2),)
    assert BY_NAME["mount"].paths() == ((None, 0), (None, 1))
    assert BY_NAME["fanotify_mark"].paths() == ((3, 4),)


def test_conditions_look_at_what_the_kernel_looks_at():
    assert BY_NAME["accept"].stops((3, 0, 0, 0, 0, 0)) is Stop.NONE
    assert BY_NAME["accept"].stops((3, 1 << 32, 0, 0, 0, 0)) is Stop.TRACER
    assert BY_NAME["prctl"].stops((4 | 7 << 32, 0, 0, 0, 0, 0)) is Stop.TRACER
    assert BY_NAME["prctl"].stops((15, 4, 0, 0, 0, 0)) is Stop.NONE
    assert BY_NAME["clone"].stops((0x00800011, 0, 0, 0, 0, 0)) is Stop.TRACER
    assert BY_NAME["clone"].stops((0x003D0F00, 0, 0, 0, 0, 0)) is Stop.NONE


def row(*args: Arg, route: Route = Route.CORE, stop: Stop = Stop.TRACER, **more: object) -> Call:
    return Call("test", route, args, "test", stop, **more)


PATH, FD, FLAGS = Arg(Role.PATH, "path"), Arg(Role.FD, "fd"), Arg(Role.FLAGS, "flags")
DIRFD, SIZE = Arg(Role.DIRFD, "dirfd"), Arg(Role.INT, "size")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row(*(Arg(Role.INT, n) for n in "abcdefg")), "7 arguments"),
        (row(FD, FD), "one name"),
        (row(Arg(Role.OUT, "buf")), "no length"),
        (row(Arg(Role.INT, "n", size=1), SIZE), "no buffer"),
        (row(Arg(Role.OUT, "buf", size=1)), "points at 1"),
        (row(Arg(Role.OUT, "buf", size=0), SIZE), "points at 0"),
        (row(Arg(Role.OUT, "buf", size=1), FD), "is no length"),
        (row(Arg(Role.SOCKADDR_OUT, "addr", size=1), SIZE), "LENP"),
        (row(PATH._replace(flags=1), FLAGS), "without their kind"),
        (row(PATH._replace(lookup=Lookup.AT)), "without their kind"),
        (row(PATH._replace(flags=1, lookup=Lookup.AT), SIZE), "are INT"),
        (row(DIRFD), "dirfd without a path"),
        (row(DIRFD, FD, PATH), "dirfd without a path"),
        (row(PATH._replace(entry=True)), "not looked up"),
        (row(FD._replace(follow=False)), "only a path"),
        (row(FD._replace(null=Null.ABSENT)), "NULL"),
        (row(PATH, stop=Stop.REFUSE), "stop is REFUSE"),
        (row(route=Route.REFUSE), "stop is TRACER"),
        (row(PATH, route=Route.FD), "has none"),
        (row(FD, route=Route.PATH), "has none"),
        (row(PATH, stop=Stop.NONE), "nobody looks at"),
        (row(PATH, FLAGS, when=(When(1, "nonzero"),)), "only sometimes"),
        (row(FD, route=Route.NEUTRAL), "neutral but stops"),
        (row(FD, stop=Stop.NONE, when=(When(0, "nonzero"),)), "without a stop"),
        (row(FD, when=(When(1, "nonzero"),)), "condition"),
        (row(FD, when=(When(0, "eq"),)), "values"),
        (row(FD, when=(When(0, "nonzero", (1,)),)), "values"),
    ],
)
def test_an_ill_formed_row_is_refused(bad, why):
    with pytest.raises(ValueError, match=why):
        check((bad,))


def test_a_call_and_a_number_have_one_row():
    with pytest.raises(ValueError, match="a call has two rows"):
        check((row(), row()))
    with pytest.raises(ValueError, match="a number has two rows"):
        check((row(nr=500), row(nr=500)._replace(name="other")))


def test_the_page_in_the_manual_is_not_stale():
    command = [sys.executable, ROOT / "tools/syscalls_doc.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0
