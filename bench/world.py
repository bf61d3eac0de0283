# SPDX-License-Identifier: GPL-2.0-or-later
"""A world: a command such as `proot` or `pyview` with the agent running inside it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scratch import Scratch

START_SECONDS = 30.0  # until the agent says that it is there
ANSWER_SECONDS = 600.0  # for one command; beyond that the world is taken for hung
END_SECONDS = 10.0


class WorldError(Exception):
    """The world cannot be entered, or has died, or hangs; the text is one line that says why."""


class World:
    """The agent in a world.  Also a context manager; leaving it ends the world."""

    def __init__(self, enter: Sequence[str], scratch: Scratch, *, root: bool = False) -> None:
        """Start `enter` (may be empty: native) with the agent as its command.

        `root`: `enter` becomes the ordinary user itself.

        Errors: WorldError.
        """
        self._said = bytearray()
        self._stderr = scratch.log()
        agent = [scratch.python, "-I", "-S", str(scratch.root / "agent.py")]
        try:
            self._process = subprocess.Popen(
                [*enter, *agent],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr.open("wb"),
                start_new_session=True,
                bufsize=0,
                cwd=scratch.root,
                env=scratch.environment(),
                **({} if root else scratch.identity),
            )
        except OSError as error:
            raise WorldError(str(error)) from None
        self._ask_for_line(START_SECONDS)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        argv: Sequence[str],
        cwd: Path | str,
        env: dict[str, str],
        stdout: str | None,
        seconds: float,
    ) -> tuple[list[float], int, list[str]]:
        """(times in ns, exit status, stderr's lines) of runs for `seconds`, one at least.

        The fields are agent.py's.

        Errors: WorldError.
        """
        request = {
            "argv": list(argv),
            "cwd": str(cwd),
            "env": env,
            "stdout": stdout,
            "seconds": seconds,
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise self._failure("died") from None
        answer = self._ask_for_line(ANSWER_SECONDS)
        return answer["times"], answer["status"], answer["errors"]

    def close(self) -> None:
        """End the agent, and with it the world; kill what does not end by itself."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ask_for_line(self, seconds: float) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._said:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self._kill()
                    raise self._failure(f"no answer in {seconds:.0f} s")
                some = os.read(stdout.fileno(), 65536)
                if not some:
                    self.close()
                    raise self._failure("died")
                self._said += some
        line, _, rest = bytes(self._said).partition(b"\n")
        self._said = bytearray(rest)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self._failure(f"wrote to stdout: {line.decode(errors='replace')}") from None
        return answer

    def _failure(self, what: str) -> WorldError:
        said = self._stderr.read_text(errors="replace").strip().splitlines()
        return WorldError(f"{what}: {said[-1]}" if said else what)
