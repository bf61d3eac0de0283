# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of attributes: what is in it after a crash, a copy, and much use."""

from __future__ import annotations

import errno
import os

import pytest

from pyview.modules.viewfs import sidecar
from pyview.modules.viewfs.sidecar import Sidecar


@pytest.fixture
def log(tmp_path):
    """A function that opens the log once more; the file that it is about is `tmp_path/x`."""
    (tmp_path / "x").write_text("")
    opened = []

    def again(**how) -> Sidecar:
        opened.append(Sidecar(str(tmp_path), **({"read_only": False} | how)))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


def test_what_was_written_whole_is_there_again(log, tmp_path):
    place, path = str(tmp_path / "x"), tmp_path / "labels"
    log().set(place, "user.a b", bytes(range(256)))
    whole = path.read_bytes()
    with open(path, "ab") as file:
        file.write(b"%d user.view f 6" % os.stat(place).st_ino)
    assert log(read_only=True).names(place) == ["user.a b"]
    found = log()
    assert found.get(place, "user.a b") == bytes(range(256))
    assert found.names(place) == ["user.a b"]
    assert path.read_bytes() == whole


def test_a_new_file_has_none_of_an_old_ones(log, tmp_path):
    place = str(tmp_path / "x")
    one = log()
    one.set(place, "user.a", b"1")
    one.born(place)
    assert one.names(place) == log().names(place) == []


def test_only_what_exists_is_written_anew(log, tmp_path, monkeypatch):
    monkeypatch.setattr(sidecar, "SPARE", 3)
    place, one = str(tmp_path / "x"), log()
    for at in range(9):
        one.set(place, "user.a", b"%d" % at)
        one.set(str(tmp_path), "user.b", b"")
    number = os.stat(place).st_ino
    one.keep([number])
    assert (tmp_path / "labels").read_text().splitlines()[1:] == [f"{number} user.a 8"]
    one.set(place, "user.c", b"")
    assert log().names(place) == ["user.a", "user.c"]


def test_a_copied_directory_says_so(log, tmp_path):
    log().set(str(tmp_path / "x"), "user.a", b"")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/labels").write_bytes((tmp_path / "labels").read_bytes())
    with pytest.raises(OSError, match="it was copied") as caught:
        Sidecar(str(tmp_path / "copy"), read_only=True)
    assert caught.value.errno == errno.EUCLEAN


def test_a_damaged_line_is_said_to_be_one(log, tmp_path):
    log()
    with open(tmp_path / "labels", "a") as file:
        file.write("what\n")
    with pytest.raises(OSError, match="damaged line") as caught:
        log()
    assert caught.value.errno == errno.EUCLEAN


def test_who_only_looks_changes_nothing(log, tmp_path):
    one = log(read_only=True)
    with pytest.raises(OSError) as caught:
        one.set(str(tmp_path / "x"), "user.a", b"")
    assert caught.value.errno == errno.EROFS
    assert not os.path.exists(tmp_path / "labels")


def test_a_full_disk_leaves_the_log_whole(log, tmp_path, monkeypatch):
    place, one = str(tmp_path / "x"), log()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:4]))
    with pytest.raises(OSError) as caught:
        one.set(place, "user.a", b"")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    one.set(place, "user.b", b"")
    assert log().names(place) == ["user.b"]


def test_file_systems_that_number_anew(monkeypatch, tmp_path):
    assert sidecar.kind_of(os.stat("/proc/self").st_dev) == "proc"
    assert sidecar.kind_of(0xFFFFF) == ""
    monkeypatch.setattr(sidecar, "kind_of", lambda device: "fuse.sshfs")
    assert sidecar.is_forgetful(1)
    monkeypatch.setattr(sidecar, "kind_of", lambda device: "nfs4")
    assert not sidecar.is_forgetful(1)
