# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs and processes: execve, clone, unshare."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from pyview.abi.elf import PAGE, Interpreter, interpreter
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import trees
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.handlers.directories import VIRTUAL
from pyview.handlers.names import find
from pyview.paths import Found, cover_of, real_of
from pyview.verdicts import Block, Done, Handler, Real, Redirect, Renamed, Word

if TYPE_CHECKING:
    from pyview.credentials import Program

CLONE_FS, CLONE_NEWNS, CLONE_NEWUSER = 0x200, 0x20000, 0x10000000
CLONE_UNTRACED = 0x00800000
AT_NOFOLLOW, AT_EMPTY_PATH, AT_EXECVE_CHECK = 0x100, 0x1000, 0x10000
AT_KNOWN = AT_NOFOLLOW | AT_EMPTY_PATH | AT_EXECVE_CHECK
HEAD = 256  # BINPRM_BUF_SIZE: how much of a script the kernel looks at
SCRIPTS = 5  # interpreters of interpreters: one more is ELOOP
BLANKS = b" \t"
POINTER = 8  # bytes


def execve(caller: Caller) -> Handler:
    """execve, execveat: the kernel executes the real file; the program sees the view's names.

    The name is handed to the kernel with its prefix as slashes, so that the copies which the
    kernel leaves on the new stack (AT_EXECFN, a script's argument) have the right length and are
    made right afterwards.
    """
    dirfd_index, path_index = caller.call.paths()[0]
    flags = 0 if dirfd_index is None else caller.args[4] & 0xFFFFFFFF
    if flags & ~AT_KNOWN:
        return Real()  # EINVAL, says the kernel
    where = find(caller, dirfd_index, path_index) or _by_descriptor(caller, dirfd_index)
    if where is None:
        return Real()
    shown = caller.text(caller.args[path_index])
    if where.real is None or _is_touched(where):
        _executable(caller, where)
    becomes = not flags & AT_EXECVE_CHECK
    program = _attributes(where) if becomes else None
    if becomes:
        caller.executes(where.number)
        caller.executes_as(program)
    told = _script_name(caller, dirfd_index, shown)
    changes, given, clean, runs = _interpreted(caller, where, told)
    renamed = bool(changes)  # the kernel calls the process otherwise
    if not changes:
        real, renamed = _file_of(caller, where, becomes)
        if where.same and not renamed and program is None:
            return Real(where.clean and clean)
        given = _padded(os.fsencode(real), os.fsencode(told))
        changes = {path_index: given + b"\0"}
        if dirfd_index is not None:
            kept = AT_EXECVE_CHECK | (0 if renamed else AT_NOFOLLOW)
            changes |= {dirfd_index: AT_FDCWD, 4: flags & kept}
    value = yield Redirect(changes)
    other = _other_interpreter(caller, runs) if value == -errno.ENOENT else None
    if other is not None:  # which the kernel did not find
        given, renamed = _padded(_started_by(caller, runs, other, becomes), os.fsencode(told)), True
        flag = {} if dirfd_index is None else {4: flags & AT_EXECVE_CHECK}
        value = yield Redirect(changes | {path_index: given + b"\0"} | flag)
    if value == 0 and becomes:
        called = os.path.basename((shown or where.name).rstrip("/"))
        if where.real is not None and os.path.basename(where.real.rstrip("/")) != called:
            renamed = True
        name = os.fsencode(called) if renamed else b""
        yield Renamed(given, os.fsencode(told), name)
    return Done()


def _executable(caller: Caller, where: Found) -> None:
    """Errors: ELOOP, EACCES, ETXTBSY, for a program that lies in a virtual tree."""
    st = trees.lstat(where)
    if stat.S_ISLNK(st.st_mode):
        raise refuse(errno.ELOOP, where.name)
    if not stat.S_ISREG(st.st_mode):
        raise refuse(errno.EACCES, where.name)
    trees.may(caller, where, st, os.X_OK)
    if caller.writes(where):
        raise refuse(errno.ETXTBSY, where.name)


def _is_touched(where: Found) -> bool:
    """Whether an overlay and not the kernel says who may execute it, and as whom."""
    return where.shown is not None and where.shown.touched


