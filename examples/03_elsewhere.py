# SPDX-License-Identifier: GPL-2.0-or-later
"""elsewhere: a directory under a second, shorter name.

    pyview -p ./examples/03_elsewhere.py,shown=$HOME,at=/h sh -c 'cd /h && pwd && ls'

The third rung: a mount type.  The module offers `elsewhere` to vumount, with the view below the
mount as its first argument; and as an option of the module's own it mounts one at once.

    vu_insmod ./examples/03_elsewhere.py ; mount -t elsewhere /usr/include /i ; ls /i
"""

from typing import Any, ClassVar

from pyview.api import Module, Tree, View


class Elsewhere(Tree):
    def __init__(self, below: Tree, source: str) -> None:
        self.below, self.source = below, source.rstrip("/")

    def real(self, path: str) -> str | None:
        return self.below.real(self.source + path if path != "/" else self.source or "/")


class Places(Module):
    types: ClassVar[dict[str, Any]] = {"elsewhere": Elsewhere}

    def __init__(self, *, shown: str = "", at: str = "") -> None:
        self.shown, self.at = shown, at

    def load(self, view: View) -> None:
        if self.shown and self.at:
            tree = Elsewhere(view.now(), self.shown)
            view.mount(self.at, tree, source=self.shown, kind="elsewhere")
