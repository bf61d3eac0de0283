# SPDX-License-Identifier: GPL-2.0-or-later
"""Child views: `pyview` in a view.  What the parent has is seen; what the child loads, is not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from worlds.world import World, pyview_command

UNREAL = "test -e /unreal/unreal/etc/passwd"
NONE = "test ! -e /unreal"


@pytest.fixture
def loaded(worlds: dict[str, World]) -> World:
    """A view with unreal."""
    return worlds["loaded"]


def script(text: str) -> str:
    """A script for a view that finds `pyview` as a user does."""
    return f'PATH="$PATH:{Path(pyview_command()).parent}"; set -e; {text}'


def test_what_a_child_loads_the_parent_does_not_see(view):
    view.run(script(f"{NONE}; pyview -N -p unreal -- sh -c '{UNREAL}'; {NONE}"))


def test_what_the_parent_has_the_child_sees(loaded):
    loaded.run(script(f"pyview -N -- sh -c '{UNREAL}; ls / | grep -qx unreal'; {UNREAL}"))


def test_a_module_loaded_in_a_running_child_stays_there(view, tmp_path):
    child = f"{NONE}; vu_insmod unreal; {UNREAL}; echo loaded >up; read x <down; {UNREAL}"
    text = (
        "mkfifo up down; "
        f"pyview -N -- sh -ec '{child}' & read said <up; test $said = loaded; {NONE}; "
        f"vu_lsmod | grep unreal && exit 9; echo x >down; wait $!; {NONE}"
    )
    view.run(script(text), cwd=tmp_path)


def test_a_module_that_the_parent_loads_later_is_not_the_childs(view, tmp_path):
    """A child is a copy of its parent's mounts at its start (plan 9's rfork)."""
    child = f"echo up >up; read x <down; {NONE}"
    text = (
        "mkfifo up down; "
        f"pyview -N -- sh -ec '{child}' & read said <up; vu_insmod unreal; {UNREAL}; "
        f"echo x >down; wait $!; {UNREAL}"
    )
    view.run(script(text), cwd=tmp_path)


def test_brothers_do_not_see_each_other(view, tmp_path):
    text = (
        "mkfifo up down; "
        f"pyview -N -p unreal -- sh -ec 'echo up >up; read x <down; {UNREAL}' & read x <up; "
        f"pyview -N -- sh -ec '{NONE}'; echo x >down; wait $!"
    )
    view.run(script(text), cwd=tmp_path)


def test_three_deep_each_sees_its_own(view):
    text = (
        f"{NONE}; pyview -N -- sh -ec '{NONE}; "
        f'pyview -N -p unreal -- sh -ec "{UNREAL}; pyview -N -- sh -ec \\"{UNREAL}; exit 5\\" '
        f"|| test \\$? = 5; {UNREAL}\"; {NONE}'; {NONE}"
    )
    view.run(script(text))


def test_all_views_have_the_same_core_and_different_names(view):
    text = (
        "grep TracerPid /proc/self/status; vuname -U;"
        "pyview -N -V inner -- sh -ec 'grep TracerPid /proc/self/status; vuname -U; vuname -V'"
    )
    said = view.run(script(text)).stdout.splitlines()
    assert len(said) == 5, said
    assert said[0] == said[2] != "TracerPid:\t0"
    assert said[1] != said[3]
    assert said[4] == "inner"


@pytest.mark.parametrize("status", [0, 3, 255])
def test_a_childs_exit_status_is_its_commands(view, status):
    done = view.run(script(f"set +e; pyview -N -- sh -c 'exit {status}'; echo $?"))
    assert done.stdout == f"{status}\n"


def test_a_childs_death_by_a_signal_is_seen(view):
    text = "set +e; pyview -N -p unreal -- sh -c 'kill -TERM $$'; echo $?"
    assert view.run(script(text)).stdout == "143\n"


def test_a_childs_pid_is_pyviews_and_its_cwd_and_descriptors_are_the_callers(view, tmp_path):
    text = "exec 7<>kept; sh -c 'echo $$; exec pyview -N -- sh -c \"echo \\$\\$; pwd; echo x >&7\"'"
    said = view.run(script(text), cwd=tmp_path).stdout.split()
    assert said[0] == said[1]
    assert said[2] == str(tmp_path)
    assert (tmp_path / "kept").read_text() == "x\n"


def test_a_child_keeps_a_cwd_in_unreal(loaded, tmp_path):
    text = f"cd /unreal{tmp_path}; pyview -N -- sh -ec 'pwd; /bin/pwd; echo x >f; cat $PWD/f'"
    said = loaded.run(script(text)).stdout.split()
    assert said == [f"/unreal{tmp_path}"] * 2 + ["x"]


def test_an_orphan_of_a_child_stays_in_it(view, tmp_path):
    for name in ("fifo", "end"):
        os.mkfifo(tmp_path / name)
    orphan = f"read x <fifo; {UNREAL}; echo $? >end"
    text = (
        f"pyview -N -p unreal -- sh -c '(sh -c \"{orphan}\" <&- >&- 2>&- &)'; {NONE};"
        "echo x >fifo; read said <end; echo $said"
    )
    assert view.run(script(text), cwd=tmp_path).stdout == "0\n"


def test_rmmod_in_a_child_leaves_the_parents_module(loaded):
    text = (
        f"pyview -N -- sh -c 'vu_rmmod unreal; {NONE}; echo $?'; {UNREAL}; "
        "vu_rmmod unreal; test ! -e /unreal; echo gone"
    )
    said = loaded.run(script(text)).stdout.split()
    assert said[-1] == "gone"
    assert re.fullmatch("[01]", said[0])  # refused, or gone there only


def test_twenty_views_deep(view):
    text = 'echo $1; test $1 = 0 || exec pyview -N -- sh -c "$0" "$0" $(($1 - 1))'
    done = view.run(["sh", "-c", 'PATH="$PATH:$1"; exec sh -c "$2" "$2" 20', "sh",
                     Path(pyview_command()).parent, text])  # fmt: skip
    assert done.stdout.split() == [str(n) for n in range(20, -1, -1)]
