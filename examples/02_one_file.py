# SPDX-License-Identifier: GPL-2.0-or-later
"""one_file: one file in place of another.

    echo 'Welcome to my own world' > /tmp/motd
    pyview -p ./examples/02_one_file.py,shown=/tmp/motd,at=/etc/motd cat /etc/motd

The second rung: a tree of one's own.  A tree that only renames has one operation, `real`, and the
kernel does all the work: the caller reads a real descriptor, at full speed.  A tree may be mounted
on a file as well as on a directory; it is then asked for "/" alone.
"""

from pyview.api import Module, Tree, View


class OneFile(Tree):
    def __init__(self, below: Tree, shown: str) -> None:
        self.below, self.shown = below, shown

    def real(self, path: str) -> str | None:
        return self.below.real(self.shown)  # its name may be virtual too: ask what lies below


class Instead(Module):
    def __init__(self, *, shown: str, at: str) -> None:
        self.shown, self.at = shown, at

    def load(self, view: View) -> None:
        view.mount(self.at, OneFile(view.now(), self.shown), source=self.shown, kind="file")
