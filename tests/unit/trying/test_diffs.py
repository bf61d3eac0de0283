# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches: applied by patch(1) to the host they make it what the view shows."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from pyview.trying import diffs
from pyview.trying.diffs import differences, painted


def text(stage) -> bytes:
    view = stage.view()
    try:
        return b"".join(differences(stage.changes(), view, view.lower))
    finally:
        view.close()


def test_text(stage):
    stage.both("append", "/f", b"more")
    assert text(stage) == (
        b"diff --git a/f b/f\n# 2 B -> 6 B\n--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n 0\n+more\n"
        b"\\ No newline at end of file\n"
    )


def test_no_text(stage):
    stage.both("write", "/f", b"\0\1")
    lines = text(stage).splitlines()
    assert lines[2] == b"Binary files a/f and b/f differ"
    assert lines[3].startswith(b"# - 2 bytes, sha256 9a271f2a916b0b6ee6cecb2426f0b3206ef074")
    assert lines[4].startswith(b"# + 2 bytes, sha256 b413f47d13ee2fe6c845b2ee141af81de858df4e")


def test_large_text_is_told_by_its_hash(stage, monkeypatch):
    monkeypatch.setattr(diffs, "TEXT_LIMIT", 3)
    stage.both("append", "/f", b"more")
    assert b"Binary files" in text(stage)


def test_modes_names_links_and_trees(stage):
    for call in [
        ("chmod", "/f", 0o600), ("rename", "/a/d", "/x y"), ("unlink", "/l"),
        ("symlink", "g", "/l"), ("rmtree", "/b"), ("mkdir", "/n"), ("mkfifo", "/p"),
    ]:  # fmt: skip
        stage.both(*call)
    found = text(stage)
    for piece in (
        b"diff --git a/f b/f\nold mode 100644\nnew mode 100600\n",
        b"rename from a/d\nrename to x y\n",
        b"--- a/l\n+++ b/l\n@@ -1 +1 @@\n-f\n",
        b"diff --git a/b/c/y b/b/c/y\ndeleted file mode 100644\n--- a/b/c/y\n+++ /dev/null\n",
        b"diff --git a/n b/n\nnew file mode 040755\n",
        b"diff --git a/p b/p\nnew file mode 010640\n",
    ):
        assert piece in found, piece


@pytest.mark.needs("patch")
@pytest.mark.parametrize("seed", range(8))
def test_patch_makes_the_host_what_the_view_shows(stage, seed):
    rnd = random.Random(seed)
    names = ["/a/f", "/a/g", "/f", "/g", "/new", "/a/new b", "/a/d/e/x", '/q"\\t']
    for name in rnd.sample(names, 5):
        lines = [rnd.choice([b"one\n", b"two\n", b"\n", b"--- x\n", b"tab\there\n"])] * 3
        rnd.shuffle(lines)
        stage.both("write", name, b"".join(lines) + rnd.choice([b"", b"no newline"]))
    stage.both("unlink", "/a/d/f")
    subprocess.run(
        ["patch", "-p1", "-s", "-E"], input=text(stage), cwd=stage.host, check=True
    )  # fmt: skip
    for directory, _, files in os.walk(stage.copy):
        for name in files:
            copy = Path(directory, name)
            if copy.is_file() and not copy.is_symlink():
                host = stage.host / copy.relative_to(stage.copy)
                assert host.read_bytes() == copy.read_bytes(), host


def test_a_file_that_may_not_be_read(stage, monkeypatch):
    stage.both("append", "/f", b"x")
    monkeypatch.setattr(diffs._Side, "lines", lambda self: (_ for _ in ()).throw(OSError(13, "No")))
    assert b"# f: No\n" in text(stage)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b" same\n", b" same\n"),
        (b"+new\n", b"\x1b[32m+new\x1b[m\n"),
        (b"-old\x1b[2J\n", b"\x1b[31m-old^[[2J\x1b[m\n"),
        (b"@@ -1 +1 @@\n", b"\x1b[36m@@ -1 +1 @@\x1b[m\n"),
        (b"--- a/f\n", b"\x1b[1m--- a/f\x1b[m\n"),
    ],
)
def test_colours(line, shown):
    assert painted(line) == shown
