# SPDX-License-Identifier: GPL-2.0-or-later
"""The entries of a real directory to which an overlay adds, and in which it hides."""

from __future__ import annotations

import os

import pytest
from playbook import Nobody, play

from pyview.abi import dirent
from pyview.modules.viewfs.mount import mount
from pyview.verdicts import Real
from pyview.view import View


@pytest.fixture
def caller(tmp_path):
    (tmp_path / "low").mkdir()
    (tmp_path / "up").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "low" / name).write_text("")
    view = View()
    tree = mount(view.now(), str(tmp_path / "up"), str(tmp_path / "low"), cow=True)
    view.mount(str(tmp_path / "low"), tree)
    caller = Nobody(view, str(tmp_path / "low"))
    caller.tree = tree
    fd = os.open(tmp_path / "low", os.O_RDONLY)
    caller.fds[fd], caller.fd = str(tmp_path / "low"), fd
    yield caller
    os.close(fd)
    tree.unmounted()


def listed(caller, size=32768, call="getdents64"):
    """All names, in as many calls as that takes."""
    found = []
    while True:
        verdict, _ = play(caller.calls(call, caller.fd, 0x5000, size))
        if not verdict.value:
            return found
        unpack = dirent.unpack if call == "getdents64" else dirent.unpack_old
        found += [os.fsdecode(entry.name) for entry in unpack(verdict.poke[0][1])]


def test_entries_are_added_and_hidden(caller):
    caller.tree.unlink("/b")
    caller.tree.mkdir("/new", 0o755)
    assert sorted(listed(caller)) == [".", "..", "a", "c", "new"]
    assert listed(caller) == []
    os.lseek(caller.fd, 0, os.SEEK_SET)
    assert sorted(listed(caller, call="getdents")) == [".", "..", "a", "c", "new"]


def test_in_small_pieces(caller):
    for number in range(20):
        caller.tree.mkdir(f"/new{number}", 0o755)
    names = listed(caller, 64)
    assert len(names) == len(set(names)) == 25


def test_what_is_removed_while_it_is_read(caller):
    for number in range(20):
        caller.tree.mkdir(f"/new{number}", 0o755)
    seen = []
    while True:
        verdict, _ = play(caller.calls("getdents64", caller.fd, 0x5000, 100))
        if not verdict.value:
            break
        for entry in dirent.unpack(verdict.poke[0][1]):
            name = os.fsdecode(entry.name)
            seen.append(name)
            if name.startswith("new"):
                caller.tree.rmdir(f"/{name}")
    assert sorted(name for name in seen if name.startswith("new")) == sorted(
        f"new{number}" for number in range(20)
    )


def test_inodes_and_types_are_those_shown(caller):
    caller.tree.symlink("a", "/link")
    caller.tree.chmod("/a", 0o600)
    verdict, _ = play(caller.calls("getdents64", caller.fd, 0x5000, 32768))
    found = {e.name: e for e in dirent.unpack(verdict.poke[0][1])}
    assert found[b"a"].inode == caller.tree.lstat("/a").st_ino
    verdict, _ = play(caller.calls("getdents64", caller.fd, 0x5000, 32768))
    (link,) = dirent.unpack(verdict.poke[0][1])
    assert (link.name, link.kind) == (b"link", 10)  # DT_LNK
    assert link.inode == caller.tree.lstat("/link").st_ino


def test_a_directory_that_nobody_touches_is_the_kernels(caller, tmp_path):
    caller.fds[0] = str(tmp_path)
    assert play(caller.calls("getdents64", 0, 0x5000, 32768)) == (Real(), [])
