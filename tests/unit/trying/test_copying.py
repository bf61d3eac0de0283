# SPDX-License-Identifier: GPL-2.0-or-later
"""Files made as others are."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

import pytest

from pyview.modules.viewfs.copying import FICLONE
from pyview.trying import copying
from pyview.trying.trees import Plain


def filled(path, *pieces: tuple[int, bytes]) -> bytes:
    with open(path, "wb") as file:
        for at, data in pieces:
            file.seek(at)
            file.write(data)
    return os.fsencode(path)


@pytest.mark.parametrize("refused", [(), ("copy_file_range",), ("copy_file_range", "lseek")])
def test_bytes_and_holes(tmp_path, monkeypatch, refused):
    source = filled(tmp_path / "a", (0, b"start"), (40 << 20, b"x" * 100_000), (90 << 20, b""))
    os.truncate(source, 90 << 20)
    real = os.lseek

    def no(*words):
        if len(words) == 3 and words[-1] in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            return real(*words)
        raise OSError(errno.EINVAL, "no")

    for name in refused:
        monkeypatch.setattr(os, name, no)
    told: list[int] = []
    with open(tmp_path / "b", "wb") as file:
        copying.copy_into(source, file.fileno(), told.append)
    monkeypatch.undo()
    assert os.stat(tmp_path / "b").st_size == 90 << 20
    assert os.system(f"cmp {tmp_path}/a {tmp_path}/b") == 0
    assert sum(told) == 90 << 20
    if "lseek" not in refused:
        assert os.stat(tmp_path / "b").st_blocks < 1000


def test_shared_blocks_where_there_are_such(tmp_path, monkeypatch):
    source = filled(tmp_path / "a", (0, b"data"))
    asked = []
    monkeypatch.setattr(fcntl, "ioctl", lambda fd, number, what: asked.append(number))
    with open(tmp_path / "b", "wb") as file:
        copying.copy_into(source, file.fileno())
    assert asked == [FICLONE]


def test_other_failures_are_told(tmp_path, monkeypatch):
    source = filled(tmp_path / "a", (0, b"data"))

    def full(*_words):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "copy_file_range", full)
    with open(tmp_path / "b", "wb") as file, pytest.raises(OSError, match="full"):
        copying.copy_into(source, file.fileno())


def test_every_kind_is_made(tmp_path):
    (tmp_path / "from").mkdir()
    (tmp_path / "from/f").write_bytes(b"1")
    (tmp_path / "from/d").mkdir()
    os.symlink("x", tmp_path / "from/l")
    os.mkfifo(tmp_path / "from/p")
    os.mknod(tmp_path / "from/s", stat.S_IFSOCK | 0o600)
    tree = Plain(os.fsencode(tmp_path / "from"))
    (tmp_path / "to").mkdir()
    for name in tree.names(b""):
        node = tree.look(name)
        made = os.fsencode(tmp_path / "to") + b"/" + name
        copying.make(tree, name, node, made)
        copying.dress(made, copying.attributes_of(node, {}))
    copies = Plain(os.fsencode(tmp_path / "to"))
    for name in tree.names(b""):
        a, b = tree.look(name), copies.look(name)
        assert (a.kind, a.mode, a.mtime) == (b.kind, b.mode, b.mtime)


@pytest.mark.needs("root")
def test_devices_are_made(tmp_path):
    os.mknod(tmp_path / "c", stat.S_IFCHR, os.makedev(1, 3))
    tree = Plain(os.fsencode(tmp_path))
    copying.make(tree, b"c", tree.look(b"c"), os.fsencode(tmp_path / "made"))
    assert os.stat(tmp_path / "made").st_rdev == os.makedev(1, 3)


def test_attributes(tmp_path):
    name = filled(tmp_path / "a", (0, b""))
    os.setxattr(name, "user.old", b"1")
    wanted = copying.attributes_of(
        Plain(os.fsencode(tmp_path)).look(b"a")._replace(mode=0o4711, mtime=5, atime=7),
        {"user.new": b"\xff\0"},
    )
    copying.dress(name, wanted)
    found = os.stat(name)
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_atime_ns) == (0o4711, 5, 7)
    assert os.listxattr(name) == ["user.new"]
    assert os.getxattr(name, "user.new") == b"\xff\0"


def test_a_tree_is_removed_however_deep_and_closed(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 40, dir_fd=here)
        inner = os.open("d" * 40, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.mkdir("closed", dir_fd=here)
    os.close(os.open("closed/x", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.chmod("closed", 0, dir_fd=here)
    os.close(here)
    (tmp_path / "file").touch()
    copying.remove(os.fsencode(tmp_path / ("d" * 40)))
    copying.remove(os.fsencode(tmp_path / "file"))
    copying.remove(os.fsencode(tmp_path / "nothing"))
    assert os.listdir(tmp_path) == []
