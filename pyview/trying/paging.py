# SPDX-License-Identifier: GPL-2.0-or-later
"""Long output: through the user's pager when it goes to a terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

DEFAULT = "less"


def page(lines: Iterable[bytes]) -> None:
    """Write lines to stdout, or to a pager; who leaves that early has seen enough."""
    command = pager() if os.isatty(1) and os.isatty(0) else None
    if command is None:
        _write(1, lines)
        return
    import subprocess

    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    shell = ["/bin/sh", "-c", command]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        try:
            _write(process.stdin.fileno(), lines)
        except BrokenPipeError:
            pass
        process.stdin.close()
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                pass  # ^C is the pager's


def pager() -> str | None:
    """$PAGER, or less where it is; None when nothing shall come between."""
    chosen = os.environ.get("PAGER")
    if chosen is not None:
        return chosen if chosen.strip() not in ("", "cat") else None
    return DEFAULT if shutil.which(DEFAULT) else None


def _write(fd: int, lines: Iterable[bytes]) -> None:
    waiting = bytearray()
    for line in lines:
        waiting += line
        if len(waiting) > 1 << 16:
            _all(fd, waiting)
    _all(fd, waiting)


def _all(fd: int, waiting: bytearray) -> None:
    while waiting:
        del waiting[: os.write(fd, waiting)]
