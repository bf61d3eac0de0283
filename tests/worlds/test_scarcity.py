# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits, and full disks: a view starts or says why, a caller gets the errno, both live on."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest
from worlds.world import pyview_command

HOSTNAME = Path("/etc/hostname").read_text()

#: What may be little from the start: a limit's name, how much of it.
LITTLE = (
    *(("NOFILE", n) for n in (5, 7, 9, 10, 11, 12, 13, 14, 16, 24)),
    *(("AS", n << 20) for n in (20, 25, 30, 40, 60)),
    *(("DATA", n << 20) for n in (4, 8, 10, 12, 16)),
    *(("FSIZE", 0), ("STACK", 128 << 10), ("NPROC", 1), ("MEMLOCK", 0), ("SIGPENDING", 0)),
)

#: A disk of four pages and ten names, and what is done on it.
TINY = "mount -t tmpfs -o size=16k,nr_inodes=10 none tiny"
FILLS = """
    cd tiny
    head -c 100000 /dev/zero >big; stat -c '%n %s' big
    printf more >>big
    mkdir d1 d2 d3 d4 d5 d6 d7 d8 d9 d10
    cp /bin/true . || echo $?
    ln -s x y; mkfifo p
    cat big | wc -c
    rm big; printf less >little; cat little; echo
    cat /etc/hostname
"""


@pytest.mark.parametrize("module", ["", "unreal", "unreal,emulate"])
def test_a_view_starts_with_little_or_says_in_a_line_what_lacks(worlds, module):
    native, command = worlds["native"], [pyview_command(), "-N"]
    command += ["-p", module] if module else []
    for name, much in LITTLE:
        limit = getattr(resource, f"RLIMIT_{name}")
        if native.run([*little(limit, much), "true"], check=False).returncode:
            continue  # not even that
        words = [*little(limit, much), *command, "--", "/bin/cat", "/etc/hostname"]
        done = native.run(words, check=False)
        if done.returncode == 0:
            assert done.stdout == HOSTNAME
            continue
        if done.returncode == -signal.SIGKILL:  # too little for the core to go on, once begun
            assert "pyview: the core " in done.stderr, (name, much, done)
            continue
        assert done.returncode in (1, 126, 127), (name, much, done)
        last = done.stderr.splitlines()[-1]
        assert last.startswith(("pyview: ", "MemoryError")) or "error while loading" in last, done


def little(limit: int, much: int) -> list[str]:
    """Put before a command: it runs with so much."""
    script = "import os, resource as r, sys; r.setrlimit(int(sys.argv[1]), (int(sys.argv[2]),) * 2)"
    return ["/usr/bin/python3", "-c", f"{script}; os.execvp(sys.argv[3], sys.argv[3:])",
            str(limit), str(much)]  # fmt: skip


@pytest.mark.parametrize("option", ["--trace", "--summary"])
@pytest.mark.parametrize("to", ["-o /dev/full", "2>/dev/full", "2>&-"])
def test_what_cannot_be_told_disturbs_nobody(worlds, option, to):
    options, redirection = (to, "") if to.startswith("-") else ("", to)
    line = f"{pyview_command()} -N {option} {options} -p unreal -- cat /etc/hostname {redirection}"
    assert worlds["native"].run(line).stdout == HOSTNAME


@pytest.mark.parametrize("world", ["view", "loaded", "unreal", "emulated"], indirect=True)
def test_a_full_disk_is_the_callers_ENOSPC(world, native, tmp_path):
    """The file system is in a name space that the view is in, too: no other can be made."""
    (tmp_path / "tiny").mkdir()

    def said(where):
        inside = where.argv(FILLS, cwd=tmp_path)
        alone = ["unshare", "-Urm", "sh", "-c", f'{TINY} && exec "$@"', "sh", *inside]
        done = native.run(alone, cwd=tmp_path)
        return done.stdout, done.stderr.replace("I/O error", "No space left on device")

    assert said(world) == said(native)
