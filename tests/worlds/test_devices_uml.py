# SPDX-License-Identifier: GPL-2.0-or-later
"""UML's disks and COW files: what our tools make is what UML's own do."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys

import pytest
from worlds.disks import E2FS, piece
from worlds.world import core_of, kill_all, marked


@pytest.mark.needs(*E2FS, "uml_moo")
def test_two_views_share_an_image_each_with_a_cow_file_of_its_own(
    worlds, outside, root_fs, tmp_path
):
    before = root_fs.read_bytes()
    script = """
        exec 2>&1; vu_insmod vudev && mount -t vudevubd -o cow=$0.cow root_fs /dev/ubda || exit
        echo "of $0" >$0.txt && debugfs -w -R "write $0.txt $0" /dev/ubda
        echo ready; read go
        debugfs -R 'ls -p' /dev/ubda; umount /dev/ubda && echo flushed
    """
    names = ("one", "two")
    with (
        worlds["view"].start(["sh", "-c", script, "one"], cwd=tmp_path) as one,
        worlds["view"].start(["sh", "-c", script, "two"], cwd=tmp_path) as two,
    ):
        for process in (one, two):
            assert "ready\n" in iter(process.stdout.readline, "")
        for process, name, other in ((one, *names), (two, *names[::-1])):
            said, _ = process.communicate("\n", 20)
            assert f"/{name}/" in said
            assert f"/{other}/" not in said
            assert said.endswith("flushed\n")
    for name in names:
        said = outside(f"""
            uml_moo -b root_fs {name}.cow theirs && vu_moo -b root_fs {name}.cow ours &&
            cmp theirs ours && e2fsck -fn theirs && debugfs -R 'cat {name}' theirs
            rm theirs ours
        """)
        assert f"of {name}\n" in said
    assert root_fs.read_bytes() == before


@pytest.mark.needs("uml_mkcow", "uml_moo", "cmp")
def test_cow_files_are_umls_own_in_a_view_and_outside(devices, outside, root_fs):
    script = """
        uml_mkcow theirs.cow root_fs && vu_mkcow ours.cow root_fs && cmp theirs.cow ours.cow &&
        uml_moo theirs.cow theirs && vu_moo ours.cow ours && cmp theirs ours && cmp ours root_fs &&
        rm ours theirs ours.cow theirs.cow && echo same
    """
    assert outside(script).endswith("same\n")
    assert devices(script).endswith("same\n")


@pytest.mark.limit(80)
@pytest.mark.needs(*E2FS, "uml_moo")
@pytest.mark.parametrize("seed", range(4))
def test_a_core_that_is_killed_loses_nothing_that_was_synced(
    worlds, outside, root_fs, tmp_path, seed
):
    """debugfs syncs what it writes before it ends; what it had told of by then must be there."""
    script = """
        exec 2>&1; vu_insmod vudev && mount -t vudevubd -o cow=my.cow root_fs /dev/ubda || exit
        i=0; while :; do
            i=$((i + 1)); head -c $((i * 4999)) /dev/zero | tr '\\0' x >file
            debugfs -w -R "write file f$i" /dev/ubda >/dev/null 2>&1 && echo "did $i"
        done
    """
    chance = random.Random(seed)
    wanted, delay = chance.randrange(1, 6), chance.random() * 0.05
    world = worlds["view"]
    mark = world.mark()
    with world.start(script, cwd=tmp_path, mark=mark) as process:
        told = []
        for line in iter(process.stdout.readline, ""):
            told.append(line)
            if line == f"did {wanted}\n":
                break
        assert told[-1:] == [f"did {wanted}\n"], told
        core = next(filter(None, map(core_of, marked(mark))))
        pidfd = os.pidfd_open(core)
        try:
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                pass
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
        rest = process.communicate(timeout=20)[0]
        kill_all(process, mark)
    told += rest.splitlines(keepends=True)
    last = max(int(n) for line in told for n in re.findall(r"did (\d+)\n", line))
    said = outside(f"""
        uml_moo -b root_fs my.cow theirs && vu_moo -b root_fs my.cow ours && cmp theirs ours || exit
        e2fsck -fy theirs; test $? -le 1 && e2fsck -fn theirs || exit
        for i in $(seq {last}); do debugfs -R "cat f$i" theirs 2>/dev/null | tr -d x | wc -c; done
        for i in $(seq {last}); do debugfs -R "stat f$i" theirs 2>/dev/null | grep ^User; done
    """)
    sizes = [int(n) for n in re.findall(r"^User:.* Size: (\d+)", said, re.MULTILINE)]
    assert sizes == [i * 4999 for i in range(1, last + 1)], said
    assert said.split("\nUser")[0].split()[-last:] == ["0"] * last, said


PROMISES = """
import ctypes, fcntl, mmap, os, sys
how, name = sys.argv[1:]
fd = os.open(name, os.O_RDWR | {"O_DSYNC": os.O_DSYNC, "O_SYNC": os.O_SYNC}.get(how, 0))
if how == "msync":
    mapped = mmap.mmap(fd, 65536)
    mapped[8192:12288] = how[:4].encode() * 1024
    mapped.flush()
else:
    os.pwritev(fd, [how[:4].encode() * 1024], 8192, os.RWF_DSYNC if how == "RWF_DSYNC" else 0)
for call in (os.fsync, os.fdatasync, ctypes.CDLL(None).syncfs, lambda fd: fcntl.ioctl(fd, 0x1261)):
    if getattr(call, "__name__", "") == how or (how, call.__name__) == ("BLKFLSBUF", "<lambda>"):
        call(fd)
if how != "exit":
    print("did", how, flush=True)
    sys.stdin.readline()
"""
HOWS = (
    *("O_DSYNC", "O_SYNC", "RWF_DSYNC", "fsync", "fdatasync", "syncfs", "BLKFLSBUF", "msync"),
    "exit",
)


@pytest.mark.needs("uml_moo")
def test_what_was_promised_to_be_durable_is_there_when_the_core_was_killed(
    worlds, outside, root_fs, tmp_path
):
    """Each way on a COW disk of its own, which only he closes who promises nothing else."""
    (tmp_path / "promises.py").write_text(PROMISES)
    script = "exec 2>&1; vu_insmod vudev; mkfifo never; exec 9<>never\n" + "".join(
        f"mount -t vudevubd -o cow={how}.cow root_fs /dev/ubd{letter} || exit\n"
        f"{sys.executable} promises.py {how} /dev/ubd{letter} <never "
        + ("&& echo did exit\n" if how == "exit" else "&\n")
        for how, letter in zip(HOWS, "abcdefghi", strict=True)
    )
    world = worlds["view"]
    mark = world.mark()
    with world.start(script + "wait", cwd=tmp_path, mark=mark) as process:
        told = sorted(process.stdout.readline() for _ in HOWS)
        assert told == sorted(f"did {how}\n" for how in HOWS)
        os.kill(next(filter(None, map(core_of, marked(mark)))), signal.SIGKILL)
        process.communicate(timeout=20)
        kill_all(process, mark)
    for how in HOWS:
        outside(f"uml_moo -b root_fs {how}.cow merged")
        assert piece(tmp_path / "merged", 16, 8) == how[:4].encode() * 1024, how
