# SPDX-License-Identifier: GPL-2.0-or-later
"""`pyview --doctor`: tries what a view needs of this machine, and says how to get what lacks.

Each check really does the thing, in a child of its own.  Reaches the kernel by ctypes and not by
the C core, so that it also works where the core cannot even be imported.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Callable

from pyview.commands import say

NEEDED, WANTED = (5, 14), (5, 19)  # kernel versions
OPEN_FILES = 1024

_PTRACE_SEIZE = 0x4206
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_FILTER_NEW_LISTENER, _FILTER_WAIT_KILLABLE = 1 << 3, 1 << 5
_NR_SECCOMP, _NR_KCMP, _NR_PIDFD_OPEN, _NR_PIDFD_GETFD = 317, 312, 434, 438  # x86-64
_CLONE_NEWUSER = 0x10000000
_RET_ALLOW = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # one BPF instruction

_libc = ctypes.CDLL(None, use_errno=True)

#: (what is checked, whether a view must have it, the check: "" or why not, the remedy)
Check = tuple[str, bool, Callable[[], str], str]


def main() -> int:
    """Print a line for each check; 0 when nothing that a view must have is missing."""
    lacking = 0
    for what, needed, check, remedy in CHECKS:
        why = check()
        if not why:
            say(f"ok       {what}\n")
        else:
            lacking += needed
            say(f"{'missing' if needed else 'without'}  {what}: {why}; {remedy}\n")
    return 1 if lacking else 0


# -- running something in a child ----------------------------------------------------------------


def _result(value: int) -> str:
    """What a C call answered, as a check does."""
    return "" if value >= 0 else os.strerror(ctypes.get_errno())


def _in_child(action: Callable[[], int]) -> str:
    """Run a C call in a child of its own; "" or the errno's text."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            code = 0 if action() >= 0 else ctypes.get_errno()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return f"killed by signal {-status}"
    return os.strerror(status) if status else ""


def _with_child(action: Callable[[int], str]) -> str:
    """Run a check on a child that only waits."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    try:
        return action(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# -- the checks ----------------------------------------------------------------------------------


def _machine() -> str:
    machine = os.uname().machine
    return "" if machine == "x86_64" else f"this is {machine}"


def _kernel(least: tuple[int, int]) -> Callable[[], str]:
    def check() -> str:
        release = os.uname().release
        major, minor = (int("".join(filter(str.isdigit, n)) or 0) for n in release.split(".")[:2])
        return "" if (major, minor) >= least else f"this is {release}"

    return check


def _core() -> str:
    try:
        __import__("pyview._core")
    except ImportError as error:
        return " ".join(str(error).split())
    return ""


def _ptrace() -> str:
    return _with_child(lambda pid: _result(_libc.ptrace(_PTRACE_SEIZE, pid, None, None)))


def _yama() -> str:
    """Only a child is ever seized: 0 and 1 both do."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as file:
            scope = int(file.read())
    except OSError:
        return ""
    return "" if scope <= 1 else f"it is {scope}"


def _filter(flags: int) -> Callable[[], str]:
    def load() -> int:
        program = ctypes.create_string_buffer(_RET_ALLOW)
        header = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(program)))
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return int(_libc.syscall(_NR_SECCOMP, _SECCOMP_SET_MODE_FILTER, flags, header))

    return lambda: _in_child(load)


def _read_memory() -> str:
    here = ctypes.create_string_buffer(b"x" * 8)
    there = ctypes.create_string_buffer(8)
    from_ = struct.pack("@PN", ctypes.addressof(here), 8)
    to = struct.pack("@PN", ctypes.addressof(there), 8)
    # The child is a copy of this process: the same bytes lie at the same address.
    return _with_child(lambda pid: _result(_libc.process_vm_readv(pid, to, 1, from_, 1, 0)))


def _kcmp() -> str:
    return _with_child(
        lambda pid: _result(_libc.syscall(_NR_KCMP, os.getpid(), pid, 0, 0, 0))  # KCMP_FILE
    )


def _take_descriptor() -> str:
    def take(pid: int) -> str:
        handle = _libc.syscall(_NR_PIDFD_OPEN, pid, 0)
        if handle < 0:
            return _result(handle)
        fd = _libc.syscall(_NR_PIDFD_GETFD, handle, 0, 0)
        why = _result(fd)
        os.close(handle)
        if fd >= 0:
            os.close(fd)
        return "" if why == os.strerror(errno.EBADF) else why  # the child has no stdin: allowed

    return _with_child(take)


def _user_namespace() -> str:
    return _in_child(lambda: int(_libc.unshare(_CLONE_NEWUSER)))


def _fuse() -> str:
    return "" if os.path.exists("/dev/fuse") else "there is none"


def _open_files() -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= OPEN_FILES
    return "" if enough else f"at most {hard}"


_CONTAINER = "in a container: start it with --cap-add SYS_PTRACE or another seccomp profile"

CHECKS: tuple[Check, ...] = (
    ("an x86-64 machine", True, _machine, "pyview runs on no other yet"),
    ("kernel 5.14 or newer", True, _kernel(NEEDED), "a newer kernel"),
    ("kernel 5.19 or newer: a signal during an answered call", False, _kernel(WANTED),
     "a newer kernel; until then such calls go the slower way"),
    ("pyview's C core", True, _core, "install it again with a C compiler and Python's headers"),
    ("ptrace", True, _ptrace, _CONTAINER),
    ("ptrace of children (yama)", True, _yama, "sysctl kernel.yama.ptrace_scope=1"),
    ("seccomp filters", True, _filter(0), "a kernel with CONFIG_SECCOMP_FILTER"),
    ("seccomp user notification", True, _filter(_FILTER_NEW_LISTENER),
     "not inside a sandbox that has a listener of its own (one is allowed)"),
    ("killable user notification", False, _filter(_FILTER_NEW_LISTENER | _FILTER_WAIT_KILLABLE),
     "kernel 5.19"),
    ("process_vm_readv", True, _read_memory, _CONTAINER),
    ("kcmp", True, _kcmp, f"a kernel with CONFIG_KCMP; {_CONTAINER}"),
    ("pidfd_getfd", True, _take_descriptor, _CONTAINER),
    ("user namespaces: kernel network stacks", False, _user_namespace,
     "sysctl kernel.unprivileged_userns_clone=1 or user.max_user_namespaces; the rest needs none"),
    ("/dev/fuse", False, _fuse, "none is needed: a view has its own"),
    (f"{OPEN_FILES} open files", False, _open_files, "ulimit -Hn, or limits.conf(5)"),
)  # fmt: skip
