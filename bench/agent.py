# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside a world and times commands there, so that entering the world is not counted.

One JSON object a line on stdin, one answer a line on stdout:
  {"argv": [...], "cwd": DIR, "env": {...}, "stdout": FILE or null, "seconds": S}
  {"times": [ns, ...], "status": exit status, "errors": [stderr's lines, of the last run]}
The command runs again and again until S seconds are over, once at least; argv[0] is a path.  With
"stdout": null it is bench/calls, which reports times itself, one number a line.  A command that
cannot be started has status 127 and no times.  Few imports: this process is traced too.
"""

import json
import os
import sys
from time import perf_counter_ns
from typing import Any


def run_once(request: dict[str, Any], stdout: int, stderr: int) -> tuple[int, int]:
    """(wall ns, exit status) of one run; 128+n when killed by signal n."""
    actions = [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    argv = request["argv"]
    begin = perf_counter_ns()
    try:
        pid = os.posix_spawn(argv[0], argv, request["env"], file_actions=actions)
    except OSError as error:
        os.write(stderr, f"{argv[0]}: {error.strerror}\n".encode())
        return 0, 127
    status = os.waitpid(pid, 0)[1]
    wall = perf_counter_ns() - begin
    code = os.waitstatus_to_exitcode(status)
    return wall, code if code >= 0 else 128 - code


def answer(request: dict[str, Any], kept: int, stderr: int) -> dict[str, Any]:
    """Do one request; `kept` and `stderr` are descriptors of files to write to, used again."""
    try:
        os.chdir(request["cwd"])
        target = request["stdout"]
        stdout = kept if target is None else os.open(target, os.O_WRONLY)
    except OSError as error:
        return {"times": [], "status": 127, "errors": [str(error)]}
    empty(kept, stderr)
    wall, status = run_once(request, stdout, stderr)
    times: list[float] = [wall]
    last = perf_counter_ns() + request["seconds"] * 1e9 - wall
    again = status
    while again == status and perf_counter_ns() < last:  # a run that ends otherwise is the answer
        empty(stderr)
        wall, again = run_once(request, stdout, stderr)
        times.append(wall)
    if stdout != kept:
        os.close(stdout)
    else:
        times = [float(line) for line in read_all(kept).split()]
    if again in (126, 127):
        times = []
    return {"times": times, "status": again, "errors": read_all(stderr).splitlines()}


def empty(*files: int) -> None:
    for fd in files:
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)


def read_all(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")


def main() -> None:
    kept, stderr = os.memfd_create("stdout"), os.memfd_create("stderr")
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), kept, stderr)), flush=True)


main()
