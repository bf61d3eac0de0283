# SPDX-License-Identifier: GPL-2.0-or-later
"""An NBD server in a thread: it can be told to misbehave, and loses its cache when it dies.

It keeps two disks: `durable`, and `disk`, which has what was written since the last FLUSH, too.
"""

from __future__ import annotations

import os
import socket
import struct
import threading

SIZE = 1 << 20
READ_ONLY, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES = 2, 4, 8, 32, 64
ALL = SEND_FLUSH | SEND_FUA | SEND_TRIM | SEND_WRITE_ZEROES
READ, WRITE, DISCONNECT, FLUSH, TRIM, WRITE_ZEROES = 0, 1, 2, 3, 4, 6
GO, EXPORT_NAME, ABORT = 7, 1, 2
UNSUPPORTED = 1 << 31 | 1


class Hangup(Exception):
    """The server ends this connection."""


class Server:
    """Serves one export on a unix socket, one connection after the other.

    Set before a client connects: flags, handshake (its flags), go (NBD_OPT_GO is known), blocks
    (smallest, preferred, largest; None: not told), export (its name; "" is any), refusal (the
    answer to GO instead of an export, and its text).

    Set at any time: crashes, the bytes after which to hang up and to lose what was not flushed, one
    number for each connection to come; errors, a number (as sent) for a command; silent, the
    commands that are never answered; answer_magic.
    """

    def __init__(self, path, size, *, flags=ALL, handshake=3, go=True, blocks=None):
        self.path, self.flags, self.handshake, self.go, self.blocks = (
            path, flags, handshake, go, blocks,
        )  # fmt: skip
        self.durable, self.disk = bytearray(size), bytearray(size)
        self.export, self.refusal = b"", (0, b"")
        self.greeting = b"NBDMAGIC" + b"IHAVEOPT"
        self.answer_magic = 0x67446698
        self.crashes, self.errors, self.silent = [], {}, set()
        self.requests = []  # (command, flags, offset, length) of all connections
        self.connections = 0
        self.left = threading.Event()  # a client has said goodbye
        self._budget = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self._stopping = threading.Event()
        self._wire = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept, and refuses who comes now
        self.hang_up()
        self._thread.join(10)
        self.listener.close()
        os.unlink(self.path)

    def hang_up(self):
        """End the connection, if there is one; keep all data."""
        wire = self._wire
        try:
            if wire is not None:
                wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it had ended

    def _serve(self):
        while not self._stopping.is_set():
            try:
                self._wire = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._budget = self.crashes.pop(0) if self.crashes else None
            with self._wire:
                try:
                    self._negotiate()
                    while True:
                        self._request()
                except (Hangup, OSError):
                    continue

    # -- bytes -----------------------------------------------------------------------------
    def _receive(self, size):
        data = bytearray()
        while len(data) < size:
            most = size - len(data)
            if self._budget is not None:
                most = min(most, self._budget)
                if not most:
                    self.disk[:] = self.durable
                    raise Hangup
                self._budget -= most
            more = self._wire.recv(most)
            if not more:
                raise Hangup
            data += more
        return bytes(data)

    # -- negotiation -----------------------------------------------------------------------
    def _negotiate(self):
        self._wire.sendall(self.greeting + struct.pack(">H", self.handshake))
        (flags,) = struct.unpack(">I", self._receive(4))
        assert flags & ~self.handshake == 0
        while True:
            magic, option, length = struct.unpack(">8sII", self._receive(16))
            assert magic == b"IHAVEOPT"
            data = self._receive(length)
            if option == EXPORT_NAME:
                if self.export not in (b"", data):
                    raise Hangup
                end = b"" if flags & 2 else bytes(124)
                self._wire.sendall(struct.pack(">QH", len(self.disk), self.flags | 1) + end)
                return
            if option == ABORT:
                raise Hangup
            assert self.handshake & 1
            if option != GO or not self.go:
                self._option(option, UNSUPPORTED)
            elif self.refusal[0]:
                self._option(option, *self.refusal)
            else:
                self._information(option)
                return

    def _option(self, option, kind, data=b""):
        head = struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data))
        self._wire.sendall(head + data)

    def _information(self, option):
        self._option(option, 3, struct.pack(">H", 2) + b"what it is")
        self._option(option, 3, struct.pack(">HQH", 0, len(self.disk), self.flags | 1))
        if self.blocks:
            self._option(option, 3, struct.pack(">HIII", 3, *self.blocks))
        self._option(option, 1)

    # -- transmission ----------------------------------------------------------------------
    def _request(self):
        magic, flags, command, cookie, at, length = struct.unpack(">IHHQQI", self._receive(28))
        assert magic == 0x25609513
        data = self._receive(length) if command == WRITE else b""
        self.requests.append((command, flags, at, length))
        if command == DISCONNECT:
            self.left.set()
            raise Hangup
        if command in self.silent:
            return
        error = self.errors.get(command, 0)
        answer = b"" if error else self._do(command, flags, at, length, data)
        self._wire.sendall(struct.pack(">IIQ", self.answer_magic, error, cookie) + answer)

    def _do(self, command, flags, at, length, data):
        assert at + length <= len(self.disk)
        if self.blocks:
            smallest, _, largest = self.blocks
            assert at % smallest == length % smallest == 0
            assert command not in (READ, WRITE) or length <= largest
        if command == READ:
            return bytes(self.disk[at : at + length])
        needed = {FLUSH: SEND_FLUSH, TRIM: SEND_TRIM, WRITE_ZEROES: SEND_WRITE_ZEROES}
        assert command not in needed or self.flags & needed[command]
        assert not self.flags & READ_ONLY or command == FLUSH
        if command == FLUSH:
            self.durable[:] = self.disk
        else:
            new = data or {TRIM: b"\xee", WRITE_ZEROES: b"\0"}[command] * length
            self.disk[at : at + length] = new
            if flags & 1 or not self.flags & SEND_FLUSH:
                self.durable[at : at + length] = new
        return b""
