# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing is left behind: no process, no file, no memory; and a module's bug ends one call only."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from pathlib import Path

import pytest
from worlds.world import all_gone, core_of, marked, status_of

VIEWS = ("view", "loaded", "unreal", "unreal2", "child", "emulated")

views = pytest.mark.parametrize("world", VIEWS, indirect=True)

SECOND = 1.0

#: A view full of tasks: threads, a stopped one, ignored signals, a session of its own, a pipeline.
BUSY = """
    sleep 1000 & echo $!
    sh -c 'kill -STOP $$' & echo $!
    (trap '' HUP INT TERM; while :; do cat /etc/hostname >out; done) & echo $!
    setsid sleep 1000 & echo $!
    sleep 1000 | cat & echo $!
    perl -e 'while (!open my $f, "<", "nothing") {}' & echo $!
    echo ready
    wait
"""


def temporary() -> set[str]:
    """What is in /tmp by the names that a view could have made, whoever is making others."""
    names = (name for name in os.listdir(tempfile.gettempdir()) if "bench" not in name)
    return {name for name in names if "vu" in name or "view" in name}


@views
def test_kill_9_of_the_core_leaves_no_process_and_no_file(world, tmp_path):
    before = temporary()
    (tmp_path / "tmp").mkdir()
    mark = world.mark()
    with world.start(
        BUSY, cwd=tmp_path, mark=mark, env={"TMPDIR": str(tmp_path / "tmp")}
    ) as process:
        pids = {process.pid}
        while (line := process.stdout.readline()) != "ready\n":
            assert line, process.stderr.read()
            pids.add(int(line))
        core = core_of(process.pid)
        assert core
        assert {core_of(pid) for pid in pids} == {core}
        everything = marked(mark) | pids | {core}
        assert len(everything) > len(pids)
        os.kill(core, signal.SIGKILL)
        left = all_gone(everything, SECOND)
        assert not {pid: status_of(pid) for pid in left}
        assert process.wait(SECOND) == -signal.SIGKILL
    assert not marked(mark)
    assert os.listdir(tmp_path / "tmp") == []
    assert temporary() <= before


#: One loop for each kind of call that the core takes part in.
LOOPS = """
    while :; do cat big >copy; done &
    while :; do mkfifo p; (echo x >p) & cat p >/dev/null; wait $!; rm p; done &
    perl -e 'while (1) { sysopen F, "big", 2; sysread F, $x, 70000; close F }' &
    perl -e 'while (1) { unless (fork) { exit } wait }' &
    strace -f -o /dev/null sh -c 'while :; do (cat big >/dev/null); done' &
    while :; do ./script; mv copy other; ln -sf other link; done 2>/dev/null &
    echo ready
    exec sleep 1000
"""


@views
def test_a_core_killed_at_any_moment_leaves_nothing(world, tmp_path):
    """All that it traces ends with it, whatever they were waiting for."""
    moments = random.Random(world.name)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "big").write_bytes(bytes(100_000))
    (tmp_path / "script").write_text("#!/bin/sh\necho hello >/dev/null\n")
    (tmp_path / "script").chmod(0o755)
    for _ in range(6):
        mark = world.mark()
        env = {"TMPDIR": str(tmp_path / "tmp")}
        with world.start(LOOPS, cwd=tmp_path, mark=mark, env=env) as process:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            core = core_of(process.pid)
            time.sleep(moments.uniform(0, 0.5))
            everything = marked(mark) | {process.pid, core}
            os.kill(core, signal.SIGKILL)
            left = all_gone(everything, SECOND)
            assert not {pid: status_of(pid) for pid in left}
        assert not all_gone(marked(mark), SECOND)  # and who was born meanwhile
        assert os.listdir(tmp_path / "tmp") == []


@views
def test_after_the_command_there_is_no_process_and_no_file(world, tmp_path):
    before = temporary()
    mark = world.mark()
    with world.start("true", mark=mark, env={"TMPDIR": str(tmp_path)}) as process:
        process.wait(20)
    assert not all_gone(marked(mark), SECOND)
    assert os.listdir(tmp_path) == []
    assert temporary() <= before


