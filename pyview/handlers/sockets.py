# SPDX-License-Identifier: GPL-2.0-or-later
"""Unix sockets with names of the view: unix(7)."""

from __future__ import annotations

import errno
import os
import struct

from pyview.abi.sockaddr import PATH_AT, PATH_SIZE, unix_address, unix_name
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.syscalls import Role
from pyview.verdicts import Block, Done, Handler, Messages, Real, Redirect

HEADER = 56  # sizeof(struct msghdr): msg_name, msg_namelen, ...


def to_address(caller: Caller) -> Handler:
    """bind, connect, sendto: the kernel gets its own name of the socket."""
    at = caller.call.arg(Role.SOCKADDR_IN)
    length = caller.args[at + 1] & 0xFFFFFFFF
    name = unix_name(caller.peek(caller.args[at], min(length, PATH_AT + PATH_SIZE)))
    if name is None:
        return Real()
    binds = caller.call.name == "bind"
    where = caller.resolve(AT_FDCWD, os.fsdecode(name), follow=not binds)
    if where.real is None:
        raise refuse(errno.EOPNOTSUPP, where.name)
    if where.same and not where.number and not binds:
        return Real(where.clean)
    real = name if where.same else os.fsencode(where.real)
    if len(real) > PATH_SIZE:
        raise refuse(errno.ENAMETOOLONG)
    address = unix_address(real)
    value = yield Redirect({} if where.same else {at: address, at + 1: len(address)})
    if binds and value == 0:
        caller.socket_named(real, None if where.same else name)
    if value >= 0 and not where.same:
        yield Messages()
    return Done()


def sendmsg(caller: Caller) -> Handler:
    """The name in a message that goes out: struct msghdr."""
    header = caller.peek(caller.args[1], HEADER)
    if len(header) < HEADER:
        return Real()
    address, length = struct.unpack_from("=QI", header)
    name = unix_name(caller.peek(address, min(length, PATH_AT + PATH_SIZE))) if address else None
    if name is None:
        return Real()
    where = caller.resolve(AT_FDCWD, os.fsdecode(name), follow=True)
    if where.same or where.real is None:
        return Real()
    real = os.fsencode(where.real)
    if len(real) > PATH_SIZE:
        raise refuse(errno.ENAMETOOLONG)
    data = unix_address(real)
    changed = bytes(8) + struct.pack("=I", len(data)) + header[12:]
    yield Redirect({1: Block(changed, ((0, data),))})
    return Done()


def recvmsg(caller: Caller) -> Handler:
    """The name in a message that came in."""
    address, room = struct.unpack_from("=QI", caller.peek(caller.args[1], HEADER).ljust(HEADER))
    value = yield Redirect({})
    if value < 0 or not address or not room:
        return Done()
    length = int.from_bytes(caller.peek(caller.args[1] + 8, 4), "little")
    name = unix_name(caller.peek(address, min(room, length)))
    shown = caller.socket_name(name) if name else None
    if shown is not None:
        data = unix_address(shown)
        caller.store(caller.args[1] + 8, len(data).to_bytes(4, "little"))
        caller.store(address, data[:room])
    return Done()


def from_address(caller: Caller) -> Handler:
    """getsockname, getpeername, accept, recvfrom: the view's name for the kernel's."""
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
    data = unix_address(shown)
    caller.store(length_at, len(data).to_bytes(4, "little"))
    caller.store(address, data[:room])
    return Done()
