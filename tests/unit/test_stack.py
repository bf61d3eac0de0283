# SPDX-License-Identifier: GPL-2.0-or-later
"""The stack of a new program, in a memory that is a bytearray."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview import core, stack

BASE = 0x7FFF_0000_1000  # where stacks are
EXECFN, RANDOM = 31, 25


class Memory:
    """A stack as the kernel builds it: words first, strings after them."""

    def __init__(self, argv, envp, aux, *, extra=b""):
        words = 1 + len(argv) + 1 + len(envp) + 1 + 2 * (len(aux) + 1)
        self.strings = BASE + 8 * words
        self.data = bytearray()
        addresses = {}

        def put(text):
            addresses.setdefault(text, []).append(self.strings + len(self.data))
            at = addresses[text][-1]
            self.data += text + b"\0"
            return at

        vector = [len(argv), *map(put, argv), 0, *map(put, envp), 0]
        for kind, value in aux:
            vector += [kind, put(value) if isinstance(value, bytes) else value]
        vector += [0, 0]
        self.data = bytearray(struct.pack(f"={len(vector)}Q", *vector)) + self.data + extra
        self.end = BASE + len(self.data)

    def peek(self, _tid, address, length):
        if not BASE <= address < self.end:
            raise OSError(14, "bad address")
        return bytes(self.data[address - BASE : address - BASE + length])

    def patch(self, _tid, address, data):
        self.data[address - BASE : address - BASE + len(data)] = data
        return True


@pytest.fixture
def program(monkeypatch):
    def run(memory):
        monkeypatch.setattr(core, "registers", lambda tid: SimpleNamespace(sp=BASE))
        monkeypatch.setattr(core, "peek", memory.peek)
        monkeypatch.setattr(core, "patch", memory.patch)
        return memory

    return run


def test_the_name_is_replaced_wherever_the_kernel_put_it(program):
    given_, shown = b"///////etc/x", b"/unreal/etc/x"[:12]
    memory = program(Memory([b"sh", given_, b"x"], [b"A=1"], [(RANDOM, 5), (EXECFN, given_)]))
    stack.rename_on_stack(1, given_, shown)
    assert memory.data.count(given_) == 0
    assert memory.data.count(shown + b"\0") == 2


def test_only_whole_names_in_their_places_are_replaced(program):
    memory = program(Memory([b"/aa", b"/aab", b"x/aa"], [b"/aa", b"P=/aa"], [(EXECFN, b"/other")]))
    stack.rename_on_stack(1, b"/aa", b"/bb")
    assert memory.data.count(b"/bb") == 1
    assert b"P=/aa\0" in memory.data  # the environment is the caller's


@pytest.mark.parametrize(("one", "other"), [(b"/a", b"/a"), (b"/a", b"/abc"), (b"", b"/abc")])
def test_names_of_other_lengths_are_left(monkeypatch, one, other):
    def never(*_):
        raise AssertionError

    for name in ("registers", "peek", "patch"):
        monkeypatch.setattr(core, name, never)
    stack.rename_on_stack(1, one, other)


def test_many_variables_lie_between_arguments_and_vector(program):
    envp = [b"V%d=x" % i for i in range(300)]
    memory = program(Memory([b"x"], envp, [(i + 40, 7) for i in range(20)] + [(EXECFN, b"/aa")]))
    stack.rename_on_stack(1, b"/aa", b"/bb")
    assert memory.data.count(b"/bb\0") == 1


@given(st.integers(0, 70), st.integers(0, 140), st.integers(0, 25))
def test_the_vector_is_found_behind_any_number_of_strings(arguments, variables, entries):
    memory = Memory(
        [b"a"] * arguments,
        [b"e"] * variables,
        [(100 + i, 1) for i in range(entries)] + [(EXECFN, b"/aa")],
    )
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(core, "registers", lambda tid: SimpleNamespace(sp=BASE))
        patches.setattr(core, "peek", memory.peek)
        patches.setattr(core, "patch", memory.patch)
        stack.rename_on_stack(1, b"/aa", b"/bb")
    assert memory.data.count(b"/bb\0") == 1


def test_a_script_below_five_interpreters_is_found(program):
    words = [b"i%d" % i for i in range(10)] + [b"/aa"]
    memory = program(Memory(words, [], [(EXECFN, b"/x")]))
    stack.rename_on_stack(1, b"/aa", b"/bb")
    assert b"/bb\0" in memory.data


def test_an_unreadable_string_does_not_hide_the_others(program):
    """An argument at the very end of memory, where fewer bytes can be read than were asked for."""
    memory = program(Memory([b"/aa"], [], [(EXECFN, b"/aa")]))
    memory.end = BASE + len(memory.data)
    stack.rename_on_stack(1, b"/aa", b"/bb")
    assert memory.data.endswith(b"/bb\0")


def test_a_program_is_told_who_it_is(monkeypatch):
    kinds = [(6, 4096), (11, 1000), (12, 1000), (13, 100), (14, 100), (23, 0), (EXECFN, b"/x")]
    memory = Memory([b"x", b"y"], [b"A=%d" % n for n in range(100)], kinds)
    monkeypatch.setattr(core, "registers", lambda tid: SimpleNamespace(sp=BASE))
    monkeypatch.setattr(core, "peek", memory.peek)
    monkeypatch.setattr(core, "patch", memory.patch)
    before = bytes(memory.data)
    stack.tell_identity(1, (1000, 0, 100, 8), True)
    changed = {kind: value for _, kind, value in stack._auxiliary(1, BASE, 2)}
    assert [changed[kind] for kind in (6, 11, 12, 13, 14, 23)] == [4096, 1000, 0, 100, 8, 1]
    assert sum(a != b for a, b in zip(before, memory.data, strict=True)) == 4  # three words


def test_a_program_of_32_bits_is_told_nothing(monkeypatch):
    monkeypatch.setattr(core, "registers", lambda tid: SimpleNamespace(sp=0xFFFF_D000))
    assert stack.is_narrow(1)
    stack.tell_identity(1, (0, 0, 0, 0), secure=True)  # would look at memory that is not there
