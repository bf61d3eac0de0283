# SPDX-License-Identifier: GPL-2.0-or-later
"""The credentials of tasks: kept by C, taken from the kernel at first, changed by exec.

What may become of them is credentials.py's affair; what proc and a new program are told of them is
written here.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from pyview import core
from pyview.credentials import Credentials, Program, root
from pyview.stack import tell_identity

ST_NOSUID = 2  # statvfs.f_flag
CAPABILITIES = "security.capability"
_OWNED = re.compile(r"/proc/(\d+)(?:/task/(\d+))?(?:/.*)?")


def of(record: Any) -> Credentials | None:
    """A task's own; None when the kernel's answers hold for it."""
    if not record.identity:
        return None
    who = record.identity
    rest = (int(who.securebits), bool(who.no_new_privs))
    return Credentials._make((*who.uid, *who.gid, tuple(core.groups_of(who)), *who.caps, *rest))


def give(record: Any, who: Credentials | None) -> None:
    """A task has these from now on, or those that the kernel knows of (None)."""
    if who is None:
        core.assume_none(record)
        return
    flags = (who.securebits, int(who.no_new_privs))
    core.assume(record, who.users, who.own_groups, who.groups, who.sets, flags)


def from_kernel(tid: int) -> Credentials:
    """What the kernel says of a task: /proc/TID/status.  Errors: ENOENT, ESRCH."""
    with open(f"/proc/{tid}/status", "rb", 0) as file:
        lines = (line.partition(b":") for line in file.readall().split(b"\n"))
        fields = {key: value.split() for key, _, value in lines}
    users, own, groups = (map(int, fields[key]) for key in (b"Uid", b"Gid", b"Groups"))
    keys = (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")
    sets = (int(fields[key][0], 16) for key in keys)
    return Credentials._make((*users, *own, tuple(groups), *sets, 0, False))


def seed(record: Any) -> None:
    """Give a task what the kernel says, for it to be changed; nothing to one that has gone."""
    try:
        give(record, from_kernel(int(record.tid)))
    except (FileNotFoundError, ProcessLookupError):
        pass


def make_root(record: Any) -> None:
    """Nothing that is the view's affair is refused to a task from now on."""
    who = of(record)
    if who is not None:
        give(record, root(who))


def others(records: list[Any]) -> int:
    """How many of these tasks are somebody else than the user of the core."""
    user = os.getuid()
    return sum(
        any(number != user for number in record.identity.uid)
        for record in records
        if record.identity
    )


def executed(tid: int, record: Any, program: Program | None) -> None:
    """A new program has been loaded, and is stopped before its first instruction.

    `program` is None for a file of the kernel's, whose attributes count as they are.
    """
    old = of(record)
    if old is None:
        return
    try:
        new, secure = old.executes(program or program_of(tid))
    except OSError:  # the file demands what it can't get, and it is too late to refuse
        new, secure = old.executes(Program(0, 0, 0))
    if new != old:
        give(record, new)
    if secure or {new.uid, new.euid} != {os.getuid()} or {new.gid, new.egid} != {os.getgid()}:
        tell_identity(tid, (new.uid, new.euid, new.gid, new.egid), secure)


def program_of(tid: int) -> Program:
    """The file that a task executes; of a script, its interpreter: Linux fs/exec.c."""
    return program_at(f"/proc/{tid}/exe")


def program_at(link: str) -> Program:
    """What of a file of the kernel's matters when it is executed."""
    try:
        st = os.stat(link)
    except OSError:
        return Program(0, 0, 0)
    mode = stat.S_IMODE(st.st_mode)
    try:
        capabilities = os.getxattr(link, CAPABILITIES)
    except OSError:
        capabilities = b""
    if (mode & 0o6000 or capabilities) and os.statvfs(link).f_flag & ST_NOSUID:
        return Program(0, 0, 0)
    return Program(mode, st.st_uid, st.st_gid, capabilities)


# -- proc ----------------------------------------------------------------------------------------


def whose(real: str) -> Any:
    """The task (struct pv_task) that a name of proc is about; None when it is about none."""
    match = _OWNED.fullmatch(real)
    if match is None:
        return None
    process, thread = match.groups()
    return core.task(int(thread or process))


def owned_by(real: str) -> tuple[int, int] | None:
    """User and group that own a file of proc, where the view says so: proc(5)."""
    record = whose(real)
    if record is None or not record.identity or os.lstat(real).st_uid != os.getuid():
        return None  # root's: it may be looked at by nobody else
    return int(record.identity.uid[1]), int(record.identity.gid[1])


def status_lines(record: Any) -> dict[bytes, bytes]:
    """The lines of /proc/PID/status about a task's credentials."""
    who = of(record)
    if who is None:
        return {}
    keys = (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")
    sets = {key: b"%016x" % one for key, one in zip(keys, who.sets, strict=True)}
    return sets | {
        b"Uid": b"\t".join(b"%d" % user for user in who.users),
        b"Gid": b"\t".join(b"%d" % group for group in who.own_groups),
        b"Groups": b"".join(b"%d " % group for group in who.groups),
        b"NoNewPrivs": b"%d" % who.no_new_privs,
    }
