# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fuzzer (tools/fuzz.sh) has found worth keeping, with gcc's sanitizers looking on."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / "csrc"


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """The fuzzer's target, to be given inputs."""
    room = tmp_path_factory.mktemp("fuzz")
    (room / "table.c").write_text(runpy.run_path(str(CSRC / "build_core.py"))["table"]())
    program = room / "replay"
    flags = ["-std=gnu11", "-g", "-O1", "-DREPLAY", "-fsanitize=address,undefined"]
    flags += ["-fno-sanitize-recover=all", f"-I{CSRC}"]
    sources = [HERE / "fuzz_dispatch.c", room / "table.c", *sorted(CSRC.glob("*.c"))]
    sources = [source for source in sources if source.name != "_core.c"]
    subprocess.run(["cc", *flags, "-o", program, *sources], check=True)
    return program


@pytest.mark.limit(120)
def test_no_input_makes_C_read_or_write_what_is_not_its_own(replay):
    inputs = sorted((HERE / "corpus").iterdir())
    assert len(inputs) > 50
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # that takes a ptrace
    done = subprocess.run([replay, *inputs], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == f"{len(inputs)} inputs\n"
