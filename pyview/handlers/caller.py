# SPDX-License-Identifier: GPL-2.0-or-later
"""What a handler may ask of the task whose call it answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyview.api import Linear, Tree, Who
from pyview.openfile import OpenFile
from pyview.pages import Pages, Part
from pyview.paths import Found
from pyview.syscalls import Call
from pyview.view import View

if TYPE_CHECKING:
    from pyview.abi.elf import Interpreter
    from pyview.credentials import Credentials, Program
    from pyview.reach import Reach
    from pyview.verdicts import Asleep, Ready

AT_FDCWD = -100


class Ids(NamedTuple):
    """With what rights a task names files: file-system ids and umask, credentials(7).

    `capabilities` are the effective ones.  `virtual`: all but the umask are the view's own, else
    they are the kernel's.
    """

    uid: int
    gid: int
    groups: frozenset[int]
    umask: int
    capabilities: int = 0
    virtual: bool = False


class StandIn(Protocol):
    """A file of the core that a task can open by its name."""

    name: str

    def pread(self, size: int, offset: int) -> bytes:
        """Its bytes."""

    def close(self) -> None:
        """The core needs it no more."""


class Caller(Protocol):
    """The task of the current call.  `args` are the registers, unsigned, 64 bits."""

    tid: int
    view: View
    call: Call
    args: tuple[int, ...]

    def text(self, address: int) -> str:
        """A name, as getname() reads it.  Errors: EFAULT, ENAMETOOLONG."""

    def peek(self, address: int, length: int) -> bytes:
        """Up to `length` bytes of its memory.  Errors: EFAULT."""

    def store(self, address: int, data: bytes) -> int:
        """Store bytes in its memory, as far as it can be written; how many were."""

    def ids(self) -> Ids:
        """Its rights."""

    def for_whom(self) -> Who:
        """For whom an overlay works."""

    def alike(self) -> bool:
        """Whether the core may make its calls for it: same user, same root, no capabilities."""

    def elsewhere(self) -> bool:
        """Whether it sees another root or other mounts than the core: overlays are none of its."""

    def open_here(self, real: str, flags: int, mode: int, domain: int) -> int:
        """A descriptor of the core for a file of the kernel's, marked as of `domain`."""

    def marked_here(self, fd: int, domain: int) -> None:
        """The core's descriptor is of `domain`."""

    def names_changed(self) -> None:
        """A directory of the kernel's has another name now, or is gone."""

    def real_fd(self, fd: int) -> int:
        """A descriptor of the core for what its own is open for.  Errors: EBADF."""

    def file_name(self, fd: int) -> str:
        """The view's name of what its descriptor is open for.  Errors: ENOENT."""

    def uid(self) -> int:
        """The first of them alone, which costs less."""

    def file_limit(self) -> int:
        """How many bytes a file may have that it writes: RLIMIT_FSIZE."""

    def real_ids(self) -> Ids:
        """The same for access(2), which asks for the real user and group."""

    def credentials(self) -> Credentials | None:
        """Who it is, when that is the view's affair; None: the kernel's."""

    def credentials_of(self, pid: int) -> Credentials | None:
        """The same of another task of the session; None, too, when there is none."""

    def become(self, credentials: Credentials) -> None:
        """These are its credentials from now on."""

    def leaves_users(self) -> None:
        """It is in a user name space of its own, where the kernel says who it is."""

    def child_leaves_users(self) -> None:
        """The same for the child that its call is about to make."""

    def owner_in_proc(self, real: str) -> tuple[int, int] | None:
        """User and group of a file of proc, where they are the view's affair."""

    def enters_root(self, name: str) -> None:
        """A directory of the view, canonical, becomes its root."""

    def process(self) -> int:
        """Its thread group."""

    def object(self, fd: int) -> OpenFile | None:
        """The open file behind an emulated descriptor of its own; None: it is the kernel's."""

    def polled(self, fd: int, opened: OpenFile) -> None:
        """A file that is not always ready was read: let poll(2) say what it does."""

    def can_hold(self, tree: Tree, flags: int) -> bool:
        """Whether its process may be given a descriptor of a file of this tree, opened so (O_*)."""

    def reach(self, tree: Tree, flags: int) -> Reach:
        """What of a descriptor of this tree's root, opened so, needs no stop."""

    def must_hear(self, pid: int = -1) -> Ready | Asleep | None:
        """What comes first where nothing may be written to a device without a stop any more.

        `pid` is the process that may not: 0 is the caller's own, -1 all.
        """

    def pages(self, opened: OpenFile, shared: bool, writable: bool) -> tuple[Pages, str]:
        """What to map in the place of a file, once it is filled, and the kernel's name of it."""

    def image(self, opened: OpenFile) -> tuple[str, Linear] | None:
        """The kernel's name of the file that holds just these bytes, and where; None: none does.

        That can be mapped then.
        """

    def mapped_at(self, opened: OpenFile, start: int, length: int, offset: int) -> None:
        """It has a file mapped and shared there."""

    def mapped(self, start: int, length: int) -> list[Part]:
        """What it may have written to these addresses of mapped files."""

    def moved_mapping(self, start: int, length: int, now: int, size: int) -> None:
        """What was mapped at `start` is `size` bytes at `now`."""

    def unmapped(self) -> None:
        """It has unmapped something."""

    def program_file(self, found: Found) -> str:
        """A name of the kernel for a copy of a file, to be executed."""

    def program_with(self, found: Found, at: Interpreter, name: str) -> str:
        """The same for any file, with another interpreter.

        Errors: EACCES, as execve(2).
        """

    def place(self, found: Found) -> int:
        """A number for a name in a virtual tree, for moved() and executes()."""

    def stand_in(self, data: bytes) -> StandIn:
        """A memfd with these bytes, for the task to open."""

    def fifo(self, st: os.stat_result) -> str:
        """The kernel's name of a FIFO for a file with these attributes: the same for all."""

    def settle(self) -> None:
        """Whatever was closed by now is closed: its locks have gone."""

    def unsynced(self) -> list[tuple[Tree | None, Callable[[], None]]]:
        """What makes durable what the view's devices and open files hold; with a slow one's tree.

        None of it raises an error: sync(2) has none.
        """

    def wake(self, on: Hashable) -> None:
        """Whoever sleeps `on` this makes its call again."""

    def holds_locks(self) -> None:
        """Its process has locked something: they end with it."""

    def stops_closing(self) -> bool:
        """Whether its process stops when it closes something: pyview.verdicts.Locks."""

    def held(self, first: int, last: int) -> list[OpenFile]:
        """The open files behind its emulated descriptors of these numbers."""

    def missed(self, opened: OpenFile, offset: int, length: int) -> None:
        """Bytes of a file with a map were read or written here, and need not have been."""

    def looks_changed(self) -> None:
        """Some file's attributes are others now."""

    def changed(self, opened: OpenFile) -> None:
        """An ioctl has been answered: what goes with a device's mount may be another now."""

    def cut(self, found: Found, size: int) -> None:
        """The file of this name has now `size` bytes."""

    def renamed(self, old: Found, new: Found) -> None:
        """Open files and directories have other names now."""

    def nameless(self, found: Found) -> OpenFile | None:
        """The open file that this is the name of in proc, when it was made without one."""

    def runs(self, found: Found) -> bool:
        """Whether some task of the session executes this file of a virtual tree."""

    def writes(self, found: Found) -> bool:
        """Whether some task has this file of a virtual tree open for writing."""

    def now(self) -> int:
        """What the clock says: ns since the epoch."""

    def resolve(
        self, dirfd: int, path: str, *, follow: bool, entry: bool = False, makes: bool = False
    ) -> Found:
        """Where a name leads for it: paths.resolve.  Errors: those of path_resolution(7)."""

    def directory(self, dirfd: int) -> str:
        """A directory descriptor of its own as a name of the view.

        Errors: EBADF, ENOTDIR, ENOENT when it has no name (removed, or outside its mount).
        """

    def cwd_domain(self) -> int:
        """The domain its working directory lies in."""

    def cwd(self) -> str:
        """Its working directory as a name of the view.  Errors: ENOENT when that was removed."""

    def moved(self, domain: int, place: int = 0) -> None:
        """Its working directory now lies in `domain`, or at a place in a virtual tree."""

    def unshared(self) -> None:
        """It has a working directory of its own from now on."""

    def foreign(self, mounts: bool = True) -> None:
        """It sees another root or other mounts than the core, or only has other rights."""

    def child_is_foreign(self, mounts: bool = True) -> None:
        """The same for the child that its call is about to make."""

    def executes(self, domain: int, place: int = 0) -> None:
        """The program it is about to become lies in `domain`, or at a place in a virtual tree."""

    def executes_as(self, program: Program | None) -> None:
        """What a tree says of that program; None: what the kernel does."""

    def fd_domain(self, fd: int) -> int:
        """The domain through which its descriptor was opened."""

    def mark(self, fd: int, domain: int) -> None:
        """Its descriptor was opened through `domain`."""

    def search(self, found: Found) -> None:
        """Raise what chdir(2) would for a name of the kernel: ENOENT, ENOTDIR, EACCES."""

    def exists(self, found: Found, *, parent: bool) -> None:
        """Raise what lstat(2) would for a name of the kernel, or for the directory it is in."""

    def socket_address(self, fd: int, peer: bool) -> bytes:
        """The kernel's whole name of its unix socket, or of the socket at the other end."""

    def closes_at_exec(self, fd: int) -> bool:
        """Whether its descriptor has FD_CLOEXEC.  Errors: EBADF."""

    def program_head(self, found: Found, size: int) -> bytes:
        """The first bytes of a file it wants to execute; b"" when the core can't tell."""

    def entries(self, fd: int, size: int) -> bytes | None:
        """The next real entries of a directory, as getdents64 gives them.

        None when the descriptor is no directory or not at its start.
        """

    def listing(self, fd: int, size: int) -> bytes:
        """The next entries that the core's descriptor of a directory has, as getdents64."""

    def proc_name(self, real: str) -> str | None:
        """What a link of proc says in the view; None when the link's own text is right."""

    def link_attributes(self, real: str, owner: tuple[int, int] | None) -> os.stat_result | None:
        """What lstat(2) says of a link of proc to an emulated file; None when it is no such link.

        `owner`: its user and group, where they are the view's affair.
        """

    def proc_text(self, real: str) -> bytes | None:
        """What a file of proc says in this view; None when that is what the kernel says."""

    def proc_file(self, data: bytes, real: str) -> int:
        """A descriptor of the core for a file with these bytes that stands for one of proc."""

    def text_of(self, fd: int) -> str:
        """The file of proc whose text its descriptor has; "" when it has none of ours."""

    def can_watch(self) -> bool:
        """Whether its process stops when it is about to watch such a text."""

    def maps_query(self, real: str, query: bytes) -> tuple[bytes, bytes, bytes]:
        """What the kernel says to PROCMAP_QUERY of that list: the structure, a name, a build id.

        Errors: those of ioctl(2).
        """

    def mapping_name(self, device: int, inode: int, real: bytes) -> bytes:
        """The view's name of a mapped file that the kernel calls `real`."""

    def socket_named(self, real: bytes, name: bytes | None) -> None:
        """A socket was bound to `real`, by the view's `name` if that is another."""

    def socket_name(self, real: bytes) -> bytes | None:
        """The view's name of a bound socket, None when it is the kernel's."""
