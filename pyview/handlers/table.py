# SPDX-License-Identifier: GPL-2.0-or-later
"""Which handler answers which call: "file.function" in this directory, loaded when first needed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pyview.handlers.caller import Caller
from pyview.syscalls import Call
from pyview.verdicts import Handler, Real, Verdict

Answer = Callable[[Caller], Handler | Verdict]


def real(_caller: Caller) -> Verdict:
    """Nothing of the view is in it."""
    return Real()


BY_NAME: dict[str, str] = {
    "open": "names.open_",
    "openat": "names.open_",
    "openat2": "names.open_",
    "creat": "names.open_",
    "readlink": "names.readlink",
    "readlinkat": "names.readlink",
    "chdir": "directories.chdir",
    "fchdir": "directories.fchdir",
    "chroot": "directories.chroot",
    "getcwd": "directories.getcwd",
    "getdents": "directories.getdents",
    "getdents64": "directories.getdents",
    "execve": "programs.execve",
    "execveat": "programs.execve",
    "clone": "programs.clone",
    "unshare": "programs.unshare",
    "setns": "programs.unshare",
    "bind": "sockets.to_address",
    "connect": "sockets.to_address",
    "sendto": "sockets.to_address",
    "getsockname": "sockets.from_address",
    "getpeername": "sockets.from_address",
    "accept": "sockets.from_address",
    "accept4": "sockets.from_address",
    "recvfrom": "sockets.from_address",
    "sendmsg": "sockets.sendmsg",
    "recvmsg": "sockets.recvmsg",
    "recvmmsg": "sockets.recvmmsg",
    "pidfd_getfd": "sockets.pidfd_getfd",
    "fstat": "files.attributes",
    "fstatfs": "files.statfs",
    "ftruncate": "files.truncate",
    "fchmod": "files.chmod",
    "fchown": "files.chown",
    "fgetxattr": "extended.getxattr",
    "fsetxattr": "extended.setxattr",
    "flistxattr": "extended.listxattr",
    "fremovexattr": "extended.removexattr",
    "munmap": "mapping.munmap",
    "mremap": "mapping.mremap",
    "msync": "mapping.msync",
    "mmap": "mapping.mmap",
    "readahead": "files.advise",
    "syncfs": "files.sync",
    "sync": "files.sync_all",
    "sync_file_range": "files.sync",
    "fcntl": "controls.fcntl",
    "close": "closing.close",
    "close_range": "closing.close_range",
    "dup2": "closing.dup",
    "dup3": "closing.dup",
    "ioctl": "controls.ioctl",
    "flock": "controls.flock",
    "epoll_ctl": "controls.epoll_ctl",
    "io_submit": "aio.io_submit",
    "lseek": "files.lseek",
    "fallocate": "files.allocate",
    "setuid": "identity.change",
    "setreuid": "identity.change",
    "setresuid": "identity.change",
    "setfsuid": "identity.change",
    "setgid": "identity.change",
    "setregid": "identity.change",
    "setresgid": "identity.change",
    "setfsgid": "identity.change",
    "setgroups": "identity.setgroups",
    "capget": "identity.capget",
    "capset": "identity.capset",
    "prctl": "identity.prctl",
    "setrlimit": "limits.set_limit",
    "prlimit64": "limits.set_limit",
}

# Calls that differ only in how their arguments are given.
BY_OPERATION: dict[str, str] = {
    "read": "files.read",
    "pread": "files.read",
    "write": "files.write",
    "pwrite": "files.write",
    "fsync": "files.sync",
    "fadvise": "files.advise",
    "sendfile": "transfer.transfer",
    "splice": "transfer.transfer",
    "copy_file_range": "transfer.transfer",
}

_found: dict[str, Answer] = {}  # by the call's name


def handler_of(call: Call) -> Answer:
    """The handler of a call: its own, its kind's, or the one for all that name files."""
    found = _found.get(call.name)
    if found is None:
        found = _found[call.name] = _load(_name_of(call))
    return found


def _name_of(call: Call) -> str:
    own = BY_NAME.get(call.name) or BY_OPERATION.get(call.op)
    if own is not None:
        return own
    if call.paths():
        return "names.any_name"
    return "files.otherwise" if call.held is not None else "table.real"


def _load(name: str) -> Answer:
    file, _, function = name.partition(".")
    module = f"{__package__}.{file}"
    __import__(module)
    answer: Answer = getattr(sys.modules[module], function)
    return answer
