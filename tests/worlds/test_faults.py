# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong in a module, or is missing to the core, ends one call; the view lives on."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
from worlds.world import core_of, processes, pyview_command, status_of

GUESTS = Path(__file__).parents[1] / "guests"
sys.path.insert(0, str(GUESTS))
from wrong import FAULTS, OPERATIONS, RAISED  # noqa: E402  (beside the guests)

#: What is asked of a file beside its caller's call: a mistake in it is told, and the call goes on.
ASIDE = ("linear", "poll", "close", "known", "extents")


@pytest.fixture(scope="module")
def told(worlds, tmp_path_factory):
    """What each operation that goes wrong answers: (operation, fault) -> errno's name; the log."""
    room = tmp_path_factory.mktemp("wrong")
    guest = GUESTS / "wrong.py"
    script = f"/usr/bin/python3 {guest}; echo status $?; cat /etc/hostname; vu_lsmod"
    options = ["-N", "-o", room / "log", "-p", guest]
    command = [pyview_command(), *options, "--", "sh", "-c", script]
    done = worlds["native"].run(command, cwd=room)
    lines = done.stdout.splitlines()
    end = lines.index("status 0")
    assert lines[end + 1] == Path("/etc/hostname").read_text().strip()
    assert lines[end + 2].startswith("wrong ")
    answers = {(operation, fault): name for operation, fault, name in map(str.split, lines[:end])}
    return answers, (room / "log").read_text()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_a_module_raises_is_EIO(told, operation):
    answers, _ = told
    found = {fault: answers[operation, fault] for fault in ("recursion", *RAISED)}
    if operation in ASIDE:
        assert set(found.values()) == {"ok"}
    else:
        assert found.pop("memory") == "ENOMEM"
        assert set(found.values()) == {"EIO"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nonsense_is_EIO_where_it_matters(told, operation):
    answers, _ = told
    found = {answers[operation, fault] for fault in FAULTS}
    assert found <= {"EIO", "ENOMEM", "ok", "EINVAL", "ERANGE"}
    if operation in ("real", "lstat", "entries", "pread", "pwrite", "size", "stat", "statvfs"):
        kept = {"real": {"none"}, "stat": {"none"}, "pread": {"zero"}, "size": {"zero"}}
        wrong = set(FAULTS) - kept.get(operation, set())
        assert {f for f in wrong if answers[operation, f] == "ok"} == set()


def test_each_mistake_is_told_once_and_none_is_the_cores(told):
    answers, log = told
    assert "the core went wrong" not in log
    raised = [key for key, name in answers.items() if name in ("EIO", "ENOMEM")]
    aside = [key for key in answers if key[0] in ASIDE and key[1] in ("recursion", *RAISED)]
    plain = [key for key in raised if key[1] == "nameless"]  # an OSError: EIO as it is
    assert log.count("Traceback") >= len(raised) + len(aside) - len(plain)
    assert os.path.join("pyview", "tracer.py") not in log


# -- a core that lacks something -----------------------------------------------------------------

#: What a shell does meanwhile; each may fail with one of the words below.
WORK = """
    ls -l
    cat big | cmp - big
    cp big other; cmp big other
    ./script
    perl -e 'for (1..50) { open $f[$_], "<", "big" or die "$!" }'
    (for n in 1 2 3 4 5 6; do cat big & done; wait) | wc -c
    vu_insmod vudev
    mount -t vudevramdisk -o size=1M none disk
    vu_lsmod
    pyview -N true
"""
LACKS = (
    "Too many open files", "too many files", "Cannot allocate memory", "MemoryError",
    "Resource temporarily unavailable", "failed to map segment", "unknown file system type",
    "Exec format error", "EOF on", "cannot open", "can't create",
)  # fmt: skip


def lacking(core: int, what: str, room: int) -> None:
    """Leave the core so many descriptors, or bytes, more than it has."""
    if what == "descriptors":
        kind, used = resource.RLIMIT_NOFILE, len(os.listdir(f"/proc/{core}/fd"))
    else:
        kind, used = resource.RLIMIT_AS, int(status_of(core)["VmSize"].split()[0]) * 1024
    resource.prlimit(core, kind, (used + room, resource.prlimit(core, kind)[1]))


@pytest.mark.parametrize("world", ["unreal", "emulated"], indirect=True)
@pytest.mark.parametrize(
    ("what", "room"),
    [("descriptors", n) for n in (0, 2, 6)] + [("memory", n) for n in (0, 1 << 20)],
)
def test_a_core_that_lacks_something_says_so_and_lives(world, what, room, tmp_path):
    (tmp_path / "big").write_bytes(bytes(range(250)) * 400)
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "disk").write_text("")
    with world.start("exec sh 2>&1", cwd=tmp_path) as shell:

        def does(line: str) -> tuple[int, str]:
            print(f"{line}; echo; echo = $?", file=shell.stdin, flush=True)
            text = ""
            while not (last := shell.stdout.readline()).startswith("= "):
                assert last, text
                text += last
            return int(last[2:]), text

        assert does("ls; vu_lsmod")[0] == 0  # what is loaded when first needed is there
        core = core_of(shell.pid)
        before = {
            k: resource.prlimit(core, k) for k in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
        }
        lacking(core, what, room)
        for line in filter(None, map(str.strip, WORK.splitlines())):
            status, text = does(line)
            assert status == 0 or any(words in text for words in LACKS), (line, text)
        for kind, limit in before.items():
            resource.prlimit(core, kind, limit)
        for line in ("ls -l", "cp big other; cmp big other", "./script", "vu_lsmod", "cat script"):
            status, text = does(line)
            assert status == 0, (line, text)
        assert core_of(shell.pid) == core
        shell.stdin.close()
        assert shell.wait(10) == 0


