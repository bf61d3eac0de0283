# SPDX-License-Identifier: GPL-2.0-or-later
"""Long output and pagers."""

from __future__ import annotations

import os

import pytest

from pyview.trying import paging


@pytest.fixture
def on_a_terminal(monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda fd: True)


def test_no_pager_without_a_terminal(capfd, monkeypatch):
    monkeypatch.setenv("PAGER", "false")
    paging.page([b"a\n", b"b\xff\n"] * 20000)
    assert len(capfd.readouterr().out) > 70000


def test_the_user_s_pager(capfd, monkeypatch, on_a_terminal):
    monkeypatch.setenv("PAGER", "sed s/^/./")
    paging.page([b"a\n", b"b\n"])
    assert capfd.readouterr().out == ".a\n.b\n"


def test_who_has_seen_enough_ends_the_pager(monkeypatch, on_a_terminal):
    monkeypatch.setenv("PAGER", "true")
    paging.page([b"line\n"] * 200_000)


@pytest.mark.parametrize("value", ["", "cat", " "])
def test_no_pager_is_wanted(monkeypatch, value):
    monkeypatch.setenv("PAGER", value)
    assert paging.pager() is None


def test_less_where_there_is_one(monkeypatch):
    monkeypatch.delenv("PAGER", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert paging.pager() is None
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/" + name)
    assert paging.pager() == "less"
