# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a call whatever its name leads to: also when that leads nowhere."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import NOW, Nobody

from pyview.handlers import arguments
from pyview.handlers.caller import AT_FDCWD

NOW_NS, OMIT = arguments.UTIME_NOW, arguments.UTIME_OMIT
BAD = [
    ("newfstatat", AT_FDCWD, "@/x/y", bytearray(144), 1),
    ("statx", AT_FDCWD, "@/x/y", 1, 0, bytearray(256)),
    ("statx", AT_FDCWD, "@/x/y", 0x6000, 0, bytearray(256)),
    ("statx", AT_FDCWD, "@/x/y", 0, 0x80000000, bytearray(256)),
    ("access", "@/x/y", 8),
    ("faccessat", AT_FDCWD, "@/x/y", 0x10),
    ("faccessat2", AT_FDCWD, "@/x/y", 0, 1),
    ("readlink", "@/x/y", bytearray(1), 0),
    ("readlinkat", AT_FDCWD, "@/x/y", bytearray(1), -1),
    ("truncate", "@/x/y", -1),
    ("fchmodat2", AT_FDCWD, "@/x/y", 0o600, 1),
    ("fchownat", AT_FDCWD, "@/x/y", -1, -1, 1),
    ("linkat", AT_FDCWD, "@/x/y", AT_FDCWD, "@/x/y", 1),
    ("unlinkat", AT_FDCWD, "@/x/y", 1),
    ("renameat2", AT_FDCWD, "@/x/y", AT_FDCWD, "@/x/y", 8),
    ("renameat2", AT_FDCWD, "@/x/y", AT_FDCWD, "@/x/y", 3),
    ("renameat2", AT_FDCWD, "@/x/y", AT_FDCWD, "@/x/y", 6),
    ("mknod", "@/x/y", 0o040755, 0),
    ("mknod", "@/x/y", 0o120777, 0),
    ("mknodat", AT_FDCWD, "@/x/y", 0o170000, 0),
    ("symlink", "", "@/x/y"),
    ("utimensat", AT_FDCWD, "@/x/y", bytearray(32), 1),
    ("utimes", "@/x/y", bytearray(struct.pack("=qqqq", 0, 10**6, 0, 0))),
    ("futimesat", AT_FDCWD, "@/x/y", bytearray(struct.pack("=qqqq", 0, 0, 0, -1))),
    ("getxattr", "@/x/y", "", bytearray(1), 1),
    ("getxattr", "@/x/y", "user." + "x" * 251, bytearray(1), 1),
    ("removexattr", "@/x/y", ""),
    ("setxattr", "@/x/y", "", bytearray(1), 1, 0),
    ("setxattr", "@/x/y", "user.x", bytearray(1), 1, 4),
    ("lsetxattr", "@/x/y", "user.x", bytearray(1), 65537, 0),
]


@pytest.mark.parametrize("call", BAD, ids=lambda call: f"{call[0]}-{BAD.index(call)}")
def test_it_is_told_as_the_kernel_tells_it(twins, call):
    theirs = twins.kernel(*call)
    if theirs.value == -errno.ENOSYS:
        pytest.skip(f"this kernel has no {call[0]}")
    assert theirs.value < 0
    assert twins.view_of(*call).value == theirs.value


def test_the_table_of_flags_is_of_arguments_that_are_flags():
    for name, (at, known) in arguments._FLAGS.items():
        row = Nobody().calls(name).call
        assert row.args[at].name == "flags", name
        assert known > 0


def test_what_is_right_is_not_refused():
    caller = Nobody()
    for call in (
        ("newfstatat", AT_FDCWD, "/x", 0, 0x1900), ("statx", AT_FDCWD, "/x", 0x4000, 0x7FF, 0),
        ("access", "/x", 7), ("faccessat2", AT_FDCWD, "/x", 7 | 1 << 32, 0x1300),
        ("readlink", "/x", 0, 1), ("truncate", "/x", 0), ("unlinkat", 0, "/x", 0x200),
        ("renameat2", 0, "/x", 0, "/y", 2), ("mknod", "/x", 0o600, 0), ("symlink", "a", "/x"),
        ("setxattr", "/x", "user.x", 0, 0, 3), ("listxattr", "/x", 0, 0), ("utime", "/x", 0),
        ("mkdir", "/x", -1), ("stat", "/x", 0),
    ):  # fmt: skip
        arguments.check(caller.calls(*call))


# -- times ---------------------------------------------------------------------------------------


def given(name, *words):
    caller = Nobody()
    data = struct.pack(f"={len(words)}q", *words) if words else 0
    return caller.calls(name, AT_FDCWD, "/x", data, 0) if "at" in name else caller.calls(
        name, "/x", data
    )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (given("utime", 5, 7), (5 * 10**9, 7 * 10**9)),
        (given("utime"), (NOW, NOW)),
        (given("utimes", 5, 6, 7, 8), (5 * 10**9 + 6000, 7 * 10**9 + 8000)),
        (given("futimesat", -5, 0, 7, 999999), (-5 * 10**9, 7 * 10**9 + 999999000)),
        (given("utimensat", 5, 6, 7, 8), (5 * 10**9 + 6, 7 * 10**9 + 8)),
        (given("utimensat", 5, NOW_NS, 7, OMIT), (NOW, None)),
        (given("utimensat", 5, OMIT, 7, OMIT), (None, None)),
        (given("utimensat"), (NOW, NOW)),
    ],
)
def test_times(call, wanted):
    assert arguments.times(call) == wanted
    assert arguments.leaves_times(call) == (wanted == (None, None))


@pytest.mark.parametrize("ns", [10**9, -1, OMIT + 2, 1 << 62])
def test_nanoseconds_that_are_none_are_EINVAL_once_the_file_is_there(ns):
    call = given("utimensat", 5, ns, 7, 8)
    arguments.check(call)
    with pytest.raises(OSError) as raised:
        arguments.times(call)
    assert raised.value.errno == errno.EINVAL


# -- extended attributes -------------------------------------------------------------------------


def test_names_and_values_of_attributes():
    caller = Nobody()
    odd = os.fsdecode(b"user.\xff")
    assert arguments.attribute_name(caller.calls("getxattr", "/x", odd, 0, 0)) == odd
    call = caller.calls("setxattr", "/x", "user.x", b"value", 5, 0)
    assert arguments.attribute_value(call) == b"value"
    assert arguments.attribute_value(caller.calls("setxattr", "/x", "user.x", 0, 0, 0)) == b""


def test_what_calls_with_a_structure_say():
    caller = Nobody()
    value = caller.puts(b"val")
    words = struct.pack("=QII", value, 3, 1)

    def sets(data, size, call="setxattrat"):
        return caller.calls(call, AT_FDCWD, "/x", 0, "user.x", data, size)

    arguments.check(sets(words, 16))
    assert arguments.attribute(caller) == arguments.Attribute(value, 3, 1)
    assert arguments.attribute_name(caller) == "user.x"
    listed = caller.calls("listxattrat", AT_FDCWD, "/x", 0, 0x6000, 9)
    assert arguments.attribute(listed) == arguments.Attribute(0x6000, 9)
    for given, number in (
        ((words, 15), errno.EINVAL), ((words, 4097), errno.E2BIG),
        ((words + b"\1", 17), errno.E2BIG), ((8, 16), errno.EFAULT),
        ((words, 17), errno.EFAULT), ((words, 16, "getxattrat"), errno.EINVAL),
    ):  # fmt: skip
        with pytest.raises(OSError) as raised:
            arguments.check(sets(*given))
        assert raised.value.errno == number