# -- a module's life -----------------------------------------------------------------------------


@pytest.mark.limit(150)
def test_whatever_goes_wrong_in_a_modules_life_the_view_lives(worlds, tmp_path):
    """Each command ends, with a line when it fails; afterwards the view does what it did before."""
    (tmp_path / "on").mkdir()
    module = GUESTS / "wrong_life.py"
    lines = []
    for what in ("key", "exit", "none"):
        for at in ("init", "load", "unload", "make", "real", "lstat", "busy", "unmounted"):
            lines += [f"vu_insmod {module},at={at},what={what}", "ls -ld /wrong"]
            lines += ["vu_lsmod >/dev/null", "vu_rmmod wrong_life"]
        lines += [f"vu_insmod {module}"]
        for at in ("make", "real", "lstat", "busy", "unmounted"):
            lines += [
                f"mount -t odd -o at={at},what={what} none {tmp_path}/on",
                f"ls {tmp_path}/on",
            ]
            lines += [f"umount {tmp_path}/on || umount -f {tmp_path}/on || umount -l {tmp_path}/on"]
        for at in ("companions", "busy"):
            lines += [f"mount -t odddevice -o at={at},what={what} none {tmp_path}/on"]
            lines += [f"umount {tmp_path}/on || umount -f {tmp_path}/on || umount -l {tmp_path}/on"]
        lines += ["vu_rmmod wrong_life"]
    script = "".join(f"{line} || echo failed\n" for line in lines) + "vu_lsmod; cat /etc/hostname"
    options = ["-N", "-o", tmp_path / "log"]
    command = [pyview_command(), *options, "--", "sh", "-c", script]
    done = worlds["native"].run(command, cwd=tmp_path, timeout=140)
    assert done.stdout.splitlines()[-1] == Path("/etc/hostname").read_text().strip()
    assert "gone away" not in done.stderr
    assert "not in a view" not in done.stderr
    assert "the core went wrong" not in (tmp_path / "log").read_text()


def test_a_program_that_a_module_starts_is_the_modules(worlds, tmp_path):
    """Its end is not taken for that of a task, however many of those end meanwhile."""
    tasks = "i=0; while test $i -lt 150; do /bin/true; i=$((i+1)); done"
    script = f"({tasks})& ({tasks})& for i in $(seq 100); do cat /told/x; done; wait"
    module = GUESTS / "starts_programs.py"
    command = [pyview_command(), "-N", "-p", module, "--", "sh", "-c", script]
    assert worlds["native"].run(command, cwd=tmp_path).stdout.split() == ["1"] * 100


# -- a module that hangs -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["spins", "waits", "reads", "slow"])
def test_who_waits_for_a_module_for_ever_can_be_interrupted(worlds, tmp_path, name, number):
    """While it is in the core's own thread nobody is served; afterwards everybody is again."""
    log = tmp_path / "log"
    view = worlds["view"]
    plain = [view.launcher[0], "-o", str(log), "-p", str(GUESTS / "hangs.py"), *view.launcher[1:]]
    script = "trap : INT; (trap - INT; exec cat /hangs/$NAME); echo $?; cat /etc/hostname"
    native = worlds["native"]
    with native.start([*plain, "sh", "-c", script], env={"NAME": name}) as process:
        waiter = wait_for(lambda: child_in(process.pid, "cat"))
        time.sleep(0.3)  # it has asked by then; if not, the signal comes before the call
        os.kill(waiter, number)
        assert process.stdout.readline() == f"{128 + number}\n"
        assert process.stdout.readline() == Path("/etc/hostname").read_text()
        assert process.wait(10) == 0
    assert ("was interrupted" in log.read_text()) == (name != "slow")


def child_in(pid: int, name: str) -> int:
    """A descendant of `pid` that executes a program of this name; 0 when there is none."""
    for child in processes():
        status = status_of(child)
        parents = {int(status.get("PPid", 0))}
        parents |= {int(status_of(parent).get("PPid", 0)) for parent in parents}
        if status.get("Name") == name and pid in parents:
            return child
    return 0


def wait_for(what):
    """What it gives, once that is true."""
    end = time.monotonic() + 20
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found
