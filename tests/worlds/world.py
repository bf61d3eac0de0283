# SPDX-License-Identifier: GPL-2.0-or-later
"""A world: a place to run a command in (no view, a view, a name space of `unreal` in a view).

A test written once holds in every world; the native one is the oracle.  Nothing here knows how
pyview works: only its command line, and that TracerPid of a task in a view is the view's core.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Command = str | Sequence[str | os.PathLike[str]]

#: Goes to the directory in the world, then becomes the command: `sh -c SCRIPT sh DIR COMMAND...`.
ENTER = 'cd -- "$1" && shift && exec "$@"'


class Hang(AssertionError):
    """A command did not end in its time; the text says what its processes were doing."""


def pyview_command() -> str:
    """The pyview under test: $PYVIEW, or the one beside this Python (a venv's bin), or on PATH."""
    beside = Path(sys.executable).parent / "pyview"
    found = os.environ.get("PYVIEW") or (beside.exists() and str(beside)) or shutil.which("pyview")
    if not found:
        raise AssertionError(f"no pyview beside {sys.executable} nor on PATH: pip install -e .")
    return found


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {key: value.strip() for key, _, value in (s.partition(":") for s in text.splitlines())}


def core_of(pid: int) -> int:
    """The pid of the core of the view that `pid` is in; 0 outside views."""
    return int(status_of(pid).get("TracerPid", "0"))


def processes() -> list[int]:
    """Every process of this machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marked(mark: str) -> set[int]:
    """The processes whose environment holds the line `mark`: a command, its children, its core."""
    found = set()
    for pid in processes():
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue  # somebody else's, or gone
        if mark.encode() in environ.split(b"\0"):
            found.add(pid)
    return found


def all_gone(pids: Iterable[int], seconds: float) -> set[int]:
    """Wait until the processes have ended, at most `seconds` in all; those which have not."""
    left = {}
    for pid in pids:
        try:
            left[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            pass
    try:
        for fd in list(left):
            ready, _, _ = select.select([fd], [], [], seconds)
            if ready:
                del left[fd]
                os.close(fd)
            else:
                seconds = 0
        return set(left.values())
    finally:
        for fd in left:
            os.close(fd)


def describe(pids: Iterable[int]) -> str:
    """What the tasks of some processes are doing, a line each: for the message of a hang."""
    lines = []
    for pid in sorted(pids):
        for task in Path(f"/proc/{pid}/task").glob("*"):
            status = status_of(int(task.name))
            try:
                call = (task / "syscall").read_text().split()[:4]
                argv = (task / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:60]
            except OSError as error:
                call, argv = [error.strerror or ""], status.get("Name", "")
            lines.append(
                f"  {task.name:>7} {status.get('State', 'gone'):<18} tracer "
                f"{status.get('TracerPid', '-'):<7} call {' '.join(call)}  [{argv.strip()}]"
            )
    return "\n".join(lines[:40]) or "  no process is left"


def kill_all(process: subprocess.Popen[str] | None, mark: str) -> None:
    """End a command with all it started: the core first, for EXITKILL ends what it traces."""
    pids = marked(mark)
    if process is not None and process.poll() is None:
        pids |= {process.pid, core_of(process.pid)} - {0}
    for pid in sorted(pids, key=lambda pid: core_of(pid) != 0):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    if process is not None:
        process.wait(5)


@dataclass(frozen=True)
class World:
    """Where a command runs: `launcher` is put before it, and "/" appears again at `prefix`."""

    name: str
    launcher: tuple[str, ...] = ()
    prefix: str = ""
    loaded: bool = False  # True when unreal is: path calls stop, and unusual entries are ENOSYS
    emulated: bool = False  # True when the core itself answers for the files below `prefix`
    home: Path = Path("/nonexistent")
    serial: list[int] = field(default_factory=lambda: [0], compare=False)

    @property
    def virtual(self) -> bool:
        """True when commands run in a view."""
        return bool(self.launcher)

    def path(self, real: str | os.PathLike[str]) -> str:
        """The name that an absolute, real path has in this world."""
        name = os.fspath(real)
        assert name.startswith("/"), f"{name} is relative"
        return self.prefix + name if name != "/" else self.prefix or "/"

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What commands get: nothing of the tester's own but what leads to the tested pyview."""
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PYTHON", "ASAN_", "TMPDIR"))}
        tools = Path(sys.executable).parent
        return kept | {
            "PATH": f"/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:{tools}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "WORLD": self.name,
            "PREFIX": self.prefix,
            "LOADED": "1" if self.loaded else "",
            "EMULATED": "1" if self.emulated else "",
            **(extra or {}),
        }

    def argv(self, command: Command, cwd: str | os.PathLike[str] = "/") -> list[str]:
        """The whole command line that runs `command` (a list, or a line of shell) at `cwd`."""
        words = [os.fspath(word) for word in command]
        if isinstance(command, str):
            words = ["sh", "-c", command]
        return [*self.launcher, "sh", "-c", ENTER, "sh", self.path(cwd), *words]

    def mark(self) -> str:
        """A fresh environment line, by which all processes of one command are found."""
        self.serial[0] += 1
        return f"WORLD_MARK={self.name}-{os.getpid()}-{self.serial[0]}"

    @contextmanager
    def start(
        self,
        command: Command,
        *,
        cwd: str | os.PathLike[str] = "/",
        env: Mapping[str, str] | None = None,
        mark: str = "",
    ) -> Iterator[subprocess.Popen[str]]:
        """Begin a command in a session of its own, with pipes to and from it; ended with the block.

        `mark`, from mark(), is for who wants to find its processes.  They are killed at the end.
        """
        mark = mark or self.mark()
        key, _, value = mark.partition("=")
        with subprocess.Popen(
            self.argv(command, cwd),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=self.environ(env) | {key: value},
            cwd="/",
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                kill_all(process, mark)

    def run(
        self,
        command: Command,
        *,
        cwd: str | os.PathLike[str] = "/",
        timeout: float = 40,
        env: Mapping[str, str] | None = None,
        input: str = "",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and to the end of its outputs.

        With `check` a status other than 0 fails the test and shows what was printed; 77 skips it.
        `timeout` (seconds): past it everything is killed, and Hang tells what hung where.
        """
        mark = self.mark()
        with self.start(command, cwd=cwd, env=env, mark=mark) as process:
            try:
                out, err = process.communicate(input, timeout)
            except subprocess.TimeoutExpired as expired:
                tasks = describe(marked(mark) | {process.pid, core_of(process.pid)} - {0})
                said = [(part or b"")[-2000:] for part in (expired.stdout, expired.stderr)]
                raise Hang(
                    f"[{self.name}] not ended after {timeout} s: {process.args!r}\n{tasks}\n"
                    f"stdout: {said[0]!r}\nstderr: {said[1]!r}"
                ) from None
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        if check:
            self.expect(done)
        return done

    def expect(self, done: subprocess.CompletedProcess[str], status: int = 0) -> None:
        """Fail with all that is known unless the command ended with `status`."""
        if done.returncode != status:
            raise AssertionError(
                f"[{self.name}] status {done.returncode}, not {status}: {done.args}\n"
                f"stdout: {done.stdout[-3000:]}\nstderr: {done.stderr[-3000:]}"
            )


def all_worlds(home: Path) -> dict[str, World]:
    """Every world there is, by name; `home` is the HOME of what runs there."""
    try:
        pyview = pyview_command()
    except AssertionError:
        pyview = "/nonexistent/pyview"  # so that the native world can be tried before there is one
    plain = (pyview, "-N", "--")
    unreal = (pyview, "-N", "-p", "unreal", "--")
    emulate = (pyview, "-N", "-p", "unreal,emulate", "--")
    worlds = (
        World("native", home=home),
        World("view", plain, home=home),
        World("loaded", unreal, loaded=True, home=home),
        World("unreal", unreal, "/unreal", loaded=True, home=home),
        World("unreal2", unreal, "/unreal/unreal", loaded=True, home=home),
        World("child", plain + unreal, "/unreal", loaded=True, home=home),
        World("emulated", emulate, "/unreal", loaded=True, emulated=True, home=home),
    )
    return {world.name: world for world in worlds}
