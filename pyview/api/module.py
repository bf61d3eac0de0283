# SPDX-License-Identifier: GPL-2.0-or-later
"""What is loaded, and what it is loaded into."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from pyview.api.trees import Tree


class View(Protocol):
    """What a module sees of the view it is loaded into."""

    name: str

    def now(self) -> Tree:
        """This view as it stands, frozen: what is mounted later is not seen through it."""

    def mount(
        self, target: str, tree: Tree, *, source: str = "none", kind: str = "", options: str = ""
    ) -> object:
        """Show `tree` at `target` (canonical, absolute).  Newer mounts hide older ones."""

    def claim(self, calls: str) -> None:
        """Let a group of calls stop in this view for as long as the module is loaded.

        "identity": users, groups and capabilities are the view's own (see writing-modules.md).
        """


class Module:
    """A loadable module; the first line of its file's docstring is what vu_lsmod prints.

    `vu_insmod name,key=value,flag` calls `__init__(key="value", flag=True)`: annotations convert
    (int, bool, str, list[str]), and a keyword that is not there is a usage error.
    """

    #: Mount types this module offers: name -> called as f(below, source, **options), gives a Tree;
    #: or "package.module:name" of that, to be imported when it is first mounted.
    types: ClassVar[dict[str, Any]] = {}

    def load(self, view: View) -> None:
        """Called once, when loaded into `view`.  What it mounts goes when it is unloaded."""

    def unload(self, view: View) -> None:
        """Called before the module goes, after its mounts have gone."""
