# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives a handler as the tracer would, with a caller that is nobody: for tests without processes.

The files are the machine's own, seen through a view; memory, descriptors and sockets are dicts.
"""

from __future__ import annotations

import os
from collections.abc import Generator

from forest import KernelEyes

from pyview.api import refuse
from pyview.handlers.caller import AT_FDCWD
from pyview.handlers.table import handler_of
from pyview.paths import Found, resolve
from pyview.syscalls import BY_NAME
from pyview.verdicts import Redirect, Request, Verdict
from pyview.view import View

MASK = (1 << 64) - 1


class Nobody:
    """A caller (pyview/handlers/caller.py) whose state a test sets and reads."""

    def __init__(self, view: View | None = None, cwd: str = "/") -> None:
        self.tid = 100
        self.view = view if view is not None else View()
        self.where = cwd
        self.domain = 0
        self.memory: dict[int, bytes] = {}
        self.fds: dict[int, str] = {}  # directories: descriptor -> the view's name
        self.domains: dict[int, int] = {}  # descriptor -> the domain it was opened through
        self.listings: dict[int, bytes | None] = {}
        self.heads: dict[str, bytes] = {}  # the kernel's name of a program -> how it begins
        self.magic: dict[str, str] = {}  # a link of proc -> the view's name of its end
        self.sockets: dict[bytes, bytes | None] = {}
        self.names: dict[tuple[int, bool], bytes] = {}  # (descriptor, peer) -> the kernel's name
        self.inheritable = True
        self.notes: list[tuple[object, ...]] = []
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
            words.append(self.puts(arg) if isinstance(arg, bytes) else int(arg) & MASK)
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

    def store(self, address: int, data: bytes) -> None:
        for start, old in self.memory.items():
            if start <= address < start + len(old):
                at = address - start
                self.memory[start] = (old[:at] + data + old[at + len(data) :])[: len(old)]

    def resolve(self, dirfd: int, path: str, **how: bool) -> Found:
        base = "/" if path.startswith("/") else self.directory(dirfd)
        return resolve(self.view, KernelEyes(), base, path, **how)

    def directory(self, dirfd: int) -> str:
        if dirfd == AT_FDCWD:
            return self.cwd()
        if dirfd not in self.fds:
            raise refuse(9)
        return self.fds[dirfd]

    def cwd(self) -> str:
        if not self.where:
            raise refuse(2)
        return self.where

    def cwd_domain(self) -> int:
        return self.domain

    def moved(self, domain: int) -> None:
        self.notes.append(("moved", domain))

    def unshared(self) -> None:
        self.notes.append(("unshared",))

    def foreign(self) -> None:
        self.notes.append(("foreign",))

    def child_is_foreign(self) -> None:
        self.notes.append(("child is foreign",))

    def executes(self, domain: int) -> None:
        self.notes.append(("executes", domain))

    def fd_domain(self, fd: int) -> int:
        return self.domains.get(fd, 0)

    def mark(self, fd: int, domain: int) -> None:
        self.notes.append(("mark", fd, domain))

    def exists(self, found: Found, *, parent: bool) -> None:
        assert found.real is not None
        os.lstat(os.path.dirname(found.real) if parent else found.real)

    def socket_address(self, fd: int, peer: bool) -> bytes:
        return self.names.get((fd, peer), b"")

    def closes_at_exec(self, fd: int) -> bool:
        return not self.inheritable

    def program_head(self, found: Found, size: int) -> bytes:
        return self.heads.get(found.real or "", b"")[:size]

    def entries(self, fd: int, size: int) -> bytes | None:
        self.notes.append(("entries", fd, size))
        return self.listings.get(fd)

    def proc_name(self, real: str) -> str | None:
        return self.magic.get(real)

    def mounts_text(self, kind: str) -> bytes:
        return kind.encode()

    def memory_file(self, data: bytes, flags: int) -> int:
        self.notes.append(("file", data))
        return 77

    def socket_named(self, real: bytes, name: bytes | None) -> None:
        self.sockets[real] = name

    def socket_name(self, real: bytes) -> bytes | None:
        return self.sockets.get(real)


def play(caller: Nobody, *results: int) -> tuple[Verdict, list[Request]]:
    """Let the handler of the caller's call answer; `results` are those of its requests.

    Its verdict, and what it requested.  Errors are the handler's.
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
            request = said.send(left.pop(0) if isinstance(request, Redirect) else 0)
    except StopIteration as end:
        assert not left, f"results that nobody wanted: {left}"
        return end.value, asked
