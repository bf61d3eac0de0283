# SPDX-License-Identifier: GPL-2.0-or-later
"""A lower tree, an upper directory, and what viewfs makes of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyview.api import Who
from pyview.modules.viewfs.mount import mount
from pyview.view import View


class Two:
    """A lower and an upper; `tree` is mounted over the lower, `again()` after all was closed."""

    def __init__(self, room) -> None:
        self.low, self.up = room / "low", room / "up"
        self.low.mkdir()
        self.up.mkdir()
        self.tree = None

    def mount(self, **options):
        self.close()
        below = View().now()
        options = options or {"cow": True}
        self.tree = mount(below, str(self.up), str(self.low), **options)
        self.tree.who = Who(os.getuid(), os.getgid())
        return self.tree

    def close(self) -> None:
        if self.tree is not None:
            self.tree.unmounted()
            self.tree = None

    def make(self, **files) -> None:
        """Lower files by name ("a__b" is a/b): bytes, or None for a directory."""
        for name, content in files.items():
            path = self.low / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)

    def read(self, path: str) -> bytes:
        real = self.tree.real(path)
        with open(real, "rb") as file:
            return file.read()

    def write(self, path: str, data: bytes, flags=os.O_WRONLY | os.O_CREAT, mode=0o644) -> None:
        fd = os.open(self.tree.opened(path, flags, mode), os.O_WRONLY | flags & os.O_TRUNC)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def names(self, path: str = "/") -> list[str]:
        return sorted(name for name, _, _ in self.tree.entries(path))

    def error(self, call, *args) -> int:
        """The errno that an operation fails with."""
        with pytest.raises(OSError) as caught:
            call(*args)
        return caught.value.errno

    def lower(self):
        """All that can be told of the lower."""
        found = {}
        for where, directories, files in os.walk(self.low):
            for name in directories + files:
                path = os.path.join(where, name)
                st = os.lstat(path)
                content = Path(path).read_bytes() if name in files else None
                found[path] = (st.st_mode, st.st_ino, st.st_nlink, st.st_mtime_ns, content)
        return found


@pytest.fixture
def two(tmp_path):
    """A lower that must be untouched at the end."""
    pair = Two(tmp_path)
    yield pair
    pair.close()


@pytest.fixture
def filled(two):
    """a, d/x, e/f/y; h1 and h2 are one file; `link` leads to a."""
    two.make(a=b"A", d__x=b"X", e__f__y=b"Y", h1=b"H")
    os.link(two.low / "h1", two.low / "h2")
    os.symlink("a", two.low / "link")
    two.mount()
    before = two.lower()
    yield two
    assert two.lower() == before
