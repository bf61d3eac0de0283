# SPDX-License-Identifier: GPL-2.0-or-later
"""hidden: directories that are not there.

    pyview -p ./examples/04_hidden.py,at=$HOME/.ssh,at=/etc/ssh ls /etc/ssh

The fourth rung: an option that may be given more than once (list[str]), and a name that need not
exist: the kernel itself then says ENOENT, to every call alike.  Not a safe: a view is convenience,
not a security boundary.
"""

from pyview.api import Module, Tree, View

NOWHERE = "/proc/0"  # no process has that number


class Nothing(Tree):
    def real(self, path: str) -> str:
        return NOWHERE + path.rstrip("/")


class Hidden(Module):
    def __init__(self, *, at: list[str]) -> None:
        self.at = at

    def load(self, view: View) -> None:
        for target in self.at:
            view.mount(target, Nothing(), kind="hidden")
