# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents tell the truth: what the tour and the manuals show happens."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
MARK = "\x01"  # printed before each command of a session, to tell their outputs apart


def steps(text: str) -> list[tuple[str, str]]:
    """(command, expected output) of each line after a `$` in the console blocks of a page."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), flags=re.MULTILINE)


def script(commands: list[str]) -> str:
    """The text to give to one bash, which types the commands; those after `pyview ... bash` inside.

    A view's shell reads the rest of the same text, up to `exit`.
    """
    lines, inside = ["exec 2>&1"], []
    for command in commands:
        target = inside if inside else lines
        if not inside and re.fullmatch(r"pyview( -\S+ \S+)* bash", command):
            inside = [f"printf '{MARK}'; {command} -c "]
        elif inside and command == "exit":
            body = "\n".join([*inside[1:], f"printf '{MARK}'"])
            lines.append(inside[0] + shlex.quote(body))
            inside = []
        else:
            target.append(f"printf '{MARK}'; {command}")
    assert not inside, "a view is not left"
    return "\n".join(lines) + "\n"


def matches(expected: str, output: str) -> bool:
    """Whether the output is what is expected, where `...` is anything on one line."""
    pattern = re.escape(expected).replace(re.escape("..."), r"[^\n]*")
    return re.fullmatch(pattern, output) is not None


def happens_as_written(page: str, home: Path) -> None:
    """Type what docs/`page` shows, in `home`, and compare."""
    told = steps((DOCS / page).read_text().replace("/home/me", str(home)))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C",
    }
    typed = script([command for command, _ in told])
    done = subprocess.run(
        ["bash", "--norc"],
        input=typed,
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    outputs = done.stdout.split(MARK)[1:]
    wrong = [
        f"$ {command}\nexpected:\n{expected}came:\n{output}"
        for (command, expected), output in zip(told, outputs, strict=False)
        if not matches(expected, output)
    ]
    assert not wrong, "\n".join(wrong)
    assert len(outputs) == len(told)


@pytest.mark.needs("user", "cc", "make")
def test_the_tour_happens_as_it_is_written(tmp_path):
    happens_as_written("tour.md", tmp_path)


@pytest.mark.needs("user", "sfdisk", "mkfs.ext2", "lsblk", "blkid")
def test_devices_are_as_they_are_written(tmp_path):
    happens_as_written("devices.md", tmp_path)


@pytest.mark.needs("user", "setpriv", "ps", "useradd")
def test_identity_is_as_it_is_written(tmp_path):
    happens_as_written("identity.md", tmp_path)


@pytest.mark.needs("user")
def test_vutry_is_as_it_is_written(tmp_path):
    happens_as_written("vutry.md", tmp_path)


@pytest.mark.needs("user")
def test_viewfs_is_as_it_is_written(tmp_path):
    happens_as_written("viewfs.md", tmp_path)


def test_steps_reads_commands_and_their_outputs():
    page = "x\n```console\n$ a\nb\nc\n$ d\n```\n$ not this\n```console\n$ e\nf\n```\n"
    assert steps(page) == [("a", "b\nc\n"), ("d", ""), ("e", "f\n")]


def test_dots_stand_for_the_rest_of_a_line_only():
    assert matches("a ... b\n", "a whatever b\n")
    assert not matches("a...", "a\nb")
    assert not matches("a.", "ab")


def test_links_between_documents_lead_somewhere():
    for page in [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
