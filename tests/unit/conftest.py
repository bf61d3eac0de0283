# SPDX-License-Identifier: GPL-2.0-or-later
"""A core without processes: the control channel and the services over plain views."""

from __future__ import annotations

import os
import select
import threading
from types import SimpleNamespace

import pytest
import threads
from trials import command, there

from pyview import control, tracer
from pyview import core as door
from pyview.api import refuse
from pyview.descriptors import Descriptors
from pyview.paths import cover_of
from pyview.reports import Reports
from pyview.services import Services
from pyview.syscalls import BY_NAME
from pyview.task import Task
from pyview.tracer import Tracer
from pyview.verdicts import Emulate, Work
from pyview.view import View

__all__ = ["command", "there"]  # fixtures of vutry


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
        self.somebody_else = 0  # tasks with another identity than the kernel's
        self.roots = []  # processes that have become root
        self.apart_for = []  # the slow trees in whose threads something was done

    def view_of(self, pid):
        return self.view

    def views(self):
        return self.all_views

    def busy(self, view, mount):
        return mount.target in self.busy_targets

    def changed(self, view, then):
        self.changes += 1
        then(self.refusal)

    def others(self, view):
        return self.somebody_else

    def becomes_root(self, pid):
        self.roots.append(pid)

    def apart(self, action, then, tree=None):
        self.apart_for.append(tree)
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
def ask(services):
    """A request of the control channel, and its answer."""

    def do(*words):
        answer = services.dispatch(100, 0, words)
        if isinstance(answer, control.Later):
            got = []
            answer.then(got.append)
            (answer,) = got
        return answer

    return do


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


# -- the loop, with stops that a test makes up ----------------------------------------------------

TID = 0x7FFFFFF0  # of no thread
TOLD = ("let_run", "resume", "reply", "answer", "give", "clean", "free_view", "join")


