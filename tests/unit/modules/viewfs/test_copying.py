# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes from one file to another: all of them, and no more room than they need."""

from __future__ import annotations

import errno
import os

import pytest

from pyview.api import File
from pyview.modules.viewfs import copying


@pytest.fixture
def pair(tmp_path):
    source = os.open(tmp_path / "source", os.O_RDWR | os.O_CREAT)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield source, target
    os.close(source)
    os.close(target)


@pytest.mark.parametrize("size", [0, 1, 5000, 3 << 20])
def test_all_bytes(pair, size):
    source, target = pair
    data = os.urandom(size)
    os.write(source, data)
    copying.copy(source, target, size)
    assert os.pread(target, size + 1, 0) == data


def test_only_the_beginning(pair):
    source, target = pair
    os.write(source, b"0123456789")
    copying.copy(source, target, 4)
    assert os.pread(target, 10, 0) == b"0123"


def test_holes_stay(pair):
    source, target = pair
    os.pwrite(source, b"end", 1 << 24)
    os.pwrite(source, b"begin", 0)
    copying.copy(source, target, (1 << 24) + 3)
    assert os.pread(target, 3, 1 << 24) == b"end"
    assert os.fstat(target).st_size == (1 << 24) + 3
    assert os.fstat(target).st_blocks < 1000


def test_where_the_kernel_cannot(pair, monkeypatch):
    def refuses(*_):
        raise OSError(errno.EXDEV, "other")

    source, target = pair
    os.write(source, b"data" * 1000)
    monkeypatch.setattr(copying.fcntl, "ioctl", refuses)
    monkeypatch.setattr(os, "copy_file_range", refuses)
    copying.copy(source, target, 4000)
    assert os.pread(target, 5000, 0) == b"data" * 1000


def test_a_file_that_tells_no_size(pair):
    _, target = pair
    source = os.open("/proc/version", os.O_RDONLY)
    copying.copy(source, target, 1 << 20)
    assert os.pread(target, 4096, 0) == os.pread(source, 4096, 0) != b""
    os.close(source)


def test_a_file_that_is_none_of_the_kernels(pair):
    class Words(File):
        def pread(self, size: int, offset: int) -> bytes:
            return b"virtual"[offset : offset + 3]

    copying.copy_file(Words(), pair[1], 7)
    assert os.pread(pair[1], 20, 0) == b"virtual"
