# SPDX-License-Identifier: GPL-2.0-or-later
"""Unix sockets by names of the view."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import play

from pyview.abi.sockaddr import unix_address
from pyview.api import Tree, attributes
from pyview.api import refuse as error
from pyview.verdicts import Block, Done, Emulate, Messages, Real, Redirect

CALLS = {  # where the address is among the arguments
    "bind": 1,
    "connect": 1,
    "sendto": 4,
}


def calls(caller, call, name, length=None):
    data = name if isinstance(name, bytes) else unix_address(os.fsencode(name))
    at = CALLS[call]
    filler = (0,) * (at - 1)
    return caller.calls(call, 3, *filler, data, len(data) if length is None else length)


def refused(caller, *results):
    with pytest.raises(OSError) as raised:
        play(caller, *results)
    return raised.value.errno


@pytest.mark.parametrize("call", CALLS)
def test_a_name_in_unreal_is_the_kernels_name(caller, call):
    verdict, asked = play(calls(caller, call, "/unreal/etc/socket"), 0)
    at, address = CALLS[call], unix_address(b"/etc/socket")
    assert verdict == Done()
    assert asked == [Redirect({at: address, at + 1: len(address)}), Messages()]
    assert caller.sockets == ({b"/etc/socket": b"/unreal/etc/socket"} if call == "bind" else {})


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_names_nothing(caller, call):
    verdict, asked = play(calls(caller, call, "/unreal/etc/socket"), -errno.ECONNREFUSED)
    assert (verdict, len(asked), caller.sockets) == (Done(), 1, {})


@pytest.mark.parametrize("call", ["connect", "sendto"])
def test_a_name_of_the_kernels_is_the_kernels(caller, call):
    assert play(calls(caller, call, "/etc/passwd")) == (Real(True), [])


def test_a_socket_bound_to_a_name_of_the_kernels_has_no_other_any_more(caller):
    caller.sockets[b"/etc/socket"] = b"/unreal/etc/socket"
    assert play(calls(caller, "bind", "/etc/socket"), 0) == (Done(), [Redirect({})])
    assert caller.sockets[b"/etc/socket"] is None


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("address", [b"", b"\1\0", b"\1\0\0abstract", b"\2\0/tmp/x" + bytes(6)])
def test_an_address_that_is_no_file_is_the_kernels(caller, call, address):
    assert play(calls(caller, call, address.ljust(1, b"\1"), len(address))) == (Real(), [])


@pytest.mark.parametrize(
    ("call", "name", "number"),
    [
        ("bind", "/d/new", errno.EPERM),  # as on any file system without special files
        ("bind", "/d/file", errno.EADDRINUSE),
        ("bind", "/d/none/new", errno.ENOENT),
        ("bind", "/d/file/new", errno.ENOTDIR),
        ("connect", "/d/file", errno.ECONNREFUSED),
        ("connect", "/d/new", errno.ENOENT),
        ("sendto", "/d/file", errno.ECONNREFUSED),
        ("connect", "/v/socket", errno.ENOSYS),
    ],
)
def test_a_virtual_tree_holds_no_socket(caller, view, call, name, number):
    class Dry(Tree):
        def lstat(self, path):
            if path not in ("/", "/file"):
                raise error(errno.ENOENT, path)
            return attributes(0o40755 if path == "/" else 0o100644)

    view.mount("/d", Dry())
    assert refused(calls(caller, call, name)) == number


def test_a_virtual_tree_may_tell_where_a_socket_really_is(caller, view):
    class Elsewhere(Tree):
        def lstat(self, path):
            return attributes(0o40755 if path == "/" else 0o140755)

        def socket(self, path):
            return "/run" + path

    view.mount("/s", Elsewhere())
    _, asked = play(calls(caller, "connect", "/s/socket"), 0)
    assert asked[0].changes[1] == unix_address(b"/run/socket")
    assert play(calls(caller, "bind", "/s/socket"), 0)[0] == Done()
    assert caller.sockets == {b"/run/socket": b"/s/socket"}


def test_a_last_link_is_followed_but_by_bind(caller, tmp_path):
    (tmp_path / "link").symlink_to("socket")
    (tmp_path / "socket").write_text("")
    for call, end in (("bind", "link"), ("connect", "socket")):
        _, asked = play(calls(caller, call, f"/unreal{tmp_path}/link"), 0)
        assert asked[0].changes[1] == unix_address(f"{tmp_path}/{end}".encode())


@pytest.fixture
def long(tmp_path):
    """A directory whose real name has no room in an address, and a short name of it."""
    directory = tmp_path / ("x" * 90)
    directory.mkdir()
    (tmp_path / "s").symlink_to(f"/unreal{directory}")
    return str(directory), f"{tmp_path}/s"


def test_a_name_that_becomes_too_long_is_reached_by_a_descriptor(caller, long):
    real, short = long
    verdict, asked = play(calls(caller, "connect", f"{short}/socket"), 7, -111, 0)
    assert verdict == Emulate(-111)
    assert [request.call for request in asked] == ["open", "", "close"]
    assert asked[0].changes[0] == f"{real}/socket".encode() + b"\0"
    assert asked[1].changes[1] == unix_address(b"/proc/self/fd/7")
    assert refused(calls(caller, "connect", f"{short}/none"), -errno.ENOENT) == errno.ENOENT


def test_a_socket_with_such_a_name_is_bound_to_a_short_one_first(caller, long):
    real, short = long
    given = f"{short}/socket".encode()
    verdict, asked = play(calls(caller, "bind", given.decode()), 7, 0, 0, 0)
    assert verdict == Emulate(0)
    assert [request.call for request in asked[:-1]] == ["open", "", "renameat2", "close"]
    assert asked[-1] == Messages()
    temporary = b"/proc/self/fd/7/.pyview-100"
    assert asked[0].changes[0] == f"{real}/".encode() + b"\0"
    assert asked[1].changes[1] == unix_address(temporary)
    assert asked[2].changes[3] == b"/proc/self/fd/7/socket\0"
    assert caller.sockets == {temporary: given}
    verdict, asked = play(calls(caller, "bind", given.decode()), 7, 0, -errno.EEXIST, 0, 0)
    assert verdict == Emulate(-errno.EADDRINUSE)
    assert asked[3].changes == {0: temporary + b"\0"}


def test_a_relative_name_is_looked_up_from_the_working_directory(caller, number, tmp_path):
    caller.where, caller.domain = f"/unreal{tmp_path}", number
    verdict, asked = play(calls(caller, "bind", "socket"), 0)
    assert (verdict, asked) == (Done(), [Redirect({})])
    (tmp_path / "socket").write_text("")
    assert play(calls(caller, "connect", "socket"), 0) == (Done(), [Redirect({})])


# -- names that come back ------------------------------------------------------------------------

KNOWN = (b"/etc/socket", b"/unreal/etc/socket")


def out(caller, call, room, name=b"/etc/socket"):
    """A call with a buffer of `room` bytes; the addresses of buffer and length."""
    caller.sockets[KNOWN[0]] = KNOWN[1]
    address = caller.puts(unix_address(name).ljust(200, b"."))
    length = caller.puts(room.to_bytes(4, "little", signed=True))
    filler = (0,) * (3 if call == "recvfrom" else 0)
    caller.calls(call, 3, *filler, address, length)
    return address, length


@pytest.mark.parametrize(
    ("call", "value", "fd", "peer"),
    [
        ("getsockname", 0, 3, False),
        ("getpeername", 0, 3, True),
        ("accept", 9, 9, True),
        ("accept4", 9, 9, True),
    ],
)
def test_a_socket_tells_its_name_in_the_view(caller, call, value, fd, peer):
    address, length = out(caller, call, 100)
    caller.names[fd, peer] = KNOWN[0]
    assert play(caller, value) == (Done(), [Redirect({})])
    shown = unix_address(KNOWN[1])
    assert caller.memory[address].startswith(shown + b".")
    assert caller.memory[length] == len(shown).to_bytes(4, "little")


def test_a_datagram_tells_its_senders_name(caller):
    address, _ = out(caller, "recvfrom", 100)
    play(caller, 5)
    assert caller.memory[address].startswith(unix_address(KNOWN[1]))


def test_a_short_buffer_gets_as_much_as_fits_and_the_whole_length(caller):
    address, length = out(caller, "getsockname", 8)
    caller.names[3, False] = KNOWN[0]
    before = caller.memory[address]
    play(caller, 0)
    shown = unix_address(KNOWN[1])
    assert caller.memory[address] == shown[:8] + before[8:]
    assert caller.memory[length] == len(shown).to_bytes(4, "little")


@pytest.mark.parametrize(("room", "value"), [(0, 0), (-1, -errno.EINVAL), (100, -errno.EBADF)])
def test_without_room_or_success_nothing_is_stored(caller, room, value):
    out(caller, "getsockname", room)
    caller.names[3, False] = KNOWN[0]
    before = dict(caller.memory)
    assert play(caller, value)[0] == Done()
    assert caller.memory == before


def test_other_names_are_left_as_they_are(caller):
    out(caller, "getsockname", 100, b"/other")
    caller.names[3, False] = b"/other"
    before = dict(caller.memory)
    play(caller, 0)
    assert caller.memory == before


@pytest.mark.parametrize("call", ["accept", "getsockname"])
def test_who_asks_for_no_name_gets_none(caller, call):
    assert play(caller.calls(call, 3, 0, 0)) == (Real(), [])


# -- messages ------------------------------------------------------------------------------------


def message(caller, call, name, length):
    """A msghdr with that name; the addresses of the header and of the name."""
    at = caller.puts(name.ljust(128, b".")) if name else 0
    header = caller.puts(struct.pack("=QIIQQQQQ", at, length, 0, 11, 1, 22, 2, 0))
    caller.calls(call, 3, header, 0)
    return header, at


def test_a_message_goes_to_the_kernels_name(caller):
    data = unix_address(b"/unreal/etc/socket")
    header, _ = message(caller, "sendmsg", data, len(data))
    verdict, asked = play(caller, 10)
    sent = unix_address(b"/etc/socket")
    block = bytes(8) + struct.pack("=I", len(sent)) + caller.memory[header][12:56]
    assert (verdict, asked) == (Done(), [Redirect({1: Block(block, ((0, sent),))})])


@pytest.mark.parametrize("data", [b"", b"\1\0\0abstract", unix_address(b"/etc/socket")])
def test_other_messages_are_the_kernels(caller, data):
    message(caller, "sendmsg", data, len(data))
    assert play(caller) == (Real(), [])


def test_a_message_that_came_in_tells_the_views_name(caller):
    caller.sockets[KNOWN[0]] = KNOWN[1]
    data = unix_address(KNOWN[0])
    header, at = message(caller, "recvmsg", data, 110)
    caller.memory[header] = caller.memory[header][:8] + struct.pack("=I", 110) + bytes(44)
    assert play(caller, 4) == (Done(), [Redirect({})])
    shown = unix_address(KNOWN[1])
    assert caller.memory[at].startswith(shown)
    assert caller.memory[header][8:12] == len(shown).to_bytes(4, "little")


@pytest.mark.parametrize(("name", "value"), [(b"", 4), (unix_address(KNOWN[0]), -4)])
def test_a_message_without_a_name_is_left_alone(caller, name, value):
    caller.sockets[KNOWN[0]] = KNOWN[1]
    message(caller, "recvmsg", name, 110)
    before = dict(caller.memory)
    assert play(caller, value)[0] == Done()
    assert caller.memory == before


def test_a_message_to_a_long_name_goes_by_a_descriptor(caller, long):
    real, short = long
    address = caller.puts(unix_address(f"{short}/socket".encode()))
    header = struct.pack("=QI", address, 110).ljust(56, b"\0")
    verdict, asked = play(caller.calls("sendmsg", 3, header, 0), 7, 5, 0)
    assert verdict == Emulate(5)
    assert asked[0].changes[0] == f"{real}/socket".encode() + b"\0"
    assert asked[1].changes[1].pointers == ((0, unix_address(b"/proc/self/fd/7")),)
    assert asked[2] == Redirect({0: 7}, "close")


def test_a_message_to_a_virtual_tree_finds_the_socket_that_it_knows(caller, view):
    class Knows(Tree):
        def lstat(self, path):
            return attributes((0o040000 if path == "/" else 0o140000) | 0o755)

        def socket(self, path):
            return "/real" + path if path == "/known" else None

    view.mount("/k", Knows(), kind="knows")
    for name, number in (("/k/known", 0), ("/k/other", errno.ECONNREFUSED)):
        address = caller.puts(unix_address(name.encode()))
        header = struct.pack("=QI", address, 110).ljust(56, b"\0")
        call = caller.calls("sendmsg", 3, header, 0)
        if number:
            assert refused(call) == number
        else:
            _, asked = play(call, 1)
            assert asked[0].changes[1].pointers == ((0, unix_address(b"/real/known")),)
