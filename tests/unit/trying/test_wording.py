# SPDX-License-Identifier: GPL-2.0-or-later
"""How things look to people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview.trying import wording


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"plain name", "plain name"),
        ("größe".encode(), "größe"),
        (b"a\nb", "$'a\\nb'"),
        (b"it's\x1b[31m", "$'it\\'s\\x1b[31m'"),
        (b"w\xff", "$'w\\xff'"),
        (b"\\\t", "$'\\\\\\t'"),
        ("\u202e.txt".encode(), "$'\\xe2\\x80\\xae.txt'"),
    ],
)
def test_names(path, shown):
    assert wording.name(path) == shown


@given(st.binary(max_size=30))
def test_no_name_moves_the_cursor(path):
    assert wording.name(path).isprintable()


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (1024, "1 KiB"), (1 << 20, "1 MiB"),
     (1023 << 10, "0.999 MiB"), (5 << 30, "5 GiB"), (1 << 60, "1.02e+03 PiB")],
)  # fmt: skip
def test_sizes(count, shown):
    assert wording.size(count) == shown


def test_counts():
    assert wording.count(1, "file") == "1 file"
    assert wording.count(1234, "entry") == "1,234 entries"


def test_colours():
    assert wording.Paint(False)("x", "added") == "x"
    assert wording.Paint(True)("x", "added") == "\x1b[32mx\x1b[m"
    assert wording.Paint(True)("", "added") == ""


def test_no_colour_where_it_is_not_wanted(monkeypatch):
    monkeypatch.setattr("os.isatty", lambda fd: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wording.wants_colour(1)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wording.wants_colour(1)


def test_lines_of_files_are_harmless():
    assert wording.harmless(b"a\tb\n") == b"a\tb\n"
    assert wording.harmless(b"a\x1b[2Jb\x7f\n") == b"a^[[2Jb^?\n"
