# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept about runs, and what the host was."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest
from stage import Stage

from pyview.trying.state import ABOUT, BASE, CHANGED, Directory, InUse, replaced
from pyview.trying.trees import Plain


def test_a_directory_that_is_none(tmp_path):
    (tmp_path / "f").touch()
    for name, kind in (("f", NotADirectoryError), ("nothing", FileNotFoundError)):
        with pytest.raises(kind):
            Directory(str(tmp_path / name))


def test_what_it_is_about_is_kept(tmp_path):
    directory = Directory(str(tmp_path))
    assert not directory.is_upper
    directory.begin(["make", "install"], ["/layer"])
    again = Directory(str(tmp_path))
    assert again.is_upper
    assert again.about["command"] == ["make", "install"]
    assert again.about["running"]
    assert again.about["stamp"] > 0


def test_the_host_s_clock_tells_what_is_late(tmp_path):
    (tmp_path / "before").touch()
    directory = Directory(str(tmp_path))
    time_passes(tmp_path)
    directory.begin([], [])
    time_passes(tmp_path)
    (tmp_path / "after").touch()
    assert not directory.is_late((tmp_path / "before").stat().st_ctime_ns)
    assert directory.is_late((tmp_path / "after").stat().st_ctime_ns)


def time_passes(tmp_path) -> None:
    """Until files get another ctime."""
    probe = tmp_path / "probe"
    probe.touch()
    first = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first:
        probe.chmod(0o600)
        time.sleep(0.001)


def test_the_lock_keeps_others_off_and_says_who_has_it(tmp_path):
    directory, other = Directory(str(tmp_path)), Directory(str(tmp_path))
    directory.begin([], [])
    directory.lock(0)
    with open(directory.own(b"lock"), "w") as file:
        file.write("process 5\n")
    with pytest.raises(InUse, match="process 5"):
        other.lock(0)
    with pytest.raises(InUse):
        other.lock(0.05)
    directory.unlock()
    other.lock(0)
    other.unlock()


def test_who_leaves_in_time_is_waited_for(tmp_path):
    directory = Directory(str(tmp_path))
    directory.begin([], [])
    script = (
        "import fcntl,os,sys,time;fcntl.flock(os.open(sys.argv[1],2),2);print(flush=True);"
        "time.sleep(0.2)"
    )
    name = os.fsdecode(directory.own(b"lock"))
    open(name, "w").close()
    with subprocess.Popen([sys.executable, "-c", script, name], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        directory.lock(20)
        directory.unlock()


def test_what_the_host_was_is_remembered(stage):
    stage.both("append", "/f", b"x")
    stage.both("unlink", "/g")
    stage.both("rmtree", "/a")
    stage.both("write", "/new", b"")
    stage.ended()
    base = stage.directory.base()
    assert base[b"new"] == b"-"
    assert base[b"f"].startswith(b"f ")
    assert base[b"a"].startswith(b"d 755 ")
    assert CHANGED not in base.values()


def test_what_was_changed_while_the_command_ran_is_remembered_as_such(stage):
    stage.both("append", "/f", b"x")
    stage.both("append", "/g", b"x")
    time_passes(stage.home)
    (stage.host / "f").write_bytes(b"other")
    os.unlink(stage.host / "g")
    stage.ended()
    assert stage.directory.base()[b"f"] == CHANGED
    assert stage.directory.base()[b"g"] == CHANGED


def test_what_is_known_is_not_forgotten_in_a_second_run(stage):
    stage.both("append", "/f", b"x")
    stage.ended()
    before = stage.directory.base()[b"f"]
    (stage.host / "f").write_bytes(b"changed")
    stage.directory.begin(["again"], [])
    stage.ended()
    assert stage.directory.base()[b"f"] == before


def test_layers_that_are_gone_are_committed_ones(stage, tmp_path):
    stage.directory.about["layers"] = [str(tmp_path / "gone")]
    assert isinstance(stage.directory.lower(), Plain)
    stage.directory.about["layers"] = [str(stage.upper)]
    assert not isinstance(stage.directory.lower(), Plain)


def test_files_are_replaced_whole(tmp_path):
    name = os.fsencode(tmp_path / "f")
    replaced(name, b"1")
    replaced(name, b"2")
    assert (tmp_path / "f").read_bytes() == b"2"
    assert os.listdir(tmp_path) == ["f"]


def test_a_stage_is_a_directory_of_changes(stage):
    assert isinstance(stage, Stage)
    assert stage.directory.is_upper


@pytest.mark.parametrize("text", ["{", "[]", '{"root": 1}', '{"layers": null}', "\xff"])
def test_what_is_not_ours_is_said_to_be_damaged(stage, text):
    name = stage.directory.own(ABOUT)
    with open(name, "w", encoding="latin-1") as file:
        file.write(text)
    with pytest.raises(OSError) as caught:
        Directory(stage.directory.name)
    assert (caught.value.errno, caught.value.filename) == (errno.EUCLEAN, name)


def test_a_damaged_base_is_not_read(stage):
    with open(stage.directory.own(BASE), "wb") as file:
        file.write(b"a\0b\0c\0")
    with pytest.raises(OSError) as caught:
        stage.directory.base()
    assert caught.value.errno == errno.EUCLEAN
