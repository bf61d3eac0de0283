# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_mkcow against uml_mkcow."""

from __future__ import annotations

import fcntl
import os
import subprocess

import pytest
from cowfiles import disk

from pyview.cli import main
from pyview.commands.vu_mkcow import recorded
from pyview.modules.vudev import cowheader


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "img").write_bytes(b"image" * 4096)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/link").symlink_to("../img")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.needs("uml_mkcow")
@pytest.mark.parametrize("image", ["img", "./img", "dir/link", "dir/../img", "//proc/self/cwd/img"])
def test_the_same_bytes(here, capfd, image):
    assert main(["vu_mkcow", "ours", image]) == 0
    subprocess.run(["uml_mkcow", "theirs", image], check=True)
    assert (here / "ours").read_bytes() == (here / "theirs").read_bytes()
    assert (here / "ours").stat().st_blocks <= 16
    assert (here / "ours").stat().st_mode == (here / "theirs").stat().st_mode
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["-f", "c", "img"], ["c", "-f", "img"]])
def test_with_force_old_changes_are_gone(here, arguments):
    assert main(["vu_mkcow", "c", "img"]) == 0
    fresh = (here / "c").read_bytes()
    made = disk("c", "img")
    made.pwrite(b"old", 0)
    made.fsync()
    made.close()
    os.link("c", "d")  # and it is the same file still
    assert main(["vu_mkcow", *arguments]) == 0
    assert (here / "d").read_bytes() == fresh
    assert main(["vu_mkcow", "-f", "new", "img"]) == 0
    assert (here / "new").read_bytes() == fresh


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ("c", 2, "two names are needed: COW BACKING"),
        ("a b c", 2, "two names are needed: COW BACKING"),
        ("there img", 1, "there: File exists"),
        ("img img", 1, "img: File exists"),
        ("-f img img", 1, "img: is the image itself"),
        ("-f dir/link img", 1, "dir/link: is the image itself"),
        ("c nosuch", 1, "nosuch: No such file or directory"),
        ("c dir", 1, "dir: neither a file nor a block device"),
        ("c fifo", 1, "fifo: neither a file nor a block device"),
        ("c /dev/null", 1, "/dev/null: neither a file nor a block device"),
        ("-f dir img", 1, "dir: Is a directory"),
        ("-f fifo img", 1, "fifo: neither a file nor a block device"),
        ("no/c img", 1, "no/c: No such file or directory"),
        ("-f locked img", 1, "locked: in use"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(here, capfd, arguments, status, line):
    os.mkfifo(here / "fifo")
    (here / "there").write_bytes(b"there")
    (here / "locked").write_bytes(b"locked")
    before = {name: os.lstat(name).st_mtime_ns for name in os.listdir()}
    with (here / "locked").open("rb") as file:
        fcntl.fcntl(file, 37, bytes(32))  # F_OFD_SETLK, F_RDLCK, all of it
        assert main(["vu_mkcow", *arguments.split()]) == status
    assert capfd.readouterr() == ("", f"vu_mkcow: {line}\n")
    assert {name: os.lstat(name).st_mtime_ns for name in os.listdir()} == before


def test_when_it_fails_nothing_is_left(here, capfd, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cowheader, "create", fail)
    assert main(["vu_mkcow", "c", "img"]) == 1
    assert capfd.readouterr().err == "vu_mkcow: No space left on device\n"
    assert not (here / "c").exists()


def test_the_name_that_is_kept(here):
    assert recorded("img") == f"{here}/img"
    assert recorded("dir/link") == f"{here}/dir/link"
    assert recorded("/nosuch/img") == "/nosuch/img"
