# SPDX-License-Identifier: GPL-2.0-or-later
"""The proc truth: what df, findmnt, lsof, ps and their like say in a view, of a view."""

from __future__ import annotations

import re

import pytest

loaded = pytest.mark.parametrize(
    "world", ["loaded", "unreal", "unreal2", "child", "emulated"], indirect=True
)


def test_proc_says_what_it_would_say_outside(passes):
    passes("proc_truth")


# A job that has its directory, a file and a mapping here, then COMMAND with its pid in $job.
JOB = """
    set -e; echo text >file
    exec 8<file; sh -c 'echo $$ >pid; exec sleep 100' &
    until test -s pid; do :; done; job=$!
    until test "$(tr '\\0' ' ' </proc/$job/cmdline)" = 'sleep 100 '; do :; done
    trap 'kill -9 $job' EXIT
"""


@pytest.mark.needs("lsof", "fuser", "pwdx", "pmap", "ps", "pgrep")
def test_who_looks_for_files_finds_the_views_names(world, tmp_path):
    script = (
        JOB
        + """
        readlink /proc/$job/cwd
        readlink /proc/$job/fd/8
        ls -l /proc/$job/fd | sed -n 's/.* 8 -> //p'
        lsof -w -a -p $job -d cwd,8 -F n | sed -n 's/^n//p'
        lsof -w -t -a -p $job "$PWD/file" | sed "s/^$job$/job/"
        (fuser "$PWD/file" 2>/dev/null; echo) | tr ' ' '\\n' | sed -n "s/^$job$/job/p"
        pwdx $job | sed 's/^[0-9]*: //'
        pmap $job | sed -n 's/^[0-9]*:   //p'
        pgrep -f 'sleep 100' | sed -n "s/^$job$/job/p"
        ps -o comm=,stat=,args= -p $job | tr -s ' '
    """
    )
    here = world.path(tmp_path)
    assert world.run(script, cwd=tmp_path).stdout.splitlines() == [
        here, f"{here}/file", f"{here}/file", here, f"{here}/file", "job", "job", here,
        "sleep 100", "job", "sleep S sleep 100",
    ]  # fmt: skip


@pytest.mark.needs("ps", "top")
def test_a_stopped_job_is_stopped(world, tmp_path):
    script = (
        JOB
        + """
        kill -STOP $job
        ps -o stat= -p $job
        top -b -n1 -p $job | sed -n 's/.* \\([A-Za-z]\\)  *[0-9.]*  *[0-9.]*  *[0-9:.]* sleep/\\1/p'
        kill -CONT $job; until test "$(ps -o stat= -p $job)" = S; do :; done; echo goes on
    """
    )
    seen = "T" if world.loaded or not world.virtual else "t"
    assert world.run(script, cwd=tmp_path).stdout.split() == [seen, seen, "goes", "on"]


@pytest.mark.needs("ps")
def test_all_processes_are_seen(world, native):
    """Every process of this machine that lives as long as both look."""
    script = "ps -e -o pid=,ppid= --no-headers"
    first, seen, last = (
        set(where.run(script).stdout.splitlines()) for where in (native, world, native)
    )
    assert first & last <= seen


@loaded
@pytest.mark.needs("findmnt", "mountpoint")
def test_mounts_of_the_view_are_mounts_to_those_who_look(world):
    script = """
        mount | tail -2
        findmnt -n -o TARGET,FSTYPE /unreal | tail -1
        findmnt -n -o TARGET -T /unreal/etc | tail -1
        mountpoint /unreal; mountpoint /unreal/etc
        test "$(mountpoint -d /unreal)" = $(stat -c %Hd:%Ld /unreal/.) && echo alike
        df --output=target /unreal /unreal/etc | tail -2
        stat -c %m /unreal/etc
        findmnt -n -o TARGET | grep -c unreal
        findmnt -n -l -o ID,PARENT -R /unreal | wc -l
    """
    said = world.run(script, check=False).stdout.splitlines()
    assert [re.sub(r" +", " ", line) for line in said] == [
        "none on /unreal type unreal (rw)", "none on /unreal type unreal (rw)",
        "/unreal unreal", "/unreal", "/unreal is a mountpoint", "/unreal/etc is not a mountpoint",
        "alike", "/unreal", "/unreal", "/unreal", "2", "2",
    ]  # fmt: skip


@loaded
def test_a_bind_mount_looks_as_one_of_the_kernels(world, tmp_path):
    """Its file system, its source and its root are those of what it shows again."""
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    script = """
        vumount -B "$PWD/from" "$PWD/to"
        of() { findmnt -n -o FSTYPE,MAJ:MIN,SOURCE -T "$1" | tail -1 | sed 's/  */ /g; s/\\[.*//'; }
        test "$(of "$PWD/to")" = "$(of "$PWD/from")" && echo alike
        findmnt -n -o FSROOT "$PWD/to"
        df --output=target "$PWD/to" | tail -1
    """
    said = world.run(script, cwd=tmp_path).stdout.splitlines()
    assert said[0] == "alike"
    assert said[1].endswith("/from")
    assert said[2] == world.path(tmp_path / "to")


def test_each_view_has_its_own_mounts_in_proc(worlds):
    """Of a task of a child view proc tells the child's mounts, also to its parent."""
    script = """
        mkfifo up down
        pyview -N -m bind:/usr:/opt -- sh -c 'echo $$ >up; read x <down' &
        read child <up
        grep -c ' /opt ' /proc/self/mounts; grep -c ' /opt ' /proc/$child/mounts
        echo >down; wait
    """
    with_room = "cd $(mktemp -d) || exit; trap 'rm -r $PWD' EXIT;" + script
    preloaded = worlds["view"].launcher[0], "-N", "-p", "unreal"
    done = worlds["view"].run([*preloaded, "--", "sh", "-c", with_room])
    assert done.stdout.split() == ["0", "1"]


@loaded
@pytest.mark.needs("df")
def test_a_virtual_disk_is_a_mount_that_df_finds(world, tmp_path):
    script = """
        truncate -s 16M disk; vu_insmod vudev
        mount -t vudevnull none "$PWD/null" 2>/dev/null || touch null ubd
        touch ubd; mount -t vudevubd "$PWD/disk" "$PWD/ubd"
        mount | sed -n '$s/.* on//p'
        findmnt -n -o TARGET,FSTYPE "$PWD/ubd" | tr -s ' '
        stat -c %F ubd
        df --output=target "$PWD/ubd" | tail -1
    """
    here = world.path(tmp_path)
    said = world.run(script, cwd=tmp_path).stdout.splitlines()
    assert said[0].startswith(f" {here}/ubd type vudevubd (")
    assert said[1:3] == [f"{here}/ubd vudevubd", "block special file"]
