# SPDX-License-Identifier: GPL-2.0-or-later
"""The man pages: as the manuals are, found by man(1), and complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyview
from pyview.commands import vutry

ROOT = Path(__file__).resolve().parents[2]
PAGES = Path(pyview.__file__).parent / "man/man1"


def shown(*arguments: str) -> str:
    environment = {"PATH": f"{PAGES.parents[1]}/aliases:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                   "MANWIDTH": "200", "MAN_KEEP_FORMATTING": ""}  # fmt: skip
    done = subprocess.run(
        ["man", *arguments], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return re.sub(".\b", "", done.stdout)


def test_the_pages_are_those_of_the_manuals():
    program = [sys.executable, str(ROOT / "tools/man_pages.py"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs("man")
def test_a_view_s_man_finds_them_and_has_no_complaint():
    for page in PAGES.iterdir():
        name = page.name.partition(".")[0]
        assert os.path.samefile(shown("-w", name).strip(), page)
        text = shown("--warnings=w", "-Tutf8", name)
        assert text.startswith(name.upper())


@pytest.mark.needs("man")
def test_every_option_of_vutry_is_in_its_page():
    text = shown("-Tutf8", "vutry")
    for word in ("", *vutry.WORDS):
        for action in vutry.options("vutry", word)._actions:
            for option in action.option_strings:
                if option not in ("-h", "--help"):
                    assert re.search(rf"(?<![-\w]){option}(?![-\w])", text), option
    for text_of_table in ("A pattern with a slash is for a path from the root, where ** is any",):
        assert text_of_table in " ".join(text.split())
