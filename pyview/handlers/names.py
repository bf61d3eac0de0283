# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that name files: one handler for all of them, by their roles in the table."""

from __future__ import annotations

import errno
import os

from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.paths import Found
from pyview.syscalls import Lookup
from pyview.verdicts import At, Done, Emulate, Give, Handler, Real, Redirect, Verdict, Word

TWO_NAMES = frozenset(("rename", "link"))
O_PATH = 0o10000000
RESOLVE_IN_ROOT, RESOLVE_BENEATH = 0x10, 0x08


def lookup_flags(caller: Caller, path_index: int) -> int:
    """The word of flags that says how the last name is looked up; 0 when there is none."""
    arg = caller.call.args[path_index]
    if arg.flags is None:
        return 0
    value = caller.args[arg.flags]
    if arg.lookup is Lookup.HOW:
        return int.from_bytes(caller.peek(value, 8), "little")
    return value & 0xFFFFFFFF


def find(caller: Caller, dirfd_index: int | None, path_index: int) -> Found | None:
    """Where a path argument leads; None when it names nothing (NULL, or "" for the descriptor)."""
    if not caller.args[path_index]:
        return None
    path = caller.text(caller.args[path_index])
    if not path:
        return None
    dirfd = AT_FDCWD if dirfd_index is None else as_fd(caller.args[dirfd_index])
    arg, flags = caller.call.args[path_index], lookup_flags(caller, path_index)
    makes = caller.call.op == "open" and bool(flags & os.O_CREAT)
    follow = arg.follows(flags)
    return caller.resolve(dirfd, path, follow=follow, entry=arg.entry, makes=makes)


def as_word(real: str) -> bytes:
    """A name as an argument."""
    return os.fsencode(real) + b"\0"


def any_name(caller: Caller) -> Verdict:
    """The call is run on the kernel's names for what its names lead to."""
    found: list[Found] = []
    changes: dict[int, Word] = {}
    for dirfd_index, path_index in caller.call.paths():
        where = find(caller, dirfd_index, path_index)
        if where is None:
            continue
        if where.real is None:
            raise refuse(errno.EOPNOTSUPP, where.name)
        found.append(where)
        if not where.same:
            changes[path_index] = as_word(where.real)
    if caller.call.op in TWO_NAMES and len(found) == 2:
        _one_mount(caller, found[0], found[1])
    if not changes:
        return Real(all(where.clean for where in found))
    return At(found[0].real or "", found[0].number, changes)


def _one_mount(caller: Caller, old: Found, new: Found) -> None:
    """rename(2) and link(2) stay within one mount; EXDEV before anything happens."""
    if caller.call.op == "rename" and (old.is_mount_point or new.is_mount_point):
        raise refuse(errno.EBUSY)
    if old.cover is not new.cover:
        # The kernel looks up what it needs before it compares mounts: Linux fs/namei.c.
        caller.exists(old, parent=caller.call.op == "rename")
        caller.exists(new, parent=True)
        raise refuse(errno.EXDEV)


def open_(caller: Caller) -> Handler:
    """open, openat, creat, openat2: what is opened through a domain remembers it."""
    dirfd_index, path_index = caller.call.paths()[0]
    flags = lookup_flags(caller, path_index)
    if caller.call.name == "openat2":
        how = caller.peek(caller.args[2], 24)
        if int.from_bytes(how[16:24], "little") & (RESOLVE_IN_ROOT | RESOLVE_BENEATH):
            return (yield from _open_below(caller))
    where = find(caller, dirfd_index, path_index)
    if where is None:
        return Real()
    if where.real is None:
        raise refuse(errno.EOPNOTSUPP, where.name)
    if caller.call.name not in ("creat", "openat2") and not flags & O_PATH:
        return _open_listened(caller, where, flags)
    if where.same and not where.number:
        return Real(where.clean)
    fd = yield Redirect({} if where.same else {path_index: as_word(where.real)})
    if fd >= 0:
        caller.mark(fd, where.number)
    return Done()


def _open_below(caller: Caller) -> Handler:
    """openat2 that stays below its descriptor: the kernel's affair, in the descriptor's domain."""
    dirfd = as_fd(caller.args[0])
    domain = caller.cwd_domain() if dirfd == AT_FDCWD else caller.fd_domain(dirfd)
    if not domain:
        return Real()
    fd = yield Redirect({})
    if fd >= 0:
        caller.mark(fd, domain)
    return Done()


def _open_listened(caller: Caller, where: Found, flags: int) -> Real | At | Give:
    assert where.real is not None
    text = _view_text(where.real)
    if text and not flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
        return Give(caller.memory_file(caller.mounts_text(text), flags), bool(flags & os.O_CLOEXEC))
    if where.same and not where.number:
        return Real(where.clean)
    path_index = caller.call.paths()[0][1]
    changes: dict[int, Word] = {} if where.same else {path_index: as_word(where.real)}
    return At(where.real, where.number, changes)


def _view_text(real: str) -> str:
    """Which of proc's lists of mounts a name is; "" for none."""
    parts = real.split("/")
    if parts[1:2] != ["proc"] or parts[-1] not in ("mounts", "mountinfo", "mountstats"):
        return ""
    if len(parts) == 4 and parts[2].isdigit():
        return parts[3]
    return parts[5] if len(parts) == 6 and parts[3] == "task" else ""


def readlink(caller: Caller) -> Verdict:
    """readlink, readlinkat: links of proc tell the view's names."""
    dirfd_index, path_index = caller.call.paths()[0]
    where = find(caller, dirfd_index, path_index)
    if where is None or where.real is None:
        return Real()
    target = caller.proc_name(where.real)
    if target is not None:
        size = as_fd(caller.args[path_index + 2])
        if size <= 0:
            raise refuse(errno.EINVAL)
        data = os.fsencode(target)[:size]
        return Emulate(len(data), ((caller.args[path_index + 1], data),))
    if where.same:
        return Real(where.clean)
    return At(where.real, where.number, {path_index: as_word(where.real)})
