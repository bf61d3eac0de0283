# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong input: one clear line on stderr (program: what: why), the right status, nothing half-done.

These run commands of pyview itself, so there is no native world to compare with.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds.world import World, pyview_command

Refused = Callable[..., str]


@pytest.fixture
def outside(native: World, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """outside(COMMAND): run pyview (by this name) or a vu_* command outside all views."""

    def run(command: str, **options: object) -> subprocess.CompletedProcess[str]:
        bin_ = Path(pyview_command()).parent
        script = f'export PATH="{bin_}:$PATH"; {command}'
        return native.run(script, cwd=tmp_path, check=False, **options)

    return run


@pytest.fixture
def refused(outside: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Refused:
    """refused(COMMAND, PROGRAM, STATUS): its one line on stderr, for the test to look
    for what was wrong in it; the file `done` is not there."""

    def run(command: str, program: str, status: int, **options: object) -> str:
        done = outside(command, **options)
        about = f"{command}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == status, about
        assert re.fullmatch(rf"{program}: [^\n]+\n", done.stderr), about
        assert done.stdout == "", about
        assert not (tmp_path / "done").exists(), "the command ran"
        return done.stderr

    return run


def broken(folder: Path) -> None:
    """Module files that cannot be loaded, each for its reason."""
    (folder / "syntax.py").write_text('"""syntax - wrong."""\ndef load(:\n')
    (folder / "imports.py").write_text('"""imports - wrong."""\nimport no_such_thing_at_all\n')
    (folder / "nothing.py").write_text('"""nothing - no module in it."""\n')
    (folder / "raises.py").write_text(
        '"""raises - in load."""\n'
        "from pyview.api import Module\n\n\n"
        "class Raises(Module):\n"
        "    def load(self, view):\n"
        '        view.mount("/half-done", view.now())\n'
        '        raise ValueError("in load")\n'
    )


MODULES = ("nosuchmodule", "no.such.module", "./absent.py", "./syntax.py", "./nothing.py")
CRASHES = ("./imports.py", "./raises.py")  # exceptions of the module's own code


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_cannot_be_loaded_stops_pyview_before_the_command(refused, tmp_path, module):
    broken(tmp_path)
    line = refused(f"pyview -N -p {module} -- touch done", "pyview", 1)
    assert module.removeprefix("./") in line


@pytest.mark.parametrize("module", CRASHES)
def test_a_modules_own_exception_stops_pyview_and_shows_only_the_modules_frames(
    outside, tmp_path, module
):
    broken(tmp_path)
    done = outside(f"pyview -N -p {module} -- touch done")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert re.fullmatch(rf"pyview: [^\n]*{module[2:]}: [^\n]+", lines[-1]), done.stderr
    files = re.findall(r'File "([^"]+)"', done.stderr)
    assert {Path(file).name for file in files} <= {module[2:]}, done.stderr
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("module", [*MODULES, *CRASHES])
def test_vu_insmod_of_it_changes_nothing_in_the_view(outside, tmp_path, module):
    broken(tmp_path)
    done = outside(
        f"pyview -N -- sh -c 'vu_lsmod >before; vu_insmod {module} 2>said; echo $? >status;"
        " vu_lsmod >after; ls / >root; vu_insmod unreal && ls /unreal/etc/passwd'"
    )
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "said").read_text()
    assert (tmp_path / "status").read_text() == "1\n"
    assert re.fullmatch(r"vu_insmod: [^\n]+: [^\n]+\n", said), said
    assert module.removeprefix("./") in said
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
    assert "half-done" not in (tmp_path / "root").read_text()


def test_a_module_loaded_twice_is_refused_and_stays_loaded(outside):
    done = outside(
        "pyview -N -p unreal -- sh -c 'vu_insmod unreal; echo $?; ls /unreal/unreal/etc/passwd;"
        " vu_lsmod | grep -c unreal'"
    )
    assert done.stdout.split() == ["1", "/unreal/unreal/etc/passwd", "1"], done.stderr
    assert re.fullmatch(r"vu_insmod: unreal: [^\n]+\n", done.stderr)


def test_an_option_that_a_module_has_not_is_refused(refused):
    assert "frobnicate" in refused("pyview -N -p unreal,frobnicate=1 -- touch done", "pyview", 1)


@pytest.mark.parametrize(
    "command", ["vu_insmod unreal", "vu_lsmod", "vu_rmmod unreal", "vuname -U"]
)
def test_a_view_command_outside_a_view_says_so(refused, command):
    assert "view" in refused(command, command.split()[0], 1)


@pytest.mark.parametrize(
    "command",
    ["pyview --frobnicate touch done", "pyview -N -p", "vu_insmod --frobnicate", "vu_insmod"],
)
def test_a_usage_error_is_status_2(refused, command):
    refused(command, command.split()[0], 2)


def test_an_option_after_the_command_is_the_commands(outside):
    assert outside("pyview -N echo -N --frobnicate").stdout == "-N --frobnicate\n"
    assert outside("pyview -N -- echo -- x").stdout == "-- x\n"


@pytest.mark.parametrize("options", ["", "-p unreal"])
def test_a_command_that_is_not_found_is_127(refused, options):
    assert "no-such-command" in refused(f"pyview -N {options} -- no-such-command", "pyview", 127)
    refused(f"pyview -N {options} -- ./nothing/here", "pyview", 127)


@pytest.mark.parametrize("options", ["", "-p unreal"])
def test_a_command_that_cannot_be_executed_is_126(refused, tmp_path, options):
    (tmp_path / "plain").write_text("text\n")
    assert "./plain" in refused(f"pyview -N {options} -- ./plain", "pyview", 126)
    refused(f"pyview -N {options} -- /etc", "pyview", 126)


def test_a_child_view_tells_of_its_command_as_a_view_does(refused, tmp_path):
    (tmp_path / "plain").write_text("text\n")
    refused("pyview -N -- pyview -N -- no-such-command", "pyview", 127)
    refused("pyview -N -- pyview -N -- ./plain", "pyview", 126)
    refused("pyview -N -- pyview -N -p nosuchmodule -- touch done", "pyview", 1)


@pytest.mark.parametrize("options", ["", "-p unreal"])
def test_where_ptrace_is_not_allowed_pyview_says_so_and_runs_nothing(refused, guest, options):
    command = f"{guest('refuse_ptrace')} pyview -N {options} -- touch done"
    line = refused(command, "pyview", 1)
    assert "ptrace" in line


def test_an_rc_file_that_is_not_there_or_fails_is_told(refused, tmp_path):
    assert "absent" in refused("pyview -f ./absent -- touch done", "pyview", 1)


def test_a_log_file_that_cannot_be_made_is_told(refused):
    assert "/nowhere/log" in refused("pyview -N -o /nowhere/log -- touch done", "pyview", 1)


def test_version_and_help_are_on_stdout_and_status_0(outside):
    for option in ("--version", "--help"):
        done = outside(f"pyview {option}")
        assert (done.returncode, done.stderr) == (0, ""), option
        assert "pyview" in done.stdout
