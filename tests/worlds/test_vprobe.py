# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's shared probes (../shared/checks), where they are at hand; conftest.py looks.

They are no part of this repository: what they find is tested here by guests of our own, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

import pytest
from worlds.conftest import vprobe

#: It asks for a refusal that only a view with a module needs; what a ring does passes by the core.
EXCEPTED = {"fd_io_uring"}

#: What emulation cannot have: the kernel enters no directory of ours in name spaces that have
#: other roots.
NOT_EMULATED = {"path_chroot_userns", "path_mountns"}

LEAST = {
    "native": 127, "view": 127, "unreal": 127, "unreal2": 127, "child": 127, "emulated": 125,
}  # fmt: skip


@pytest.fixture
def near():
    """A directory whose name leaves room for a socket's in sun_path, unlike tmp_path's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield name


def probed(world, near, launcher):
    """What passed, what did not, and a text for who wants to know why."""
    env = world.environ({"TMPDIR": near, "VIEW": " ".join(launcher)})
    done = subprocess.run(
        ["timeout", "-k", "5", "380", "sh", vprobe()],
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = done.stdout.splitlines()
    passed = {line.split()[1] for line in lines if line.startswith("ok ")}
    wrong = [line for line in lines if re.match(r"(FAIL|skip) ", line)]
    text = "\n".join([f"{len(passed)} ok", *wrong, done.stderr[-2000:]])
    return passed, wrong, text


@pytest.mark.limit(400)
@pytest.mark.parametrize("world", LEAST, indirect=True)
def test_the_shared_probes_pass(world, near):
    passed, wrong, text = probed(world, near, world.launcher)
    assert len(passed) >= LEAST[world.name], text
    if world.emulated:
        failed = {line.split()[1].rstrip(":") for line in wrong if line.startswith("FAIL")}
        assert failed <= NOT_EMULATED, text
    if world.name == "view":
        assert {line.split()[1].rstrip(":") for line in wrong} <= EXCEPTED, text
    assert not os.path.exists("/unreal")


#: Directories have no names longer than PATH_MAX less the upper's; nobody has mounts of his own (a
#: skip), and a virtual root may read what nobody may (another).
NOT_COPIED = {"path_max"}
NOT_OF_ROOT = {"path_mountns"}


@pytest.mark.limit(400)
@pytest.mark.parametrize(("how", "least"), [("cow", 125), ("mincow", 125), ("cow as root", 124)])
def test_the_shared_probes_pass_in_a_copy_of_the_system(worlds, near, how, least):
    with tempfile.TemporaryDirectory(dir="/tmp") as upper:
        mount = f"viewfs:{upper}:/:{how.split()[0]}"
        launcher = [*worlds["view"].launcher[:-1], "-p", "viewfs", "-m", mount, "--"]
        root = ["viewsudo"] if how.endswith("root") else []
        passed, wrong, text = probed(worlds["view"], near, [*launcher, *root])
        failed = {line.split()[1].rstrip(":") for line in wrong if line.startswith("FAIL")}
        assert len(passed) >= least, text
        assert failed <= NOT_COPIED | (NOT_OF_ROOT if root else set()), text
        subprocess.run(["chmod", "-R", "u+rwx", upper], check=True)
