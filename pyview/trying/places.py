# SPDX-License-Identifier: GPL-2.0-or-later
"""Names below a directory, however deep it goes.

Paths are bytes relative to a root, b"" being the root itself: b"etc/hosts".
"""

from __future__ import annotations

import os
from collections import OrderedDict

LONGEST = 4000  # bytes: PATH_MAX is 4096 with the final NUL, and callers append a little
KEPT = 16  # directories of deep names that stay open


class Place:
    """A directory; `name` makes what os.* functions take."""

    def __init__(self, root: bytes) -> None:
        self.root = root.rstrip(b"/")
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def name(self, path: bytes) -> bytes:
        """A name of `path`.  One of a deep path holds until KEPT others have been asked for.

        Raises what open(2) raises when a directory on a deep path is not there.
        """
        full = self.root + b"/" + path
        if len(full) <= LONGEST:
            return full
        parent, _, last = path.rpartition(b"/")
        return b"/proc/self/fd/%d/%s" % (self._opened(parent), last)

    def forget(self) -> None:
        """Names of directories have changed."""
        while self._open:
            os.close(self._open.popitem()[1])

    close = forget

    def _opened(self, path: bytes) -> int:
        """A descriptor of a directory, which stays open for a while."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        fd = self._walk(path)
        self._open[path] = fd
        if len(self._open) > KEPT:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def _walk(self, path: bytes) -> int:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        parent, _, last = path.rpartition(b"/")
        if parent in self._open:  # the common case of a walk downwards
            return os.open(last, flags, dir_fd=self._open[parent])
        fd = os.open(self.root or b"/", flags)
        for piece in pieces(path):
            try:
                fd, above = os.open(piece, flags, dir_fd=fd), fd
            except OSError:
                os.close(fd)
                raise
            os.close(above)
        return fd


def pieces(path: bytes) -> list[bytes]:
    """A path cut at slashes into pieces that the kernel takes."""
    cut = []
    while len(path) > LONGEST:
        at = path.rindex(b"/", 0, LONGEST)
        cut.append(path[:at])
        path = path[at + 1 :]
    return [*cut, path]


def joined(directory: bytes, name: bytes) -> bytes:
    """The path of a name in a directory."""
    return directory + b"/" + name if directory else name


def parent_of(path: bytes) -> bytes:
    """The directory that a path lies in."""
    return path.rpartition(b"/")[0]


def within(path: bytes, directory: bytes) -> bool:
    """True for the directory itself and what lies in it."""
    return not directory or path == directory or path.startswith(directory + b"/")
