# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree for people, JSON for programs."""

from __future__ import annotations

import base64
import json

from pyview.trying.summary import as_json, headline, tree
from pyview.trying.wording import Paint

PLAIN = Paint(False)


def shown(stage, everything: bool = False) -> list[str]:
    return list(tree(stage.changes(), PLAIN, everything))


def test_a_tree(stage):
    for call in [
        ("append", "/f", b"more"), ("write", "/a/new", b"12345"), ("unlink", "/a/d/f"),
        ("rename", "/a/d/e", "/b/e"), ("chmod", "/b/e/x", 0o600), ("unlink", "/l"),
        ("symlink", "f", "/a/link"), ("rmtree", "/b/c"),
        ("mkdir", "/l"),
    ]:  # fmt: skip
        assert stage.both(*call), call
    assert shown(stage) == [
        "  /a/",
        "    d/",
        "D     f  8 B",
        "A   link  link",
        "A   new  5 B",
        "  /b/",
        "D   c/  1 entry, 14 B",
        "R   e/  from /a/d/e",
        "m     x  mode 644 -> 600",
        "M /f  2 B -> 6 B",
        "M /l/  link -> directory",
    ]
    assert headline(stage.changes(), PLAIN) == (
        "2 added, 2 modified, 1 renamed, 1 metadata, 2 deleted (11 B)"
    )


def test_no_changes(stage):
    assert shown(stage) == []
    assert headline([], PLAIN) == "no changes"


def test_same_size_is_said_to_be_other_bytes(stage):
    stage.both("write", "/f", b"1\n")
    assert shown(stage) == ["M /f  2 B, other bytes"]


def test_sizes_that_look_alike_are_told_apart(stage):
    (stage.host / "f").write_bytes(bytes(3 << 20))
    (stage.copy / "f").write_bytes(bytes(3 << 20))
    stage.both("append", "/f", b"xy")
    assert shown(stage) == ["M /f  3 MiB, 2 B more"]


def test_much_that_is_new_is_one_line(stage):
    stage.both("mkdir", "/n")
    for number in range(20):
        stage.both("write", f"/n/{number:02}", b"123")
    assert shown(stage) == ["A /n/  20 entries, 60 B"]
    assert len(shown(stage, everything=True)) == 21


def test_odd_names_stay_on_their_line(stage):
    stage.both("write", "/a\nb\x1b", b"")
    assert shown(stage) == ["A /$'a\\nb\\x1b'  0 B"]


def test_other_names_of_what_went(stage):
    stage.both("append", "/b/f", b"x")
    stage.both("unlink", "/b/f")
    assert shown(stage)[-1].startswith("M   f  under its other names, ")


def test_json(stage):
    stage.both("rename", "/f", "/w\udcff")
    stage.both("unlink", "/g")
    stage.both("mkdir", "/n")
    stage.both("rmtree", "/a")
    record = json.loads(json.dumps(as_json(stage.directory.about, "/up", stage.changes())))
    assert record["version"] == 1
    assert record["directory"] == "/up"
    assert record["command"] == ["test"]
    assert record["counts"]["deleted"] == 2
    by_path = {change["path"]: change for change in record["changes"]}
    renamed = by_path["/w\ufffd"]
    assert base64.b64decode(renamed["path_base64"]) == b"/w\xff"
    assert renamed["from"] == "/f"
    assert renamed["old"]["size"] == 2
    assert by_path["/a"]["inside"] == {"entries": 7, "bytes": 28}
    assert by_path["/n"]["new"]["type"] == "directory"
    assert by_path["/g"]["old"]["mode"] == "0644"
