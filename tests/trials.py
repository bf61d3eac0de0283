# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for vutry as a command, where a model of a view stands for the view."""

from __future__ import annotations

import pytest
from stage import Stage, furnish
from uppers import Model

from pyview.trying.state import Directory


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A host at tmp_path/host; kept changes in tmp_path/upper; temporary ones in tmp_path/tmp."""
    made = Stage(tmp_path)
    furnish(made.host)
    made.start()
    made.directory.save()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(made.host)
    monkeypatch.setenv("PAGER", "cat")
    return made


@pytest.fixture
def command(there, monkeypatch):
    """Lets vutry run the calls of a list in place of a command; `status` is theirs."""

    class Command:
        def __init__(self) -> None:
            self.status = 0
            self.calls = [("append", "/f", b"more\n"), ("write", "/new", b"12345")]
            self.ran: list[tuple[list[str], list[str]]] = []

        def run(self, _program: str, directory: Directory, argv: list[str]) -> int:
            self.ran.append((argv, directory.about["layers"]))
            model = Model(str(there.host), directory.name)
            for call, *words in self.calls:
                getattr(there.native, call)(*words)
                getattr(model, call)(*words)
            return self.status

    made = Command()
    monkeypatch.setattr("pyview.trying.session.run", made.run)
    begin = Directory.begin

    def begin_there(self, argv, layers):
        self.about["root"] = str(there.host)
        begin(self, argv, layers)

    monkeypatch.setattr(Directory, "begin", begin_there)
    return made
