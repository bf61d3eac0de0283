# SPDX-License-Identifier: GPL-2.0-or-later
"""RLIMIT_FSIZE, the largest file that a process may make: setrlimit(2), Linux fs/read_write.c."""

from __future__ import annotations

import errno
import resource
import signal
import stat
from collections.abc import Generator
from typing import Any, NoReturn

from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.openfile import OpenFile
from pyview.verdicts import Real, Redirect, Request, Verdict


def room(caller: Caller, file: OpenFile, at: int, count: int) -> Generator[Request, Any, int]:
    """How many of `count` bytes may be written at `at`.  Errors: EFBIG, with a SIGXFSZ."""
    if file.kind != stat.S_IFREG or not count:
        return count
    limit = caller.file_limit()
    if at >= limit:
        yield from exceeded(caller)
    return min(count, limit - at)


def grows(caller: Caller, size: int, wanted: int) -> Generator[Request, Any, None]:
    """Whether a file of `size` bytes may be made `wanted` long.  Errors: EFBIG, with a SIGXFSZ."""
    if wanted > size and wanted > caller.file_limit():
        yield from exceeded(caller)


def exceeded(caller: Caller) -> Generator[Request, Any, NoReturn]:
    """The thread gets its signal, and the call its error."""
    yield Redirect({0: caller.process(), 1: caller.tid, 2: signal.SIGXFSZ}, "tgkill")
    raise refuse(errno.EFBIG)


def set_limit(caller: Caller) -> Verdict:
    """setrlimit, prlimit: once no process with this limit writes to a device without a stop.

    Its descriptor may be of a file of the kernel's, which the limit would hit.
    """
    pid, args = 0, caller.args
    if caller.call.name == "prlimit64":
        pid, args = as_fd(args[0]), args[1:]
    sets = as_fd(args[0]) == resource.RLIMIT_FSIZE and args[1]
    first = caller.must_hear(pid) if sets else None
    return first or Real()
