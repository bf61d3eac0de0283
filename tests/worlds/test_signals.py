# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals: a view neither loses, doubles, delays nor invents one (hazards H11-H18, H34, H35)."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest
from worlds.world import all_gone, core_of, marked, status_of


@pytest.mark.parametrize(
    "name",
    [
        "eintr_storm",
        "eintr_fifo",
        "fifo_killed",
        "group_stop",
        "timeouts_kept",
        "signal_trap",
        "poll_interrupted",
        "rings",
        "undisturbed",
    ],
)
def test_signals_do_what_the_kernel_says(passes, name):
    passes(name, timeout=45)


@pytest.mark.parametrize("name", ["view", "loaded"])
def test_who_knocks_at_a_core_that_sleeps_is_heard(worlds, name):
    """Nothing else happens in the view that could wake it."""
    with worlds[name].start("echo there; read x; exit 0") as process:
        assert process.stdout.readline() == "there\n"
        core = core_of(process.pid)
        for turn in range(300):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.settimeout(10)
                client.connect(b"\0pyview/%d" % core)
                if turn % 3:  # others leave at once
                    client.send(b"info")
                    assert client.recv(100) == b"\1\1not in a view"
        process.communicate("x\n", 10)
        assert process.returncode == 0


def test_a_program_starts_with_nothing_of_the_views_own(world, native, guest):
    assert world.run([guest("clean_start")]).stdout == native.run([guest("clean_start")]).stdout


def test_the_environment_is_the_callers(world, native):
    """...but for what names the world, and PATH, where a view puts its aliases first."""
    ours = (
        "PYVIEW_",
        "PATH=",
        "PWD=",
        "WORLD=",
        "PREFIX=",
        "LOADED=",
        "EMULATED=",
        "WORLD_MARK=",
        "_=",
        "OLDPWD=",
    )

    def lines(where):
        return {x for x in where.run(["env"]).stdout.splitlines() if not x.startswith(ours)}

    assert lines(world) == lines(native)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV])
def test_a_command_that_dies_of_a_signal_is_seen_to(world, number):
    """pyview's own wait status is the command's, so a shell says 128+signal of both."""
    done = world.run(f"ulimit -c 0; kill -{int(number)} $$", check=False)
    assert done.returncode == -number
    shell = f"ulimit -c 0; sh -c 'kill -{int(number)} $$'; echo $?"
    assert world.run(shell).stdout == f"{128 + number}\n"


@pytest.mark.parametrize("status", [0, 1, 7, 126, 127, 255])
def test_the_exit_status_is_the_commands(world, status):
    assert world.run(f"exit {status}", check=False).returncode == status


def stopped(pid: int) -> bool:
    """True when it is stopped, as ps tells it in the world of a tracer or without one."""
    return status_of(pid).get("State", "")[:1] in ("T", "t")


def test_a_process_is_stopped_continued_and_ended_from_outside(world, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    script = "echo $$; while read x; do cat /etc/hostname >out; echo $x; done <fifo; echo end"
    with world.start(script, cwd=tmp_path) as process, (tmp_path / "fifo").open("w") as fifo:
        pid = int(process.stdout.readline())
        print("one", file=fifo, flush=True)
        assert process.stdout.readline() == "one\n"
        os.kill(pid, signal.SIGSTOP)
        assert os.waitid(os.P_PID, process.pid, os.WSTOPPED).si_status == signal.SIGSTOP
        assert stopped(pid)
        print("two", file=fifo, flush=True)
        os.kill(pid, signal.SIGCONT)
        assert process.stdout.readline() == "two\n"
        os.kill(pid, signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM


def test_a_signal_to_the_process_group_reaches_all_and_the_core_stays(world):
    """^C at a terminal goes to the foreground group: the core of the view is in none."""
    mark = world.mark()
    script = "trap 'echo caught; exit 3' INT; (sleep 100; :) & echo $!; echo; wait"
    with world.start(script, mark=mark) as process:
        process.stdout.readline()
        core = core_of(process.pid)
        assert (core != 0) == world.virtual
        if core:
            assert os.getpgid(core) != os.getpgid(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() in ("caught\n", "\n")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    assert not all_gone(marked(mark), 2)


def test_each_child_is_reaped_once_by_its_own_parent(world):
    script = """
        pids=; for n in 1 2 3 4 5; do sh -c "exit $n" & pids="$pids $!"; done
        for pid in $pids; do wait $pid; echo $?; done
        wait; read left </proc/$$/task/$$/children; echo left $left
    """
    assert world.run(["bash", "-c", script]).stdout.split() == ["1", "2", "3", "4", "5", "left"]


def test_guests_are_all_tried():
    """A guest that no test names would rot."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    guests = {path.stem for path in (Path(__file__).parents[1] / "guests").glob("*.c")}
    assert not {name for name in guests if not re.search(rf"""["']{name}["']""", tests)}
