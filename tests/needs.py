# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test may need of the machine, by name: `@pytest.mark.needs("git", "kernel>=6.6")`."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable

SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _kernel(version: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split("-")[0].split(".")[:2]]

    return numbers(os.uname().release) >= numbers(version)


def _succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# What is not the name of a command.
FEATURES: dict[str, Callable[[], bool]] = {
    "root": lambda: os.geteuid() == 0,
    "user": lambda: os.geteuid() != 0,
    "userns": lambda: _succeeds("unshare", "--user", "--map-root-user", "true"),
    "xvfb": lambda: shutil.which("Xvfb") is not None,
}


@functools.cache
def lacks(thing: str) -> str:
    """Why this machine cannot serve a test that needs `thing`; "" when it can."""
    if thing.startswith("kernel>="):
        version = thing.removeprefix("kernel>=")
        return "" if _kernel(version) else f"kernel {os.uname().release}, not {version}"
    if thing in FEATURES:
        return "" if FEATURES[thing]() else f"no {thing}"
    return "" if shutil.which(thing, path=SBIN) else f"no command {thing}"
