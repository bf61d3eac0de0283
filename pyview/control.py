# SPDX-License-Identifier: GPL-2.0-or-later
"""The control channel: how a command inside a view talks to the core that runs the view.

The wire: an abstract unix socket of type SOCK_SEQPACKET, "\\0pyview/PID" with the core's PID.
A request is one packet of NUL-separated words, the verb first.  An answer is one or more packets:
b"\\0" + bytes (more follows) ... b"\\1" + one byte of exit status + bytes (the last one).

Who is who is the kernel's word: a client finds the core by TracerPid, or where a view hides that by
the link /proc/self/pyview, and checks by SO_PEERCRED that the same process called listen(2); the
core learns the client's pid and uid the same way.
Abstract names live in a network namespace: a task that left the core's one cannot reach it.

May not import anything slow: every vu_* command waits for it.
"""

from __future__ import annotations

import _socket
import errno
import os

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Dispatch = Callable[[int, int, Sequence[str]], "Answer | Later"]

REQUEST_LIMIT = 64 * 1024  # bytes
PACKET = 32 * 1024  # bytes of text in one packet of an answer: well below any socket buffer
CLIENTS = 128  # more connections at a time are closed at once
STRANGERS = 8  # as many of other users, so that they cannot crowd out the view's own
LINK = "/proc/self/pyview"  # only views have it, those with a module
_MORE, _LAST = b"\0", b"\1"
_UCRED = 12  # sizeof(struct ucred): pid, uid, gid

Answer = tuple[int, str]


class NotInView(Exception):
    """This process runs in no view, or its core does not answer."""


def _address(pid: int) -> bytes:
    return b"\0pyview/%d" % pid


def _credentials(connection: _socket.socket) -> tuple[int, int]:
    """pid and uid of the other end: who connected, or who listens."""
    raw = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED)
    return int.from_bytes(raw[:4], "little", signed=True), int.from_bytes(raw[4:8], "little")


# -- the client's end ----------------------------------------------------------------------------


def core_pid() -> int:
    """The process that traces this one: the core when in a view; 0 when nobody does.

    A view with a module says so in a link of its own, and in TracerPid that nobody does.
    """
    try:
        return int(os.readlink(LINK))
    except FileNotFoundError:
        pass
    with open("/proc/self/status", "rb", 0) as status:
        _, _, rest = status.read(4096).partition(b"\nTracerPid:")
    return int(rest.partition(b"\n")[0] or 0)


def ask(verb: str, *words: str) -> Answer:
    """Send one request to the core of this view; its exit status and its text.

    Raises NotInView, and OSError(EMSGSIZE) for a request longer than REQUEST_LIMIT.
    """
    core = core_pid()
    if not core:
        raise NotInView
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        try:
            connection.connect(_address(core))
        except ConnectionRefusedError:
            raise NotInView from None  # traced by something else: strace, gdb
        if _credentials(connection)[0] != core:
            raise NotInView  # an impostor took the name
        return _converse(connection, b"\0".join(os.fsencode(word) for word in (verb, *words)))
    finally:
        connection.close()


