# SPDX-License-Identifier: GPL-2.0-or-later
"""Buffers and vectors: what a call transfers, in pieces."""

from __future__ import annotations

import errno
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playbook import Nobody

from pyview.handlers.vectors import CHUNK, MOST, USER_END, chunks, pieces, total


def vector(caller, *pairs):
    return caller.puts(b"".join(struct.pack("=QQ", *pair) for pair in pairs) or b".")


def refused(caller):
    with pytest.raises(OSError) as raised:
        pieces(caller)
    return raised.value.errno


@pytest.mark.parametrize("call", ["read", "write", "pread64", "pwrite64"])
def test_a_buffer_is_one_piece(call):
    caller = Nobody()
    assert pieces(caller.calls(call, 3, 0x1000, 5)) == [(0x1000, 5)]
    assert pieces(caller.calls(call, 3, 0x1000, 0)) == [(0x1000, 0)]
    assert pieces(caller.calls(call, 3, 0x1000, 1 << 46)) == [(0x1000, MOST)]
    for address, length in ((0x1000, 1 << 63), (0x1000, 1 << 47), (1 << 63, 0), (USER_END, 1)):
        assert refused(caller.calls(call, 3, address, length)) == errno.EFAULT


@pytest.mark.parametrize("call", ["readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2"])
def test_a_vector_is_many(call):
    caller = Nobody()
    at = vector(caller, (0x1000, 5), (0x2000, 0), (0x3000, 7))
    assert pieces(caller.calls(call, 3, at, 3)) == [(0x1000, 5), (0x2000, 0), (0x3000, 7)]
    assert pieces(caller.calls(call, 3, at, 1)) == [(0x1000, 5)]
    assert pieces(caller.calls(call, 3, vector(caller), 0)) == []


def test_vectors_are_checked():
    caller = Nobody()
    at = vector(caller, (0x1000, 5))
    for count, number in ((1025, errno.EINVAL), (-1, errno.EINVAL), (2, errno.EFAULT)):
        assert refused(caller.calls("readv", 3, at, count)) == number
    assert refused(caller.calls("readv", 3, 8, 1)) == errno.EFAULT
    negative = vector(caller, (0x1000, 5), (0x2000, 1 << 63))
    assert refused(caller.calls("readv", 3, negative, 2)) == errno.EINVAL
    kernels = vector(caller, (0x1000, 5), (1 << 63, 1))
    assert refused(caller.calls("readv", 3, kernels, 2)) == errno.EFAULT


def test_no_call_transfers_more_than_the_kernel_would():
    caller = Nobody()
    at = vector(caller, (0x1000, MOST - 10), (0x2000, 20), (0x3000, 30))
    assert pieces(caller.calls("readv", 3, at, 3)) == [
        (0x1000, MOST - 10), (0x2000, 10), (0x3000, 0),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 1 << 47), st.integers(0, 3 * CHUNK)), max_size=5))
def test_chunks_are_the_pieces_cut(wanted):
    cut = list(chunks(wanted))
    assert all(0 < length <= CHUNK for _, length in cut)
    assert total(cut) == total(wanted) == sum(length for _, length in wanted)
    joined = []
    for address, length in cut:
        if joined and joined[-1][0] + joined[-1][1] == address:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((address, length))
    apart = [(a, n) for a, n in wanted if n]
    if all(one[0] + one[1] != two[0] for one, two in pairwise(apart)):
        assert joined == apart
