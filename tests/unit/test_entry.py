# SPDX-License-Identifier: GPL-2.0-or-later
"""The last steps into a view: preload, mount, rc files, exec."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from pyview import entry
from pyview.commands import Failure
from pyview.settings import Settings


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(entry, "RC_FILES", (str(tmp_path / "system"), "~/.pyviewrc"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entering(settings, **how):
    with pytest.raises(Failure) as caught:
        entry.enter(settings, **how)
    assert "\n" not in caught.value.text
    return caught.value.status, caught.value.text


def test_modules_then_mounts_then_the_command(inside, core, became, home, box):
    settings = Settings(["true", "-x"])
    settings.preload = ["unreal", box]
    settings.mounts = [f"bind:{home}:/m", "vubox:none:/b:size=4"]
    with pytest.raises(became) as caught:
        entry.enter(settings)
    assert caught.value.argv == ["true", "-x"]
    assert [m.target for m in core.view.mounts[1:]] == ["/unreal", "/unreal", "/m", "/b"]
    path = caught.value.environment["PATH"].split(":")
    assert path[0] == entry.ALIASES
    assert caught.value.environment["PYVIEW_PYTHON"] == sys.executable


def test_what_is_needed_may_be_there(inside, core, became, home):
    for _ in range(2):
        settings = Settings(["true"])
        settings.needs = ["unreal"]
        with pytest.raises(became):
            entry.enter(settings)
    assert [mount.target for mount in core.view.mounts if mount.epoch] == ["/unreal", "/unreal"]


def test_a_module_or_a_mount_that_fails_starts_nothing(inside, core, became, home):
    settings = Settings(["true"])
    settings.preload = ["nosuch"]
    assert entering(settings)[1].startswith("nosuch: no such module")
    settings.preload, settings.mounts = [], ["nosuch:a:/b"]
    assert entering(settings) == (1, "/b: unknown file system type 'nosuch'")


@pytest.mark.parametrize("spec", ["", "a", "a:b", "a::c", ":b:c", "a:b:"])
def test_a_mount_of_the_wrong_form_is_a_usage_error(spec):
    with pytest.raises(Failure) as caught:
        entry.mount_words(spec)
    assert caught.value.status == 2


def test_a_colon_of_an_address_divides_nothing(home):
    assert entry.mount_words("t:vde:///run/sw:/n:vd0=vxvde://,x=a:b") == (
        ("", "t", "vd0=vxvde://,x=a:b", "vde:///run/sw", "/n")
    )


def test_names_that_exist_are_made_canonical(home):
    (home / "real").touch()
    (home / "link").symlink_to("real")
    assert entry.source_name("link") == str(home / "real")
    assert entry.source_name("none") == "none"
    assert entry.source_name("my.cow,link") == f"{home}/my.cow,{home}/real"
    assert entry.source_name("a,none") == "a,none"


def test_options_that_name_files_are_made_canonical(home):
    (home / "link").symlink_to("real")
    assert entry.mount_words("t:none:/n:ro,cow=a/../link,size=x") == (
        ("", "t", f"ro,cow={home}/real,size=x", "none", "/n")
    )


def test_rc_files_run_in_order_and_see_the_views_commands(inside, became, home):
    (home / "system").write_text("echo system >> log; echo ${PATH%%:*} >> log\n")
    (home / ".pyviewrc").write_text("echo mine >> log\n")
    with pytest.raises(became):
        entry.enter(Settings(["true"]))
    assert (home / "log").read_text().split() == ["system", entry.ALIASES, "mine"]


def test_a_given_rc_file_replaces_them_and_norc_has_none(inside, became, home):
    (home / ".pyviewrc").write_text("exit 9\n")
    (home / "given").write_text("echo given >> log\n")
    settings = Settings(["true"])
    settings.rc = "given"
    with pytest.raises(became):
        entry.enter(settings)
    assert (home / "log").read_text() == "given\n"
    settings.norc = True
    with pytest.raises(became):
        entry.enter(settings)
    assert (home / "log").read_text() == "given\n"


def test_a_child_view_runs_only_a_given_rc_file(inside, became, home):
    (home / ".pyviewrc").write_text("exit 9\n")
    with pytest.raises(became):
        entry.enter(Settings(["true"]), child=True)


def test_an_rc_file_that_fails_is_named_and_starts_nothing(inside, became, home):
    (home / ".pyviewrc").write_text("exit 9\n")
    assert entering(Settings(["true"])) == (1, f"{home}/.pyviewrc: exit status 9")
    (home / ".pyviewrc").write_text("kill -15 $$\n")
    assert entering(Settings(["true"])) == (1, f"{home}/.pyviewrc: killed by signal 15")
    settings = Settings(["true"])
    settings.rc = "nosuch"
    assert entering(settings) == (1, "nosuch: No such file or directory")


def test_an_empty_rc_file_is_not_run(inside, became, home, monkeypatch):
    (home / ".pyviewrc").touch()
    monkeypatch.setattr(os, "posix_spawn", None)
    with pytest.raises(became):
        entry.enter(Settings(["true"]))


def test_PATH_gets_the_aliases_once():
    once = entry.surroundings({"PATH": "/bin"})
    assert entry.surroundings(dict(once)) == once
    assert entry.surroundings({})["PATH"].split(":")[1:] == entry.DEFAULT_PATH.split(":")


@pytest.mark.parametrize("given", [False, True])
def test_what_python_says_of_its_locale_is_left_out_unless_it_was_given(given):
    code = "import os; from pyview import entry; print(entry.without_pythons(dict(os.environ)))"
    environment = {"PATH": "/bin"} | ({"LC_CTYPE": "C.UTF-8"} if given else {})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(done.stdout) == environment


def run(*argv, path="/usr/bin:/bin", **how):
    """become() in a process of its own."""
    code = (
        "import sys; from pyview import entry; from pyview.commands import Failure\n"
        "try: entry.become(sys.argv[2:], {'PATH': sys.argv[1]})\n"
        "except Failure as f: print(f.text); sys.exit(f.status)\n"
    )
    command = [sys.executable, "-c", code, path, *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


def test_a_command_is_found_on_PATH_and_keeps_its_name():
    done = run("sh", "-c", 'echo "$0" "$1"; exit 3', "a b", "")
    assert (done.returncode, done.stdout) == (3, "a b \n")


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("nosuchcommand", 127, "nosuchcommand: command not found\n"),
        ("/no/such", 127, "/no/such: No such file or directory\n"),
        ("/etc/passwd/x", 127, "/etc/passwd/x: No such file or directory\n"),
        ("", 127, "'': command not found\n"),
        ("/etc/passwd", 126, "/etc/passwd: Permission denied\n"),
        ("/", 126, "/: Permission denied\n"),
    ],
)
def test_a_command_that_cannot_be_run(name, status, said):
    done = run(name)
    assert (done.returncode, done.stdout) == (status, said)


def test_what_is_not_executable_is_passed_over_for_a_later_one(tmp_path):
    (tmp_path / "true").write_text("")
    assert run("true", path=f"{tmp_path}:/nosuch:/bin").returncode == 0
    (tmp_path / "only").write_text("")
    assert run("only", path=f"{tmp_path}:/bin").returncode == 126


def test_a_text_without_interpreter_is_run_by_the_shell(tmp_path):
    script = tmp_path / "script"
    script.write_text("echo ran $1\n")
    script.chmod(0o755)
    assert run(str(script), "it").stdout == "ran it\n"


def test_signals_are_as_a_program_expects_them():
    done = run("grep", "SigIgn", "/proc/self/status")
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & (1 << 12 | 1 << 24)  # SIGPIPE, SIGXFSZ
