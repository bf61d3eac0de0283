# SPDX-License-Identifier: GPL-2.0-or-later
"""Terminals: job control under a pty, tmux, and xterm on a virtual X server."""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.terminal import Terminal, shell
from worlds.world import Hang, World


@pytest.fixture
def bash(world: World, tmp_path: Path) -> Iterator[Terminal]:
    with shell(world, ["bash", "--norc", "--noprofile", "--noediting", "-i"], tmp_path) as terminal:
        yield terminal


def test_bash_stops_lists_and_resumes_a_job_and_interrupts_it(bash, world, tmp_path):
    bash.type("cat\nhello\n")
    bash.expect("hello\r\n")
    bash.type("\x1a")
    bash.expect(r"\[1\]\+\s+Stopped\s+cat.*READY> ")
    bash.type("jobs -l\n")
    bash.expect(r"\[1\]\+ +\d+ Stopped.*READY> ")
    bash.type("fg\nagain\n")
    bash.expect("cat\r\n.*again\r\n")
    bash.type("\x1a")
    bash.expect(r"\[1\]\+\s+Stopped\s+cat.*READY> ")
    bash.type("fg\nonce more\n")
    bash.expect("once more\r\n")
    bash.type("\x03")
    bash.expect("READY> ")
    bash.type("echo status=$?; pwd\n")
    assert bash.expect(r"status=\d+\r\n[^\r]*\r\n").split() == [
        "status=130",
        world.path(tmp_path),
    ]
    bash.expect("READY> ")
    bash.type("exit 7\n")
    assert bash.ended() == 7


def test_bash_continues_a_stopped_job_in_the_background(bash, tmp_path):
    os.mkfifo(tmp_path / "go")
    bash.type("sh -c 'echo started; read x <go; echo got $x'\n")
    bash.expect("started\r\n")
    bash.type("\x1a")
    bash.expect(r"Stopped.*READY> ")
    bash.type("bg\n")
    bash.expect(r"\[1\]\+ sh -c .* &\r\n.*READY> ")
    bash.type("jobs\n")
    bash.expect(r"\[1\]\+\s+Running.*READY> ")
    bash.type("echo the-word >go; wait; jobs; echo all=done\n")
    bash.expect("got the-word\r\n")
    bash.expect("all=done\r\n")
    bash.type("exit\n")
    assert bash.ended() == 0


def test_a_background_job_that_reads_the_terminal_stops_and_a_pipeline_is_one_job(bash):
    bash.type("cat | tr a-z A-Z &\n")
    bash.expect(r"\[1\] \d+.*READY> ")
    bash.type("until jobs | grep -q Stopped; do :; done; echo it=stopped\n")
    bash.expect("it=stopped\r\n.*READY> ")
    bash.type("fg\nword\n\x04")
    bash.expect("WORD\r\n.*READY> ")
    bash.type("set -o pipefail; sh -c 'kill -TERM $$' | cat; echo status=$?\n")
    bash.expect("status=143\r\n")
    bash.type("exit\n")
    assert bash.ended() == 0


def test_the_size_of_the_terminal_and_its_signal_reach_the_program(bash):
    bash.type("trap 'echo size=$(stty size)' WINCH; echo trap=set\n")
    bash.expect("trap=set\r\n.*READY> ")
    pty_size = (33).to_bytes(2, "little") + (99).to_bytes(2, "little") + bytes(4)
    fcntl.ioctl(bash.fd, termios.TIOCSWINSZ, pty_size)
    bash.type("\n")
    bash.expect("size=33 99\r\n")
    bash.type("exit\n")
    bash.ended()


@pytest.mark.needs("tmux")
def test_tmux_runs_a_shell_takes_keys_and_shows_its_screen(world, tmp_path):
    script = r"""
        t() { tmux -S "$PWD/s" -f /dev/null "$@"; }
        t new-session -d -x 80 -y 24 sh
        t send-keys 'echo he""llo $((6*7)); pwd > where' Enter
        until t capture-pane -p | grep -q 'hello 42'; do :; done
        until test -s where; do :; done
        t split-window sh
        t display-message -p '#{window_panes}'
        cat where
        pid=$(t display-message -p '#{pid}')
        t kill-server
        while kill -0 $pid 2>/dev/null; do :; done
        echo gone
    """
    said = world.run(script, cwd=tmp_path).stdout
    assert said.splitlines() == ["2", world.path(tmp_path), "gone"]


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """A virtual X server outside all views; its display."""
    ready, told = os.pipe()
    log = os.open(tmp_path / "Xvfb.log", os.O_WRONLY | os.O_CREAT)
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(told), "-screen", "0", "640x480x8", "-nolisten", "tcp"],
        pass_fds=[told],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    os.close(told)
    os.close(log)
    try:
        if not select.select([ready], [], [], 30)[0]:
            raise Hang("Xvfb does not start: " + (tmp_path / "Xvfb.log").read_text())
        yield ":" + os.read(ready, 32).decode().strip()
    finally:
        os.close(ready)
        server.terminate()
        server.wait(10)


@pytest.mark.needs("xterm", "Xvfb")
def test_xterm_runs_a_command_on_a_terminal_of_its_own(world, tmp_path, display):
    inside = "tty >tty; pwd >where; stty size >size; echo $DISPLAY >shown; test -t 1 && echo y >end"
    command = ["xterm", "-geometry", "71x17", "-e", "sh", "-c", inside]
    world.run(command, cwd=tmp_path, env={"DISPLAY": display})
    told = {n: (tmp_path / n).read_text().strip() for n in ("where", "size", "shown", "end")}
    assert told == {"where": world.path(tmp_path), "size": "17 71", "shown": display, "end": "y"}
    assert re.fullmatch(r"/dev/pts/\d+\n", (tmp_path / "tty").read_text())
