# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on an emulated descriptor with a name that is "" or NULL; attributes by descriptor."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import play
from twins import Fd

from pyview.handlers.caller import AT_FDCWD
from pyview.handlers.directories import VIRTUAL
from pyview.openfile import O_PATH
from pyview.verdicts import Real

EMPTY, NOFOLLOW = 0x1000, 0x100
ZERO, ONE, TWO = Fd(0), Fd(1), Fd(2)


@pytest.fixture
def twins(twins):
    twins.plant({"file": b"0123456789", "link": "file", "dir": None, "dir/inner": b""})
    twins.open("@/file", os.O_RDWR)
    twins.open("@/link", O_PATH | os.O_NOFOLLOW)
    twins.open("@/dir", os.O_RDONLY | os.O_DIRECTORY)
    return twins


def room(size):
    return bytearray(b"." * size)


def moments(*words):
    return bytearray(struct.pack("=qqqq", *words))


OMIT = (1 << 30) - 2
CALLS = [
    ("newfstatat", "name", room(144), "flags"),
    ("statx", "name", "flags", 0x7FF, room(256)),
    ("fchownat", "name", -1, -1, "flags"),
    ("utimensat", "name", moments(5, 6, 7, 8), "flags"),
    ("utimensat", "name", moments(5, OMIT, 7, OMIT), "flags"),
    ("utimensat", "name", 0, "flags"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
@pytest.mark.parametrize("name", ["", 0])
def test_without_a_name_a_call_means_the_descriptor(twins, call, name):
    for fd in (ZERO, ONE, TWO):
        for flags in (0, EMPTY, NOFOLLOW, EMPTY | NOFOLLOW, EMPTY | 1):
            words = [name if w == "name" else flags if w == "flags" else w for w in call[1:]]
            twins.alike(call[0], fd, *words)
            if "utimensat" in call[0]:
                twins.look_alike()


@pytest.mark.parametrize("fd", [ZERO, ONE, TWO], ids=["file", "link", "directory"])
def test_a_link_without_a_name_is_read(twins, fd):
    twins.same("readlinkat", fd, "", room(10), 10)
    twins.same("readlinkat", fd, "", room(2), 2)
    twins.same("readlinkat", fd, 0, room(2), 2)


def test_names_are_looked_up_from_a_directory(twins):
    for fd in (ZERO, TWO):
        twins.alike("newfstatat", fd, "inner", room(144), 0)
        twins.alike("newfstatat", fd, "../file", room(144), 0)
        twins.alike("unlinkat", fd, "none", 0)
        twins.alike("faccessat", fd, "inner", os.R_OK)
        twins.alike("mkdirat", fd, "new", 0o755)
        twins.alike("renameat", fd, "inner", fd, "other")
    twins.look_alike()


@pytest.mark.parametrize("name", ["", 0])
def test_other_calls_have_nothing_to_act_on(twins, name):
    for call, words in (
        ("unlinkat", (name, 0)), ("mkdirat", (name, 0o755)), ("mknodat", (name, 0o100600, 0)),
        ("fchmodat", (name, 0o600)), ("faccessat", (name, 0)),
    ):  # fmt: skip
        twins.alike(call, ZERO, *words)


@pytest.mark.parametrize("fd", [ZERO, ONE, TWO], ids=["file", "link", "directory"])
def test_calls_with_flags_may_act_on_the_descriptor(twins, fd):
    for flags in (0, EMPTY, EMPTY | NOFOLLOW, EMPTY | 1):
        for mode in (0, os.R_OK, os.R_OK | os.W_OK, os.X_OK, 8):
            twins.alike("faccessat2", fd, "", mode, flags)
    if fd != ONE and twins.kernel("fchmodat2", fd, "", 0o755, EMPTY).value != -errno.ENOSYS:
        twins.alike("fchmodat2", fd, "", 0o750, EMPTY)
        twins.look_alike()


def test_a_path_has_no_attributes_to_change(twins):
    for call, *words in (
        ("fgetxattr", "user.x", room(9), 9), ("flistxattr", room(9), 9),
        ("fremovexattr", "user.x"), ("fsetxattr", "user.x", room(1), 1, 0), ("fchmod", 0o600),
        ("fchown", -1, -1),
    ):  # fmt: skip
        twins.same(call, ONE, *words)


def test_a_descriptor_of_the_kernels_is_the_kernels(caller):
    for call in ("fgetxattr", "fsetxattr", "flistxattr", "fremovexattr"):
        assert play(caller.calls(call, 9, "user.x", 0, 0)) == (Real(), [])


def test_without_a_name_the_working_directory_is_meant(emulated, top):
    emulated.where, emulated.domain = "/e/sub", VIRTUAL
    verdict, _ = play(emulated.calls("newfstatat", AT_FDCWD, "", 0x5000, EMPTY))
    inode = int.from_bytes(verdict.poke[0][1][8:16], "little")
    assert inode == os.stat(top / "sub").st_ino
    with pytest.raises(OSError) as raised:
        play(emulated.calls("newfstatat", AT_FDCWD, "", 0x5000, 0))
    assert raised.value.errno == errno.ENOENT
