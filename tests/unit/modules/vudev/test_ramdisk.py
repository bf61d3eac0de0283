# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk in memory holds what was written."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyview.kernel import Kernel
from pyview.modules.vudev.disk import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE
from pyview.modules.vudev.ramdisk import SIZE, RamDisk

LENGTH = 20 * 512 + 3 * 4096
WHOLE = LENGTH // 512 * 512

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, LENGTH), st.binary(max_size=9000)),
        st.tuples(st.just("read"), st.integers(0, LENGTH + 99), st.integers(0, LENGTH)),
        st.tuples(
            st.sampled_from([PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE]),
            st.integers(0, WHOLE // 512 - 1),
            st.integers(1, WHOLE // 512),
        ),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(OPERATIONS)
def test_it_equals_a_bytearray(operations):
    disk = RamDisk(Kernel(), "none", size=LENGTH)
    file = disk.open("/", os.O_RDWR)
    model = bytearray(WHOLE)
    for what, offset, detail in operations:
        if what == "read":
            assert file.pread(detail, offset) == model[offset : offset + detail]
        elif what == "write":
            if offset >= WHOLE and detail:
                with pytest.raises(OSError) as caught:
                    file.pwrite(detail, offset)
                assert caught.value.errno == errno.ENOSPC
            else:
                assert file.pwrite(detail, offset) == min(len(detail), WHOLE - offset)
                model[offset : offset + len(detail)] = detail
                del model[WHOLE:]
        else:
            start, length = offset * 512, min(detail * 512, WHOLE - offset * 512)
            file.fallocate(what, start, length)
            model[start : start + length] = bytes(length)
    assert file.pread(LENGTH, 0) == model
    file.close()
    disk.unmounted()


def test_sizes():
    assert RamDisk(Kernel(), "none").size() == SIZE
    assert RamDisk(Kernel(), "none", size=1000).size() == 512
    assert RamDisk(Kernel(), "none", size=1 << 40).size() == 1 << 40  # taken as it is written


@pytest.mark.parametrize(
    ("size", "number"),
    [(0, errno.EINVAL), (-512, errno.EINVAL), (511, errno.EINVAL), (1 << 62, errno.ENOMEM),
     (1 << 70, errno.ENOMEM)]
)  # fmt: skip
def test_sizes_that_cannot_be(size, number):
    with pytest.raises(OSError) as caught:
        RamDisk(Kernel(), "none", size=size)
    assert caught.value.errno == number


def test_partitions_are_shown_only_when_asked_for():
    with pytest.raises(OSError) as caught:
        RamDisk(Kernel(), "none").reread()
    assert caught.value.errno == errno.EINVAL
    RamDisk(Kernel(), "none", mbr=True).reread()
