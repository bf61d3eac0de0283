# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF programs: the interpreter they name, and copies that name another."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview.abi.elf import PAGE, interpreter, renamed

LOADER = b"/lib64/ld-linux-x86-64.so.2\0"


@pytest.fixture(scope="module")
def program():
    with open(os.path.realpath(sys.executable), "rb") as file:
        return file.read()


def named(data):
    at = interpreter(data[:PAGE])
    return None if at is None else data[at.offset : at.offset + at.length]


def test_a_program_names_its_interpreter(program):
    assert named(program) == LOADER


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\2\1\1" + bytes(60)])
def test_others_name_none(data):
    assert interpreter(data) is None


def test_of_32_bits_there_is_nothing_to_say(program):
    assert interpreter(program[:4] + b"\1" + program[5:PAGE]) is None


@given(st.binary(max_size=200), st.integers(0, 900))
def test_whatever_is_in_it_is_no_error(noise, at):
    with open(os.path.realpath(sys.executable), "rb") as file:
        head = file.read(1024)
    found = interpreter(head[:at] + noise + head[at + len(noise) :])
    assert found is None or found.length >= 2


def test_a_copy_with_another_name_is_started_by_that(program, tmp_path):
    at = interpreter(program[:PAGE])
    name = os.fsencode(os.path.realpath(LOADER[:-1].decode())) + b"\0"
    end = len(program)
    header = renamed(program[:PAGE], at, end, name)
    copy = bytearray(program + name)
    copy[at.header : at.header + len(header)] = header
    assert named(bytes(copy)) == name
    file = tmp_path / "copy"
    file.write_bytes(copy)
    file.chmod(0o755)
    done = subprocess.run([file, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"
