# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes, by descriptor and with a struct xattr_args, as the kernel has them."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import play
from twins import Fd

from pyview.handlers.caller import AT_FDCWD
from pyview.verdicts import Emulate

ZERO, TWO, EMPTY = Fd(0), Fd(1), 0x1000


@pytest.fixture
def twins(twins):
    twins.plant({"file": b"0123456789", "dir": None})
    twins.open("@/file", os.O_RDWR)
    twins.open("@/dir", os.O_RDONLY | os.O_DIRECTORY)
    return twins


def room(size):
    return bytearray(b"." * size)


@pytest.mark.parametrize("fd", [ZERO, TWO], ids=["file", "directory"])
def test_extended_attributes(twins, fd):
    value = bytearray(b"value")
    twins.same("fsetxattr", fd, "user.x", value, 5, 0)
    if twins.same("fgetxattr", fd, "user.x", room(9), 9).value < 0:
        pytest.skip("this file system has no user attributes")
    twins.same("fgetxattr", fd, "user.x", room(9), 0)
    twins.same("fgetxattr", fd, "user.x", room(9), 3)
    twins.same("fgetxattr", fd, "user.none", room(9), 9)
    twins.same("fgetxattr", fd, "", room(9), 9)
    twins.same("fsetxattr", fd, "user.x", value, 5, 1)
    twins.same("fsetxattr", fd, "user.y", value, 5, 2)
    twins.same("fsetxattr", fd, "user.y", value, 5, 4)
    twins.same("fsetxattr", fd, "user.y", value, 65537, 0)
    twins.same("flistxattr", fd, room(20), 20)
    twins.same("flistxattr", fd, room(20), 3)
    twins.same("flistxattr", fd, 0, 0)
    twins.same("fremovexattr", fd, "user.x")
    twins.same("fremovexattr", fd, "user.x")


def test_the_calls_with_a_structure_do_what_the_others_do(emulated, top):
    try:
        os.setxattr(top / "file", "user.x", b"was")
    except OSError:
        pytest.skip("this file system has no user attributes")

    def asks(call, name, at, size, flags=0, path="/e/file"):
        words = struct.pack("=QII", at, size, flags)
        return play(emulated.calls(call, AT_FDCWD, path, 0, name, words, len(words)))[0]

    value, found = emulated.puts(b"value"), emulated.puts(bytes(9))
    assert asks("getxattrat", "user.x", found, 9) == Emulate(3, ((found, b"was"),))
    assert asks("setxattrat", "user.x", value, 5, 2) == Emulate(0)
    assert os.getxattr(top / "file", "user.x") == b"value"
    with pytest.raises(OSError) as raised:
        asks("getxattrat", "user.x", found, 2)
    assert raised.value.errno == errno.ERANGE
    with pytest.raises(OSError) as raised:
        asks("getxattrat", "user.x", found, 9, 0, "/e/none")
    assert raised.value.errno == errno.ENOENT
    listed = emulated.calls("listxattrat", AT_FDCWD, "/e/file", 0, found, 9)
    assert play(listed)[0] == Emulate(7, ((found, b"user.x\0"),))
    assert play(emulated.calls("removexattrat", AT_FDCWD, "/e/file", 0, "user.x"))[0] == Emulate(0)
    assert os.listxattr(top / "file") == []


def test_without_a_name_they_mean_the_descriptor(twins):
    if twins.kernel("listxattrat", ZERO, "", EMPTY, room(9), 9).value == -errno.ENOSYS:
        pytest.skip("Linux < 6.13")
    twins.same("fsetxattr", ZERO, "user.x", bytearray(b"value"), 5, 0)
    twins.same("listxattrat", ZERO, "", EMPTY, room(9), 9)
    twins.same("listxattrat", ZERO, "", 0, room(9), 9)
    twins.same("removexattrat", TWO, "", EMPTY, "user.x")
    twins.same("removexattrat", ZERO, 0, EMPTY, "user.x")
    twins.same("listxattrat", ZERO, 0, EMPTY | 1, room(9), 9)
