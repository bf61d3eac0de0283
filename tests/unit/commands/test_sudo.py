# SPDX-License-Identifier: GPL-2.0-or-later
"""sudo in a view: ours where users are the view's own, else the system's."""

from __future__ import annotations

import os

import pytest

from pyview.cli import main


@pytest.fixture
def system(monkeypatch, tmp_path, became):
    """The system's sudo."""
    file = tmp_path / "sudo"
    file.write_text("")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return str(file)


def started(became, *argv):
    with pytest.raises(became) as raised:
        main(["sudo", *argv])
    return raised.value


def test_outside_and_without_identities_it_is_the_systems(inside, became, system, monkeypatch):
    assert started(became, "-u", "nobody", "id").argv == [system, "-u", "nobody", "id"]
    monkeypatch.setattr("pyview.control.core_pid", lambda: 0)
    assert started(became, "id").file == system


def test_where_users_are_the_views_own_it_is_ours(inside, core, became, system, monkeypatch):
    core.view.claim("identity")
    monkeypatch.setattr("pyview.commands.viewsu.os.initgroups", lambda *who: None)
    monkeypatch.setattr(os, "setresgid", lambda *ids: None)
    monkeypatch.setattr(os, "setresuid", lambda *ids: None)
    assert started(became, "/bin/sh").argv == ["/bin/sh"]
    assert core.roots == [os.getpid()]
    assert started(became, "--list").argv == [system, "--list"]
