# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that an NBD server has: requests split and aligned as it wants, and resumed when it goes.

A write that was acknowledged is kept in memory until the server has answered a FLUSH.  When the
connection is lost, another one is made, what is kept is written again, and then what was under way.
"""

from __future__ import annotations

import errno
import select
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

from pyview.api import Tree, if_it_fails, refuse
from pyview.modules.vudev import nbdaddress, nbdlink
from pyview.modules.vudev.disk import KEEP_SIZE, NO_HIDE_STALE, PUNCH_HOLE, ZERO_RANGE, Disk
from pyview.modules.vudev.nbdlink import Link, Lost, Request

PIECE = 1 << 20  # bytes in a READ or WRITE, unless the server wants fewer: several go at once
ZEROED = 64 << 20  # bytes that one TRIM or WRITE_ZEROES names: a server must answer it in time
UNFLUSHED = 64 << 20  # bytes of acknowledged writes that are kept before a FLUSH is forced
ENTRY = 256  # bytes that a kept write costs besides its data
LONGEST_PAUSE = 0.5  # seconds between two tries to connect
LAST_TRY = 1.0  # seconds for connecting once it has been given up

Connect = Callable[[float], Link]  # with the seconds it may take


class Session:
    """Connections to one export, one after the other, and what must survive their loss."""

    def __init__(self, connect: Connect, timeout: float) -> None:
        """Connect.  `timeout`: seconds of a server's silence, and of trying to get it back."""
        self._connect, self._timeout = connect, timeout
        self._link: Link | None = connect(timeout)
        self.export = self._link.export
        self.kept: list[Request] = []  # acknowledged but not flushed, in their order
        self.kept_size = 0  # bytes
        self._until: float | None = None  # when to give up; None while nothing is lost
        self._pause = 0.0  # seconds before the next try

    def has(self, flag: int) -> bool:
        return bool(self.export.flags & flag)

    def run(self, requests: Sequence[Request]) -> None:
        """Have all requests answered, over as many connections as it takes.

        Errors: that of the first request which the server refused; EIO when the server has gone
        and stays away.
        """
        waiting = requests
        while waiting:
            link = self._link or self._resume()
            try:
                link.run(waiting, self._timeout)
            except Lost:
                self._lose()
            self._keep(waiting)
            left = [request for request in waiting if not request.done]
            if len(left) < len(waiting):
                self._until, self._pause = None, 0.0
                if self._link is None:
                    self._lose()
            elif self._until is not None and monotonic() >= self._until:
                raise refuse(errno.EIO)
            waiting = left
        for request in requests:
            if request.error:
                raise refuse(request.error)

    def make_room(self, size: int) -> None:
        """Flush when `size` more bytes of writes would be too many to keep.  Errors: EIO."""
        if self.kept and self.kept_size + size > UNFLUSHED:
            self.flush()

    def flush(self) -> None:
        """Make durable what was acknowledged.  Errors: EIO, ENOSPC, and it is kept for longer."""
        if not self.has(nbdlink.SEND_FLUSH):
            return  # writes are durable when they are answered, as far as that server can tell
        try:
            self.run([Request(nbdlink.FLUSH)])
        except OSError:
            # The server may have thrown away what it could not write, as Linux does with the pages
            # of a failed fsync: a new connection begins with writing it again.
            if self._link is not None:
                self._lose()
            raise
        self.kept.clear()
        self.kept_size = 0

    def close(self) -> None:
        """Hang up.  What was not flushed may be lost."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _keep(self, requests: Sequence[Request]) -> None:
        if not self.has(nbdlink.SEND_FLUSH):
            return
        for request in requests:
            if request.done and not request.error and request.kind in nbdlink.CHANGING:
                self.kept.append(request)
                self.kept_size += ENTRY + len(request.data)

    def _lose(self) -> None:
        self.close()
        if self._until is None:
            self._until = monotonic() + self._timeout

    def _resume(self) -> Link:
        """A new connection on which all that is kept has been written.  Errors: EIO."""
        until = self._until or 0.0
        while True:
            if self._pause:
                select.select([], [], [], max(0.0, min(self._pause, until - monotonic())))
            self._pause = min(2 * self._pause or 0.02, LONGEST_PAUSE)
            try:
                self._link = self._again(max(until - monotonic(), LAST_TRY))
                return self._link
            except (OSError, Lost):
                if monotonic() >= until:
                    raise refuse(errno.EIO) from None

    def _again(self, timeout: float) -> Link:
        """One try of _resume, with the seconds for connecting.  Raises OSError or Lost."""
        link = self._connect(timeout)
        with if_it_fails(link.close):
            self._compare(link)
            for batch in apart([request.again() for request in self.kept]):
                link.run(batch, self._timeout)
                if any(request.error for request in batch):
                    raise refuse(errno.EIO)
        return link

    def _compare(self, link: Link) -> None:
        """Raises Lost when a connection does not lead to what the first one led to."""
        then, now = self.export, link.export
        matters = nbdlink.READ_ONLY | nbdlink.SEND_FLUSH | nbdlink.SEND_FUA
        matters |= nbdlink.SEND_TRIM | nbdlink.SEND_WRITE_ZEROES
        if (
            now.size != then.size
            or (now.flags ^ then.flags) & matters
            or now.smallest > then.smallest
            or now.largest < then.largest
        ):
            raise Lost("another export")


def apart(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Requests in their order, in batches without overlaps: a server may reorder what it has."""
    batch: list[Request] = []
    starts: list[int] = []  # both sorted
    ends: list[int] = []
    for request in requests:
        start, end = request.offset, request.offset + request.length
        at = bisect(starts, start)
        if (at and ends[at - 1] > start) or (at < len(starts) and starts[at] < end):
            yield batch
            batch, starts, ends, at = [], [], [], 0
        batch.append(request)
        starts.insert(at, start)
        ends.insert(at, end)
    if batch:
        yield batch