def _converse(connection: _socket.socket, request: bytes) -> Answer:
    if len(request) > REQUEST_LIMIT:
        raise OSError(errno.EMSGSIZE, "the request is too long")
    text = b""
    try:
        connection.send(request, _socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may have said why
    try:
        while True:
            packet = connection.recv(PACKET + 2)
            if packet[:1] == _LAST:
                return packet[1], os.fsdecode(text + packet[2:])
            if packet[:1] != _MORE:
                return 1, "the core of this view has gone away"
            text += packet[1:]
    except (BrokenPipeError, ConnectionResetError):
        return 1, "the core of this view has gone away"


# -- the core's end ------------------------------------------------------------------------------


class Later:
    """An answer that comes later: the one who promised it calls `done` exactly once."""

    __slots__ = ("_answer", "_tell")

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._tell: Callable[[Answer], None] | None = None

    def done(self, status: int, text: str = "") -> None:
        """Complete it.  The client may have died meanwhile; that is no error."""
        assert self._answer is None, "a Later is completed once"
        self._answer = (status, text)
        if self._tell is not None:
            self._tell(self._answer)

    def then(self, tell: Callable[[Answer], None]) -> None:
        """Have `tell` called with the answer, at once if it is there already."""
        self._tell = tell
        if self._answer is not None:
            tell(self._answer)


class _Client:
    """One connection: its unsent packets, and whether an answer is being waited for."""

    __slots__ = ("connection", "fd", "packets", "pid", "uid", "waiting")

    def __init__(self, connection: _socket.socket) -> None:
        self.connection, self.fd = connection, connection.fileno()
        self.pid, self.uid = _credentials(connection)
        self.packets: list[bytes] = []
        self.waiting = False


class Server:
    """The listening end.  Never blocks; one epoll of its own makes it one descriptor to its owner.

    `dispatch(pid, uid, words)` answers a request, or returns a Later; `talking(number)` is told of
    every change in the number of connections.  To be made by the process that will serve:
    SO_PEERCRED names the process that called listen(2), not those that inherit.
    """

    def __init__(self, dispatch: Dispatch, talking: Callable[[int], object] | None = None) -> None:
        import select  # clients need none of this

        self._dispatch = dispatch
        self._talking = talking
        self._select = select
        self._clients: dict[int, _Client] = {}
        self._listener = _socket.socket(
            _socket.AF_UNIX,
            _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK,
        )
        try:
            self._listener.bind(_address(os.getpid()))
            self._listener.listen(CLIENTS)
        except OSError:
            self._listener.close()
            raise
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._spare = os.dup(self._poll.fileno())  # for who comes when there are no more

    def fileno(self) -> int:
        """A descriptor that is readable when `serve` has something to do."""
        return self._poll.fileno()

    def descriptors(self) -> list[int]:
        """Its own, without those of clients."""
        return [self._listener.fileno(), self._poll.fileno(), self._spare]

    def door(self) -> int:
        """The descriptor that clients connect to: with no connection, the only one that matters."""
        return self._listener.fileno()

    def serve(self) -> None:
        """Do what is ready, and return."""
        ready = dict(self._poll.poll(0))
        arrived = ready.pop(self._listener.fileno(), 0)
        for fd, events in ready.items():
            client = self._clients.get(fd)
            if client is None:
                continue  # dropped by what another client asked
            try:
                if events & (self._select.EPOLLHUP | self._select.EPOLLERR):
                    self._drop(client)
                elif events & self._select.EPOLLOUT:
                    self._send(client)
                else:
                    self._receive(client)
            except BaseException:  # nobody else suffers, nor is this one heard again
                if client.fd in self._clients:
                    self._drop(client)
                raise
        if arrived:
            self._accept()  # last: who has left made room

    def close(self) -> None:
        """Refuse everyone from now on."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._listener.close()
        self._poll.close()
        os.close(self._spare)

    def _accept(self) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._turn_away()
            return
        connection = _socket.socket(fileno=fd)
        connection.setblocking(False)
        client = _Client(connection)
        own = client.uid == os.getuid()
        alike = sum((other.uid == os.getuid()) == own for other in self._clients.values())
        if alike >= (CLIENTS if own else STRANGERS):
            connection.close()
            return
        self._clients[fd] = client
        self._poll.register(fd, self._select.EPOLLIN)
        self._tell()

    def _turn_away(self) -> None:
        """Close the next connection: else it would be reported for ever."""
        os.close(self._spare)
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
            connection = _socket.socket(fileno=fd)
            try:
                connection.send(_LAST + b"\1the core has too many files open", _socket.MSG_NOSIGNAL)
                connection.recv(REQUEST_LIMIT, _socket.MSG_DONTWAIT)  # unheard it would be a reset
            finally:
                connection.close()
        except OSError:
            pass  # it has gone by itself, or has said nothing yet
        finally:
            self._spare = os.dup(self._poll.fileno())

    def _receive(self, client: _Client) -> None:
        try:
            request = client.connection.recv(REQUEST_LIMIT + 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            request = b""  # whatever the reason, this peer is not heard any more
        if not request:
            self._drop(client)
        elif len(request) > REQUEST_LIMIT:
            self._answer(client, (2, "the request is too long"))
        elif client.uid != os.getuid():
            self._answer(client, (1, "this view belongs to another user"))
        else:
            words = [os.fsdecode(word) for word in request.split(b"\0")]
            client.waiting = True
            self._watch(client)
            answer = self._dispatch(client.pid, client.uid, words)
            if isinstance(answer, Later):
                answer.then(lambda answer: self._answer(client, answer))
            else:
                self._answer(client, answer)

    def _answer(self, client: _Client, answer: Answer) -> None:
        status, text = answer
        data = os.fsencode(text)
        last = max(0, (len(data) - 1) // PACKET * PACKET)
        client.packets += [_MORE + data[at : at + PACKET] for at in range(0, last, PACKET)]
        client.packets.append(_LAST + bytes((status & 0xFF,)) + data[last:])
        client.waiting = False
        if self._clients.get(client.fd) is client:
            self._send(client)

    def _send(self, client: _Client) -> None:
        while client.packets:
            try:
                client.connection.send(client.packets[0], _socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._drop(client)
                return
            del client.packets[0]
        self._watch(client)

    def _watch(self, client: _Client) -> None:
        """One request at a time: nothing is read while an answer is due.  Hang-ups always come."""
        if client.packets:
            events = self._select.EPOLLOUT
        else:
            events = 0 if client.waiting else self._select.EPOLLIN
        self._poll.modify(client.fd, events)

    def _drop(self, client: _Client) -> None:
        del self._clients[client.fd]
        self._poll.unregister(client.fd)
        client.connection.close()
        self._tell()

    def _tell(self) -> None:
        if self._talking is not None:
            self._talking(len(self._clients))
