# SPDX-License-Identifier: GPL-2.0-or-later
"""What others say of the kernel's calls: its headers, its own descriptions, python-ptrace."""

import json
import re
from functools import cache
from pathlib import Path

from pyview.syscalls import CALLS, Arg, Call, Role

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
SNAPSHOT = Path(__file__).parent / "data/kernel_calls.json"

Prototype = list[tuple[str, str]]  # (type, name) of every argument

# Names that the kernel gives to paths wherever it has one.  "name" is one in three calls only.
PATHS = {"filename", "pathname", "path", "oldname", "newname", "from_pathname", "to_pathname"}
PATHS |= {"new_root", "put_old", "dir_name", "specialfile", "special"}
PATH_NAMES = {
    ("acct", "name"),
    ("umount2", "name"),
    ("name_to_handle_at", "name"),
}
NOT_PATHS = {("symlink", "oldname"), ("symlinkat", "oldname")}  # the text of the link
DIRFDS = {"dfd", "olddfd", "newdfd", "from_dfd", "to_dfd", "mountdirfd"}
FDS = {"fd", "fildes", "oldfd", "epfd", "ufd", "mqdes", "pidfd", "fanotify_fd", "ruleset_fd"}
FDS |= {"fs_fd", "fd_in", "fd_out", "fdin", "fdout", "in_fd", "out_fd"}
NOT_FDS = {
    ("execveat", "fd"): Role.DIRFD,
    ("pidfd_getfd", "fd"): Role.INT,  # a descriptor of the other process
    ("close_range", "fd"): Role.INT,  # the first of a range, open or not
}
BITS = {"flags", "flag", "at_flags", "clone_flags", "unshare_flags", "swap_flags"}
NUMBERS = {Role.INT, Role.FD, Role.DIRFD, Role.FLAGS, Role.MODE, Role.NEWFD}
TEXTS = {Role.PATH, Role.STR, Role.SOURCE}
WRITTEN = {Role.OUT, Role.STRUCT_OUT, Role.SOCKADDR_OUT, Role.LENP, Role.MSG_OUT, Role.MSGS_OUT}
# Pointers that hide behind a typedef.
POINTER_TYPES = {"cap_user_header_t", "cap_user_data_t"}


@cache
def numbers() -> dict[str, int]:
    """Numbers by name: the header's and, for what it is too old for, the table's."""
    found = re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    return {c.name: c.nr for c in CALLS if c.nr is not None} | {n: int(nr) for n, nr in found}


@cache
def described() -> dict[str, Prototype]:
    """The kernel's description of each call (tools/kernel_calls.py)."""
    calls: dict[str, Prototype] = json.loads(SNAPSHOT.read_text())["calls"]
    return calls


def expected(call: str, kind: str, name: str) -> set[Role]:
    """The roles that an argument may have by its name; empty if the name says nothing."""
    if "char *" in kind and "* *" not in kind and "*const" not in kind:
        if (name in PATHS or (call, name) in PATH_NAMES) and (call, name) not in NOT_PATHS:
            return {Role.PATH}
        if name == "dev_name":
            return {Role.SOURCE}
        # bytes to write, or text that is no path
        return {Role.STR, Role.OUT, Role.IN, Role.ADDR}
    if "*" in kind:
        return set()
    if (call, name) in NOT_FDS:
        return {NOT_FDS[call, name]}
    if name in DIRFDS:
        return {Role.DIRFD}
    if name == "newfd":
        return {Role.NEWFD}
    if name in FDS:
        return {Role.FD}
    return {Role.FLAGS} if name in BITS else set()


def complaint(call: str, arg: Arg, kind: str, name: str) -> str:
    """What is wrong with one argument, or ""."""
    pointer = "*" in kind or kind.removeprefix("const ") in POINTER_TYPES
    roles = expected(call, kind, name)
    wrong = (
        bool(roles and arg.role not in roles)
        or (pointer and arg.role in NUMBERS)
        or (pointer and "char" not in kind and arg.role in TEXTS)
        or (pointer and kind.startswith("const ") and arg.role in WRITTEN)
        # A number may be shown as an address (brk); a pointer is never a number.
        or (not pointer and arg.role not in NUMBERS | {Role.ADDR})
        or (not pointer and not roles and arg.role in {Role.FD, Role.DIRFD, Role.NEWFD})
    )
    return f"{call}: {kind} {name} is {arg.role.name}" if wrong else ""


def disagreements(row: Call, prototype: Prototype) -> list[str]:
    """Everything in which a row and a prototype differ."""
    if len(row.args) != len(prototype):
        return [f"{row.name}: {len(row.args)} arguments, not {len(prototype)}"]
    found = [complaint(row.name, a, *p) for a, p in zip(row.args, prototype, strict=True)]
    return [text for text in found if text]
