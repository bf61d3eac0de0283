# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers as C reads them."""

from __future__ import annotations

import ctypes

from hypothesis import example, given
from hypothesis import strategies as st

from pyview.abi.words import as_fd, signed

registers = st.integers(0, 2**64 - 1)


@given(registers)
@example(2**63)
@example(2**63 - 1)
def test_64_bits(value):
    assert signed(value) == ctypes.c_int64(value).value


@given(registers)
@example(2**31)
@example(2**31 - 1)
@example(2**32)
def test_32_bits(value):
    assert as_fd(value) == ctypes.c_int32(value & 0xFFFFFFFF).value
