# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: what they lead to, what is changed by them, and the error when they lead nowhere."""

from __future__ import annotations

import os

import pytest

prefixed = pytest.mark.parametrize("world", ["unreal", "unreal2", "child"], indirect=True)
loaded = pytest.mark.parametrize("world", ["loaded", "unreal", "unreal2", "child"], indirect=True)


@pytest.mark.parametrize(
    "name",
    [
        "page_end",
        "cwd",
        "proc_links",
        "exec_forms",
        "unix_sockets",
        "symlinks",
        "names",
        "special_opens",
        "every_call",
        "identity",
        "inotify",
        "fifo",
        "closed_is_closed",
        "lease",
        "swapped_names",
    ],
)
def test_names_lead_where_the_kernel_says(passes, name):
    passes(name)


@prefixed
def test_the_prefix_and_the_tree_without_it_are_two_mounts(passes):
    passes("border")


@loaded
def test_unreal_is_a_mount_point_twice(passes):
    passes("mount_point")


@loaded
def test_ls_shows_unreal_in_the_root_and_in_unreal_and_no_deeper(world, native):
    real = set(native.run(["ls", "-a", "/"]).stdout.splitlines())
    for where, more in (("/", True), ("/unreal", True), ("/unreal/unreal", False)):
        seen = world.run(["ls", "-a", where]).stdout.splitlines()
        assert sorted(seen) == sorted(real | {"unreal"} if more else real), where
    assert world.run("ls /unreal/unreal/unreal", check=False).returncode == 2
    said = world.run("cd /unreal && ls -d * .. unreal/etc/passwd | tail -1; cd ..; pwd").stdout
    assert said.endswith("/\n")


@pytest.mark.parametrize("world", ["native", "view"], indirect=True)
def test_without_unreal_there_is_no_unreal(world):
    assert world.run("test ! -e /unreal && ! ls / | grep -x unreal").stdout == ""


def test_mv_and_cp_and_rm_work_across_the_prefix(world, tmp_path):
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_text("f\n")
    os.utime(tmp_path / "d/e/f", (1000, 1000))
    here = world.path(tmp_path)
    world.run(f"mv {here}/d {tmp_path}/moved && cp -a {tmp_path}/moved copy && rm -r {here}/moved",
              cwd=tmp_path)  # fmt: skip
    assert (tmp_path / "copy/e/f").stat().st_mtime == 1000
    assert os.listdir(tmp_path) == ["copy"]


def test_a_path_found_by_a_shell_names_its_file_in_this_world(world, tmp_path):
    (tmp_path / "x").mkdir()
    script = "cd x && pwd -P && readlink -f . && realpath ../x/.. && echo $PWD && ls -d $PWD/.."
    where = world.path(tmp_path)
    said = world.run(script, cwd=tmp_path).stdout.split()
    assert said == [f"{where}/x", f"{where}/x", where, f"{where}/x", f"{where}/x/.."]


def test_many_tasks_of_a_view_use_one_directory_at_once(world, tmp_path):
    script = """
        for n in 1 2 3 4 5 6; do
            (for k in $(seq 40); do echo $n >$n.$k && mv $n.$k done.$n.$k || echo $n $k; done) &
        done; wait; ls | wc -l; cat done.* | sort | uniq -c | tr -s ' '
    """
    said = world.run(script, cwd=tmp_path).stdout.splitlines()
    assert said == ["240", *(f" 40 {n}" for n in range(1, 7))]
