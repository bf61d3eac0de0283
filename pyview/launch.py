# SPDX-License-Identifier: GPL-2.0-or-later
"""Start a core, and become the command in its first view.

The process that was called `pyview` forks twice; the grandchild is the core, an orphan in a session
of its own that traces the process it came from, which then executes the command.  So the command
has the pid, the parent and the terminal that the user's shell gave to pyview, and its exit status
and job control are the kernel's own.
"""

from __future__ import annotations

import os

from pyview import core
from pyview.commands import Failure
from pyview.control import Server
from pyview.entry import enter
from pyview.settings import Settings

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from pyview.control import Answer, Later
    from pyview.tracer import Tracer

OPEN_FILES = 65536  # the core wants some descriptors for each process
IDLE = 10  # ms without any event after which the core begins to load what it will need

NOTHING = 0  # no stop within that time

#: What the first request needs, in pieces of a few ms: a stop may come after each.
WARM_UP = (
    "typing", "enum", "pyview.syscalls", "pyview.view", "pyview.openfile",
    "pyview.registry", "pyview.services", "pyview.emulation", "pyview.tracer", "pyview.filter",
    "pyview.handlers.names", "pyview.handlers.trees", "pyview.handlers.directories",
    "pyview.handlers.programs",
)  # fmt: skip


def run(settings: Settings) -> NoReturn:
    """Raises Failure, with nothing left behind, when no view can be made."""
    me = os.getpid()
    output = _output(settings)
    heard, told = os.pipe()
    core.allow_tracer()
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            if os.fork() == 0:
                _serve(me, settings, output, told)
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    word = os.read(heard, 4096)
    os.close(heard)
    if output > 2:
        os.close(output)
    core.disallow_tracer()
    if word != b"ok":
        raise Failure(1, word.decode(errors="replace") or "the core died at its start")
    enter(settings)


def _output(settings: Settings) -> int:
    """The descriptor for debug and trace lines."""
    if settings.output is None:
        return 2
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC
        return os.open(settings.output, flags, 0o666)
    except OSError as error:
        raise Failure(1, f"{settings.output}: {error.strerror}") from None


def _serve(pid: int, settings: Settings, output: int, told: int) -> NoReturn:
    """Be the core until the last task has gone."""
    os.setsid()
    os.chdir("/")
    os.umask(0)
    core.open_files(OPEN_FILES)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    session = Session(settings, output)
    try:
        session.begin()
        _keep_only({0, 1, 2, output, told, *session.descriptors()})
        session.trace(pid)  # last: from here on the core's end is the command's
    except (OSError, MemoryError) as error:
        os.write(told, _why(error).encode())
        os._exit(1)
    os.write(told, b"ok")
    os.close(told)
    status = 1
    try:
        session.run()
        status = 0
    except BaseException:  # whatever it is, it is said: the core ends here anyhow
        os.write(output, b"pyview: the core failed, and ends its views:\n")
        import traceback

        os.write(output, traceback.format_exc().encode(errors="surrogateescape"))
    finally:
        os._exit(status)


class Session:
    """One core.  Until something is asked of it, nothing but C is needed: the rest comes then."""

    def __init__(self, settings: Settings, output: int) -> None:
        self._settings, self._output = settings, output
        self._tracer: Tracer | None = None

    def begin(self) -> None:
        """Open what the core needs.  Errors: EMFILE, ENFILE, ENOMEM."""
        core.start()
        self._picture = core.new_view()
        self._server = Server(self._dispatch, core.talking)
        core.watch_control(self._server.fileno(), self._server.door())

    def trace(self, pid: int) -> None:
        """Trace `pid` in a first view.  Errors: EPERM when ptrace is not allowed."""
        core.seize(pid, self._picture)

    def descriptors(self) -> list[int]:
        """What it has open before the first task runs."""
        return [*core.descriptors(), *self._server.descriptors()]

    def run(self) -> None:
        """Until the last task is gone."""
        stop = core.new_stop()
        todo, idle = list(WARM_UP), IDLE
        while (kind := core.wait_within(stop, idle if todo else -1)) in (NOTHING, core.DEAD):
            if kind == core.DEAD:
                self.alone()
            else:
                try:
                    __import__(todo.pop(0))
                except Exception:  # what is wrong with it is told to who needs it
                    todo.clear()
                idle = 1
        while kind != core.EMPTY and not self._ready():
            self._server.serve()  # only control can have been heard of: it is told why
            kind = core.wait(stop)
        if kind != core.EMPTY:
            self.tracer().run(stop, self._server.serve, self.alone)
        if self._settings.summary:
            self.tracer().reports.total(core.counts())

    def _ready(self) -> bool:
        """Whether the loop and all that hangs on it can be had: for want of memory, say."""
        try:
            self.tracer()
        except Exception:
            return False
        return True

    def _dispatch(self, pid: int, uid: int, words: Sequence[str]) -> Answer | Later:
        try:
            tracer = self.tracer()
        except Exception as error:
            return 1, f"the core cannot do anything: {type(error).__name__}: {error}"
        return tracer.dispatch(pid, uid, words)

    def alone(self) -> None:
        """The command has ended; what it left running must not keep its user's stderr open."""
        if self._output == 2 and not self._settings.summary:
            os.dup2(0, 2)

    def tracer(self) -> Tracer:
        """The loop and all that hangs on it, loaded the first time."""
        if self._tracer is None:
            from pyview.reports import Reports
            from pyview.tracer import Tracer

            settings = self._settings
            reports = Reports(self._output, settings.trace, settings.summary)
            self._tracer = Tracer(reports, settings.name, self._picture)
            self._tracer.debug_from_start(settings.debug)
        return self._tracer


def _why(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "cannot start the core: Cannot allocate memory"
    if error.errno == 1:
        return "ptrace is not allowed here (seccomp, a container, yama); see pyview --doctor"
    return f"cannot start the core: {error.strerror}"


def _keep_only(keep: set[int]) -> None:
    """Close what the command's caller had open: the core must not hold its pipes."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own descriptor
