# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks: threads, forks, clones, execs and deaths of every kind (hazards H01-H08, H21-H34)."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from worlds.world import pyview_command


@pytest.mark.parametrize(
    "name",
    [
        "threads200",
        "static_binary",
        "raw_calls",
        "exec_from_thread",
        "vfork_shares",
        "leader_exits",
        "odd_numbers",
        "clones",
        "killed_anywhere",
        "killed_waiting",
        "lost_births",
        "exits_busy",
        "exec_odd",
        "left_alone",
        "name_spaces",
        "waiting",
        "dumpable",
        "own_filter",
        "registers",
    ],
)
def test_tasks_live_and_die_as_the_kernel_says(passes, name):
    passes(name, timeout=45)


def test_who_is_killed_in_an_overlay_is_no_mistake_of_its(worlds, guest, tmp_path):
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
    mount = f"viewfs:{tmp_path}/upper:{tmp_path}/lower:cow"
    command = [pyview_command(), "-N", "-p", "viewfs", "-m", mount, "--"]
    script = f"cd {tmp_path}/lower && exec {guest('killed_waiting')}"
    done = worlds["native"].run([*command, "sh", "-c", script], timeout=45)
    assert done.stderr == ""
    assert os.listdir(tmp_path / "lower") == []


@pytest.mark.limit(100)
def test_2000_short_processes_end_one_by_one(passes):
    passes("processes2000", timeout=90)


def test_a_shell_starts_commands_in_a_loop(world, tmp_path):
    script = "n=0; while test $n -lt 200; do /bin/true && n=$((n+1)); done; echo $n"
    assert world.run(script, cwd=tmp_path).stdout == "200\n"


def test_a_long_pipeline_and_a_subshell_give_their_bytes(world, tmp_path):
    (tmp_path / "in").write_text("x\n" * 50000)
    script = (
        "cat in | (cat; echo y) | tee copy | sort | uniq -c | tr -s ' ' | cat >out; wc -l <copy"
    )
    assert world.run(script, cwd=tmp_path).stdout == "50001\n"
    assert (tmp_path / "out").read_text() == " 50000 x\n 1 y\n"


def test_a_daemon_outlives_the_command_that_started_it(world, tmp_path):
    """The view lives until its last task has gone, and answers it to the end."""
    for name in ("fifo", "end"):
        os.mkfifo(tmp_path / name)
    script = "(setsid sh -c 'read x <fifo; pwd >told; echo done >end' </dev/null >&- 2>&- &)"
    with world.start(script, cwd=tmp_path) as process:
        assert process.wait(20) == 0
        (tmp_path / "fifo").write_text("go\n")
        assert (tmp_path / "end").read_text() == "done\n"
        assert (tmp_path / "told").read_text() == world.path(tmp_path) + "\n"


def test_the_program_of_a_script_is_its_interpreter(world, tmp_path):
    (tmp_path / "script").write_text("#!/bin/sh\nreadlink /proc/$$/exe\n")
    (tmp_path / "script").chmod(0o755)
    shell = os.path.realpath("/bin/sh")
    assert world.run('./script; "$PWD/script"', cwd=tmp_path).stdout == f"{shell}\n" * 2


@pytest.mark.needs("cc")
def test_a_program_is_started_by_the_interpreter_that_it_names(world, tmp_path):
    """Its name (PT_INTERP) is one of the world's, as in a tree of packages on a mount."""
    loader, program = tmp_path / "ld.so", tmp_path / "program"
    shutil.copy("/lib64/ld-linux-x86-64.so.2", loader)
    code = r"""int main(int n, char **a) { char s[99]; s[readlink("/proc/self/exe", s, 98)] = 0;
        return printf("%s %s\n", a[0], s) < 0; }"""
    link = f"-Wl,--dynamic-linker={world.path(loader)}"
    command = ["cc", "-w", "-x", "c", link, "-o", program, "-"]
    subprocess.run(command, input=code, text=True, check=True)
    name = world.path(program)
    (tmp_path / "script").write_text(f"#!{name}\n")
    (tmp_path / "script").chmod(0o755)
    for called in (program, tmp_path / "script"):
        assert world.run([world.path(called)]).stdout == f"{name} {name}\n"
    loader.unlink()
    assert world.run([name], check=False).returncode == 127


@pytest.mark.parametrize("given", [(), ("LC_CTYPE=C.UTF-8",), ("LANG=C", "A=b")])
def test_nothing_of_pythons_is_in_the_environment(worlds, given):
    """In the C locale Python sets LC_CTYPE: pyview, pyview in pyview, and the rc file's shell."""
    clean = ("env", "-i", "PATH=/usr/bin:/bin", *given)
    pyview = pyview_command()
    for launcher in ((), (pyview, "-N", "--"), (pyview, "-N", "--", pyview, "-N", "--")):
        said = worlds["native"].run([*clean, *launcher, "env"]).stdout.splitlines()
        assert {line for line in said if not line.startswith(("PATH=", "PYVIEW_"))} == set(given)
