# SPDX-License-Identifier: GPL-2.0-or-later
"""unreal: the whole file tree again, as /again and as /again/again.

    pyview -p ./examples/01_unreal.py ls -l /again/again/etc/passwd

The first rung: a module mounts the view as it stands.  The second mount sees the first one, because
it is newer; the first one sees neither itself nor the second, so there is no /again/again/again.
"""

from pyview.api import Module, View


class Unreal(Module):
    def load(self, view: View) -> None:
        view.mount("/again", view.now())
        view.mount("/again", view.now())
