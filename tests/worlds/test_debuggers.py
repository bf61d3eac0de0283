# SPDX-License-Identifier: GPL-2.0-or-later
"""Debuggers inside a view: strace, gdb and whoever else calls ptrace(2) (hazards H39, H41)."""

from __future__ import annotations

import os
import re
import signal

import pytest

PROGRAM = """#include <pthread.h>
#include <stdio.h>
int total;
static int twice(int n) { total += n; return 2 * n; }
static void *thread(void *sum)
{
	int i, *s = sum;
	for (i = 1; i < 4; i++)
		*s += twice(i);
	return NULL;
}
int main(void)
{
	int sum = 0;
	pthread_t t;
	pthread_create(&t, NULL, thread, &sum);
	pthread_join(t, NULL);
	printf("%d\\n", sum);
	return 0;
}
"""


@pytest.mark.parametrize("name", ["debug_calls", "debug_events", "debug_signals", "debug_killed"])
def test_ptrace_does_what_the_kernel_says(passes, name):
    passes(name, timeout=45)


def plain(text: str, world) -> list[str]:
    """A trace without what differs from run to run: numbers of processes, addresses, prefixes."""
    text = text.replace(world.prefix, "") if world.prefix else text
    text = re.sub(r"(\[pid +)?\b\d{3,}\b\]?", "N", text)
    return [re.sub(r"0x[0-9a-f]+", "A", line) for line in text.splitlines()]


@pytest.mark.needs("strace")
def test_strace_shows_the_names_that_a_program_uses_and_what_it_gets(world, native, tmp_path):
    (tmp_path / "file").write_text("text\n")

    def trace(where):
        file, none = where.path(tmp_path / "file"), where.path(tmp_path / "none")
        words = f"strace -f -o out -e trace=openat,access,chdir,rename cat {file} {none}"
        where.run(f"{words}; grep {tmp_path.name} out | grep open > seen", cwd=tmp_path)
        return plain((tmp_path / "seen").read_text(), where)

    seen = trace(world)
    assert seen == trace(native)
    assert len(seen) == 2


@pytest.mark.needs("strace", "make")
def test_strace_follows_a_build(world, native, tmp_path):
    rules = ["all: a b", "\tcat a b > all", "a: ; echo a > a", "b: ; echo b | cat > b"]
    (tmp_path / "Makefile").write_text("\n".join(rules) + "\n")

    def trace(where):
        clean = "rm -f a b all out"
        done = where.run(f"{clean}; strace -f -o out -e trace=process make", cwd=tmp_path)
        assert (tmp_path / "all").read_text() == "a\nb\n"
        ends = re.findall(r"(?:exited with \d+|killed by \w+)", (tmp_path / "out").read_text())
        return done.stdout, sorted(ends)

    assert trace(world) == trace(native)


@pytest.mark.needs("strace")
def test_strace_counts(world, tmp_path):
    done = world.run("strace -c -o out cat /etc/passwd > /dev/null; cat out", cwd=tmp_path)
    assert re.search(r"\d +\d* *openat\n", done.stdout)


@pytest.mark.needs("strace")
def test_strace_attaches_and_goes_away(world, tmp_path):
    script = """sleep 30 & victim=$!
    strace -o out -p $victim 2> said & tracer=$!
    until grep -q attached said; do sleep 0.05; done
    kill -INT $tracer; wait $tracer; grep -o detached said
    kill -0 $victim && kill $victim; wait $victim; echo $?"""
    done = world.run(["bash", "-c", script], cwd=tmp_path)
    assert done.stdout.split() == ["detached", "143"]


@pytest.mark.needs("strace")
def test_strace_with_a_filter_of_its_own_sees_as_much(world, native, tmp_path):
    """Where the view has filters, too, strace is told that this can't be, and does without."""

    def trace(where):
        file = where.path("/etc/passwd")
        where.run(f"strace -f --seccomp-bpf -e trace=openat -o out cat {file}", cwd=tmp_path)
        return [line for line in plain((tmp_path / "out").read_text(), where) if "passwd" in line]

    assert trace(world) == trace(native)


@pytest.mark.needs("gdb", "cc")
def test_gdb_stops_steps_watches_and_shows(world, native, tmp_path):
    (tmp_path / "p.c").write_text(PROGRAM)
    native.run("cc -g -O0 -pthread -o p p.c", cwd=tmp_path)
    commands = (
        "break twice", "run", "print n", "next", "step", "finish", "watch total", "continue",
        "continue", "print total", "delete", "catch syscall write", "continue", "continue",
        "bt 1", "delete", "continue",
    )  # fmt: skip
    words = ["gdb", "-q", "-nx", "-batch", *(w for c in commands for w in ("-ex", c)), "./p"]

    def session(where):
        done = where.run(words, cwd=tmp_path, timeout=60)
        lines = plain(done.stdout, where)
        return [line for line in lines if not re.search(r"thread|LWP|Thread|N|sysdeps", line)]

    seen = session(world)
    assert seen == session(native)
    assert any("Old value = 1" in line for line in seen)


@pytest.mark.needs("gdb")
def test_gdb_attaches_to_a_running_program_and_leaves_it(world, tmp_path):
    script = """(while :; do sleep 0.1; done) & victim=$!
    gdb -q -nx -batch -p $victim -ex 'info inferiors' -ex detach 2>/dev/null | grep -c detached
    kill -0 $victim && kill -9 $victim; wait $victim; echo $?"""
    done = world.run(["bash", "-c", script], cwd=tmp_path, timeout=60)
    assert done.stdout.split()[-2:] == ["1", "137"]


