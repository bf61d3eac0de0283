# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives a handler as the tracer would, with a caller that is nobody: for tests without processes.

The files are the machine's own, seen through a view; memory, descriptors and sockets are dicts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Hashable

from forest import KernelEyes

from pyview import core
from pyview.abi.elf import Interpreter
from pyview.api import Linear, Tree, Who, refuse
from pyview.credentials import Credentials, Program
from pyview.handlers import trees
from pyview.handlers.caller import AT_FDCWD, Ids
from pyview.handlers.table import handler_of
from pyview.openfile import OpenFile
from pyview.pages import Pages, Part
from pyview.paths import Found, resolve
from pyview.reach import NOTHING, Reach
from pyview.syscalls import BY_NAME
from pyview.verdicts import Asleep, Ready, Redirect, Request, Verdict, Work
from pyview.view import View

MASK = (1 << 64) - 1
NOW = 1_700_000_000_123_456_789  # ns since the epoch: what the clock says


class Bytes:
    """A stand-in (pyview/handlers/caller.py) that only its test reads and writes."""

    def __init__(self, data: bytes) -> None:
        self.name = "/stand/in"
        self.data = bytearray(data)
        self.closed = False

    def pread(self, size: int, offset: int) -> bytes:
        assert not self.closed
        return bytes(self.data[offset : offset + size])

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class Nobody:
    """A caller (pyview/handlers/caller.py) whose state a test sets and reads."""

    def __init__(self, view: View | None = None, cwd: str = "/") -> None:
        self.tid = 100
        self.asked = None  # the mount that the call is about
        self.view = view if view is not None else View()
        self.where = cwd
        self.domain = 0
        self.memory: dict[int, bytes] = {}
        self.fds: dict[int, str] = {}  # directories: descriptor -> the view's name
        self.domains: dict[int, int] = {}  # descriptor -> the domain it was opened through
        self.listings: dict[int, bytes | None] = {}
        self.heads: dict[str, bytes] = {}  # the kernel's name of a program -> how it begins
        self.magic: dict[str, str] = {}  # a link of proc -> the view's name of its end
        self.links: dict[str, os.stat_result] = {}  # a link of proc -> what it looks like
        self.texts: dict[str, bytes] = {}  # a file of proc -> what it says in the view
        self.stands_for: dict[int, str] = {}  # descriptor -> the file of proc it has the text of
        self.watching = False
        self.queried: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        self.sockets: dict[bytes, bytes | None] = {}
        self.names: dict[tuple[int, bool], bytes] = {}  # (descriptor, peer) -> the kernel's name
        self.inheritable = True
        self.notes: list[tuple[object, ...]] = []
        self.is_alike = True
        self.objects: dict[int, OpenFile] = {}  # emulated descriptors
        self.holds = True
        self.rights = Ids(0, 0, frozenset((0,)), 0o022)
        self.who: Credentials | None = None  # in the view, when that is the view's affair
        self.whos: dict[int, Credentials] = {}  # the same of other tasks
        self.owners: dict[str, tuple[int, int]] = {}  # of files of proc
        self.pages_given: list[Pages] = []  # the test's to close
        self.pages_mapped: list[Part] = []
        self.mapped_up_to = 1 << 63
        self.stand_ins: list[Bytes] = []
        self.places: list[str] = []  # names in virtual trees, by their numbers less 1
        self.running: set[str] = set()  # names of programs that are executed
        self.writing: set[str] = set()  # names of files that are open for writing
        self.to_sync: list[tuple[Tree | None, Callable[[], None]]] = []
        self.most = 1 << 63  # RLIMIT_FSIZE
        self.closing = True  # its process stops for close
        self.first: Ready | Asleep | None = None  # before all that is written is heard
        self.images: dict[str, tuple[str, Linear]] = {}  # name -> of what it holds just some bytes
        self._free = 0x10000

    def puts(self, data: bytes) -> int:
        """Store bytes in its memory; where."""
        at, self._free = self._free, self._free + 0x10000
        self.memory[at] = data
        return at

    def calls(self, name: str, *args: object) -> Nobody:
        """Make a call of it; texts and bytes are put into memory."""
        self.call = BY_NAME[name]
        words = []
        for arg in args:
            if isinstance(arg, str):
                arg = os.fsencode(arg) + b"\0"
            kept = isinstance(arg, bytes | bytearray)
            words.append(self.puts(bytes(arg)) if kept else int(arg) & MASK)
        self.args = (*words, *(0,) * (6 - len(words)))
        return self

    # -- what a handler may ask --------------------------------------------------------------
    def text(self, address: int) -> str:
        for start, data in self.memory.items():
            if start <= address < start + len(data):
                return os.fsdecode(data[address - start :].split(b"\0", 1)[0])
        raise refuse(14)

    def peek(self, address: int, length: int) -> bytes:
        for start, data in self.memory.items():
            if start <= address < start + len(data):
                return data[address - start : address - start + length]
        raise refuse(14)

    def store(self, address: int, data: bytes) -> int:
        for start, old in self.memory.items():
            if start <= address < start + len(old):
                at = address - start
                self.memory[start] = (old[:at] + data + old[at + len(data) :])[: len(old)]
                return min(len(data), len(old) - at)
        return 0

    def uid(self):
        return self.rights.uid

    def ids(self) -> Ids:
        return self.rights

    def real_ids(self) -> Ids:
        return self.rights

    def credentials(self) -> Credentials | None:
        return self.who

    def credentials_of(self, pid: int) -> Credentials | None:
        return self.whos.get(pid)

    def become(self, credentials: Credentials) -> None:
        self.notes.append(("becomes", credentials))
        self.who = credentials

    def owner_in_proc(self, real: str) -> tuple[int, int] | None:
        return self.owners.get(real)

    def enters_root(self, name: str) -> None:
        self.notes.append(("enters root", name))

    def executes_as(self, program: Program | None) -> None:
        if program is not None:
            self.notes.append(("executes as", program))

    def search(self, found: Found) -> None:
        os.stat(os.path.join(found.real or "/", "."))

    def process(self) -> int:
        return self.tid

    def file_limit(self) -> int:
        return self.most

    def now(self) -> int:
        return NOW

    def resolve(self, dirfd: int, path: str, **how: bool) -> Found:
        base = "/" if path.startswith("/") else self.directory(dirfd)
        return resolve(self.view, KernelEyes(), base, path, **how)

    def directory(self, dirfd: int) -> str:
        if dirfd == AT_FDCWD:
            return self.cwd()
        if dirfd in self.objects:
            if not self.objects[dirfd].is_directory:
                raise refuse(20)
            return self.objects[dirfd].name
        if dirfd not in self.fds:
            raise refuse(9)
        return self.fds[dirfd]

    def for_whom(self) -> Who:
        return Who(self.ids().uid, self.ids().gid, self.ids().groups)

    def alike(self) -> bool:
        return self.is_alike

    def elsewhere(self) -> bool:
        return False

    def open_here(self, real: str, flags: int, mode: int, domain: int) -> int:
        self.notes.append(("opened", real, flags, mode, domain))
        return os.open(real, flags | os.O_CLOEXEC, mode)

    def marked_here(self, fd: int, domain: int) -> None:
        self.notes.append(("marked here", domain))

    def names_changed(self) -> None:
        self.notes.append(("names changed",))

    def real_fd(self, fd: int) -> int:
        return os.dup(fd)

    def file_name(self, fd: int) -> str:
        return os.readlink(f"/proc/self/fd/{fd}")

    def listing(self, fd: int, size: int) -> bytes:
        return core.directory_entries(fd, size)

    def cwd(self) -> str:
        if not self.where:
            raise refuse(2)
        return self.where

    def cwd_domain(self) -> int:
        return self.domain

    def moved(self, domain: int, place: int = 0) -> None:
        self.notes.append(("moved", domain, *self._placed(place)))

    def unshared(self) -> None:
        self.notes.append(("unshared",))

    def foreign(self, mounts: bool = True) -> None:
        self.notes.append(("foreign",) if mounts else ("foreign", "rights"))

    def child_is_foreign(self, mounts: bool = True) -> None:
        self.notes.append(("child is foreign",))

    def leaves_users(self) -> None:
        self.notes.append(("leaves users",))

    def child_leaves_users(self) -> None:
        self.notes.append(("child leaves users",))

    def executes(self, domain: int, place: int = 0) -> None:
        self.notes.append(("executes", domain, *self._placed(place)))

    def place(self, found: Found) -> int:
        self.places.append(found.name)
        return len(self.places)

    def _placed(self, place: int) -> list[str]:
        return [self.places[place - 1]] if place else []

    def fd_domain(self, fd: int) -> int:
        return self.domains.get(fd, 0)

    def mark(self, fd: int, domain: int) -> None:
        self.notes.append(("mark", fd, domain))

    def exists(self, found: Found, *, parent: bool) -> None:
        if found.real is not None:
            real = found.real
            os.lstat(os.path.dirname(real.rstrip("/")) + "/." if parent else real)
        elif not parent:
            trees.lstat(found)

    def socket_address(self, fd: int, peer: bool) -> bytes:
        return self.names.get((fd, peer), b"")

    def closes_at_exec(self, fd: int) -> bool:
        return not self.inheritable

    def program_head(self, found: Found, size: int) -> bytes:
        return self.heads.get(found.real or found.name, b"")[:size]

    def entries(self, fd: int, size: int) -> bytes | None:
        self.notes.append(("entries", fd, size))
        return self.listings.get(fd)

    def proc_name(self, real: str) -> str | None:
        return self.magic.get(real)

    def link_attributes(self, real: str, owner: tuple[int, int] | None) -> os.stat_result | None:
        return self.links.get(real)

    def proc_text(self, real: str) -> bytes | None:
        return self.texts.get(real)

    def proc_file(self, data: bytes, real: str) -> int:
        self.notes.append(("file", data, real))
        return 77

    def text_of(self, fd: int) -> str:
        return self.stands_for.get(fd, "")

    def can_watch(self) -> bool:
        return self.watching

    def maps_query(self, real: str, query: bytes) -> tuple[bytes, bytes, bytes]:
        self.notes.append(("query", real, query))
        return self.queried

    def mapping_name(self, device: int, inode: int, real: bytes) -> bytes:
        return b"/unreal" + real

    def socket_named(self, real: bytes, name: bytes | None) -> None:
        self.sockets[real] = name

    def socket_name(self, real: bytes) -> bytes | None:
        return self.sockets.get(real)

    # -- what it may ask of emulated files ---------------------------------------------------
    def object(self, fd: int) -> OpenFile | None:
        return self.objects.get(fd)

    def can_hold(self, tree: Tree, flags: int) -> bool:
        return self.holds

    def reach(self, tree: Tree, flags: int) -> Reach:
        return NOTHING

    def must_hear(self, pid: int = -1) -> Ready | Asleep | None:
        self.notes.append(("must hear", pid))
        return self.first

    def image(self, opened: OpenFile) -> tuple[str, Linear] | None:
        return self.images.get(opened.name)

    def pages(self, opened: OpenFile, shared: bool, writable: bool) -> tuple[Pages, str]:
        self.notes.append(("pages", shared, writable))
        self.pages_given.append(Pages(opened.file))
        return self.pages_given[-1], "/its/pages"

    def mapped_at(self, opened: OpenFile, start: int, length: int, offset: int) -> None:
        self.notes.append(("mapped", opened.name, start, length, offset))

    def moved_mapping(self, start: int, length: int, now: int, size: int) -> None:
        self.notes.append(("moved mapping", start, length, now, size))

    def mapped(self, start: int, length: int) -> list[Part]:
        return [part for part in self.pages_mapped if start < self.mapped_up_to]

    def unmapped(self) -> None:
        self.notes.append(("unmapped",))

    def program_file(self, found: Found) -> str:
        self.notes.append(("program", found.name))
        return "/its/copy"

    def program_with(self, found: Found, at: Interpreter, name: str) -> str:
        self.notes.append(("program", found.name, name))
        return "/its/copy"

    def stand_in(self, data: bytes) -> Bytes:
        self.stand_ins.append(Bytes(data))
        return self.stand_ins[-1]

    def fifo(self, st: os.stat_result) -> str:
        self.notes.append(("fifo", st.st_ino))
        return "/its/fifo"

    def settle(self) -> None:
        self.notes.append(("settle",))

    def unsynced(self) -> list[tuple[Tree | None, Callable[[], None]]]:
        return self.to_sync

    def polled(self, fd: int, opened: OpenFile) -> None:
        self.notes.append(("polled", fd, opened.name))

    def wake(self, on: Hashable) -> None:
        self.notes.append(("wake", on))

    def holds_locks(self) -> None:
        self.notes.append(("holds locks",))

    def stops_closing(self) -> bool:
        return self.closing

    def held(self, first: int, last: int) -> list[OpenFile]:
        return [file for fd, file in self.objects.items() if first <= fd <= last]

    def missed(self, opened: OpenFile, offset: int, length: int) -> None:
        self.notes.append(("missed", offset, length))

    def looks_changed(self) -> None:
        self.notes.append(("looks changed",))

    def changed(self, opened: OpenFile) -> None:
        self.notes.append(("changed", opened.name))

    def cut(self, found: Found, size: int) -> None:
        self.notes.append(("cut", found.name, size))

    def renamed(self, old: Found, new: Found) -> None:
        self.notes.append(("renamed", old.name, new.name))

    def nameless(self, found: Found) -> OpenFile | None:
        made = (file for file in self.objects.values() if file.nameless)
        return next((file for file in made if file.name == found.name), None)

    def runs(self, found: Found) -> bool:
        return found.name in self.running

    def writes(self, found: Found) -> bool:
        return found.name in self.writing


def play(caller: Nobody, *results: int | Callable[[], int]) -> tuple[Verdict, list[Request]]:
    """Let the handler of the caller's call answer; `results` are those of the calls it requests.

    Its verdict, and what it requested.  A result may be a function: what the kernel does.  Errors
    are the handler's.
    """
    said = handler_of(caller.call)(caller)
    if not isinstance(said, Generator):
        assert not results, "it asked for nothing"
        return said, []
    asked: list[Request] = []
    left = list(results)
    try:
        request = next(said)
        while True:
            asked.append(request)
            if isinstance(request, Work):
                try:
                    value = request.run()
                except OSError as error:
                    request = said.throw(error)
                    continue
            elif isinstance(request, Redirect):
                result = left.pop(0)
                value = result() if callable(result) else result
            else:
                value = 0
            request = said.send(value)
    except StopIteration as end:
        assert not left, f"results that nobody wanted: {left}"
        return end.value, asked
