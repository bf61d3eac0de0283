# SPDX-License-Identifier: GPL-2.0-or-later
"""vudevnull: a device that holds nothing and takes everything, as /dev/null: null(4)."""

from __future__ import annotations

import os
import stat
from typing import Any

from pyview.api import Tree
from pyview.modules.vudev.node import Node


class Null(Node):
    """Reads end at once, writes are taken and forgotten; `block` makes it look like a disk."""

    kind = stat.S_IFCHR
    mode = 0o666

    def __init__(self, below: Tree, source: str, **node: Any) -> None:
        super().__init__(below, **node)

    def pread(self, size: int, offset: int) -> bytes:
        return b""

    def pwrite(self, data: bytes, offset: int) -> int:
        return len(data)

    def size(self) -> int:
        return 0

    def seek(self, offset: int, whence: int) -> int:
        """lseek(2) on /dev/null gives 0, whatever it asks."""
        return 0

    def stat(self) -> os.stat_result:
        return self.lstat("/")
