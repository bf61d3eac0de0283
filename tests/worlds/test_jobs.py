# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs, daemons and time, by the programs that people use for them."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.terminal import Terminal, shell
from worlds.world import World, all_gone, marked


@pytest.mark.parametrize("name", ["timers", "signal_order"])
def test_time_and_order_are_the_kernels(passes, name):
    passes(name, timeout=60)


BELL = '''"""bell: a device that gives back what was written to it, and waits for it."""

import errno
import select
import stat

from pyview.api import Device, Module, refuse


class Bell(Device):
    kind = stat.S_IFCHR
    mode = 0o666

    def __init__(self, below, source):
        self.bytes = b""

    def pread(self, size, offset):
        if not self.bytes:
            raise refuse(errno.EAGAIN)
        data, self.bytes = self.bytes[:size], self.bytes[size:]
        return data

    def pwrite(self, data, offset):
        self.bytes += data
        self.ready()
        return len(data)

    def poll(self):
        return select.POLLIN if self.bytes else 0

    def size(self):
        return 0


class Bells(Module):
    types = {"bell": Bell}
'''


def test_a_read_that_waits_ends_as_any_read(world, guest, tmp_path):
    """Of a FIFO, and where modules are of a device of one."""
    script = 'mkfifo bell; exec "$1" bell'
    if world.loaded:
        (tmp_path / "bell.py").write_text(BELL)
        script = f"touch bell; vu_insmod {tmp_path}/bell.py && mount -t bell none bell"
        script += ' && exec "$1" bell'
    world.run(["sh", "-c", script, "sh", world.path(guest("waits_on_a_file"))], cwd=tmp_path)


# -- commands --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("timeout 0.3 sleep 5; echo $?", "124"),
        ("timeout -s KILL 0.3 sleep 5; echo $?", "137"),
        ("timeout 5 sh -c 'exit 3'; echo $?", "3"),
        ("timeout -k 0.2 0.2 sh -c \"trap '' TERM; while :; do :; done\"; echo $?", "137"),
        ("timeout --foreground 0.3 cat </dev/zero >/dev/null; echo $?", "124"),
        ("sh -c 'kill -PIPE $$'; echo $?", "141"),
        ("set -o pipefail; yes | head -1; echo $?", "y 141"),
        ("trap '' PIPE; (yes; echo $? >&2) 2>&1 >/dev/full | tail -1", "1"),
        ("sleep 0.1 & sleep 0.3 & wait -n; jobs -r | wc -l; wait; jobs | wc -l", "1 0"),
        ("(exit 3) & (sleep 0.2; exit 4) & wait -n; echo $?; wait -n; echo $?; wait -n; echo $?",
         "3 4 127"),
        ("trap 'echo bye' EXIT; exec 3>&1; sh -c 'kill -TERM $PPID'; echo $?; wait", "bye"),
        ("trap 'echo usr' USR1; kill -USR1 $$; sleep 0.01; echo end", "usr end"),
        ("trap 'echo alarm; exit 5' ALRM; (sleep 0.1; kill -ALRM $$) & while :; do sleep 1; done",
         "alarm"),
        ("sh -c 'sleep 100 & echo $! >pid'; read p <pid; kill -0 $p && kill $p; echo $?", "0"),
        ("(ulimit -t 1; while :; do :; done); echo $?", "137"),
        ("env -i setsid -w sh -c 'ps -o sid= -p $$ | tr -d \" \" | grep -cx $$'", "1"),
    ],
)  # fmt: skip
def test_commands_about_time_and_signals(world, tmp_path, script, said):
    done = world.run(["bash", "-c", script], cwd=tmp_path, check=False)
    assert done.stdout.split() == said.split()


def test_time_counts_what_was_used_and_sleep_is_as_long_as_it_says(world):
    script = """
        TIMEFORMAT='%R %U %S'; time sleep 0.5
        time bash -c 'for ((n = 0; n < 150000; n++)); do :; done'
    """
    done = world.run(["bash", "-c", script])
    (slept, used, _), (real, user, _) = (
        map(float, line.split()) for line in done.stderr.splitlines()
    )
    assert 0.5 <= slept < 3
    assert used < 0.4
    assert 0.02 < user <= real + 0.1


def test_a_command_under_nohup_outlives_its_terminal(world, tmp_path):
    for name in ("begun", "go", "end"):
        os.mkfifo(tmp_path / name)
    script = "nohup sh -c 'echo >begun; read x <go; echo $x; echo done >end' >out 2>&1 & read x"
    terminal = Terminal(world, ["sh", "-c", script], tmp_path, {})
    try:
        assert (tmp_path / "begun").read_text() == "\n"
        os.close(terminal.fd)
        terminal.fd = os.open("/dev/null", os.O_RDWR)
        (tmp_path / "go").write_text("word\n")
        assert (tmp_path / "end").read_text() == "done\n"
        assert (tmp_path / "out").read_text().splitlines()[-1] == "word"
    finally:
        terminal.close()


