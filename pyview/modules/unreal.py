# SPDX-License-Identifier: GPL-2.0-or-later
"""unreal: the whole file tree again, as /unreal and as /unreal/unreal."""

from pyview.api import Module, View


class Unreal(Module):
    def load(self, view: View) -> None:
        view.mount("/unreal", view.now(), kind="unreal")
        view.mount("/unreal", view.now(), kind="unreal")  # sees the first one
