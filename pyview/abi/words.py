# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers as the kernel's prototypes read them."""

from __future__ import annotations


def signed(value: int) -> int:
    """64 bits as a signed number."""
    return value - (1 << 64) if value >> 63 else value


def as_fd(value: int) -> int:
    """The low 32 bits as a signed number: int, as descriptors are."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value