def test_a_terminal_that_hangs_up_ends_what_runs_on_it(world, tmp_path):
    os.mkfifo(tmp_path / "told")
    script = "trap 'echo hung >told; exit' HUP; echo ready; while :; do sleep 0.1; done"
    terminal = Terminal(world, ["sh", "-c", script], tmp_path, {})
    try:
        terminal.expect("ready\r\n")
        os.close(terminal.fd)
        terminal.fd = os.open("/dev/null", os.O_RDWR)
        assert (tmp_path / "told").read_text() == "hung\n"
        os.waitpid(terminal.pid, 0)
        terminal.pid = 0
    finally:
        terminal.close()


DAEMON = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
null = os.open("/dev/null", os.O_RDWR)
for fd in range(3):
    os.dup2(null, fd)
with open(sys.argv[1]) as fifo:
    word = fifo.read()
with open(sys.argv[2], "w") as out:
    print(word, os.getppid() != 1 and "reaped", os.getsid(0) != os.getpid(), file=out)
"""


def test_a_daemon_that_forks_twice_is_nobodys_child(world, tmp_path):
    for name in ("fifo", "out"):
        os.mkfifo(tmp_path / name)
    mark = world.mark()
    here = world.path(tmp_path)
    command = ["python3", "-c", DAEMON, f"{here}/fifo", f"{here}/out"]
    with world.start(command, cwd=tmp_path, mark=mark) as process:
        assert process.wait(20) == 0
        (tmp_path / "fifo").write_text("word")
        word, _, session = (tmp_path / "out").read_text().split()
        assert (word, session) == ("word", "True")
        assert not all_gone(marked(mark), 10)


# -- shells on a terminal --------------------------------------------------------------------------


@pytest.fixture
def dash(world: World, tmp_path: Path) -> Iterator[Terminal]:
    with shell(world, ["dash", "-i"], tmp_path) as terminal:
        yield terminal


@pytest.mark.needs("dash")
def test_dash_stops_lists_and_resumes_a_job_and_interrupts_it(dash):
    dash.type("cat\nhello\n")
    dash.expect("hello\r\n")
    dash.type("\x1a")
    dash.expect(r"\[1\] \+ Stopped\s+cat.*READY> ")
    dash.type("jobs -l\n")
    dash.expect(r"\[1\] \+ \d+ Stopped.*READY> ")
    dash.type("fg\nagain\n")
    dash.expect("cat\r\n.*again\r\n")
    dash.type("\x03")
    dash.expect("READY> ")
    dash.type("echo status=$?\n")
    dash.expect("status=130\r\n.*READY> ")
    dash.type("sh -c 'echo up; exec sleep 100'\n")
    dash.expect("up\r\n")
    dash.type("\x1a")
    dash.expect(r"Stopped.*READY> ")
    dash.type("bg; jobs; kill %1; wait; echo status=$?\n")
    dash.expect(r"sleep 100.*\[1\] \+ Running.*status=\d+\r\n.*READY> ")
    dash.type("sh -c 'echo up; sleep 100' | cat\n")
    dash.expect("up\r\n")
    dash.type("\x1c")  # ^\
    dash.expect("READY> ")
    dash.type("exit 3\n")
    assert dash.ended() == 3


def test_what_is_stopped_from_outside_is_a_stopped_job_of_its_shell(dash):
    dash.type("sh -c 'echo pid=$$; exec sleep 100'\n")
    pid = int(re.sub(r"\D", "", dash.expect(r"pid=\d+\r\n")))
    os.kill(pid, signal.SIGSTOP)
    dash.expect(r"Stopped.*READY> ")
    os.kill(pid, signal.SIGCONT)
    dash.type("fg\n")
    dash.expect("sleep 100")
    os.kill(pid, signal.SIGTERM)
    dash.expect("Terminated.*READY> ")
    dash.type("exit\n")
    dash.ended()


def test_a_signal_while_a_module_answers_is_neither_lost_nor_early(world, tmp_path):
    """In the middle of many calls that stop: the shell's loop ends, and its trap runs once."""
    script = "trap 'echo caught; exit 4' INT; echo go; while :; do test -e file; done"
    with world.start(script, cwd=tmp_path) as process:
        assert process.stdout.readline() == "go\n"
        select.select([], [], [], 0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "caught\n"
        assert process.returncode == 4
