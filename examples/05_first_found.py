# SPDX-License-Identifier: GPL-2.0-or-later
"""first_found: two directories as one; where both have a name, the first one's is seen.

    mkdir -p /tmp/mine && echo '127.0.0.1 elsewhere' > /tmp/mine/hosts
    pyview -p ./examples/05_first_found.py,first=/tmp/mine,over=/etc cat /etc/hosts /etc/shells

The fifth rung: a tree that decides call by call.  The view below tells the kernel's own name of a
file; what is there may change at any moment, so nothing is remembered.

Its limits show what the next release is for: a listing is that of the second directory, and a file
that is written is written where it was found.
"""

import os

from pyview.api import Module, Tree, View


class FirstFound(Tree):
    def __init__(self, below: Tree, first: str, second: str) -> None:
        self.below, self.first, self.second = below, first, second

    def real(self, path: str) -> str | None:
        if path != "/" and self.has(self.first + path):
            return self.below.real(self.first + path)
        return self.below.real(self.second + path if path != "/" else self.second)

    def has(self, path: str) -> bool:
        name = self.below.real(path)
        return name is not None and os.path.lexists(name)


class Overlaid(Module):
    def __init__(self, *, first: str, over: str) -> None:
        self.first, self.over = first, over

    def load(self, view: View) -> None:
        tree = FirstFound(view.now(), self.first, self.over)
        view.mount(self.over, tree, source=self.first, kind="first_found")
