# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's tree as the core sees it for a task: what names of it lead to (paths.Eyes)."""

from __future__ import annotations

import errno
import os
import re
import stat
import time

from pyview.api import refuse
from pyview.proc import MAGIC, Proc

_DELETED = " (deleted)"
SECOND = 1.0
FOREVER = float("inf")
MANY = 4096  # names remembered


class Plain:
    """Directories of the system's, which nobody but root can rename or make links of.

    They are looked at once a second: csrc/clean.c is content with that for any name.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, bool]] = {"/": (FOREVER, True)}
        self._nobody = os.geteuid() != 0

    def has(self, real: str) -> bool:
        """Whether it is one, and the core may enter it."""
        until, found = self._known.get(real, (0.0, False))
        now = time.monotonic()
        if now < until:
            return found
        found = self._nobody and _is_fixed(real) and self.has(os.path.dirname(real))
        if len(self._known) > MANY:
            self._known = {"/": (FOREVER, True)}
        self._known[real] = (now + SECOND, found)
        return found


def _is_fixed(real: str) -> bool:
    if real == "/proc" or real.startswith("/proc/"):
        return False  # it shows each something else
    try:
        above, st = os.lstat(os.path.dirname(real)), os.lstat(real)
    except OSError:
        return False
    fixed = above.st_uid == 0 and not above.st_mode & 0o022
    return fixed and stat.S_ISDIR(st.st_mode) and os.access(real, os.X_OK, effective_ids=True)


PLAIN = Plain()


class CoreEyes:
    """The kernel's tree as a task sees it, through the core's own eyes."""

    def __init__(self, task: Proc) -> None:
        self._task = task

    def readlink(self, real: str) -> str:
        if real == "/proc/self":
            return str(self._task.process())
        if real == "/proc/thread-self":
            return f"{self._task.process()}/task/{self._task.tid}"
        return os.readlink(real)

    def is_directory(self, real: str) -> bool:
        try:
            os.stat(os.path.join(real, "."))
        except NotADirectoryError:
            return False
        return True

    def is_plain(self, real: str) -> bool:
        return PLAIN.has(real)

    def is_magic(self, real: str) -> bool:
        return real.startswith("/proc/") and re.fullmatch(MAGIC, real) is not None

    def domain_of(self, real: str) -> int:
        return self._task.proc_domain(real)

    def jump(self, real: str) -> str:
        name = self._task.proc_name(real) or os.readlink(real)
        if self._task.proc_domain(real) >= 0:
            _check_named(real)
        if not name.startswith("/"):
            raise refuse(errno.ENOENT, real)
        return name


def _check_named(link: str) -> None:
    """Whether a magic link of proc leads to a directory that its text is the name of.

    Errors: ENOTDIR; ENOENT, the kernel can follow it all the same.
    """
    found = os.stat(link)
    if not stat.S_ISDIR(found.st_mode):
        raise refuse(errno.ENOTDIR, link)
    name = os.readlink(link)
    if name.endswith(_DELETED) and not os.path.samestat(found, os.stat(name)):
        raise refuse(errno.ENOENT, link)
