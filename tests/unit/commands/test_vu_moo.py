# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_moo against uml_moo."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cowfiles import THEIRS, craft, disk, new_cow, opened

import pyview
from pyview.cli import main
from pyview.modules.vudev import cowfile

SIZE = 512 * 67


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rnd = random.Random(5)
    (tmp_path / "img").write_bytes(rnd.randbytes(SIZE // 3) + bytes(SIZE - SIZE // 3))
    new_cow("c", f"{tmp_path}/img")
    made = disk("c", "img")
    for _ in range(5):
        made.pwrite(rnd.randbytes(5000), rnd.randrange(SIZE))
    made.fsync()
    made.close()
    return tmp_path


@pytest.mark.needs("uml_moo")
@pytest.mark.parametrize("version", THEIRS)
def test_the_same_bytes_of_every_version(here, capfd, version):
    craft("old", version, f"{here}/img", {n: bytes([n]) * 512 for n in (0, 7, 8, 30, 66)})
    for cow in ("old", "c"):
        assert main(["vu_moo", cow, "ours"]) == 0
        subprocess.run(["uml_moo", cow, "theirs"], check=True, capture_output=True)
        assert (here / "ours").read_bytes() == (here / "theirs").read_bytes()
    assert capfd.readouterr() == ("", "")


@pytest.mark.needs("uml_moo")
def test_in_place_and_then_never_again(here, capfd):
    subprocess.run(["uml_moo", "c", "theirs"], check=True)
    os.utime("img", (1, 1))
    os.rename("img", "img2")
    (here / "img2").touch()
    os.utime("img2", (1, 1))
    new_cow("c2", f"{here}/img2")
    made, other = disk("c2", "img2"), opened("theirs")
    made.pwrite(other.pread(SIZE, 0), 0)
    made.fsync()
    made.close()
    other.close()
    assert main(["vu_moo", "c2", "-d"]) == 0
    line = f"vu_moo: {here}/img2: changed in place; COW files over it are of no use now\n"
    assert capfd.readouterr() == ("", line)
    assert (here / "img2").read_bytes() == (here / "theirs").read_bytes()
    assert main(["vu_moo", "-d", "c2"]) == 1
    assert f"c2: {here}/img2 was changed since" in capfd.readouterr().err


def test_where_the_image_is_now(here, capfd):
    os.rename("img", "moved")
    assert main(["vu_moo", "c", "out"]) == 1
    assert capfd.readouterr().err == f"vu_moo: {here}/img: No such file or directory\n"
    assert main(["vu_moo", "-b", "moved", "c", "out"]) == 0
    assert main(["vu_moo", "-d", "c", "-b", "moved"]) == 0
    assert (here / "moved").read_bytes() == (here / "out").read_bytes()


def test_the_new_file_takes_the_place_of_an_old_one(here):
    (here / "out").write_bytes(b"much longer" * 10000)
    (here / "out").chmod(0o600)
    (here / "link").symlink_to("out")
    assert main(["vu_moo", "c", "link"]) == 0
    assert (here / "link").is_symlink()
    assert (here / "out").stat().st_size == SIZE
    assert (here / "out").stat().st_mode & 0o777 == 0o600


def test_zeroes_take_no_room(here):
    os.truncate("img", 0)
    os.truncate("img", 64 << 20)
    new_cow("z", f"{here}/img")
    made = disk("z", "img")
    made.pwrite(bytes(1 << 20) + b"x", 1 << 20)
    made.fsync()
    made.close()
    assert main(["vu_moo", "z", "out"]) == 0
    assert (here / "out").stat().st_size == 64 << 20
    assert (here / "out").stat().st_blocks <= 16


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ("c", 2, "COW and NEW are needed, or -d and COW"),
        ("-d c new", 2, "COW and NEW are needed, or -d and COW"),
        ("-d", 2, "COW and NEW are needed, or -d and COW"),
        ("nosuch new", 1, "nosuch: No such file or directory"),
        ("img new", 1, "img: not a COW file"),
        (". new", 1, ".: neither a file nor a block device"),
        ("-b nosuch c new", 1, "nosuch: No such file or directory"),
        ("-b short c new", 1, f"c: not made over short: that has 5 bytes, not {SIZE}"),
        ("c c", 1, "c: is to be merged itself (in place: -d)"),
        ("c img", 1, "img: is to be merged itself (in place: -d)"),
        ("c .", 1, ".: not a file"),
        ("c /dev/null", 1, "/dev/null: not a file"),
        ("c no/new", 1, "HERE/no/new: No such file or directory"),
        ("cut new", 1, "cut: cut short: 16384 bytes, of 46592"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(here, capfd, arguments, status, line):
    (here / "short").write_bytes(b"short")
    (here / "cut").write_bytes((here / "c").read_bytes()[:16384])
    before = {name: os.lstat(name).st_mtime_ns for name in os.listdir()}
    assert main(["vu_moo", *arguments.split()]) == status
    assert capfd.readouterr() == ("", f"vu_moo: {line}\n".replace("HERE", str(here)))
    assert {name: os.lstat(name).st_mtime_ns for name in os.listdir()} == before


def test_what_is_in_use_is_left_alone(here, capfd):
    for name, exclusive, arguments in (
        ("c", True, ["c", "new"]),
        ("img", False, ["-d", "c"]),
        ("img", True, ["c", "new"]),
    ):
        file = opened(name)
        file.lock(exclusive)
        assert main(["vu_moo", *arguments]) == 1
        file.close()
        said = capfd.readouterr().err
        assert said.endswith(f"{name}: in use\n")
        assert said.count("\n") == 1
    assert sorted(os.listdir()) == ["c", "img"]


def test_when_it_fails_nothing_is_left(here, capfd, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cowfile, "write", fail)
    (here / "out").write_bytes(b"as it was")
    assert main(["vu_moo", "c", "out"]) == 1
    assert capfd.readouterr().err == f"vu_moo: {here}/out: No space left on device\n"
    assert (here / "out").read_bytes() == b"as it was"
    assert sorted(os.listdir()) == ["c", "img", "out"]


RUN = "import sys; from pyview.cli import main; sys.exit(main(['vu_moo', *sys.argv[1:]]))"
INSIDE = {**os.environ, "PYTHONPATH": str(Path(pyview.__file__).parents[1])}


def test_when_it_is_asked_to_end_nothing_is_left(here):
    with open("img", "wb") as file:
        for _ in range(64):
            file.write(random.Random(1).randbytes(1 << 20))
    os.unlink("c")
    new_cow("c", f"{here}/img")
    slowly = RUN.replace("from pyview.cli", "import pyview.modules.vudev.cowfile as f; "
        "f.PIECE = 4096; from pyview.cli")  # fmt: skip
    command = [sys.executable, "-c", slowly, "c", "out"]
    with subprocess.Popen(command, env=INSIDE) as moo:
        while not any(name.startswith("out.") for name in os.listdir()):
            assert moo.poll() is None
        moo.terminate()
        assert moo.wait() == 128 + signal.SIGTERM
    assert sorted(os.listdir()) == ["c", "img"]


def test_a_bar_on_a_terminal(here):
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", RUN, "c", "out"], env=INSIDE, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # nobody has the other end any more
            break
        seen += more
    os.close(ours)
    assert done.returncode == 0
    assert seen.startswith(b"\r[" + b" " * 50 + b"]   0 %\r[#")
    assert seen.endswith(b"\r\x1b[K")
