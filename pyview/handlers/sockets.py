# SPDX-License-Identifier: GPL-2.0-or-later
"""Unix sockets with names of the view: unix(7)."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Generator
from typing import Any

from pyview.abi.sockaddr import PATH_AT, PATH_SIZE, shown_address, unix_address, unix_name
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import overlays, trees
from pyview.handlers.arguments import RENAME_NOREPLACE
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.handlers.files import opened, otherwise
from pyview.openfile import O_PATH
from pyview.paths import Found
from pyview.syscalls import Role
from pyview.verdicts import (
    Block,
    Done,
    Emulate,
    Handler,
    Messages,
    Real,
    Receives,
    Redirect,
    Request,
    Word,
)

HEADER = 56  # sizeof(struct msghdr): msg_name, msg_namelen, ...
CONTROL = 64 * 1024  # bytes of control data that are looked at
CMSG = struct.Struct("=Qii")  # cmsg_len, cmsg_level, cmsg_type
SOL_SOCKET, SCM_RIGHTS = 1, 1


def to_address(caller: Caller) -> Handler:
    """bind, connect, sendto: the kernel gets its own name of the socket."""
    if opened(caller) is not None:
        return otherwise(caller)
    at = caller.call.arg(Role.SOCKADDR_IN)
    length = caller.args[at + 1] & 0xFFFFFFFF
    name = unix_name(caller.peek(caller.args[at], min(length, PATH_AT + PATH_SIZE)))
    if name is None:
        return Real()
    binds = caller.call.name == "bind"
    where = caller.resolve(AT_FDCWD, os.fsdecode(name), follow=not binds)
    if binds and where.overlay is not None:
        return (yield from _bind_kept(caller, where, at, name))
    shown = where.real if where.real is not None else where.tree.socket(where.rest)
    if shown is None:
        return _in_virtual_tree(caller, where)
    if where.same and not where.number and not binds:
        return Real(where.clean)
    real = name if where.same else os.fsencode(shown)
    last: Done | Emulate = Done()
    if len(real) > PATH_SIZE and not where.same:
        value, real = yield from (_bound if binds else _reached)(caller, at, real)
        last = Emulate(value)
    else:
        address = unix_address(real)
        value = yield Redirect({} if where.same else {at: address, at + 1: len(address)})
    if binds and value == 0:
        caller.socket_named(real, None if where.same else name)
    if value >= 0 and not where.same:
        yield Messages()
    return last


# A name that has room in an address, and whose real name has not, goes by way of a descriptor.


def _opened(real: bytes, more: int = 0) -> Generator[Request, Any, int]:
    """A descriptor of the caller for a file of the kernel.  Errors: those of open(2)."""
    fd: int = yield Redirect({0: real + b"\0", 1: O_PATH | os.O_CLOEXEC | more, 2: 0}, "open")
    if fd < 0:
        raise refuse(-fd)
    return fd


def _reached(caller: Caller, at: int, real: bytes) -> Generator[Request, Any, tuple[int, bytes]]:
    """connect, sendto: the result, and the name that the kernel was given."""
    fd = yield from _opened(real)
    name = b"/proc/self/fd/%d" % fd
    address = unix_address(name)
    value: int = yield Redirect({at: address, at + 1: len(address)})
    yield Redirect({0: fd}, "close")
    return value, name


def _bound(caller: Caller, at: int, real: bytes) -> Generator[Request, Any, tuple[int, bytes]]:
    """bind, to a short name that becomes the right one at once."""
    directory, _, last = real.rpartition(b"/")
    fd = yield from _opened(directory + b"/", os.O_DIRECTORY)
    short = b"/proc/self/fd/%d/.pyview-%d" % (fd, caller.tid)
    address = unix_address(short)
    value: int = yield Redirect({at: address, at + 1: len(address)})
    if value == 0:
        whole = b"/proc/self/fd/%d/%s" % (fd, last)
        words: dict[int, Word] = {0: AT_FDCWD, 1: short + b"\0", 2: AT_FDCWD, 3: whole + b"\0"}
        value = yield Redirect(words | {4: RENAME_NOREPLACE}, "renameat2")
        if value < 0:
            yield Redirect({0: short + b"\0"}, "unlink")
            value = -errno.EADDRINUSE if value == -errno.EEXIST else value
    yield Redirect({0: fd}, "close")
    return value, short


def _bind_kept(caller: Caller, where: Found, at: int, given: bytes) -> Handler:
    """bind(2) in an overlay, which keeps the socket."""
    overlay, path = overlays.act(caller, where)
    if overlay.attempts(path) and where.real is not None:
        real = os.fsencode(where.real)
        address = unix_address(real)
        value = yield Redirect({} if where.same else {at: address, at + 1: len(address)})
        if value >= 0 or not overlay.goes_on(-value):
            return Done()
    try:
        trees.lstat(where)
    except FileNotFoundError:
        pass
    else:
        raise refuse(errno.EADDRINUSE, where.name)
    place = overlay.bound(path)
    where = caller.resolve(AT_FDCWD, os.fsdecode(given), follow=False)
    own = where.same and where.shown is not None and where.shown.kept
    real = given if own else os.fsencode(place)
    last: Done | Emulate = Done()
    if len(real) > PATH_SIZE and not own:
        value, real = yield from _bound(caller, at, real)
        last = Emulate(value)
    else:
        address = unix_address(real)
        value = yield Redirect({} if own else {at: address, at + 1: len(address)})
    if value == 0:
        overlay.was_bound(path)
        caller.socket_named(real, None if own else given)
        if not own:
            yield Messages()
    return last


def _in_virtual_tree(caller: Caller, where: Found) -> Emulate:
    """A virtual tree holds no sockets.  Errors: EADDRINUSE, EPERM; ECONNREFUSED, ENOENT."""
    if caller.call.name == "bind":
        try:
            trees.lstat(where)
        except FileNotFoundError:
            raise refuse(errno.EPERM, where.name) from None  # as vfat, say
        raise refuse(errno.EADDRINUSE, where.name)
    trees.lstat(where)
    raise refuse(errno.ECONNREFUSED, where.name)


def sendmsg(caller: Caller) -> Handler:
    """The name in a message that goes out: struct msghdr."""
    if opened(caller) is not None:
        return otherwise(caller)
    header = caller.peek(caller.args[1], HEADER)
    if len(header) < HEADER:
        return Real()
    address, length = struct.unpack_from("=QI", header)
    name = unix_name(caller.peek(address, min(length, PATH_AT + PATH_SIZE))) if address else None
    if name is None:
        return Real()
    where = caller.resolve(AT_FDCWD, os.fsdecode(name), follow=True)
    if where.same:
        return Real()
    shown = where.real if where.real is not None else where.tree.socket(where.rest)
    if shown is None:
        return _in_virtual_tree(caller, where)
    real = os.fsencode(shown)
    if len(real) <= PATH_SIZE:
        yield Redirect({1: _addressed(header, real)})
        return Done()
    fd = yield from _opened(real)
    value = yield Redirect({1: _addressed(header, b"/proc/self/fd/%d" % fd)})
    yield Redirect({0: fd}, "close")
    return Emulate(value)


def _addressed(header: bytes, real: bytes) -> Block:
    """A struct msghdr with another name in it."""
    data = unix_address(real)
    return Block(bytes(8) + struct.pack("=I", len(data)) + header[12:], ((0, data),))


def recvmsg(caller: Caller) -> Handler:
    """The name in a message that came in."""
    if opened(caller) is not None:
        return otherwise(caller)
    address, room = struct.unpack_from("=QI", caller.peek(caller.args[1], HEADER).ljust(HEADER))
    value = yield Redirect({})
    if value >= 0:
        for fd in _received(caller, caller.args[1]):
            yield Receives(fd)
    if value < 0 or not address or not room:
        return Done()
    length = int.from_bytes(caller.peek(caller.args[1] + 8, 4), "little")
    name = unix_name(caller.peek(address, min(room, length)))
    shown = caller.socket_name(name) if name else None
    if shown is not None:
        data = shown_address(shown)
        caller.store(caller.args[1] + 8, len(data).to_bytes(4, "little"))
        caller.store(address, data[:room])
    return Done()


def _received(caller: Caller, header_at: int) -> list[int]:
    """The descriptors that came with a message: cmsg(3), SCM_RIGHTS."""
    control, size = struct.unpack_from("=QQ", caller.peek(header_at, HEADER).ljust(HEADER), 32)
    data = caller.peek(control, min(size, CONTROL)) if control and size >= CMSG.size else b""
    found: list[int] = []
    at = 0
    while at + CMSG.size <= len(data):
        length, level, kind = CMSG.unpack_from(data, at)
        if length < CMSG.size:
            break
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
            piece = data[at + CMSG.size : at + length]
            found += struct.unpack(f"={len(piece) // 4}i", piece[: len(piece) // 4 * 4])
        at += (length + 7) & ~7
    return found


def recvmmsg(caller: Caller) -> Handler:
    """Several messages, each perhaps with descriptors."""
    if opened(caller) is not None:
        return otherwise(caller)
    value = yield Redirect({})
    for index in range(max(0, value)):
        for fd in _received(caller, caller.args[1] + index * (HEADER + 8)):
            yield Receives(fd)
    return Done()


def pidfd_getfd(caller: Caller) -> Handler:
    """Another process's descriptor, perhaps an emulated one."""
    if opened(caller) is not None:
        return otherwise(caller)
    value = yield Redirect({})
    if value >= 0:
        yield Receives(value)
    return Done()


def from_address(caller: Caller) -> Handler:
    """getsockname, getpeername, accept, recvfrom: the view's name for the kernel's."""
    if opened(caller) is not None:
        return otherwise(caller)
    at = caller.call.arg(Role.SOCKADDR_OUT)
    address, length_at = caller.args[at], caller.args[at + 1]
    if not address or not length_at:
        return Real()
    room = int.from_bytes(caller.peek(length_at, 4), "little", signed=True)
    value = yield Redirect({})
    if value < 0 or room <= 0:
        return Done()
    if caller.call.name == "recvfrom":
        length = int.from_bytes(caller.peek(length_at, 4), "little", signed=True)
        name = unix_name(caller.peek(address, max(0, min(room, length)))) or b""
    else:
        fd = value if caller.call.op == "accept" else as_fd(caller.args[0])
        name = caller.socket_address(fd, caller.call.name != "getsockname")
    shown = caller.socket_name(name) if name else None
    if shown is None:
        return Done()
    data = shown_address(shown)
    caller.store(length_at, len(data).to_bytes(4, "little"))
    caller.store(address, data[:room])
    return Done()
