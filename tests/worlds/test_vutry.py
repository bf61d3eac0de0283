# SPDX-License-Identifier: GPL-2.0-or-later
"""vutry as its users type it: nothing changes, and a commit makes what a plain run would make.

A plain run on a copy is the oracle.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stage import age, copied, furnish, picture
from worlds.terminal import Terminal
from worlds.world import World, marked, pyview_command, status_of

pytestmark = pytest.mark.needs("user")
VUTRY = os.path.join(os.path.dirname(pyview_command()), "vutry")

CHANGES = {
    "files": "echo new > new; echo more >> f; rm g; mv a/f a/renamed",
    "directories": "mv a/d b/; rm -r b/c; mkdir -p n/m; mv b/d/e n/m; echo x > n/m/e/y",
    "types": "rm -r b/c; echo x > b/c; rm f; mkdir f; echo y > f/y; rm l; ln -s g l; ln -sf x a/g",
    "links": "ln f f2; echo more >> b/h; rm b/f; ln b/h b/k; ln -s nowhere s",
    "attributes": "chmod 600 f; chmod 700 a/d; touch -d 2001-02-03 g; chmod 2755 b",
    "anew": "rm -r a; mkdir a; echo fresh > a/f; rm -r b; mkdir b",
    "names": "printf x > \"$(printf 'a\\nb\\377')\"; mkdir 'sp ace'; mv a 'sp ace/a'",
    "exchange": "mv f t; mv g f; mv t g; mv a t; mv b a; mv t b",
    "holes": "truncate -s 50M sparse; printf x | dd of=sparse bs=1 seek=20M conv=notrunc 2>&-",
    "git": "git init -q .; git add -A 2>&1; git -c user.name=a -c user.email=b commit -qm x",
    "tar": "tar cf t.tar a b; rm -r a b; tar xf t.tar; rm t.tar",
    "sed": "sed -i s/0/zero/ f a/d/f; cp -a a copy",
}  # fmt: skip


class Home:
    """A directory that a command is tried in, and one that it runs in."""

    def __init__(self, home: Path) -> None:
        self.path, self.oracle, self.kept = home / "host", home / "copy", home / "kept"
        self.path.mkdir()
        furnish(self.path)
        age(str(self.path))
        copied(self.path, self.oracle)

    def vutry(self, *words: str, **more) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [VUTRY, *words], cwd=self.path, capture_output=True, text=True, check=False, **more
        )

    def natively(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script], cwd=self.oracle, capture_output=True, text=True, check=False
        )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
    monkeypatch.setenv("PAGER", "cat")
    return Home(tmp_path)


@pytest.mark.parametrize("name", CHANGES)
def test_a_commit_makes_what_the_command_would_have_made(home, name):
    script = CHANGES[name]
    before = picture(str(home.path))
    tried = home.vutry("-D", str(home.kept), "sh", "-c", script)
    plain = home.natively(script)
    assert (tried.returncode, tried.stdout) == (plain.returncode, plain.stdout), tried.stderr
    assert picture(str(home.path)) == before
    done = home.vutry("commit", str(home.kept))
    assert done.returncode == 0, done.stderr
    found, expected = picture(str(home.path)), picture(str(home.oracle))
    for index in ("/.git/index",):  # git keeps inode numbers there
        found.pop(index, None)
        expected.pop(index, None)
    assert found == expected
    assert home.vutry("summary", str(home.kept)).stdout == "no changes\n"


def test_several_runs_are_one_change(home):
    for script in ("mv a x; echo 1 > x/n", "rm x/f; mv x/d y", "echo 2 >> x/n; rm -r b"):
        home.vutry("-D", str(home.kept), "sh", "-c", script)
        home.natively(script)
    assert home.vutry("commit", str(home.kept)).returncode == 0
    assert picture(str(home.path)) == picture(str(home.oracle))


def test_layers_are_committed_one_after_the_other(home, tmp_path):
    scripts = ["echo 1 >> f; mv a x", "cat f; echo 2 >> f; mv x/d y", "mv y z; rm x/f; cat f"]
    layers: list[str] = []
    for number, script in enumerate(scripts):
        layer = str(tmp_path / f"layer{number}")
        over = [word for layer in layers for word in ("-L", layer)]
        tried = home.vutry("-D", layer, *over, "sh", "-c", script)
        assert tried.stdout == home.natively(script).stdout
        layers.append(layer)
    early = home.vutry("commit", layers[-1])
    assert early.returncode == 3
    assert "a layer below changed it: commit that first" in early.stderr
    for layer in layers:
        done = home.vutry("commit", layer)
        assert done.returncode == 0, done.stderr
    assert picture(str(home.path)) == picture(str(home.oracle))


def test_pipes_are_the_command_s_own(home):
    tried = subprocess.run(
        f"echo x | {VUTRY} cat | wc -c", shell=True, capture_output=True, text=True, check=True
    )
    assert (tried.stdout.strip(), tried.stderr) == ("2", "")


@pytest.mark.parametrize(
    ("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_the_exit_status_is_the_command_s(home, script, status):
    assert home.vutry("sh", "-c", script).returncode == status


def test_what_is_not_there(home):
    tried = home.vutry("no-such-command")
    assert tried.returncode == 127
    assert tried.stderr == "vutry: no-such-command: command not found\n"


def test_a_process_that_stays_is_told(home):
    script = "exec > /dev/null 2>&1; sleep 30 & echo $! > pid"
    tried = home.vutry("-D", str(home.kept), "sh", "-c", script)
    assert "processes of it still run" in tried.stderr
    assert "in use" in home.vutry("commit", str(home.kept)).stderr
    assert "in use" in home.vutry("-D", str(home.kept), "true").stderr
    os.kill(int((home.kept / str(home.path)[1:] / "pid").read_text()), signal.SIGKILL)
    assert home.vutry("commit", str(home.kept)).returncode == 0


def test_json(home):
    home.vutry("-D", str(home.kept), "sh", "-c", "mv f x; exit 3")
    record = json.loads(home.vutry("summary", "--json", str(home.kept)).stdout)
    assert record["status"] == 3
    assert record["command"] == ["sh", "-c", "mv f x; exit 3"]
    (change,) = record["changes"]
    assert (change["path"], change["from"]) == (f"{home.path}/x", f"{home.path}/f")


def test_inside_a_view_it_is_a_child_view(home):
    done = subprocess.run(
        [pyview_command(), "-N", VUTRY, "-D", str(home.kept), "sh", "-c", "echo y > f; cat f"],
        cwd=home.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "y\n"), done.stderr
    assert (home.path / "f").read_text() == "0\n"


def within(home: Home, entry: list[str], script: str) -> subprocess.CompletedProcess[str]:
    """A script in a view that is entered so; what runs there leaves no bytecode."""
    environment = {**os.environ, "VUTRY": VUTRY, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*entry, "sh", "-c", script], cwd=home.path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_view_lets_go_of_what_its_children_kept(home):
    script = f"$VUTRY -D {home.kept} sh -c 'echo y > f' && $VUTRY commit {home.kept}; cat f"
    done = within(home, [pyview_command(), "-N", "-p", "unreal"], script)
    assert done.stdout == "y\n", done.stderr
    assert (home.path / "f").read_text() == "y\n"


def test_in_itself(home):
    before = picture(str(home.path))
    inner = "mv a c; rm b/f; echo inner >> f"
    script = f"echo outer > f; $VUTRY -y $VUTRY -y sh -c '{inner}'; cat f; echo last >> f"
    tried = within(home, [VUTRY, "-D", str(home.kept)], script)
    assert tried.stdout == "outer\ninner\n", tried.stderr
    assert picture(str(home.path)) == before
    home.natively(f"echo outer > f; {inner}; echo last >> f")
    done = home.vutry("commit", str(home.kept))
    assert done.returncode == 0, done.stderr
    assert picture(str(home.path)) == picture(str(home.oracle))


def test_what_a_view_keeps_can_be_kept_by_no_other(home):
    tried = within(home, [VUTRY, "-D", str(home.kept)], "$VUTRY -D mine true; echo $?")
    assert tried.stdout == "1\n"
    assert "vutry: mine: changes of it are kept by a view" in tried.stderr
    assert "no changes" in home.vutry("summary", str(home.kept)).stdout


def test_the_system_s_own_files_seem_to_change_and_do_not(home):
    before = Path("/etc/hosts").read_bytes()
    tried = home.vutry("-D", str(home.kept), "sh", "-c", "echo 1 >> /etc/hosts; tail -1 /etc/hosts")
    assert tried.stdout == "1\n"
    done = home.vutry("commit", str(home.kept))
    assert done.returncode == 1
    assert "/etc/hosts: " in done.stderr
    assert Path("/etc/hosts").read_bytes() == before


@pytest.mark.limit(120)
def test_many_files(home):
    script = f"{sys.executable} -c 'for n in range(3000): open(str(n), \"w\").close()'"
    home.vutry("-D", str(home.kept), "sh", "-c", script)
    home.natively(script)
    assert home.vutry("commit", str(home.kept)).returncode == 0
    assert picture(str(home.path)) == picture(str(home.oracle))


# -- on a terminal ---------------------------------------------------------------------------------


@pytest.fixture
def typed(home):
    """vutry on a terminal."""
    terminals = []

    def start(*words: str) -> Terminal:
        world = World("native", home=home.path)
        terminals.append(Terminal(world, [VUTRY, *words], home.path, {"PS1": "inside> "}))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


ASKED = "Commit these changes\\?.*later: "


def test_the_question_and_its_answers(home, typed):
    terminal = typed("sh", "-c", "tty -s && echo typed >> f; exit 3")
    terminal.expect(ASKED)
    terminal.type("d\n")
    terminal.expect(r"\+typed")
    terminal.expect(ASKED)
    terminal.type("e\n")
    terminal.expect("inside> |\\$ ")
    terminal.type("echo more >> f; cat f; exit\n")
    terminal.expect("typed\r\nmore")
    terminal.expect(ASKED)
    terminal.type("y\n")
    terminal.expect("committed: .*1 modified")
    assert terminal.ended() == 3
    assert (home.path / "f").read_text() == "0\ntyped\nmore\n"


def test_it_asks_too_when_the_command_reads_a_pipe(home, tmp_path):
    script = f"printf 'echo piped >> f\\nread x\\n' | {VUTRY} sh"
    (tmp_path / "script").write_text(script)
    world = World("native", home=home.path)
    shell = Terminal(world, ["sh", str(tmp_path / "script")], home.path, {"PS1": "inside> "})
    try:
        shell.expect(ASKED)
        shell.type("e\n")
        shell.expect("inside> |\\$ ")
        shell.type("tty -s && cat f; exit\n")
        shell.expect("0\r\npiped\r\n")
        shell.expect(ASKED)
        shell.type("y\n")
        shell.expect("committed: .*1 modified")
    finally:
        shell.close()
    assert (home.path / "f").read_text() == "0\npiped\n"


def test_interrupted_in_the_middle(home, typed):
    # bash, because dash forgets a ^C that comes between its vfork and the exec (docs/limits.md).
    slow = "echo half >> f; echo on; sleep 60; :"
    terminal = typed("-D", str(home.kept), "-y", "bash", "-c", slow)
    terminal.expect("on\r\n")
    terminal.type("\x03")
    terminal.expect("not committed: the command failed with status 130")
    assert terminal.ended() == 130
    assert (home.path / "f").read_text() == "0\n"
    assert home.vutry("commit", str(home.kept)).returncode == 0
    assert (home.path / "f").read_text() == "0\nhalf\n"


ECHOES = """
import os, signal
def ready(*_): os.write(1, b"ready\\n")
signal.signal(signal.SIGCONT, ready)
ready()
try:
    while True: print("got " + input(), flush=True)