class Nbd(Disk):
    """The device of `mount -t vudevnbd SOURCE /dev/nbd0`; SOURCE as nbdaddress.address has it.

    Everything may wait for the server, `timeout` seconds at a time; so does the mount itself.
    """

    slow = True

    def __init__(
        self,
        below: Tree,
        source: str,
        *,
        timeout: int = 30,
        **disk: Any,
    ) -> None:
        """Errors: EINVAL, and those of nbdaddress and of nbdlink.Link."""
        super().__init__(below, **disk)
        if timeout <= 0:
            raise refuse(errno.EINVAL, f"timeout={timeout}")
        where = nbdaddress.address(source)

        def connect(seconds: float) -> Link:
            wire = nbdaddress.connect(below, where, seconds)
            return Link(source, wire, where.export, seconds)

        self.session = Session(connect, timeout)
        export = self.session.export
        if export.flags & nbdlink.READ_ONLY:
            self.ro = self.fixed = True
        self._smallest = export.smallest
        self._piece = max(min(PIECE, export.largest) & -export.smallest, export.smallest)
        durable = export.flags & nbdlink.SEND_FUA and not export.flags & nbdlink.SEND_FLUSH
        self._flags = nbdlink.FUA if durable else 0  # of what changes the disk

    def size(self) -> int:
        return self.session.export.size

    def pread(self, size: int, offset: int) -> bytes:
        """Errors: EIO; EPERM, ENOMEM, ENOSPC, EOPNOTSUPP when the server says so."""
        first, last = self._around(offset, offset + size)
        buffer = bytearray(last - first)
        view = memoryview(buffer)
        requests = []
        for at in range(first, last, self._piece):
            part = view[at - first : at - first + self._piece]
            requests.append(Request(nbdlink.READ, at, len(part), buffer=part))
        self.session.run(requests)
        return bytes(view[offset - first : offset - first + size])

    def pwrite(self, data: bytes, offset: int) -> int:
        """All of `data`, or an error: those of pread."""
        end = offset + len(data)
        first, last = self._around(offset, end)
        whole = bytes(data)
        if first < offset:
            whole = self.pread(offset - first, first) + whole
        if end < last:
            whole += self.pread(last - end, end)
        view = memoryview(whole)
        step = max(UNFLUSHED // 4 // self._piece, 1) * self._piece
        for start in range(0, len(view), step):
            part = view[start : start + step]
            self.session.make_room(len(part))
            self.session.run(self._pieces(part, first + start))
        return len(data)

    def fsync(self) -> None:
        """FLUSH.  Errors: EIO, ENOSPC: what was acknowledged is still kept, for the next one."""
        self.session.flush()

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """Zero a range, or forget it, as Linux's block/fops.c:blkdev_fallocate does.

        PUNCH_HOLE reads as zeros afterwards, with NO_HIDE_STALE as anything (TRIM).
        Errors: EOPNOTSUPP, and those of pread.
        """
        kind, flags, needed = {
            PUNCH_HOLE | KEEP_SIZE: (nbdlink.WRITE_ZEROES, 0, nbdlink.SEND_WRITE_ZEROES),
            ZERO_RANGE | KEEP_SIZE: (
                nbdlink.WRITE_ZEROES, nbdlink.NO_HOLE, nbdlink.SEND_WRITE_ZEROES,
            ),
            PUNCH_HOLE | KEEP_SIZE | NO_HIDE_STALE: (nbdlink.TRIM, 0, nbdlink.SEND_TRIM),
        }.get(mode, (0, 0, 0))  # fmt: skip
        if not self.session.export.flags & needed:
            raise refuse(errno.EOPNOTSUPP)
        end = offset + length
        first, last = -(-offset // self._smallest) * self._smallest, end & -self._smallest
        if first < last:
            self._each(kind, first, last, flags)
        if kind == nbdlink.WRITE_ZEROES:  # what is left of blocks at both ends
            first = min(first, end)
            for start, stop in ((offset, first), (max(first, last), end)):
                if start < stop:
                    self.pwrite(bytes(stop - start), start)

    def unmounted(self) -> None:
        """Errors: EIO when the server has gone, and with it what was not flushed."""
        try:
            if self.session.kept:
                self.session.flush()
        finally:
            self.session.close()

    def _pieces(self, data: memoryview, offset: int) -> list[Request]:
        pieces = []
        for start in range(0, len(data), self._piece):
            part = data[start : start + self._piece]
            pieces.append(Request(nbdlink.WRITE, offset + start, len(part), self._flags, data=part))
        return pieces

    def _each(self, kind: int, start: int, end: int, flags: int) -> None:
        """Requests without data, over a range that has the server's alignment."""
        requests = [
            Request(kind, at, min(ZEROED, end - at), flags | self._flags)
            for at in range(start, end, ZEROED)
        ]
        self.session.make_room(ENTRY * len(requests))
        self.session.run(requests)

    def _around(self, start: int, end: int) -> tuple[int, int]:
        """The whole blocks around a range."""
        return start & -self._smallest, -(-end // self._smallest) * self._smallest
