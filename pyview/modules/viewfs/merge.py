# SPDX-License-Identifier: GPL-2.0-or-later
"""One tree over another, nothing copied: what the upper has can't be changed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from pyview.api import refuse
from pyview.modules.viewfs.descriptors import Descriptors
from pyview.modules.viewfs.upper import Inode


class Merge(Descriptors):
    """Changes of what only the lower has are real; all others are EROFS."""

    keeps = False
    #: Nothing at all may be changed.
    sealed = False

    def describe(self, inode: Inode) -> None:
        self.claims(*inode.key)  # no more: who knows the attributes would open it for writing, too

    def attempts(self, path: str) -> bool:
        return not self.sealed and path not in self.touched and not self._cut(path)

    def _cut(self, path: str) -> bool:
        try:
            return self.find(path).lower is None
        except OSError:
            return True

    def opened(self, path: str, flags: int, mode: int) -> str:
        raise refuse(errno.EROFS, path)


def _refused(_self: Merge, path: str, *_: Any) -> Any:
    raise refuse(errno.EROFS, path)


_OPERATION: Callable[..., Any] = _refused
for _operation in (
    *("unlink", "mkdir", "rmdir", "symlink", "rename", "link", "chmod", "chown", "utime"),
    *("truncate", "mknod", "setxattr", "removexattr", "nameless", "named", "bound"),
):
    setattr(Merge, _operation, _OPERATION)
