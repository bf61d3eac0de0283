# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own structures are the oracle."""

import ctypes
import os

import pytest

from pyview.abi.stat import STATX_BASIC_STATS, pack_stat, pack_statfs, pack_statx

libc = ctypes.CDLL(None, use_errno=True)


@pytest.mark.parametrize("name", ["/", "/dev/null", "/proc/self/exe", "/etc/passwd", "/dev/tty"])
def test_a_stat_is_packed_as_the_kernel_does(name):
    buffer = ctypes.create_string_buffer(144)
    assert libc.syscall(6, name.encode(), buffer) == 0  # lstat
    assert pack_stat(os.lstat(name)) == buffer.raw


@pytest.mark.parametrize("name", ["/", "/dev/null", "/etc/passwd"])
def test_a_statx_agrees_with_the_kernels_where_it_says_anything(name):
    buffer = ctypes.create_string_buffer(256)
    assert libc.syscall(332, -100, name.encode(), 0x100, STATX_BASIC_STATS, buffer) == 0
    mine = pack_statx(os.lstat(name))
    theirs = buffer.raw
    for start, end in ((4, 8), (16, 30), (32, 56), (64, 76), (96, 108), (112, 124), (128, 144)):
        assert mine[start:end] == theirs[start:end], (start, end)
    assert len(mine) == 256


def test_a_statfs_has_the_kernels_layout():
    buffer = ctypes.create_string_buffer(120)
    assert libc.syscall(137, b"/", buffer) == 0
    found = os.statvfs("/")
    mine = pack_statfs(found, int.from_bytes(buffer.raw[:8], "little"))
    assert len(mine) == 120
    for start, end in ((0, 24), (40, 48), (64, 80)):
        assert mine[start:end] == buffer.raw[start:end], (start, end)
