# SPDX-License-Identifier: GPL-2.0-or-later
"""examples/ loads as its files say, and shows what they say when their first lines are typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pyview.registry import load
from pyview.view import View

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
EXPECTED = {
    "01_unreal.py": ("", {"/again/etc": "/etc", "/again/again/etc": "/etc"}),
    "02_one_file.py": (",shown=/tmp/motd,at=/etc/motd", {"/etc/motd": "/tmp/motd", "/etc": "/etc"}),
    "03_elsewhere.py": (",shown=/usr/include,at=/h", {"/h": "/usr/include", "/h/x": "/usr/include/x"}),  # noqa: E501
    "04_hidden.py": (",at=/a,at=/b", {"/a/x": "/proc/0/x", "/b": "/proc/0", "/c": "/c"}),
    "05_memory_disk.py": ("", {"/etc": "/etc"}),
    "06_counting.py": ("", {"/etc": "/etc"}),
    "07_words.py": ("", {"/etc": "/etc"}),
}  # fmt: skip
#: What comes out, as a regular expression, when the first lines are typed.
SHOWN = {
    "01_unreal.py": r"-rw-r--r-- .* /again/again/etc/passwd",
    "02_one_file.py": r"Welcome to my own world",
    "03_elsewhere.py": r"/h\ntheirs",
    "04_hidden.py": r"ls: cannot access '/etc/ssh': No such file or directory",
    "05_memory_disk.py": r"(?s).*Filesystem magic number: +0xEF53.*Block count: +4096.*",
    "06_counting.py": r"5000\nread 5000\nwritten 6",
    "07_words.py": r"(?s).*\nview\n.*\n\d+\n.*/words/y/you:1\n.*",
}


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_a_rung_of_the_ladder(name):
    options, names = EXPECTED[name]
    view = View()
    loaded = load(view, str(EXAMPLES / name) + options, pytest.fail)
    assert loaded.line
    assert {path: view.real(path) for path in names} == names


def test_a_rung_offers_a_mount_type():
    view = View()
    types = load(view, str(EXAMPLES / "03_elsewhere.py"), pytest.fail).module.types
    view.mount("/i", types["elsewhere"](view.now(), "/usr/share/"))
    assert view.real("/i") == "/usr/share"
    assert view.real("/i/doc") == "/usr/share/doc"


@pytest.mark.needs("user", "mkfs.ext2")
@pytest.mark.parametrize("name", sorted(SHOWN))
def test_its_first_lines_typed(name, tmp_path):
    said = (EXAMPLES / name).read_text().split('"""')[1]
    block = re.search(r"\n\n((?:    .*\n)+)", said)
    assert block, "the first lines say how to run it"
    typed = textwrap.dedent(block[1]).replace("/tmp/", f"{tmp_path}/")
    home = tmp_path / "home"
    home.mkdir()
    (home / "theirs").touch()
    done = subprocess.run(
        ["bash", "--norc", "-c", "exec 2>&1\n" + typed],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LC_ALL": "C",
        },
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert re.fullmatch(SHOWN[name], done.stdout.strip("\n")), done.stdout
