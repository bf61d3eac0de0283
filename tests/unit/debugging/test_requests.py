# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that carry bytes between a debugger and its tracee: what goes where."""

from __future__ import annotations

import ctypes
import errno
import struct

import pytest

from pyview.debugging.requests import transfer
from pyview.debugging.tracee import Shown, Tracee
from pyview.debugging.words import GETREGSET, PEEKSIGINFO, SETREGSET

TRACER, TRACEE = 10, 20


class Machine:
    """ptrace(2) that follows pointers, with 16 bytes in each register set."""

    def __init__(self, memory):
        self.memory, self.given = memory, []

    def peek(self, tid, address, length):
        assert tid == TRACER
        return self.memory.get(address, b"")[:length]

    def ptrace(self, request, tid, address, data):
        assert tid == TRACEE
        if request in (GETREGSET, SETREGSET):
            base, length = struct.unpack("=QQ", data)
            if request == SETREGSET:
                self.given.append(ctypes.string_at(base, length))
                return 0
            ctypes.memmove(base, b"R" * 16, min(16, length))
            data[8:] = min(16, length).to_bytes(8, "little")
        elif request == PEEKSIGINFO:
            self.given.append(ctypes.string_at(address, 16))
            data[:128] = b"I" * 128
            return 1
        elif isinstance(data, bytearray) and request in (1, 12, 0x420A):
            data[:] = b"W" * len(data)
        else:
            self.given.append((request, address, data))
        return 0


def ask(machine, request, addr=0, data=0):
    tracee = Tracee(TRACEE, TRACER, TRACER, natural=True, seized=True)
    tracee.hold(1, [Shown(5)])
    return transfer(machine, tracee, request, addr, data)


def test_words_and_structures_go_where_data_points():
    assert ask(Machine({}), 1, 0x999, 0x50) == (0, ((0x50, b"W" * 8),))
    assert ask(Machine({}), 12, 0, 0x50) == (0, ((0x50, b"W" * 216),))
    assert ask(Machine({}), 0x420A, 8, 0x50) == (0, ((0x50, b"W" * 8),))


def test_a_register_set_goes_through_a_vector():
    machine = Machine({0x50: struct.pack("=QQ", 0x700, 100)})
    length = (16).to_bytes(8, "little")
    assert ask(machine, GETREGSET, 1, 0x50).poke == ((0x700, b"R" * 16), (0x58, length))
    machine = Machine({0x50: struct.pack("=QQ", 0x700, 4), 0x700: b"abcd"})
    assert ask(machine, SETREGSET, 1, 0x50).value == 0
    assert machine.given == [b"abcd"]


def test_what_is_given_must_be_there():
    with pytest.raises(OSError) as raised:
        ask(Machine({0x50: b"short"}), 13, 0, 0x50)
    assert raised.value.errno == errno.EFAULT


def test_signals_are_peeked_at_through_a_structure():
    words = struct.pack("=QIi", 0, 0, 3)
    machine = Machine({0x40: words})
    assert ask(machine, PEEKSIGINFO, 0x40, 0x50) == (1, ((0x50, b"I" * 128),))
    assert machine.given == [words]


def test_other_requests_are_the_kernels():
    machine = Machine({})
    assert ask(machine, 5, 0x123, 0x456).value == 0
    assert machine.given == [(5, 0x123, 0x456)]
