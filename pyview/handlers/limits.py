# SPDX-License-Identifier: GPL-2.0-or-later
"""RLIMIT_FSIZE, the largest file that a process may make: setrlimit(2), Linux fs/read_write.c."""

from __future__ import annotations

import errno
import signal
import stat
from collections.abc import Generator
from typing import Any, NoReturn

from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.openfile import OpenFile
from pyview.verdicts import Redirect, Request


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
