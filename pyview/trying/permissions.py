# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in the way of a commit, found out before anything is touched."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from pyview.trying.changes import ADDED, METADATA, MODIFIED, RENAMED, Change, walk
from pyview.trying.places import parent_of
from pyview.trying.trees import Node, Plain

READ_ONLY, MOUNTED = "on a read-only file system", "is a mount point"
MOUNTED_IN = "something is mounted in it"
FIXED = (READ_ONLY, MOUNTED, MOUNTED_IN)  # for root, too


class Problem(NamedTuple):
    """A change that we may not (`rights`: root may), or can't, bring to the host."""

    path: bytes
    why: str
    rights: bool = False


class Rights:
    """What this process may do to the files of the host."""

    def __init__(self, host: Plain) -> None:
        self.host = host
        self.uid, self.groups = os.geteuid(), {os.getegid(), *os.getgroups()}
        self._directories: dict[bytes, str] = {}
        self._mounted = mount_points()

    def problems(self, change: Change, parent: bytes | None) -> list[Problem]:
        """Why a change can't be made; `parent` is its directory on the host, None: a new one."""
        why = ""
        if change.new is not None and change.kind in (ADDED, MODIFIED, METADATA, RENAMED):
            why = self._owner(change)
        if not why and change.kind == METADATA and not change.quiet:
            why = self._attributes(change)
        if not why and change.kind != METADATA and parent is not None and not self.in_place(change):
            why = self.directory(parent) or self._sticky(parent, change.old)
        if not why and self.in_place(change) and not self._may_write(change.host or b""):
            why = "may not be written"
        if not why and change.kind == RENAMED and change.origin is not None:
            above = parent_of(change.origin)
            why = self.directory(above) or self._sticky(above, change.source)
        if not why and change.old is not None and change.old.is_dir and change.host is not None:
            why = self._removal(change, change.host)
        return [Problem(change.path, why, why not in FIXED)] if why else []

    def mount_of(self, path: bytes) -> bytes:
        """The mount point that a path lies on."""
        while path and path not in self._mounted:
            path = parent_of(path)
        return path

    def in_place(self, change: Change) -> bool:
        """A file that must be written into, because it can't or must not be another one.

        It has other names; or is a mount point; or only itself is writable, or of another owner.
        """
        old, new, entry = change.old, change.new, change.entry
        if change.kind != MODIFIED or old is None or new is None or change.host is None:
            return False
        if old.kind != "f" or new.kind != "f":
            return False
        if change.host in self._mounted:
            return True
        if entry is None or entry.lower != old.ino:
            return False  # it was replaced in the view, too
        if old.nlink > 1:
            return True
        unable = (self._foreign(new) and (new.uid, new.gid) == (old.uid, old.gid)) or bool(
            self.directory(parent_of(change.host))
        )
        return unable and self._may_write(change.host)

    def _may_write(self, path: bytes) -> bool:
        return os.access(self.host.place.name(path), os.W_OK, effective_ids=True)

    def directory(self, path: bytes) -> str:
        """Why names in a directory can't be changed; "" when they can."""
        if path not in self._directories:
            self._directories[path] = self._look_at(path)
        return self._directories[path]

    def _look_at(self, path: bytes) -> str:
        name = self.host.place.name(path)
        if os.access(name, os.W_OK | os.X_OK, effective_ids=True):
            return ""
        if os.statvfs(name).f_flag & os.ST_RDONLY:
            return READ_ONLY
        return "" if self.own(path) else "its directory may not be written"

    def own(self, path: bytes) -> bool:
        """A directory is ours: we can make it writable."""
        node = self.host.look(path)
        return node is not None and node.is_dir and node.uid == self.uid

    def closed(self, path: bytes) -> bool:
        """A directory must be made writable first."""
        return not os.access(self.host.place.name(path), os.W_OK | os.X_OK, effective_ids=True)

    def _sticky(self, parent: bytes, old: Node | None) -> str:
        if old is None or not self.uid:
            return ""
        above = self.host.look(parent)
        if above is None or not above.mode & stat.S_ISVTX or self.uid in (above.uid, old.uid):
            return ""
        return "belongs to another user, in a directory that is sticky"

    def _foreign(self, new: Node) -> bool:
        """We could not make a file of this owner."""
        return bool(self.uid) and (new.uid != self.uid or new.gid not in self.groups)

    def _owner(self, change: Change) -> str:
        new, old = change.new, change.old if change.kind != RENAMED else change.source
        assert new is not None
        if new.kind in "cb" and self.uid and change.kind in (ADDED, MODIFIED):
            return "only root can make a device"
        stays = change.kind in (METADATA, RENAMED) or self.in_place(change)
        if stays and old is not None and (old.uid, old.gid) == (new.uid, new.gid):
            return ""
        if not self._foreign(new):
            other = self.uid and stays and old and old.uid != new.uid
            return "belongs to another user" if other else ""
        return f"would belong to {new.uid}:{new.gid}, which only root can do (or --no-owner)"

    def _attributes(self, change: Change) -> str:
        if not self.uid or change.old is None or change.old.uid == self.uid:
            return ""
        return "belongs to another user"

    def _removal(self, change: Change, host: bytes) -> str:
        """Of a directory with all in it."""
        if change.new is not None and change.new.is_dir and change.kind != RENAMED:
            return ""
        for path, node in walk(self.host, host):
            if node.is_dir and path != host and path in self._mounted:
                return MOUNTED_IN
            if node.is_dir and node.uid != self.uid and self.uid:
                names = self.host.names(path)
                if names and self.directory(path):
                    return "a directory in it may not be written"
        return MOUNTED if host in self._mounted else ""


def mount_points() -> set[bytes]:
    """Where something is mounted, without the leading slash."""
    found = set()
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            field = line.split()[4].lstrip(b"/")
            found.add(field.decode("unicode_escape").encode("latin-1"))
    return found - {b""}
