# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers are the kernel's, and so is what each request reads."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview.abi import ioctl
from pyview.abi.ioctl import Change

NAMES = [name for name in vars(ioctl) if name.startswith(("BLK", "FI", "HDIO_", "CDROM_"))]
HEADERS = "stddef sys/ioctl linux/fs linux/blkpg linux/hdreg linux/cdrom linux/blkzoned".split()


@pytest.mark.needs("gcc")
def test_the_numbers_are_those_of_the_headers():
    source = "".join(f"#include <{header}.h>\n" for header in HEADERS) + "".join(
        f'_Static_assert((unsigned){name} == {getattr(ioctl, name)}u, "{name}");\n'
        for name in NAMES
    )
    gcc = ["gcc", "-fsyntax-only", "-xc", "-"]
    assert not subprocess.run(gcc, input=source, capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        (ioctl.BLKROSET, 4),
        (ioctl.BLKROGET, 0),
        (ioctl.BLKGETSIZE64, 0),
        (ioctl.BLKBSZGET, 0),
        (ioctl.BLKBSZSET, 4),  # its number says 8
        (ioctl.BLKDISCARD, 16),
        (ioctl.BLKZEROOUT, 16),
        (ioctl.BLKPG, 24),
        (ioctl.BLKRASET, None),
        (ioctl.BLKRRPART, None),
        (ioctl.BLKFLSBUF, None),
        (ioctl.FICLONE, None),  # a descriptor, though its number says _IOW
        (ioctl.HDIO_GETGEO, 0),
        (0x5401, 0),  # TCGETS
    ],
)
def test_what_a_known_request_reads(request_, size):
    assert ioctl.reads(request_) == size


@given(st.integers(0, 3), st.integers(0x60, 0x7F), st.integers(0, 255), st.integers(0, 0x3FFF))
def test_an_unknown_request_reads_what_its_number_says(direction, kind, index, size):
    request = ioctl.number(direction, kind, index, size)
    assert ioctl.reads(request) == (size if direction & ioctl.WRITE else 0)


def test_the_upper_half_of_the_register_means_nothing():
    assert ioctl.reads(ioctl.BLKZEROOUT | 0xFFFFFFFF << 32) == 16


def test_what_BLKPG_points_to_is_read_too():
    change = Change(ioctl.BLKPG_ADD_PARTITION, 3, 1 << 20, 5 << 20)
    data = ioctl.pack_partition_change(change, 0x7FFF12345678)
    assert len(data) == 24 + 152
    assert ioctl.nested(ioctl.BLKPG, data[:24]) == (0x7FFF12345678, 152)
    assert ioctl.partition_change(data) == change


@pytest.mark.parametrize(("length", "room"), [(-1, 0), (8, 8), (1 << 30, 152)])
def test_what_BLKPG_points_to_is_limited(length, room):
    data = struct.pack("=iii4xQ", 1, 0, length, 4096)
    assert ioctl.nested(ioctl.BLKPG, data) == (4096, room)


def test_a_short_BLKPG_is_none():
    assert ioctl.partition_change(bytes(24)) is None
    assert ioctl.nested(ioctl.BLKPG, bytes(23)) is None
    assert ioctl.nested(ioctl.BLKZEROOUT, bytes(24)) is None


def test_a_real_file_refuses_a_block_devices_request(tmp_path):
    with open(tmp_path / "file", "wb") as file, pytest.raises(OSError) as caught:
        fcntl.ioctl(file, ioctl.BLKGETSIZE64, bytes(8))
    assert os.strerror(caught.value.errno) == "Inappropriate ioctl for device"