@pytest.mark.needs("gdb")
def test_gdb_follows_a_child_into_another_program(world, tmp_path):
    commands = ("set follow-fork-mode child", "catch exec", "run", "info inferiors", "kill")
    words = [w for command in commands for w in ("-ex", command)]
    shell = ["sh", "-c", "/bin/echo hi; true"]
    done = world.run(["gdb", "-q", "-nx", "-batch", *words, "--args", *shell], timeout=60)
    assert "exec'd" in done.stdout
    assert "Inferior 2" in done.stdout


@pytest.mark.needs("gdb")
@pytest.mark.parametrize("name", ["view", "loaded"])
def test_a_module_is_loaded_while_a_debugger_holds_a_program(worlds, name, tmp_path):
    """Nobody waits for the program; once it goes on it is in the view as all others are."""
    commands = (
        "break main", "run", "shell vu_insmod vudev && echo loaded", "continue",
    )  # fmt: skip
    words = [w for command in commands for w in ("-ex", command)]
    (tmp_path / "p.c").write_text('int main(void) { return access("/", 0) ? 1 : 7; }')
    worlds["native"].run("cc -w -g -O0 -o p p.c", cwd=tmp_path)
    done = worlds[name].run(["gdb", "-q", "-nx", "-batch", *words, "./p"], cwd=tmp_path, timeout=60)
    assert "loaded" in done.stdout
    assert "exited with code 07" in done.stdout


@pytest.mark.needs("strace")
def test_only_programs_that_call_ptrace_are_filtered_while_nothing_is_loaded(worlds):
    state = "grep Seccomp: /proc/self/status; grep NoNewPrivs /proc/self/status"
    view = worlds["view"]
    assert view.run(state).stdout.split() == ["Seccomp:", "0", "NoNewPrivs:", "0"]
    assert view.run(f"strace -o /dev/null sh -c '{state}'").stdout.split()[:2] == ["Seccomp:", "2"]


@pytest.mark.needs("proot")
def test_proot_works_in_a_view(world, tmp_path):
    (tmp_path / "here").write_text("here\n")
    room = world.path(tmp_path)
    done = world.run(["proot", "-b", f"{room}:/mnt", "sh", "-c", "cat /mnt/here; echo $?"])
    assert done.stdout == "here\n0\n"


@pytest.mark.needs("linux.uml", "cc")
def test_user_mode_linux_boots_in_a_view(world, native, tmp_path):
    source = '#include <stdio.h>\n#include <sys/reboot.h>\nint main(void) { puts("up and down"); '
    (tmp_path / "init.c").write_text(source + "fflush(stdout); return reboot(0x4321fedc); }")
    native.run("cc -static -o init init.c", cwd=tmp_path)
    words = (
        f"linux.uml mem=128M root=/dev/root rootfstype=hostfs rootflags=/ ro "
        f"init={tmp_path}/init quiet con=null con0=null,fd:1 uml_dir={tmp_path}/uml"
    )
    env = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = world.run(words.split(), timeout=60, env=env, check=False)
    assert "up and down" in done.stdout, done.stdout + done.stderr


@pytest.mark.needs("strace")
@pytest.mark.parametrize("name", ["loaded", "unreal", "unreal2", "child", "emulated"])
def test_a_tracee_names_its_debugger(worlds, name, tmp_path):
    """TracerPid is the debugger's, once a view hides its core there."""
    script = "strace -o /dev/null grep TracerPid /proc/self/status & echo $!; wait"
    said = worlds[name].run(["bash", "-c", script], cwd=tmp_path).stdout.split()
    assert int(said[-1]) == int(said[0])


@pytest.mark.needs("strace")
def test_a_job_that_is_traced_stops_and_goes_on(world, native, tmp_path):
    script = """strace -f -o out -e trace=kill,write sh -c 'kill -STOP $$; echo on' & tracer=$!
    until grep -q 'stopped by' out; do sleep 0.05; done
    job=$(pgrep -P $tracer); grep State /proc/$job/status
    kill -CONT $job; wait $tracer; echo $?; cut -d' ' -f2- out"""

    def session(where):
        (tmp_path / "out").write_text("")
        return plain(where.run(["bash", "-c", script], cwd=tmp_path).stdout, where)

    assert session(world) == session(native)


@pytest.mark.needs("strace")
def test_debuggers_in_debuggers(world, tmp_path):
    done = world.run("strace -o one strace -o two echo deep; tail -1 two", cwd=tmp_path)
    assert done.stdout == "deep\n+++ exited with 0 +++\n"
    assert os.stat(tmp_path / "one").st_size > os.stat(tmp_path / "two").st_size


@pytest.mark.needs("strace")
def test_what_a_killed_debugger_leaves_goes_on(world, tmp_path):
    script = "exec strace -f -o out sh -c 'echo on; read word; echo off'"
    with world.start(script, cwd=tmp_path) as process:
        assert process.stdout.readline() == "on\n"
        os.kill(process.pid, signal.SIGKILL)
        out, _ = process.communicate("\n", timeout=20)
        assert (out, process.returncode) == ("off\n", -signal.SIGKILL)
