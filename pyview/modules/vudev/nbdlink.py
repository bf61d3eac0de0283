# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to an NBD server: the negotiation, requests and their replies.

The protocol is NetworkBlockDevice/nbd's doc/proto.md, here "the protocol".  Spoken is fixed
newstyle without TLS, with simple replies.  What to do when a connection is lost is nbd.py's.
"""

from __future__ import annotations

import errno
import select
import struct
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from pyview.api import if_it_fails, refuse

if TYPE_CHECKING:
    import socket

SERVER_MAGIC, NEWSTYLE_MAGIC = b"NBDMAGIC", b"IHAVEOPT"
FIXED_NEWSTYLE, NO_ZEROES = 1, 2  # handshake flags, the server's and ours
EXPORT_NAME, ABORT, GO = 1, 2, 7  # options
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
OPTION_REPLY_MAGIC = 0x3E889045565A9
ACK, INFO = 1, 3  # replies to options
UNSUPPORTED, POLICY, TLS_REQUIRED, UNKNOWN = (1 << 31 | number for number in (1, 2, 5, 6))
LONGEST_ANSWER = 1 << 16  # bytes, of a reply to an option

# What the server says of the export.
READ_ONLY, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES = (
    1 << bit for bit in (1, 2, 3, 5, 6)
)

REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6
CHANGING = frozenset((WRITE, TRIM, WRITE_ZEROES))
FUA, NO_HOLE = 1, 2  # flags of a request

SHUTDOWN = 108  # ESHUTDOWN, as the protocol numbers it
ERRORS = {1: errno.EPERM, 12: errno.ENOMEM, 28: errno.ENOSPC, 95: errno.EOPNOTSUPP}

LARGEST = 32 << 20  # bytes in one request, when the server does not say
MANY = 16  # requests under way at once: enough to keep any server busy


class Lost(Exception):
    """The connection is of no use any more; the text says why."""


class Export(NamedTuple):
    size: int  # bytes
    flags: int
    smallest: int  # bytes: offsets and lengths are multiples of it
    largest: int  # bytes that a request may carry


class Request:
    """One request: a range of bytes, what to write there, or what was read."""

    __slots__ = ("buffer", "data", "done", "error", "flags", "kind", "length", "offset")

    def __init__(
        self, kind: int, offset: int = 0, length: int = 0, flags: int = 0,
        *, data: bytes | memoryview = b"", buffer: memoryview | None = None,
    ) -> None:  # fmt: skip
        self.kind, self.offset, self.length, self.flags = kind, offset, length, flags
        self.data = data
        self.buffer = buffer
        self.done = False
        self.error = 0  # an errno, once it is done

    def again(self) -> Request:
        """The same, not done yet."""
        return Request(self.kind, self.offset, self.length, self.flags, data=self.data)


class Link:
    """A connection that is past the negotiation."""

    def __init__(self, name: str, wire: socket.socket, export: str, timeout: float) -> None:
        """Negotiate, within `timeout` seconds.  `wire` is closed when that fails.

        Errors: ENOENT for an export that is not there, EACCES, EOPNOTSUPP (TLS wanted, an old
        server), EPROTO for what is no NBD server, ETIMEDOUT, ECONNRESET; `name` is in their line.
        """
        self.name, self.wire = name, wire
        self._deadline = monotonic() + timeout
        self._number = 0  # of the last request
        with if_it_fails(wire.close):
            try:
                self.export = self._negotiate(export.encode("utf-8", "surrogateescape"))
            except Lost as why:
                raise refuse(errno.ECONNRESET, f"{name}: {why}") from None
            except TimeoutError:
                raise refuse(errno.ETIMEDOUT, name) from None
        wire.settimeout(0)
        self._poll = select.poll()

    # -- negotiation -----------------------------------------------------------------------
    def _negotiate(self, export: bytes) -> Export:
        if self._receive(8) != SERVER_MAGIC:
            raise refuse(errno.EPROTO, f"{self.name}: not an NBD server")
        if self._receive(8) != NEWSTYLE_MAGIC:
            raise refuse(errno.EOPNOTSUPP, f"{self.name}: an oldstyle NBD server")
        (flags,) = struct.unpack(">H", self._receive(2))
        flags &= FIXED_NEWSTYLE | NO_ZEROES
        self._send(struct.pack(">I", flags))
        if flags & FIXED_NEWSTYLE:
            found = self._go(export)
            if found is not None:
                return found
        self._send(struct.pack(">8sII", NEWSTYLE_MAGIC, EXPORT_NAME, len(export)) + export)
        try:
            size, about = struct.unpack(">QH", self._receive(10))
        except Lost:  # all that a server can say then
            raise refuse(errno.ENOENT, f"{self.name}: no such export") from None
        if not flags & NO_ZEROES:
            self._receive(124)
        return self._checked(Export(size, about, 1, LARGEST))

    def _go(self, export: bytes) -> Export | None:
        """Ask for an export by NBD_OPT_GO; None when the server does not know that option."""
        data = struct.pack(">I", len(export)) + export + struct.pack(">HH", 1, INFO_BLOCK_SIZE)
        self._send(struct.pack(">8sII", NEWSTYLE_MAGIC, GO, len(data)) + data)
        size, flags, smallest, largest = -1, 0, 1, LARGEST
        while True:
            kind, answer = self._answer(GO)
            if kind == UNSUPPORTED:
                return None
            if kind == ACK and size >= 0:
                return self._checked(Export(size, flags, smallest, min(largest, LARGEST)))
            if kind != INFO:
                raise self._refused(kind, answer)
            what = int.from_bytes(answer[:2], "big")
            if what == INFO_EXPORT and len(answer) == 12:
                size, flags = struct.unpack_from(">QH", answer, 2)
            elif what == INFO_BLOCK_SIZE and len(answer) == 14:
                smallest, _, largest = struct.unpack_from(">III", answer, 2)

    def _answer(self, option: int) -> tuple[int, bytes]:
        """The kind and the data of the next reply to `option`."""
        magic, to, kind, length = struct.unpack(">QIII", self._receive(20))
        if magic != OPTION_REPLY_MAGIC or to != option or length > LONGEST_ANSWER:
            raise refuse(errno.EPROTO, f"{self.name}: not an NBD server")
        return kind, self._receive(length)

    def _refused(self, kind: int, answer: bytes) -> OSError:
        try:
            self._send(struct.pack(">8sII", NEWSTYLE_MAGIC, ABORT, 0))
        except (Lost, TimeoutError):
            pass  # it has gone already
        number, why = {
            UNKNOWN: (errno.ENOENT, "no such export"),
            TLS_REQUIRED: (errno.EOPNOTSUPP, "the server wants TLS"),
            POLICY: (errno.EACCES, "refused by the server"),
        }.get(kind, (errno.EPROTO, f"the server answers {kind:#x}"))
        said = "".join(c for c in answer.decode("utf-8", "replace") if c.isprintable())
        return refuse(number, f"{self.name}: {why}" + (f" ({said[:200]})" if said else ""))

    def _checked(self, export: Export) -> Export:
        size, flags, smallest, largest = export
        if (
            size >= 1 << 63
            or smallest & smallest - 1
            or not 0 < smallest <= 1 << 16
            or largest < smallest
        ):
            raise refuse(errno.EPROTO, f"{self.name}: an export that makes no sense")
        # A last block that is cut off can't be read by the protocol's rules.
        return Export(size & -smallest, flags, smallest, largest & -smallest)

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            self.wire.settimeout(self._left())
            try:
                more = self.wire.recv(size - len(received))
            except TimeoutError:
                raise
            except OSError as error:
                raise Lost(error.strerror) from None
            if not more:
                raise Lost("the server hung up")
            received += more
        return bytes(received)

    def _send(self, data: bytes) -> None:
        self.wire.settimeout(self._left())
        try:
            self.wire.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise Lost(error.strerror) from None

    def _left(self) -> float:
        """The seconds that are left for the negotiation.  Raises TimeoutError."""
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    # -- transmission ----------------------------------------------------------------------
    def run(self, requests: Sequence[Request], silence: float) -> None:
        """Send requests, several at once, until each is done.

        Raises Lost when the connection breaks, when the server does not keep to the protocol, or
        when it moves no byte for `silence` seconds: then what has been answered is done, the rest
        is not.
        """
        waiting: dict[int, Request] = {}  # by cookie
        ahead = deque(requests)
        outgoing: deque[memoryview] = deque()
        answer = _Answer(waiting)
        while ahead or waiting or outgoing:
            while ahead and len(waiting) < MANY:
                self._queue(ahead.popleft(), waiting, outgoing)
            self._poll.register(self.wire, select.POLLIN | (select.POLLOUT if outgoing else 0))
            ready = self._poll.poll(silence * 1000)
            if not ready:
                raise Lost("the server is silent")
            try:
                if outgoing and ready[0][1] & select.POLLOUT:
                    self._push(outgoing)
                if ready[0][1] & ~select.POLLOUT:
                    answer.receive(self.wire)
            except BlockingIOError:
                continue
            except OSError as error:
                raise Lost(error.strerror) from None

    def _queue(
        self, request: Request, waiting: dict[int, Request], outgoing: deque[memoryview]
    ) -> None:
        self._number += 1
        waiting[self._number] = request
        head = REQUEST.pack(
            REQUEST_MAGIC, request.flags, request.kind, self._number, request.offset, request.length
        )
        outgoing.append(memoryview(head))
        if request.data:
            outgoing.append(memoryview(request.data))

    def _push(self, outgoing: deque[memoryview]) -> None:
        sent = self.wire.sendmsg(outgoing)
        while outgoing and sent >= len(outgoing[0]):
            sent -= len(outgoing.popleft())
        if sent:
            outgoing[0] = outgoing[0][sent:]

    def close(self) -> None:
        """Say goodbye and hang up; the server finishes what it has."""
        try:
            self.wire.send(REQUEST.pack(REQUEST_MAGIC, 0, DISCONNECT, 0, 0, 0))
        except OSError:
            pass  # it has gone already, or does not listen
        self.wire.close()


class _Answer:
    """The reply that is coming in."""

    def __init__(self, waiting: dict[int, Request]) -> None:
        self._waiting = waiting
        self._head = bytearray(REPLY.size)
        self._left = memoryview(self._head)  # what comes next goes there
        self._cookie = 0  # of the request whose content that is; 0: it is a header

    def receive(self, wire: socket.socket) -> None:
        """Take what has come in, until it would wait.  Raises Lost, or OSError for the wire."""
        while self._waiting:
            count = wire.recv_into(self._left)
            if not count:
                raise Lost("the server hung up")
            self._left = self._left[count:]
            if not self._left:
                if self._cookie:
                    self._done(self._cookie)
                else:
                    self._begin()

    def _begin(self) -> None:
        """A whole header is there."""
        magic, error, cookie = REPLY.unpack(self._head)
        request = self._waiting.get(cookie)
        if magic != REPLY_MAGIC or request is None:
            raise Lost("not a reply of an NBD server")
        if error == SHUTDOWN:
            raise Lost("the server shuts down")
        request.error = ERRORS.get(error, errno.EIO) if error else 0
        if request.buffer is None or error:
            self._done(cookie)
        else:
            self._cookie, self._left = cookie, request.buffer

    def _done(self, cookie: int) -> None:
        self._waiting.pop(cookie).done = True
        self._cookie, self._left = 0, memoryview(self._head)
