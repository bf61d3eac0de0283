# SPDX-License-Identifier: GPL-2.0-or-later
"""vuid: users, groups and capabilities of the view's own"""

from pyview.api import Module, View


class Vuid(Module):
    """Everybody stays who he is at first; set-user-id programs and viewsu change that."""

    def load(self, view: View) -> None:
        view.claim("identity")
