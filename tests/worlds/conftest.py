# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the behaviour tests: the worlds, and the guests (tests/guests/*.c) that run there.

pytest tests/worlds -k native            one world, by its name
PYVIEW_WORLDS=view,unreal pytest ...     some of them
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds.disks import MKE2FS, SAME, make
from worlds.world import World, all_worlds

GUESTS = Path(__file__).parent.parent / "guests"
NAMES = ("native", "view", "loaded", "unreal", "unreal2", "child", "emulated")

Guest = Callable[[str], Path]


def vprobe() -> Path:
    """The shared probes' script; it need not be there."""
    shared = os.environ.get("PYVIEW_SHARED") or Path(__file__).parents[3] / "shared"
    return Path(shared) / "checks" / "run_vprobe.sh"


# Not skipped where they are absent: --no-skip makes every skip a failure.
collect_ignore = [] if vprobe().exists() else ["test_vprobe.py"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the worlds that PYVIEW_WORLDS names, if it does."""
    wanted = set(filter(None, os.environ.get("PYVIEW_WORLDS", "").split(",")))
    unknown = wanted - set(NAMES)
    if unknown:
        raise pytest.UsageError(f"PYVIEW_WORLDS: {', '.join(sorted(unknown))}: no such world")
    dropped = []
    for item in items if wanted else ():
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("world") not in (None, *wanted):
            dropped.append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """Every world by its name; their HOME is one that no user's settings are in."""
    if os.geteuid() == 0:
        pytest.exit("the worlds are an ordinary user's: run as one (make test does)", 2)
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text("[user]\nname = T\nemail = t@example.org\n")
    return all_worlds(home)


@pytest.fixture(params=NAMES)
def world(request: pytest.FixtureRequest, worlds: dict[str, World]) -> World:
    """Each world in turn."""
    return worlds[request.param]


@pytest.fixture
def view(worlds: dict[str, World]) -> World:
    """A view with nothing loaded; `pyview` and the vu_* commands are on PATH there."""
    return worlds["view"]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """An upper directory `up`, and `low` with a few files."""
    for name in ("up", "low/d", "low/e/f"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "low/a").write_text("A\n")
    (tmp_path / "low/d/x").write_text("X\n")
    (tmp_path / "low/e/f/y").write_text("Y\n")
    return tmp_path


@pytest.fixture(scope="session")
def native(worlds: dict[str, World]) -> World:
    """The oracle."""
    return worlds["native"]


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Guest:
    """guest(NAME): the program made of tests/guests/NAME.c, compiled when first asked for.

    A line `/* cc: FLAGS */` in the source adds to the compiler's flags.
    """
    room = tmp_path_factory.mktemp("guests")
    made: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in made:
            source = GUESTS / f"{name}.c"
            extra = [
                word
                for line in source.read_text().splitlines()
                if line.startswith("/* cc: ")
                for word in line[len("/* cc: ") :].removesuffix("*/").split()
            ]
            flags = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", *extra]
            program = room / name
            subprocess.run(["cc", *flags, "-o", program, source], check=True)
            made[name] = program
        return made[name]

    return build


@pytest.fixture
def passes(world: World, guest: Guest, tmp_path: Path) -> Callable[..., None]:
    """passes(NAME, ARG...): run a guest in the world, in an empty directory; it must succeed.

    A guest says on stderr why it failed.  Its status 77 means that this machine cannot try it.
    """

    def check(name: str, *args: str, timeout: float = 30) -> None:
        done = world.run(
            [world.path(guest(name)), *args], cwd=tmp_path, timeout=timeout, check=False
        )
        if done.returncode == 77:
            pytest.skip(done.stderr.strip())
        world.expect(done)

    return check


@pytest.fixture
def devices(worlds, tmp_path):
    """devices(SCRIPT): run it, in an empty directory, in a view that has vudev; what it printed."""

    def run(script, *, status=0, **options):
        text = f"exec 2>&1; vu_insmod vudev || exit; {script}"
        done = worlds["view"].run(text, cwd=tmp_path, env=SAME, check=False, **options)
        worlds["view"].expect(done, status)
        return done.stdout

    return run


@pytest.fixture
def outside(native, tmp_path):
    """outside(SCRIPT): the same without a view."""
    return lambda script, **options: (
        native.run(f"exec 2>&1; {script}", cwd=tmp_path, env=SAME, **options).stdout
    )


@pytest.fixture
def root_fs(outside, tmp_path):
    """An image with a file system that holds `hello`; nobody may write to it."""
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "hello").write_text("hello\n")
    make(tmp_path / "root_fs", 32 << 20)
    outside(f"{MKE2FS} -d top root_fs && chmod 444 root_fs")
    return tmp_path / "root_fs"
