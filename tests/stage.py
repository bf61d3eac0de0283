# SPDX-License-Identifier: GPL-2.0-or-later
"""A host for tests of vutry: a tree with something of everything, and what a commit makes of it."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from uppers import Model, Native

from pyview.trying.changes import Change, scan
from pyview.trying.commit import Outcome, Wish, commit
from pyview.trying.state import Directory
from pyview.trying.trees import Merged, Plain, Upper

OLD = 1_000_000_000 * 10**9  # ns: when everything of the host was last changed


def age(root: str) -> None:
    """Everything in a tree was last changed long ago, as far as utime(2) goes."""
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(f"{directory}/{name}", ns=(OLD, OLD), follow_symlinks=False)
        os.utime(directory, ns=(OLD, OLD))


def copied(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)


def picture(root: str, times: bool = True) -> dict[str, tuple[object, ...]]:
    """All that a tree shows: names, types, attributes, bytes, which names are one file."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[tuple[int, int], str] = {}
    for directory, directories, files in os.walk(root):
        directories.sort()
        for name in ["."] * (directory == root) + sorted([*directories, *files]):
            real = os.path.normpath(f"{directory}/{name}")
            st = os.lstat(real)
            shown = real.removeprefix(root)
            data: object = None
            if stat.S_ISREG(st.st_mode):
                data = Path(real).read_bytes()
            elif stat.S_ISLNK(st.st_mode):
                data = os.readlink(real)
            xattrs = {}
            if not stat.S_ISLNK(st.st_mode):
                xattrs = {key: os.getxattr(real, key) for key in os.listxattr(real)}
            link = None
            if not stat.S_ISDIR(st.st_mode):
                link = first.setdefault((st.st_dev, st.st_ino), shown)
            when = None
            if times and stat.S_ISREG(st.st_mode):
                when = st.st_mtime_ns if st.st_mtime_ns < 1.3 * OLD else "now"
            mode = None if stat.S_ISLNK(st.st_mode) else oct(st.st_mode)
            found[shown] = (mode, st.st_uid, st.st_gid, data, xattrs, link, when)
    return found


class Stage:
    """A lower tree, a copy of it, an upper."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.host, self.copy, self.upper = home / "host", home / "copy", home / "upper"
        self.host.mkdir()
        self.upper.mkdir()

    def start(self) -> None:
        age(str(self.host))
        copied(self.host, self.copy)
        self.native, self.model = Native(str(self.copy)), Model(str(self.host), str(self.upper))
        self.directory = Directory(str(self.upper))
        self.directory.about["root"] = str(self.host)
        self.directory.begin(["test"], [])

    def both(self, call: str, *words: object) -> bool:
        """Make a call natively and in the view; False when it is refused."""
        try:
            getattr(self.native, call)(*words)
        except OSError:
            return False
        getattr(self.model, call)(*words)
        return True

    def view(self) -> Merged:
        return Merged(Upper(os.fsencode(self.upper)), Plain(os.fsencode(self.host)))

    def changes(self) -> list[Change]:
        found = scan(Upper(os.fsencode(self.upper)), Plain(os.fsencode(self.host)))
        return found.visible()

    def change(self, path: str) -> Change:
        (found,) = (c for c in self.changes() if c.path == os.fsencode(path))
        return found

    def ended(self) -> None:
        """As after the command."""
        lower = Plain(os.fsencode(self.host))
        self.directory.ended(0, scan(Upper(os.fsencode(self.upper)), lower), lower)

    def commit(self, **wish: Any) -> Outcome:
        self.directory.lock(0)
        try:
            return commit(self.directory, Wish(**wish))
        finally:
            self.directory.unlock()

    def alike(self) -> bool:
        return picture(str(self.host)) == picture(str(self.copy))


def furnish(host: Path) -> None:
    """Something of everything."""
    for name in ("a", "b", "a/d", "a/d/e", "b/c"):
        (host / name).mkdir()
    for number, name in enumerate(["f", "a/f", "a/g", "a/d/f", "a/d/e/x", "b/f", "b/c/y", "g"]):
        (host / name).write_bytes(b"%d\n" % number * (number + 1))
    os.symlink("f", host / "l")
    os.symlink("../b", host / "a/l")
    os.link(host / "b/f", host / "b/h")
    os.setxattr(host / "f", "user.mine", b"1")
