# SPDX-License-Identifier: GPL-2.0-or-later
"""A core without processes: the control channel and the services over plain views."""

from __future__ import annotations

import os
import select
import threading

import pytest

from pyview import control
from pyview.api import refuse
from pyview.services import Services
from pyview.view import View


class FakeCore:
    """What the services need of a core; every client is in `view`."""

    def __init__(self):
        self.view = View(1, "outer")
        self.all_views = [self.view]
        self.busy_targets = set()
        self.refusal = ""  # what `changed` answers
        self.logged = []
        self.debugged = []
        self.changes = 0

    def view_of(self, pid):
        return self.view

    def views(self):
        return self.all_views

    def busy(self, view, mount):
        return mount.target in self.busy_targets

    def changed(self, view, then):
        self.changes += 1
        then(self.refusal)

    def apart(self, action, then):
        try:
            made = action()
        except Exception as error:
            then(None, error)
        else:
            then(made, None)

    def child(self, pid, name):
        if name == "none":
            raise refuse(11, name)
        self.view = View(len(self.all_views) + 1, name, parent=self.view)
        self.all_views.append(self.view)
        return self.view

    def debug(self, view, pid, tags):
        self.debugged.append((view.number, bool(pid), "".join(sorted(tags))))

    def log(self, text):
        self.logged.append(text)


@pytest.fixture
def core():
    return FakeCore()


@pytest.fixture
def services(core):
    return Services(core)


@pytest.fixture
def serve(monkeypatch):
    """Serve a dispatch function from a thread, to clients in this process."""
    ends = []

    def start(dispatch):
        stop_read, stop_write = os.pipe()
        ready = threading.Event()
        made = []

        def loop():
            server = control.Server(dispatch)
            made.append(server)
            ready.set()
            while stop_read not in select.select([server, stop_read], [], [])[0]:
                server.serve()
            server.close()

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        assert ready.wait(10)
        ends.append((thread, stop_read, stop_write))
        monkeypatch.setattr(control, "core_pid", os.getpid)
        return made[0]

    yield start
    for thread, stop_read, stop_write in ends:
        os.close(stop_write)
        thread.join(10)
        os.close(stop_read)


@pytest.fixture
def inside(serve, services):
    """This process is in a view whose services are `services`."""
    serve(services.dispatch)
    return services


class Became(Exception):
    """In place of a successful execve."""

    def __init__(self, file, argv, environment):
        super().__init__(file, argv)
        self.file, self.argv, self.environment = file, argv, environment


@pytest.fixture
def became(monkeypatch):
    """execve of a file that is there raises Became."""

    def execve(file, argv, environment):
        if not os.path.exists(file):
            raise FileNotFoundError(2, "No such file or directory", file)
        raise Became(file, argv, environment)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr("pyview.entry.pythons_signals", tuple)  # pytest keeps its own
    return Became


@pytest.fixture
def a_module(tmp_path):
    """Write a module's file; its path."""

    def write(text, name="thing"):
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        return str(file)

    return write


BOX = '''"""box - a tree with one name in it."""
from pyview.api import Module, Tree

class Box(Tree):
    gone = 0
    def __init__(self, below, source, *, size: int = 0, ro: bool = False):
        if source == "broken":
            raise ValueError("no such\\nbox")
        self.below, self.source, self.size, self.ro = below, source, size, ro
    def real(self, path):
        return "/etc" + path
    def unmounted(self):
        Box.gone += 1
    def busy(self):
        return self.source == "busy"

class Boxes(Module):
    types = {"vubox": Box}
    unloaded = 0
    def __init__(self, *, word: str = "", times: int = 1, names: list[str] | None = None):
        self.word, self.times, self.names = word, times, names
    def load(self, view):
        if self.word:
            view.mount("/" + self.word, Box(view.now(), "load"), kind="box")
        if self.word == "fails":
            raise RuntimeError("it fails")
        if self.word == "denied":
            raise PermissionError(13, "Permission denied", "/denied")
    def unload(self, view):
        Boxes.unloaded += 1
'''


@pytest.fixture
def box(a_module):
    """A module with one mount type; its path."""
    return a_module(BOX, "vuboxes")
