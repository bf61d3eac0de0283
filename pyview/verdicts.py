# SPDX-License-Identifier: GPL-2.0-or-later
"""What a handler may answer, and what it may ask for on the way.

A handler that asks for something is a generator: it yields requests, gets their results, and
returns a verdict; one that need not ask just returns it.  Errors are raised as OSError and reach
the caller as -errno.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import NamedTuple


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
    """The caller gets a copy of the core's descriptor `fd`, which is then closed."""

    fd: int
    cloexec: bool


class Done(NamedTuple):
    """A Redirect has run the call, and its result stands."""


Verdict = Real | Emulate | At | Give | Done


class Redirect(NamedTuple):
    """Request: run this call with some arguments replaced; gives the result, or -errno.

    Registers and memory are as they were afterwards, but for the result.  `nr` >= 0 runs another
    call instead.
    """

    changes: Mapping[int, Word]
    nr: int = -1


class Renamed(NamedTuple):
    """Request, after a program was executed by another name: its stack shall say `shown`.

    Both names have the same length; `shown` replaces each `given` that the kernel left there.
    """

    given: bytes
    shown: bytes


class Messages(NamedTuple):
    """Request: from now on the process stops for sendmsg and recvmsg, whose names matter."""


Request = Redirect | Renamed | Messages
Handler = Generator[Request, int, Verdict]
