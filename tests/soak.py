# SPDX-License-Identifier: GPL-2.0-or-later
"""A view that is busy for long: afterwards its core is as small as it was.

    tests/soak.py [SECONDS]     600, when nothing is said; at least 20,000 processes

Each round has processes, threads, opens through /unreal, emulated files and devices, mounts,
modules that come and go, child views.  After each the core's memory, descriptors and threads are
looked at.
Status 0: at the end they are what they were after the first rounds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

SECONDS, PROCESSES = 600, 20_000
WARM = 3  # rounds until everything has been loaded once
GROWTH = 5 << 20  # bytes that the core may have become larger by
THREADS = 500
WRONG = Path(__file__).parent / "guests" / "wrong.py"

DEVICES = """
    vu_insmod vudev && truncate -s 2M image && mount -t vudevmbr image disk &&
    printf ',,L\\n' | /sbin/sfdisk -q disk && dd if=/dev/zero of=disk1 bs=64k count=8 status=none &&
    cmp -n 100000 disk1 /dev/zero && umount disk &&
    mount -t vudevramdisk -o size=1M none disk && dd if=disk bs=4k status=none | wc -c >/dev/null &&
    umount disk && vu_rmmod vudev
"""
MODULE = f"vu_insmod {WRONG} && ! cat /wrong/pread-key 2>/dev/null && vu_rmmod wrong"
CHILD = """
    pyview -N sh -ec '
        vu_rmmod unreal; vu_insmod unreal,emulate
        cd /unreal$PWD && cp image copy && cmp image copy && ./script && rm copy &&
        perl -e "open f, q(+<), q(image); flock f, 2; print f q(x)"' &&
    pyview -N true
"""


# -- within the view ------------------------------------------------------------------------------


def shell(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True)


def many_processes(number: int) -> None:
    """Ten at a time, by names of both trees."""
    loop = f"n=0; while test $n -lt {number // 10}; do /unreal/bin/true; n=$((n+1)); done"
    shells = [subprocess.Popen(["sh", "-c", loop]) for _ in range(10)]
    assert not any(one.wait() for one in shells)


def many_threads(number: int) -> None:
    """All of them at once, each with some files."""
    together = threading.Barrier(number)

    def opens() -> None:
        together.wait()
        for name in ("/unreal/etc/passwd", "/unreal/unreal/etc/passwd", "/etc/passwd"):
            os.close(os.open(name, os.O_RDONLY))
            os.stat(name)

    threads = [threading.Thread(target=opens) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def many_opens(number: int) -> None:
    for at in range(number):
        name = f"/unreal{os.getcwd()}/file{at % 7}"
        with open(name, "w") as file:
            file.write("x")
        os.stat(name)
        if at % 3 == 0:
            os.unlink(name)


def rounds() -> None:
    """A round for each line of input, whose number is how many processes; then a line of output."""
    threading.stack_size(128 << 10)
    for name in ("disk", "disk1"):
        Path(name).touch()
    Path("script").write_text("#!/bin/sh\nexit 0\n")
    Path("script").chmod(0o755)
    for line in sys.stdin:
        many_processes(int(line))
        many_threads(THREADS)
        many_opens(300)
        shell(DEVICES)
        shell(MODULE)
        shell(CHILD)
        print("done", flush=True)


# -- outside --------------------------------------------------------------------------------------


class Size(NamedTuple):
    """What a core needs: bytes of memory, descriptors, threads."""

    memory: int
    descriptors: int
    threads: int


def size_of(core: int) -> Size:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{core}/status").read_text().splitlines()
    )
    memory = int(status["VmRSS"].split()[0]) * 1024
    return Size(memory, len(os.listdir(f"/proc/{core}/fd")), int(status["Threads"]))


def core_of(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("TracerPid:")[2].split()[0])


def soak(pyview: list[str], room: Path, seconds: float, processes: int, each: int) -> str:
    """Rounds of `each` processes until both are reached; "" or what is wrong."""
    command = [*pyview, "-N", "-o", str(room / "log"), "-p", "unreal", "--", "/usr/bin/python3"]
    with subprocess.Popen(
        [*command, __file__, "--rounds"], cwd=room, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as view:  # fmt: skip
        assert view.stdin is not None
        assert view.stdout is not None
        began, started, number = time.monotonic(), 0, 0
        first = last = Size(0, 0, 0)
        while number < WARM + 1 or started < processes or time.monotonic() - began < seconds:
            print(each, file=view.stdin, flush=True)
            if view.stdout.readline() != "done\n":
                view.kill()
                return f"round {number} has failed: {(room / 'log').read_text()[-3000:]}"
            number, started = number + 1, started + each
            last = size_of(core_of(view.pid))
            first = last if number == WARM else first
            print(f"{time.monotonic() - began:6.0f} s  {started:6} processes  {last}", flush=True)
        view.stdin.close()
        if view.wait(60):
            return f"status {view.returncode}"
    if last.memory - first.memory > GROWTH or last[1:] != first[1:]:
        return f"{first} has become {last}"
    return ""


def main() -> int:
    if sys.argv[1:] == ["--rounds"]:
        rounds()
        return 0
    from tempfile import TemporaryDirectory

    seconds = float(sys.argv[1]) if sys.argv[1:] else SECONDS
    processes = PROCESSES if seconds >= SECONDS else 0
    pyview = [str(Path(__file__).parents[1] / ".venv" / "bin" / "pyview")]
    with TemporaryDirectory() as room:
        wrong = soak(pyview, Path(room), seconds, processes, 500)
    print(wrong or "well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
