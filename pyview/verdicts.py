# SPDX-License-Identifier: GPL-2.0-or-later
"""What a handler may answer, and what it may ask for on the way.

A handler that asks for something is a generator: it yields requests, gets their results, and
returns a verdict; one that need not ask just returns it.  Errors are raised as OSError and reach
the caller as -errno.
"""

# Annotations are evaluated here: NamedTuple compiles each that is a text, which every start pays.
from collections.abc import Callable, Generator, Hashable, Mapping
from typing import Any, NamedTuple

from pyview.openfile import OpenFile
from pyview.reach import NOTHING, Reach


class Block(NamedTuple):
    """Bytes whose address is wanted, with the addresses of other bytes at some offsets in them."""

    data: bytes
    pointers: tuple[tuple[int, bytes], ...] = ()


Word = int | bytes | Block  # an argument: a number, or what its address is wanted of


class Real(NamedTuple):
    """The kernel runs the call as it stands.  `clean`: so it will with the same name again."""

    clean: bool = False


class Emulate(NamedTuple):
    """The kernel does not run it: the caller gets `value`, and these bytes at these addresses."""

    value: int = 0
    poke: tuple[tuple[int, bytes], ...] = ()


class At(NamedTuple):
    """The same call, on the kernel's name `real`, which lies in `domain`.

    `changes` are the arguments for a caller that runs it itself; for the listener's calls the core
    may make it, when caller and core are alike.
    """

    real: str
    domain: int
    changes: Mapping[int, Word]


class Give(NamedTuple):
    """The caller gets a copy of the core's descriptor `fd`, which is then closed.

    `alone`: it is closed before the caller goes on, so that the caller's is the only one.
    """

    fd: int
    cloexec: bool
    alone: bool = False


class Done(NamedTuple):
    """A Redirect has run the call, and its result stands."""


class Opened(NamedTuple):
    """The caller gets a new descriptor for this open file."""

    object: OpenFile
    cloexec: bool = False


class Ready(NamedTuple):
    """The caller's process must first be made to stop for more; then its call comes again.

    beyond   for all that is done with descriptors, but not within this reach
    watches  for epoll_ctl
    """

    beyond: Reach = NOTHING
    watches: bool = False


class Asleep(NamedTuple):
    """The caller sleeps, and signals wake it as they do in any call, until `on` is awoken.

    Then its call comes again.
    """

    on: Hashable


class Again(NamedTuple):
    """After a request has run another call in its place, the caller makes its call once more."""


Verdict = Again | Real | Emulate | At | Give | Done | Opened | Ready | Asleep


class Redirect(NamedTuple):
    """Request: run this call with some arguments replaced; gives the result, or -errno.

    Registers and memory are as they were afterwards, but for the result.  `call`: the name of
    another call to run instead.
    """

    changes: Mapping[int, Word]
    call: str = ""


class Renamed(NamedTuple):
    """Request, after a program was executed by another name: its stack shall say `shown`.

    `shown` replaces each `given` that the kernel left there and that is at least as long.  `name`,
    unless empty, becomes what the process is called (comm).
    """

    given: bytes
    shown: bytes
    name: bytes = b""


class Messages(NamedTuple):
    """Request: from now on the process stops for sendmsg and recvmsg, whose names matter."""


class Mapped(NamedTuple):
    """Request, after a call was run: from now on the process stops when it unmaps something."""


class Locks(NamedTuple):
    """Request, after a call was run: from now on the process stops when it closes something."""


class Receives(NamedTuple):
    """Request, after a call was run: it may have got an emulated descriptor as `fd`."""

    fd: int


class Work(NamedTuple):
    """Request: call this in a thread of the file's own; gives its result or raises its error.

    For files that are slow: only the caller waits.
    """

    file: Hashable
    run: Callable[[], Any]


Request = Redirect | Renamed | Messages | Mapped | Locks | Receives | Work
Handler = Generator[Request, Any, Verdict]