def _attributes(where: Found) -> Program | None:
    """What a tree says of a program; None where the file itself does."""
    if where.cover.number >= 0 and not _is_touched(where):
        return None
    from pyview.credentials import Program  # not before it is needed

    st = where.tree.lstat(where.rest)
    try:
        capabilities = where.tree.getxattr(where.rest, "security.capability")
    except OSError:
        capabilities = b""
    return Program(stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, capabilities)


def _copied(caller: Caller, where: Found, becomes: bool) -> str:
    """A name of the kernel for a program that lies in a virtual tree: a copy, if it can be read."""
    try:
        name = caller.program_file(where)
    except PermissionError:
        backing = where.tree.backing(where.rest)
        if backing is None:
            raise
        name = backing
    if becomes:
        caller.executes(VIRTUAL, caller.place(where))
    return name


def _file_of(caller: Caller, where: Found, becomes: bool) -> tuple[str, bool]:
    """The kernel's name of a program, and whether that is one of a copy."""
    if where.real is None:
        return _copied(caller, where, becomes), True
    root = cover_of(caller.view, "/")
    if root.number >= 0 and real_of(root, "/") == "/":
        return where.real, False  # below its own root the kernel finds the right interpreter
    other = _other_interpreter(caller, where)
    if other is None:
        return where.real, False
    return os.fsdecode(_started_by(caller, where, other, becomes)), True


def _started_by(
    caller: Caller, where: Found, other: tuple[Interpreter, str], becomes: bool
) -> bytes:
    """The kernel's name of a copy of a program that names another interpreter."""
    name = caller.program_with(where, *other)
    if becomes:
        caller.executes(VIRTUAL, caller.place(where))
    return os.fsencode(name)


def _other_interpreter(caller: Caller, where: Found) -> tuple[Interpreter, str] | None:
    """What starts a program in this view, when the kernel would take another.

    Where its header says so, and the kernel's name of the view's.
    """
    at = interpreter(caller.program_head(where, PAGE))
    if at is None:
        return None
    text = caller.program_head(where, at.offset + at.length)[at.offset :].partition(b"\0")[0]
    found = caller.resolve(AT_FDCWD, os.fsdecode(text), follow=True)
    if found.real is None:
        return at, caller.program_file(found)
    return None if found.same else (at, found.real)


def _by_descriptor(caller: Caller, dirfd_index: int | None) -> Found | None:
    """execveat(fd, "", AT_EMPTY_PATH): what the descriptor is open for."""
    if dirfd_index is None or not caller.args[4] & AT_EMPTY_PATH:
        return None
    fd = as_fd(caller.args[dirfd_index])
    if fd == AT_FDCWD:
        return None
    return caller.resolve(AT_FDCWD, f"/proc/{caller.tid}/fd/{fd}", follow=True)


def _script_name(caller: Caller, dirfd_index: int | None, shown: str) -> str:
    """What a program or script is told that it is called: Linux fs/exec.c:alloc_bprm."""
    fd = AT_FDCWD if dirfd_index is None else as_fd(caller.args[dirfd_index])
    if shown.startswith("/") or fd == AT_FDCWD:
        return shown
    return f"/dev/fd/{fd}" + (f"/{shown}" if shown else "")


def _padded(real: bytes, shown: bytes) -> bytes:
    """The kernel's name, with as many slashes before it as make it as long as the view's."""
    return real.rjust(len(shown), b"/")


def _interpreted(
    caller: Caller, where: Found, shown: str
) -> tuple[dict[int, Word], bytes, bool, Found]:
    """What to execute instead when the interpreter of a script is not the kernel's to find.

    With it comes whether C would find the interpreters where they are, and what runs in the end.
    """
    arguments: list[bytes] = []
    name, clean, lost = shown, True, False
    for depth in range(SCRIPTS + 1):
        line = _script_line(caller.program_head(where, HEAD))
        if line is None:
            break
        if depth == SCRIPTS:
            raise refuse(errno.ELOOP)
        interpreter, option = line
        found = caller.resolve(AT_FDCWD, os.fsdecode(interpreter), follow=True)
        if found.real is None:
            _executable(caller, found)
        clean = clean and found.clean
        arguments = [interpreter, *([option] if option else []), os.fsencode(name), *arguments[1:]]
        script, where, name = where, found, os.fsdecode(interpreter)
        caller.executes(found.number)  # it is what runs in the end
        caller.executes_as(_attributes(found))
        lost = lost or found.real is None or not found.same or script.real is None
    if lost:
        _stays_open(caller, shown)
        return *_with_arguments(caller, where, arguments, shown), False, where
    return {}, b"", clean, where


