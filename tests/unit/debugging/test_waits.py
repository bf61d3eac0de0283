# SPDX-License-Identifier: GPL-2.0-or-later
"""What wait4(2), waitid(2) and SIGCHLD tell."""

from __future__ import annotations

import struct

import pytest

from pyview.debugging.waits import News, rusage, signal_words

TRACEE = 20


@pytest.mark.parametrize(
    ("status", "job", "words"),
    [
        (0x057F, None, (4, 5)),
        (0x80057F, None, (4, 5)),
        (0x80137F, 0x13, (5, 0x13)),
        (0x80057F, 0, (5, 0)),
        (0x0300, None, (1, 3)),
        (0x0009, None, (2, 9)),
        (0x008B, None, (3, 11)),
    ],
)
def test_sigchld_says_what_the_kernels_does(status, job, words):
    assert signal_words(News(TRACEE, 0, status, job=job)) == words


def stat(minor=1, major=2, user=3, system=1):
    fields = ["S", *"0" * 6, str(minor), "0", str(major), "0", str(user), str(system), *"0" * 9]
    return b"20 (a ) b) " + " ".join(fields).encode()


def test_the_time_it_ran_is_divided_as_its_ticks():
    words = struct.unpack("=10q", rusage(stat(), 4_000_000_000, 10_000)[:80])
    assert words == (3, 0, 1, 0, 0, 0, 0, 0, 1, 2)


def test_without_ticks_all_was_its_own():
    words = struct.unpack("=4q", rusage(stat(user=0, system=0), 1_500_000, 10_000)[:32])
    assert words == (0, 1500, 0, 0)
