# SPDX-License-Identifier: GPL-2.0-or-later
"""Which handler answers which call."""

from __future__ import annotations

from collections.abc import Callable

from pyview.handlers import directories, names, programs, sockets
from pyview.handlers.caller import Caller
from pyview.syscalls import Call
from pyview.verdicts import Handler, Real, Verdict

Answer = Callable[[Caller], Handler] | Callable[[Caller], Verdict]


def real(_caller: Caller) -> Verdict:
    """Nothing of the view is in it."""
    return Real()


BY_NAME: dict[str, Answer] = {
    "open": names.open_,
    "openat": names.open_,
    "openat2": names.open_,
    "creat": names.open_,
    "readlink": names.readlink,
    "readlinkat": names.readlink,
    "chdir": directories.chdir,
    "fchdir": directories.fchdir,
    "chroot": directories.chroot,
    "getcwd": directories.getcwd,
    "getdents": directories.getdents,
    "getdents64": directories.getdents,
    "execve": programs.execve,
    "execveat": programs.execve,
    "clone": programs.clone,
    "unshare": programs.unshare,
    "setns": programs.unshare,
    "bind": sockets.to_address,
    "connect": sockets.to_address,
    "sendto": sockets.to_address,
    "getsockname": sockets.from_address,
    "getpeername": sockets.from_address,
    "accept": sockets.from_address,
    "accept4": sockets.from_address,
    "recvfrom": sockets.from_address,
    "sendmsg": sockets.sendmsg,
    "recvmsg": sockets.recvmsg,
}


def handler_of(call: Call) -> Answer:
    """The handler of a call: its own, or the one for all that name files."""
    return BY_NAME.get(call.name) or (names.any_name if call.paths() else real)