@views
def test_the_core_lives_as_long_as_a_task_of_its_view(world, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    mark = world.mark()
    script = "sh -c 'read x <fifo; ls >listed' <&- >&- 2>&- & echo $!"
    with world.start(script, cwd=tmp_path, mark=mark) as process:
        pid = int(process.stdout.readline())
        core = core_of(pid)
        process.wait(20)
        assert core_of(pid) == core != 0
        (tmp_path / "fifo").write_text("go\n")
        assert not all_gone({pid, core}, 5)
    assert (tmp_path / "listed").read_text() == "fifo\nlisted\n"


@views
def test_pyview_killed_is_the_command_killed(world):
    """pyview has become its command: there is nobody else to kill."""
    mark = world.mark()
    with world.start("exec cat", mark=mark) as process:
        print("up", file=process.stdin, flush=True)
        assert process.stdout.readline() == "up\n"
        assert status_of(process.pid)["Name"] == "cat"
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM
    assert not all_gone(marked(mark), SECOND)


def resident(pid: int) -> int:
    """Its resident memory, in bytes."""
    return int(status_of(pid)["VmRSS"].split()[0]) * 1024


@pytest.mark.limit(150)
@pytest.mark.parametrize("world", ["view", "unreal"], indirect=True)
def test_2000_processes_later_the_core_is_as_small_as_before(world, guest, tmp_path):
    script = 'echo up; while read x; do "$1" >&2; echo $?; done'
    command = ["sh", "-c", script, "sh", world.path(guest("processes2000"))]
    with world.start(command, cwd=tmp_path) as process:
        process.stdout.readline()
        core = core_of(process.pid)
        before = resident(core)
        for _ in range(2):
            print("again", file=process.stdin, flush=True)
            assert process.stdout.readline() == "0\n"
            assert resident(core) - before < 5 << 20
        process.stdin.close()
        assert process.wait(10) == 0, process.stderr.read()


RAISES = '''"""raises - mounts a tree in which some names go wrong."""
from pyview.api import Module, Tree


class Wrong(Tree):
    def real(self, path):
        if path != "/":
            raise RuntimeError("a bug in a module")

    def lstat(self, path):
        raise RuntimeError("a bug in a module")


class Raises(Module):
    def load(self, view):
        view.mount("/wrong", Wrong())
'''


def test_an_exception_in_a_module_is_EIO_and_a_traceback_and_the_view_lives(worlds, tmp_path):
    (tmp_path / "raises.py").write_text(RAISES)
    script = (
        "vu_insmod ./raises.py || exit; for n in 1 2 3; do stat /wrong/x; echo $?; done;"
        "perl -e 'stat q(/wrong/x/y); printf qq(%d\\n), $!'; cat /etc/hostname; vu_lsmod"
    )
    view = worlds["view"]
    plain = list(view.launcher)
    plain[1:1] = ["-o", str(tmp_path / "log")]
    done = worlds["native"].run([*plain, "sh", "-c", script], cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == ["1", "1", "1", "5"]  # EIO
    assert lines[4] == Path("/etc/hostname").read_text().strip()
    assert any(line.startswith("raises") for line in lines[5:])
    assert done.stderr.count("Input/output error") == 3
    log = (tmp_path / "log").read_text()
    assert "Traceback" in log
    assert "RuntimeError: a bug in a module" in log
    assert "raises.py" in log


def test_no_file_is_left_in_tmp_by_a_module_that_raises_while_loaded(worlds, tmp_path):
    (tmp_path / "raises.py").write_text(RAISES)
    before = temporary()
    native, view = worlds["native"], worlds["view"]
    command = [*view.launcher, "sh", "-c", "vu_insmod ./raises.py && cat /wrong/x; true"]
    native.run(command, cwd=tmp_path)
    assert temporary() <= before