except EOFError:
    pass
"""


def stopped(mark):
    """Those of the marked processes that have stopped."""
    return [pid for pid in marked(mark) if status_of(pid).get("State", " ")[0] in "Tt"]


def test_stopped_and_continued_with_its_command(home):
    (home.path.parent / "echoes.py").write_text(ECHOES)
    world = World("native", home=home.path)
    shell = Terminal(world, ["bash", "--norc", "-i"], home.path, {"PS1": "shell> "})
    try:
        shell.expect("shell> ")
        shell.type(f"{VUTRY} -D {home.kept} {sys.executable} ../echoes.py\n")
        shell.expect("\rready\r\n")
        shell.type("first\n")
        shell.expect("got first")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect("shell> ")
        while len(stopped(shell.mark)) < 2:  # the command still reads until it has stopped, too
            time.sleep(0.01)
        shell.type("fg\n")
        shell.expect("\rready\r\n|\nready\r\n")
        shell.type("second\n")
        shell.expect("got second")
        shell.type("\x04")
        shell.expect("shell> ")
        shell.type("exit\n")
        assert shell.ended() == 0
    finally:
        shell.close()


@pytest.mark.needs("vim")
def test_an_editor_has_the_terminal_to_itself(home, typed):
    terminal = typed("vim", "-u", "NONE", "-i", "NONE", "-n", "f")
    terminal.expect('"f"')
    terminal.type("Gonew\x1b:wq\n")
    terminal.expect("1 modified")
    terminal.expect(ASKED)
    terminal.type("y\n")
    assert terminal.ended() == 0
    assert (home.path / "f").read_text() == "0\nnew\n"
