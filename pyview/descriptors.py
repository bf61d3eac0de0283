# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated descriptors: one end of a socket pair in the task, the other end in the core.

The kernel does the bookkeeping: lowest free number, dup, fork, exec, close-on-exec, descriptor
passing.  The socket's inode tells which open file it is; the last close hangs up on the core's
end.  A byte that waits in it makes the descriptor readable for poll(2), as files are.

Whole block devices have another kind of descriptor where they can: pyview/direct.py.
"""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pyview import core
from pyview.api import Device, File, Linear, Tree, refuse
from pyview.linear import InC
from pyview.locks import EVERYTHING, LOCKS
from pyview.openfile import O_PATH, KernelPosition, OpenFile, Position
from pyview.pages import Area, Pages, Part
from pyview.paths import Found
from pyview.reach import NATIVELY, NOTHING, Reach
from pyview.view import covers as _covers

if TYPE_CHECKING:
    from pyview.texts import Texts
    from pyview.windows import Windows

REMEMBERED = 4096  # names of files that have been mapped
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


class Hold:
    """A call at work on what is mapped of a file."""

    def __init__(self, held: dict[tuple[int, int], int], key: tuple[int, int]) -> None:
        self._held, self._key = held, key
        held[key] = held.get(key, 0) + 1

    def close(self) -> None:
        self._held[self._key] -= 1
        if not self._held[self._key]:
            del self._held[self._key]


def _is_ready(file: File) -> bool:
    return bool(file.poll() & POLLIN)


def name_of(fd: int) -> str:
    """How tasks name a descriptor of the core."""
    return f"/proc/{os.getpid()}/fd/{fd}"


def _watch_ringing(fd: int, on: int = 1) -> None:
    """Have the core look at a socket that rings itself; 0: no longer."""
    if on:
        core.rings(fd)
    core.watch_rung(fd, on)


class Descriptors:
    """The open files that tasks have, and what they have mapped of them."""

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
        self.in_c = InC(self._asked, self._tell_texts)
        self._poll = select.epoll()  # of the core's ends: hang-ups
        # Some are left for what the core opens for itself: modules, proc, filters' listeners.
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED
        self._by_object: dict[int, OpenFile] = {}
        self._direct: dict[int, tuple[int, int]] = {}  # what it is known by -> image, byte locked
        self._own: set[int] = set()  # those of which the image is of no use to others
        self._texts: Texts | None = None  # from the first directory of texts on
        self.windows: Windows | None = None
        self._unshown: set[tuple[int, int]] = set()  # devices that can't have windows
        self._images: dict[tuple[int, int], str] = {}  # device and inode -> the name of the device
        self._ends: dict[int, tuple[int, OpenFile]] = {}  # the core's end -> (inode, open file)
        self._mapped: dict[tuple[int, int], Pages] = {}  # shared, by the file's key
        self._memory: dict[int, str] = {}  # memfd -> the name of its file, for proc
        self._users: dict[int, set[tuple[int, int]]] = {}  # pv_mm.maps -> keys
        self._fifos: dict[tuple[int, int], int] = {}  # O_PATH
        self._held: dict[tuple[int, int], int] = {}  # calls at work on what is mapped
        self._areas: dict[int, list[Area]] = {}  # pv_mm.maps -> where
        self._ended: dict[tuple[int, int], list[OpenFile]] = {}  # closed, but still mapped
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
        self._by_object[inode] = opened
        if not self._ends:
            core.watch_rung(self._poll.fileno())
        self._ends[end] = (inode, opened)
        opened.pages = self._mapped.get(opened.key)
        self.in_c.tell(inode, opened)
        return fd

    def reach_of(self, tree: Tree, flags: int, tid: int) -> Reach:
        """What who opens a tree's root needs no stop for, in all likelihood."""
        if not isinstance(tree, Device):
            from pyview.direct import is_texts

            return NATIVELY if is_texts(tree) else NOTHING
        block = self._said("lstat", lambda: stat.S_ISBLK(tree.lstat("/").st_mode))
        return self._reach(tree, flags, tid) if block else NOTHING

    def _reach(self, file: File, flags: int, tid: int) -> Reach:
        """The same of a file that a task has opened."""
        from pyview import direct  # only those who have a device need it

        reach = self._said("linear", partial(direct.reach, file, flags))
        if reach is None:
            return NOTHING
        limit = resource.prlimit(tid, resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and not reach.windowed and flags & os.O_ACCMODE:
            return reach._replace(writes=0)  # the limit is for files: to the kernel it is one
        return reach

    def give_native(self, opened: OpenFile, record: Any) -> int:
        """The same, of the kernel's own open file; -1 when that can't be."""
        if opened.polls or opened.flags & O_PATH:
            return -1
        if opened.kind != stat.S_IFBLK:
            return self._give_text(opened, record)
        reach = self._reach(opened.file, opened.flags, record.tid)
        if reach == NOTHING or not reach.of(record):
            return -1
        try:
            if not reach.windowed:
                return -1 if opened.key in self._mapped else self._give_direct(opened)
            return -1 if record.descriptors else self._give_window(opened)
        except OSError:
            return -1

    def _give_text(self, opened: OpenFile, record: Any) -> int:
        from pyview import direct

        reads = opened.flags & os.O_ACCMODE == os.O_RDONLY and opened.key not in self._mapped
        if not (reads and direct.is_texts(opened.tree) and NATIVELY.of(record)):
            return -1
        known = None if opened.is_directory else self._asked(opened, "known", opened.file.known)
        data = known and known.text
        if not (opened.is_directory or isinstance(data, bytes)):
            return -1
        try:
            image = direct.text(data) if data is not None else direct.directory()
        except OSError:
            return -1
        try:
            fd, byte = direct.reopened(f"/proc/self/fd/{image}", opened.flags)
            self._owned(opened, fd, image, byte)
        except OSError:
            os.close(image)
            return -1
        return fd

    def _owned(self, opened: OpenFile, fd: int, image: int, byte: int) -> None:
        """A direct descriptor whose image goes with it."""
        opened.at, opened.direct = KernelPosition(), True
        self._own.add(self._marked(opened, fd, image, byte))
        if not opened.is_directory:
            self.remember(image, opened.name)

    def _tell_texts(self, entry: Any, opened: OpenFile) -> None:
        if self._texts is None:
            from pyview.texts import Texts

            self._texts = Texts(self._take_all)
        self._texts.tell(entry, opened)

    def _take_all(self) -> None:
        """Know of all that C has opened."""
        for known in core.opened_texts() if self._texts is not None else ():
            self.find(known)

    def _taken(self, known: int) -> OpenFile | None:
        """Know of what C has opened."""
        taken = self._texts.taken(known) if self._texts is not None else None
        if taken is None:
            return None
        opened, image, byte = taken
        opened.at, opened.direct = KernelPosition(), True
        self._note(opened, known, image, byte)
        self._own.add(known)
        self.remember(image, opened.name)
        return opened

    def _give_direct(self, opened: OpenFile) -> int:
        from pyview import direct

        found = direct.whole(opened.file)
        assert found is not None
        fd, byte = direct.reopened(f"/proc/self/fd/{found.fd}", opened.flags)
        opened.direct = True
        opened.at = KernelPosition()
        self._marked(opened, fd, found.fd, byte)
        self.shows_image(found.fd, opened.name)
        return fd

    def _give_window(self, opened: OpenFile) -> int:
        if self.windows is None:
            from pyview.windows import Windows

            self.windows = Windows(_watch_ringing, self._mapped.get)
        if opened.key in self._unshown:
            return -1
        try:
            fd, byte, window = self.windows.open(opened)
        except OSError:
            self._unshown.add(opened.key)  # it won't be possible later, either
            raise
        try:
            known = self._marked(opened, fd, window.mem, byte)
        except OSError:
            self.windows.closed(opened.key, 0)
            raise
        window.users[known] = opened.file
        if window.found.of is not None:
            self.in_c.hears(known, window.found.of, opened.key, window.moved)
        return fd

    def _marked(self, opened: OpenFile, fd: int, mine: int, byte: int) -> int:
        """What a new descriptor of the kernel's is known by.  Errors: ENOSPC, and it is closed."""
        try:
            known = core.mark_direct(fd)
        except OSError:
            os.close(fd)
            opened.direct, opened.at = False, Position()
            raise
        self._note(opened, known, mine, byte)
        return known

    def _note(self, opened: OpenFile, known: int, mine: int, byte: int) -> None:
        self._by_object[known] = opened
        self._direct[known] = mine, byte
        opened.pages = self._mapped.get(opened.key)
        self.in_c.tell(known, opened)

    def shows_image(self, fd: int, name: str) -> None:
        """Who maps the file that the core has open as `fd` has mapped this device."""
        st = os.fstat(fd)
        self._images[st.st_dev, st.st_ino] = name

    def image_of(self, opened: OpenFile) -> Linear | None:
        """Where a block device's bytes are, if that can be mapped in its place."""
        if opened.kind != stat.S_IFBLK or opened.file.slow or opened.key in self._mapped:
            return None
        from pyview import direct

        found = self._asked(opened, "linear", partial(direct.image, opened.file))
        if found is not None:
            self.shows_image(found.fd, opened.name)
        return found

    def image_name(self, device: int, inode: int) -> str | None:
        """The name of the device that a file is the image of, when it has been opened directly."""
        return self._images.get((device, inode))

    def refresh(self) -> None:
        """What C may read and write itself, and what windows show, is another now."""
        for inode, opened in list(self._by_object.items()):
            self.in_c.tell(inode, opened)
        if self.windows is not None:
            self._said("linear", self.windows.refresh)

    def _asked(self, opened: OpenFile, what: str, question: Callable[[], Answer]) -> Answer | None:
        """What a file says of itself; None when its author made a mistake, which is logged."""
        return self._said(f"{opened.name}: {what}", question)

    def _said(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        try:
            return question()
        except BaseException as error:  # the module's edge: the core goes on
            self._mistake(what, error)
            return None

    def show_ready(self, opened: OpenFile) -> bool:
        """Let poll(2) say what the file does; False: its descriptors must be drained for that."""
        ready = not opened.polls or bool(
            self._asked(opened, "poll", partial(_is_ready, opened.file))
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
        return self._by_object.get(known) or self._taken(known)

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
        if self.windows is not None:
            self.windows.leave(None)

    def settle(self) -> None:
        """Let go of the open files whose last descriptor has gone."""
        if self.windows is not None:
            self.windows.leave(None)
        while ended := self._poll.poll(0):
            for end, _ in ended:
                self._hung_up(end)
        if self._direct:
            from pyview.direct import is_open

            for known, (image, byte) in list(self._direct.items()):
                if not is_open(image, byte):
                    del self._direct[known]
                    core.unmark_direct(known)
                    self._closed(known, self._by_object[known])
                    if known in self._own:
                        self._own.discard(known)
                        os.close(image)

    def _hung_up(self, end: int) -> None:
        inode, opened = self._ends.pop(end)
        if not self._ends:
            core.watch_rung(self._poll.fileno(), 0)
        self._closed(inode, opened)
        os.close(end)
        opened.socket = -1

    def _closed(self, known: int, opened: OpenFile) -> None:
        """Nobody has an open file any more."""
        if self.windows is not None:
            self.windows.closed(opened.key, known)
        self.in_c.closed(known, opened)
        del self._by_object[known]
        for key in LOCKS.forget(("file", id(opened))):
            self._wake(key)
        for process in opened.lockers:  # they have closed it: fcntl(2), record locks
            LOCKS.release(opened.key, ("process", process), EVERYTHING)
        self._wake(opened.key)
        if opened.pages is not None:
            self._ended.setdefault(opened.key, []).append(opened)
        else:
            self._tell(opened)

    def opened(self) -> Iterator[OpenFile]:
        """All open files; those that are still mapped too."""
        self._take_all()
        yield from list(self._by_object.values())
        for files in self._ended.values():
            yield from files

    # -- mappings ------------------------------------------------------------------------------
    def pages(self, opened: OpenFile, shared: bool, writable: bool) -> Pages:
        """What is mapped in the place of an emulated file.

        It is the caller's to close unless some process has it mapped and shared, and to be held
        while it is mapped.
        """
        pages = self._mapped.get(opened.key)
        if pages is None:
            pages = Pages(opened.file, opened.tree)
            if shared:
                self._mapped[opened.key] = pages
                if self.windows is not None:
                    pages.told = partial(self.windows.filled, opened.key, pages)
                for other in self.opened():
                    if other.key == opened.key:
                        other.pages = pages
                self.refresh()
        self.remember(pages.fd, opened.name)
        if writable:
            pages.file, pages.shared = opened.file, True
        return pages

    def remember(self, fd: int, name: str) -> None:
        """A memfd stands in for the file of this name, in memory too."""
        self._memory[os.fstat(fd).st_ino] = name
        if len(self._memory) > REMEMBERED:
            del self._memory[next(iter(self._memory))]

    def mapped_name(self, inode: int) -> str | None:
        """The name of the file that a memfd is mapped in the place of."""
        return self._memory.get(inode)

    def is_mapped(self, opened: OpenFile) -> bool:
        """Whether some process may have it mapped and shared."""
        return opened.key in self._mapped

    def uses(self, maps: int, opened: OpenFile) -> int:
        """A process with this pv_mm.maps has a file mapped; its number from now on."""
        if not maps:
            maps = max(self._users, default=0) + 1
        self._users.setdefault(maps, set()).add(opened.key)
        return maps

    def holds_locks(self, maps: int) -> int:
        """The end of a process with this pv_mm.maps matters; its number from now on."""
        if not maps:
            maps = max(self._users, default=0) + 1
        self._users.setdefault(maps, set())
        return maps

    def lost(self, fd: int) -> bool | None:
        """Whether a process that ended, which the core's `fd` tells, is needed; None: none did."""
        return None if self.windows is None else self.windows.lost(fd)

    def inodes(self, maps: int) -> dict[int, tuple[int, int]]:
        """The memfds that may be mapped, and no call is at work on: inode -> the file's key."""
        keys = self._users.get(maps, set()) & self._mapped.keys() - self._held.keys()
        return {os.fstat(self._mapped[key].fd).st_ino: key for key in keys}

    def hold(self, key: tuple[int, int]) -> Hold:
        """A call is at work on what is mapped of a file, which stays until that is closed."""
        return Hold(self._held, key)

    def is_held(self, maps: int) -> bool:
        """Whether a call is at work on what processes with this pv_mm.maps may have mapped."""
        return not self._held.keys().isdisjoint(self._users.get(maps, ()))

    def unused(self) -> list[tuple[int, int]]:
        """The files of which nothing is mapped any more."""
        return [
            key
            for key in self._mapped
            if key not in self._held and not any(key in keys for keys in self._users.values())
        ]

    def pages_of(self, key: tuple[int, int]) -> Pages:
        return self._mapped[key]

    def drop(self, key: tuple[int, int]) -> Pages:
        """Forget what was mapped of a file; it is the caller's to close."""
        pages = self._mapped.pop(key)
        for other in self.opened():
            if other.key == key:
                other.pages = None
        self.refresh()
        if self.windows is not None:
            self._said("extents", partial(self.windows.show, key))
        for opened in self._ended.pop(key, ()):
            self._tell(opened)
        return pages

    def mapped_at(self, maps: int, area: Area) -> None:
        """A process with this pv_mm.maps has a file mapped there, whoever else has."""
        self._areas.setdefault(maps, []).append(area)

    def areas(self, maps: int, start: int, end: int) -> list[Area]:
        """What of [start, end) may be a file's in processes with this pv_mm.maps."""
        found = []
        for area in self._areas.get(maps, ()):
            low, high = max(area.start, start), min(area.end, end)
            if low < high:
                found.append(Area(low, high, area.key, area.offset + low - area.start))
        return found

    def part(self, area: Area) -> Part | None:
        """The bytes of a mapped file that are there."""
        pages = self._mapped.get(area.key)
        length = area.end - area.start
        return None if pages is None else Part(pages, area.offset, area.offset + length)

    def mapped(self, maps: int) -> list[Pages]:
        """What processes with this pv_mm.maps may have written by mapping."""
        keys = self._users.get(maps, ())
        return [self._mapped[key] for key in keys if key in self._mapped]

    def unmapped(self, maps: int, keys: set[tuple[int, int]]) -> None:
        """Nobody with this pv_mm.maps has these files mapped any more."""
        left = self._users.get(maps, set())
        left -= keys
        areas = self._areas.pop(maps, [])
        self._areas[maps] = [area for area in areas if area.key not in keys]

    def ended(self, maps: int) -> None:
        """The last memory with this pv_mm.maps has gone."""
        self.unmapped(maps, set(self._users.get(maps, ())))
        self._users.pop(maps, None)
        self._areas.pop(maps, None)

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
