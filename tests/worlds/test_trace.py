# SPDX-License-Identifier: GPL-2.0-or-later
"""--trace and --summary name each call that a view handles or refuses, and change nothing else."""

from __future__ import annotations

import re

import pytest
from worlds.world import World

REFUSED = (
    "io_uring_setup",
    "open_tree",
    "fsopen",
    "call_9999",
    "x32_call_39",
    "i386_call_20",
    "getppid",
)


def watched(worlds, *options: str, prefix: str = "", module: str = "unreal") -> World:
    """A world like unreal, with these options of pyview's."""
    like = worlds["unreal"]
    launcher = (like.launcher[0], "-N", *options, "-p", module, "--")
    emulated = module != "unreal"
    return World("watched", launcher, prefix, loaded=True, emulated=emulated, home=like.home)


@pytest.fixture
def lines(tmp_path):
    """What was written to the file `said`, by lines."""

    def read():
        return (tmp_path / "said").read_text(errors="replace").splitlines()

    read.path = str(tmp_path / "said")
    return read


def test_a_trace_names_what_is_refused(worlds, guest, tmp_path, lines):
    world = watched(worlds, "--trace", "-o", lines.path)
    world.run([guest("refused_calls")], cwd=tmp_path)
    found = [line for line in lines() if "<refused" in line]
    names = [re.match(r"\[\d+\] (\w+)\(.*\) = -1 ENOSYS ", line).group(1) for line in found]
    assert tuple(names) == REFUSED
    assert [line.rpartition("<")[2] for line in found] == [
        *["refused: core>"] * 6, "refused: its own filter>"
    ]  # fmt: skip
    assert [line for line in lines() if ' mkdir("made", 0755) <kernel: kernel>' in line]


def test_a_summary_counts_what_is_refused(worlds, guest, tmp_path, lines):
    world = watched(worlds, "--summary", "-o", lines.path)
    world.run([guest("refused_calls")], cwd=tmp_path)
    said = lines()
    assert re.match(r"pyview: \d+ calls stopped ", said[0])
    at = said.index(f"pyview: {len(REFUSED)} calls refused")
    assert {tuple(line.split()[:3]) for line in said[at + 1 :]} == {
        ("1", "ENOSYS", name) for name in REFUSED
    }
    assert any(line.split()[1:] == ["kernel", "mkdir", "kernel"] for line in said[1:at])


def test_what_a_module_leaves_out_is_named_with_it(worlds, tmp_path, lines):
    world = watched(
        worlds, "--summary", "-o", lines.path, prefix="/unreal", module="unreal,emulate"
    )
    script = "touch file; python3 -c 'import os; os.chroot(\".\")' 2>/dev/null; ln file /unreal/x"
    world.run(script, cwd=tmp_path, check=False)
    said = lines()
    at = said.index("pyview: 1 calls refused")
    assert said[at + 1].split() == ["1", "EPERM", "chroot", "unreal"]


def test_without_a_trace_refused_calls_do_not_stop(worlds, guest, tmp_path):
    """The filter answers them: cf. the number of stops that a summary would count."""
    world = watched(worlds)
    assert world.run([guest("refused_calls")], cwd=tmp_path).stderr == ""


@pytest.mark.parametrize("option", ["--trace", "--summary"])
@pytest.mark.parametrize(
    "name",
    ["dumpable", "clones", "names", "cwd", "symlinks", "exec_forms", "odd_numbers", "own_filter",
     "mount_point", "proc_truth", "group_stop", "registers"],
)  # fmt: skip
def test_who_is_watched_does_the_same(worlds, guest, tmp_path, lines, option, name):
    world = watched(worlds, option, "-o", lines.path, prefix="/unreal")
    world.run([world.path(guest(name))], cwd=tmp_path, timeout=45)
    assert lines()


@pytest.mark.parametrize("name", ["names", "identity", "closed_is_closed"])
def test_whose_files_are_emulated_is_watched_too(worlds, guest, tmp_path, lines, name):
    world = watched(worlds, "--trace", "-o", lines.path, prefix="/unreal", module="unreal,emulate")
    world.run([world.path(guest(name))], cwd=tmp_path, timeout=45)
    assert any(line.endswith("<emulated: unreal>") for line in lines())
