# SPDX-License-Identifier: GPL-2.0-or-later
"""wrong_life: a module that raises, or gives nonsense back, at one moment of its life.

Options: `at`, the moment; `what`, one of wrong.py's faults.
"""

import importlib.util
import os
import stat

from pyview.api import Device, Module, Tree, attributes

_spec = importlib.util.spec_from_file_location(
    "wrong_faults", os.path.join(os.path.dirname(__file__), "wrong.py")
)
_wrong = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_wrong)


class Odd(Tree):
    """Mounted by type `odd`: one moment of a mount's life goes wrong."""

    def __init__(self, below, source, *, at="", what="key"):
        self._at = at, what
        self._do("make", None)

    def _do(self, moment, good):
        return _wrong.fault(self._at[1]) if self._at[0] == moment else good

    def real(self, path):
        return self._do("real", None)

    def lstat(self, path):
        return self._do("lstat", attributes(stat.S_IFDIR | 0o755))

    def entries(self, path):
        return []

    def busy(self):
        return self._do("busy", False)

    def unmounted(self):
        self._do("unmounted", None)


class OddDevice(Device):
    """Mounted by type `odddevice`."""

    def __init__(self, below, source, *, at="", what="key"):
        self._at = at, what

    def companions(self, target):
        return _wrong.fault(self._at[1]) if self._at[0] == "companions" else {}

    def busy(self):
        return _wrong.fault(self._at[1]) if self._at[0] == "busy" else False

    def size(self):
        return 0


class WrongLife(Module):
    types = {"odd": Odd, "odddevice": OddDevice}  # noqa: RUF012 (as in pyview.api)

    def __init__(self, *, at: str = "", what: str = "key"):
        self._at = at, what
        self._do("init")

    def _do(self, moment):
        if self._at[0] == moment:
            _wrong.fault(self._at[1])

    def load(self, view):
        view.mount("/wrong", Odd(None, "", at=self._at[0], what=self._at[1]))
        self._do("load")

    def unload(self, view):
        self._do("unload")
