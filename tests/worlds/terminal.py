# SPDX-License-Identifier: GPL-2.0-or-later
"""A terminal that a test types on."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worlds.world import Hang, World, describe, kill_all, marked

TIMEOUT = 20.0  # seconds that one answer may take


class Terminal:
    """A command on a terminal of its own: what is typed, and what is seen after it."""

    def __init__(self, world: World, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.mark = world.mark()
        key, _, value = self.mark.partition("=")
        argv, environ = world.argv(command, cwd), world.environ(env) | {key: value}
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it
                os.execvpe(argv[0], argv, environ)
            finally:
                os._exit(126)

    def type(self, text: str) -> None:
        """Type this; Enter is a line feed."""
        os.write(self.fd, text.encode())

    def expect(self, pattern: str) -> str:
        """Wait for the pattern in what appears after the last match; what it matched."""
        end = time.monotonic() + TIMEOUT
        while not (match := re.search(pattern, self.seen, re.DOTALL)):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            try:
                more = os.read(self.fd, 4096).decode(errors="replace") if ready else ""
            except OSError:  # EIO: nobody has the terminal open any more
                more = ""
            if not more:
                raise Hang(f"no {pattern!r} in {self.seen!r}\n{describe(marked(self.mark))}")
            self.seen += more
        self.seen = self.seen[match.end() :]
        return match.group()

    def ended(self) -> int:
        """Wait for the end of the command; its status as a shell tells it."""
        fd = os.pidfd_open(self.pid)
        try:
            while not select.select([fd], [], [], 0)[0]:
                ready, _, _ = select.select([fd, self.fd], [], [], TIMEOUT)
                if not ready:
                    raise Hang(f"does not end: {self.seen!r}\n{describe(marked(self.mark))}")
                if self.fd in ready:
                    try:
                        os.read(self.fd, 4096)
                    except OSError:
                        select.select([fd], [], [], TIMEOUT)
        finally:
            os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """End whatever is left."""
        kill_all(None, self.mark)
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@contextmanager
def shell(world: World, command: list[str], cwd: Path) -> Iterator[Terminal]:
    """An interactive shell without echo, its prompt `READY> `."""
    terminal = Terminal(world, command, cwd, {"PS1": "READY> "})
    try:
        terminal.expect("READY> ")
        terminal.type("stty -echo\n")
        terminal.expect("READY> ")
        yield terminal
    finally:
        terminal.close()
