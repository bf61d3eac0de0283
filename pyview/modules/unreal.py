# SPDX-License-Identifier: GPL-2.0-or-later
"""unreal: the whole file tree again, as /unreal and as /unreal/unreal."""

import stat
from typing import Any

from pyview.api import Module, Tree, View

#: What the kernel alone can be: nobody else could answer for it.
KERNELS_OWN = ("/proc", "/sys", "/dev")


class Emulated(Tree):
    """A tree whose every call is answered by the core: a test of the emulation.

    What is not a regular file, a directory or a link stays the kernel's: pipes, sockets, devices.
    """

    def __init__(self, below: Tree) -> None:
        self._below = below

    def real(self, path: str) -> str | None:
        if path == "/":
            return None
        name = self._below.real(path)
        if name is None or any(name == top or name.startswith(top + "/") for top in KERNELS_OWN):
            return name
        try:
            kind = stat.S_IFMT(self._below.lstat(path).st_mode)
        except OSError:
            return None
        return None if kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK) else name

    def __getattribute__(self, operation: str) -> Any:
        if operation in ("real", "_below", "busy", "unmounted", "__class__"):
            return object.__getattribute__(self, operation)
        return getattr(self._below, operation)


class Unreal(Module):
    """`emulate`: answer every call instead of redirecting it."""

    def __init__(self, *, emulate: bool = False) -> None:
        self.emulate = emulate

    def load(self, view: View) -> None:
        view.mount("/unreal", Emulated(view.now()) if self.emulate else view.now())
        view.mount("/unreal", Emulated(view.now()) if self.emulate else view.now())