class World:
    """A tracer whose stops a test makes up; `said` is what the core was told."""

    def __init__(self, monkeypatch, fd):
        self.said = []
        self.served = False
        self.poked = True
        self.picture = door.new_view()
        self.record = self.task(TID)
        self.records = {TID: self.record}
        for name in TOLD:
            monkeypatch.setattr(door, name, self._note(name))
        monkeypatch.setattr(door, "task", self.records.get)
        monkeypatch.setattr(door, "tasks", lambda: list(self.records.values()))
        monkeypatch.setattr(door, "thread_group", lambda tid: tid // 10 * 10)
        monkeypatch.setattr(door, "serve", self._serve)
        monkeypatch.setattr(door, "poke", self._poke)
        monkeypatch.setattr(door, "wait", self._wait)
        monkeypatch.setattr(door, "mark_of", lambda record, fd: record.marks.get(fd, 0))
        monkeypatch.setattr(door, "watch", lambda fd, on=1: None)
        monkeypatch.setattr(door, "watch_rung", lambda fd, on=1: None)
        monkeypatch.setattr(door, "rings", lambda fd: None)
        monkeypatch.setattr(door, "ring", lambda: None)
        monkeypatch.setattr(door, "copy_stop", lambda stop: SimpleNamespace(**vars(stop)))
        self.threads = threads.count()
        self.tracer = Tracer(Reports(fd, False, False), "first", self.picture)
        monkeypatch.setattr(self.tracer.patience, "start", lambda: None)  # a thread without an end
        self.view = self.tracer.views()[0]
        monkeypatch.setattr(self.tracer, "_end", lambda: None)  # no more stops, for now
        self.monkeypatch = monkeypatch
        self.queue = []

    def task(self, tid):
        return SimpleNamespace(
            tid=tid, view=self.picture, watched=0, let_next=0, takes=0, filtered=0,
            messages=0, marks={}, descriptors=0, direct=0, mapping=0, watching=0, identified=0,
            identity=None, waiting=0,
            fs=SimpleNamespace(domain=0, foreign=0, place=0),
            mm=SimpleNamespace(domain=0, hidden=0, maps=0, place=0),
        )  # fmt: skip

    def _note(self, name):
        return lambda *args: self.said.append((name, *args))

    def _serve(self, stop, domain, real):
        self.said.append(("serve", domain, real))
        return self.served

    def _poke(self, tid, address, data):
        self.said.append(("poke", address, data))
        return self.poked

    def _wait(self, stop):
        vars(stop).update(vars(self.queue.pop(0)))
        return stop.kind

    def answers(self, verdict):
        """From now on every handler says this, or does it."""

        def handler(task):
            if isinstance(verdict, BaseException):
                raise verdict
            return verdict(task) if callable(verdict) else verdict

        self.monkeypatch.setattr(tracer, "handler_of", lambda call: handler)

    def stop(self, kind, **more):
        start = {"kind": kind, "tid": TID, "message": 0, "listener": 4, "id": 77, "value": 0}
        start |= {"object": 0, "object_fd": 0, "answered": 0}
        key = 0 if kind == door.EXEC else 99
        nr = self.tracer.numbers["stat"]
        return SimpleNamespace(**{**start, "nr": nr, "args": [0] * 6, "key": key, **more})

    def works(self, told, run):
        """From now on every handler has something done in a file's thread, and is told of it."""

        def handler(task):
            try:
                told.append((yield Work("file", run)))
            except OSError as error:
                told.append(error.errno)
                raise
            return Emulate(7)

        self.answers(handler)

    def ready(self):
        """A stop that says that work is done, once it is."""
        fd = self.tracer.emulation.workers.fd
        assert select.select([fd], [], [], 20)[0]
        return self.stop(door.READY, tid=fd)

    def close(self):
        """Let go of what the tracer has open."""
        threads.close(self.tracer.emulation.workers, self.threads)
        self.tracer.emulation.descriptors._poll.close()

    def runs(self, *stops):
        """Let the loop have these stops; what the core was told."""
        self.said.clear()
        self.queue = [*stops[1:], self.stop(door.EMPTY, tid=0)]
        self.tracer.run(stops[0], lambda: self.said.append("serve"), lambda: self.said.append(0))
        return self.said


@pytest.fixture
def world(monkeypatch, tmp_path):
    fd = os.open(tmp_path / "lines", os.O_RDWR | os.O_CREAT)
    made = World(monkeypatch, fd)
    yield made
    made.close()
    os.close(fd)


# -- a task (test_task, test_holder) ------------------------------------------------------------


@pytest.fixture
def view():
    view = View()
    view.mount("/unreal", view.now(), source="none", kind="unreal")
    view.mount("/srv a\\b", view.now(), source="x\ty", kind="")
    return view


@pytest.fixture
def number(view):
    return cover_of(view, "/unreal").number


@pytest.fixture
def record(monkeypatch):
    """What C would know of this process; its descriptors' marks are a dict."""
    made = SimpleNamespace(
        tid=os.getpid(),
        view="picture",
        fs=SimpleNamespace(domain=0, foreign=0, place=0),
        mm=SimpleNamespace(domain=0, place=0, maps=0),
        foreign_child=0,
        identity=None,
        exec_domain=0,
        exec_place=0,
        descriptors=0,
        direct=0,
        windowed=0,
        reads_below=0,
        writes_below=0,
        watching=0,
        inodes={},
        marks={},
    )

    def dup(_record, fd):
        return os.dup(fd)

    monkeypatch.setattr(door, "descriptor", dup)
    monkeypatch.setattr(door, "mark_of", lambda one, fd: one.marks.get(fd, 0))
    monkeypatch.setattr(door, "task", lambda tid: made if tid == made.tid else None)
    monkeypatch.setattr(door, "tasks", lambda: [made])
    monkeypatch.setattr(door, "emulated", lambda one, fd: one.inodes.get(fd, 0))
    monkeypatch.setattr(door, "mark_emulated", lambda fd: None)
    monkeypatch.setattr(door, "watch_rung", lambda fd, on=1: None)
    monkeypatch.setattr(door, "rings", lambda fd: None)
    monkeypatch.setattr(door, "watch", lambda fd, on=1: None)
    return made


class Session:
    """What a task needs of its core: real descriptors, and notes of all else."""

    def __init__(self):
        self.notes = []
        self.kept = []
        self.closed = []
        self.descriptors = Descriptors(lambda key: self.notes.append(("wake", key)), self.close)
        self.mappings = self.descriptors.mappings

    def close(self, opened):
        self.closed.append(opened.name)

    def keep_until_done(self, tid, file):
        self.kept.append(file)

    def __getattr__(self, what):
        return lambda *args: self.notes.append((what, *args))


@pytest.fixture
def session(record):
    made = Session()
    yield made
    for file in made.kept:
        file.close()
    for pages in made.mappings._shared.values():
        pages.close()
    for end in made.descriptors._ends:
        os.close(end)
    made.descriptors._poll.close()


@pytest.fixture
def task(record, view, session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Task(record, view, BY_NAME["stat"], (0,) * 6, session)