def _stays_open(caller: Caller, shown: str) -> None:
    """Errors: ENOENT when the interpreter could not open its script, a descriptor that closes."""
    if shown.startswith("/dev/fd/") and caller.closes_at_exec(int(shown.split("/")[3])):
        raise refuse(errno.ENOENT, shown)


def _script_line(head: bytes) -> tuple[bytes, bytes] | None:
    """The interpreter and its one argument from "#!...", as Linux fs/binfmt_script.c reads it.

    None for what is no script, and for a line that the kernel refuses: it says so itself.
    """
    if not head.startswith(b"#!"):
        return None
    page = head[:HEAD].ljust(HEAD, b"\0")
    line, newline, _ = page[2:].partition(b"\n")
    if not newline:  # cut: the name at least must be whole
        line = page[2 : HEAD - 1]
        if not any(c in line.lstrip(BLANKS) for c in b" \t\0"):
            return None
    line = line.strip(BLANKS)
    name = re.split(rb"[ \t\0]", line, maxsplit=1)[0]
    rest = line[len(name) :].split(b"\0")[0]
    return (name, rest.lstrip(BLANKS)) if name else None


def _with_arguments(
    caller: Caller, found: Found, first: list[bytes], shown: str
) -> tuple[dict[int, Word], bytes]:
    """The arguments of the call for an interpreter: `first`, then the caller's but for argv[0].

    With them comes its name as the kernel gets it, as long at least as the script's, `shown`.
    """
    dirfd_index, path_index = caller.call.paths()[0]
    address = caller.args[path_index + 1]
    pointers: list[bytes] = []
    while address:
        pointer = caller.peek(address, POINTER)
        if len(pointer) < POINTER or pointer == bytes(POINTER):
            break
        pointers.append(pointer)
        address += POINTER
    vector = Block(
        bytes(POINTER * len(first)) + b"".join(pointers[1:]) + bytes(POINTER),
        tuple((POINTER * i, text + b"\0") for i, text in enumerate(first)),
    )
    flags = 0 if dirfd_index is None else caller.args[4] & AT_EXECVE_CHECK
    becomes = not flags & AT_EXECVE_CHECK
    real, _ = _file_of(caller, found, becomes)
    given = _padded(os.fsencode(real), os.fsencode(shown))
    changes: dict[int, Word] = {path_index: given + b"\0", path_index + 1: vector}
    if dirfd_index is not None:
        changes |= {dirfd_index: AT_FDCWD, 4: flags}
    return changes, given


def clone(caller: Caller) -> Handler:
    """A child may neither escape its tracer nor, in name spaces of its own, be mistaken."""
    flags = caller.args[0]
    if flags & CLONE_NEWNS:
        stays(caller)
    if flags & (CLONE_NEWNS | CLONE_NEWUSER):
        caller.child_is_foreign(bool(flags & CLONE_NEWNS))
    if flags & CLONE_NEWUSER:
        caller.child_leaves_users()
    if not flags & CLONE_UNTRACED:
        return Real()
    yield Redirect({0: flags & ~CLONE_UNTRACED})
    return Done()


def stays(caller: Caller) -> None:
    """Whether a task may leave for mounts, or a root, where no overlay shows.  Errors: EPERM.

    What it changed there would be what lies below.
    """
    if any(overlay.keeps for overlay in caller.view.overlays()):
        raise refuse(errno.EPERM)


def unshare(caller: Caller) -> Handler:
    """unshare, setns: a directory of its own, or other mounts and rights than the core's."""
    flags = caller.args[0 if caller.call.name == "unshare" else 1]
    if flags & CLONE_NEWNS or (caller.call.name == "setns" and not flags):
        stays(caller)
    value = yield Redirect({})
    if value == 0:
        if flags & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER) or caller.call.name == "setns":
            caller.unshared()
        if flags & (CLONE_NEWNS | CLONE_NEWUSER) or caller.call.name == "setns":
            caller.foreign(bool(flags & CLONE_NEWNS) or caller.call.name == "setns")
        if flags & CLONE_NEWUSER:
            caller.leaves_users()
    return Done()
