# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated descriptors: one end of a socket pair in the task, the other end in the core.

The kernel does the bookkeeping: lowest free number, dup, fork, exec, close-on-exec, descriptor
passing.  The socket's inode tells which open file it is; the last close hangs up on the core's
end.  A byte that waits in it makes the descriptor readable for poll(2), as files are.

Block devices and texts have the kernel's own open files where they can: pyview/natives.py.
"""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pyview import core
from pyview.api import File, refuse
from pyview.linear import InC
from pyview.locks import EVERYTHING, LOCKS
from pyview.mappings import Mappings
from pyview.openfile import O_PATH, KernelPosition, OpenFile
from pyview.pages import Pages
from pyview.paths import Found
from pyview.view import covers as _covers

if TYPE_CHECKING:
    from pyview.natives import Natives

PLACEHOLDER = b"\0"
RESERVED = 32  # descriptors
POLLIN = select.POLLIN
Answer = TypeVar("Answer")


class StandIn:
    """A memfd that tasks may open by name, as long as it is not closed."""

    def __init__(self, data: bytes = b"", fd: int = -1) -> None:
        if fd < 0:
            fd = os.memfd_create("pyview", os.MFD_CLOEXEC)
            at = 0
            try:
                while at < len(data):
                    at += os.pwrite(fd, data[at:], at)
            except OSError:
                os.close(fd)
                raise
        self.fd = fd
        self.name = name_of(fd)

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def close(self) -> None:
        os.close(self.fd)


def _is_ready(file: File) -> bool:
    return bool(file.poll() & POLLIN)


def name_of(fd: int) -> str:
    """How tasks name a descriptor of the core."""
    return f"/proc/{os.getpid()}/fd/{fd}"


class Descriptors:
    """The open files that tasks have."""

    def __init__(
        self,
        wake: Callable[[object], None],
        tell: Callable[[OpenFile], None],
        mistake: Callable[[str, BaseException], None] = lambda what, error: None,
    ) -> None:
        """`wake(key)`: locks have gone; `tell(opened)`: a file is to be closed (module's edge).

        `mistake(what, error)`: a module has made one.
        """
        self._wake, self._tell, self._mistake = wake, tell, mistake
        self.in_c = InC(self.asked, self._tell_texts)
        self.mappings = Mappings(self._mapped, tell)
        self._natives: Natives | None = None  # from the first device, or text, on
        self._poll = select.epoll()  # of the core's ends: hang-ups
        # Some are left for what the core opens for itself: modules, proc, filters' listeners.
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED
        self._by_object: dict[int, OpenFile] = {}
        self._ends: dict[int, tuple[int, OpenFile]] = {}  # the core's end -> (inode, open file)
        self._fifos: dict[tuple[int, int], int] = {}  # O_PATH
        self._places: dict[str, int] = {}
        self._names: list[str] = [""]

    # -- open files ----------------------------------------------------------------------------
    def give(self, opened: OpenFile) -> int:
        """A descriptor of the core for the task's end of a new pair: to be handed over, closed.

        Errors: EMFILE, ENFILE when the core has none left.
        """
        mine, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        end, fd = mine.detach(), theirs.detach()
        try:
            if max(end, fd) >= self._most:
                raise refuse(errno.ENFILE)
            self._poll.register(end, 0)
            core.mark_emulated(fd)
            core.rings(end)
        except OSError:
            os.close(end)
            os.close(fd)
            raise
        opened.socket = end
        self.show_ready(opened)
        inode = os.fstat(fd).st_ino
        if not self._ends:
            core.watch_rung(self._poll.fileno())
        self._ends[end] = (inode, opened)
        self.note(inode, opened)
        return fd

    @property
    def natives(self) -> Natives:
        """Those that are the kernel's own open files."""
        if self._natives is None:
            from pyview.natives import Natives  # only those who have a device, or a text, need it

            self._natives = Natives(self)
        return self._natives

    def give_native(self, opened: OpenFile, record: Any) -> int:
        """The same as give(), of the kernel's own open file; -1 when that can't be."""
        if opened.polls or opened.flags & O_PATH:
            return -1
        return self.natives.give(opened, record)

    def note(self, known: int, opened: OpenFile) -> None:
        """There is another open file, known by what core.emulated() says."""
        self._by_object[known] = opened
        opened.pages = self.mappings.shared(opened.key)
        self.in_c.tell(known, opened)

    def _tell_texts(self, entry: Any, opened: OpenFile) -> None:
        self.natives.tell_texts(entry, opened)

    def image_name(self, device: int, inode: int) -> str | None:
        """The name of the device that a file is the image of, when it has been opened directly."""
        return None if self._natives is None else self._natives.image_name(device, inode)

    def lost(self, fd: int) -> bool | None:
        """Whether a process that ended, which the core's `fd` tells, is needed; None: none did."""
        return None if self._natives is None else self._natives.lost(fd)

    def _mapped(self, key: tuple[int, int], pages: Pages | None) -> None:
        """What is mapped shared of a file is this from now on."""
        for other in self.opened():
            if other.key == key:
                other.pages = pages
        self.refresh()
        if self._natives is not None:
            self._natives.mapped(key, pages)

    def refresh(self) -> None:
        """What C may read and write itself, and what windows show, is another now."""
        for inode, opened in list(self._by_object.items()):
            self.in_c.tell(inode, opened)
        if self._natives is not None:
            self._natives.refresh()

    def asked(self, opened: OpenFile, what: str, question: Callable[[], Answer]) -> Answer | None:
        """What a file says of itself; None when its author made a mistake, which is logged."""
        return self.said(f"{opened.name}: {what}", question)

    def said(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        """The same of a tree, or of whatever a module is asked."""
        try:
            return question()
        except BaseException as error:  # the module's edge: the core goes on
            self._mistake(what, error)
            return None

    def show_ready(self, opened: OpenFile) -> bool:
        """Let poll(2) say what the file does; False: its descriptors must be drained for that."""
        ready = not opened.polls or bool(
            self.asked(opened, "poll", partial(_is_ready, opened.file))
        )
        if ready and not opened.shown_ready:
            try:
                os.write(opened.socket, PLACEHOLDER)
            except BrokenPipeError:
                pass  # the last descriptor has been closed: the hang-up is on its way
            opened.shown_ready = True
        return ready or not opened.shown_ready

    def find(self, known: int) -> OpenFile | None:
        """The open file by what core.emulated() says."""
        found = self._by_object.get(known)
        if found is None and self._natives is not None:
            return self._natives.taken(known)
        return found

    def held(self, record: Any, fd: int, known: int = 0) -> OpenFile | None:
        """The open file of a task's descriptor, if it is emulated; `known`: as for find()."""
        found = self.find(known or core.emulated(record, fd))
        if found is not None and found.direct:
            assert isinstance(found.at, KernelPosition)
            found.at.look = partial(core.descriptor, record, fd)
        return found

    def fileno(self) -> int:
        """A descriptor that is readable when `settle` has something to do."""
        return self._poll.fileno()

    def let_go(self) -> None:
        """The same, and keep nothing for who might come."""
        self.settle()
        if self._natives is not None:
            self._natives.leave()

    def settle(self) -> None:
        """Let go of the open files whose last descriptor has gone."""
        if self._natives is not None:
            self._natives.leave()
        while ended := self._poll.poll(0):
            for end, _ in ended:
                self._hung_up(end)
        if self._natives is not None:
            self._natives.settle()

    def _hung_up(self, end: int) -> None:
        known, opened = self._ends.pop(end)
        if not self._ends:
            core.watch_rung(self._poll.fileno(), 0)
        self.closed(known)
        os.close(end)
        opened.socket = -1

    def closed(self, known: int) -> None:
        """Nobody has an open file any more."""
        opened = self._by_object[known]
        if self._natives is not None:
            self._natives.closed(opened.key, known)
        self.in_c.closed(known, opened)
        del self._by_object[known]
        for key in LOCKS.forget(("file", id(opened))):
            self._wake(key)
        for process in opened.lockers:  # they have closed it: fcntl(2), record locks
            LOCKS.release(opened.key, ("process", process), EVERYTHING)
        self._wake(opened.key)
        if opened.pages is not None:
            self.mappings.keep(opened)
        else:
            self._tell(opened)

    def opened(self) -> Iterator[OpenFile]:
        """All open files; those that are still mapped too."""
        if self._natives is not None:
            self._natives.take_all()
        yield from list(self._by_object.values())
        yield from self.mappings.kept()

    def fifo(self, key: tuple[int, int]) -> int:
        """A descriptor of the core for the FIFO of a file that a virtual tree says is one.

        It is one of the kernel's without a name: readers and writers, and their waiting, are the
        kernel's affair.  Errors: those of mkfifo(3).
        """
        if key not in self._fifos:
            name = f"{os.environ.get('TMPDIR') or '/tmp'}/.pyview-{os.urandom(8).hex()}"
            os.mkfifo(name, 0o600)
            try:
                self._fifos[key] = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            finally:
                os.unlink(name)
        return self._fifos[key]

    # -- directories and programs in virtual trees ---------------------------------------------
    def place(self, name: str) -> int:
        """A number for a name of the view: what C remembers."""
        number = self._places.get(name)
        if number is None:
            number = self._places[name] = len(self._names)
            self._names.append(name)
        return number

    def known_place(self, name: str) -> int:
        """The number of a name, 0 when nobody has been there."""
        return self._places.get(name, 0)

    def renamed(self, old: Found, new: Found) -> None:
        """Files and directories that are open, or worked in, have another name from now on."""
        for opened in self.opened():
            if opened.tree is old.tree and _covers(old.rest, opened.rest):
                opened.rest = new.rest + opened.rest[len(old.rest) :]
                opened.name = opened.mount.target + opened.rest
        for number, name in enumerate(self._names):
            if number and _covers(old.name, name):
                self._places.pop(name, None)
                self._names[number] = now = new.name + name[len(old.name) :]
                self._places[now] = number

    def place_name(self, number: int) -> str:
        return self._names[number]
