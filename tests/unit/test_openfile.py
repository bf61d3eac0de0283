# SPDX-License-Identifier: GPL-2.0-or-later
"""An open file of a virtual tree."""

from __future__ import annotations

import errno
import os
import stat
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory import Memory

from pyview.api import File, Tree, attributes, refuse
from pyview.openfile import KEPT, LARGEST, O_PATH, Directory, OpenFile, completed
from pyview.pages import Pages
from pyview.view import Mount

NUMBERED = attributes(stat.S_IFREG | 0o644, ino=5, dev=6)


class Named(Tree):
    def lstat(self, path):
        return attributes(stat.S_IFREG | 0o600, size=len(path))


def opened(file=None, flags=os.O_RDWR, st=NUMBERED, tree=None):
    mount = Mount("/v", tree or Named(), 3, "none", "", "")
    return OpenFile(file if file is not None else Memory(), mount, "/x", "/v/x", flags, st)


def refused(action, *args):
    with pytest.raises(OSError) as raised:
        action(*args)
    return raised.value.errno


def test_what_it_is(tmp_path):
    made = opened(flags=os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_EXCL | os.O_APPEND)
    assert made.flags == os.O_RDWR | os.O_APPEND  # what F_GETFL shows
    assert made.flags & ~KEPT == 0
    assert (made.key, made.kind, made.offset, made.name, made.rest) == (
        (6, 5), stat.S_IFREG, 0, "/v/x", "/x",
    )  # fmt: skip
    assert not made.is_directory
    assert opened(Directory(), os.O_RDONLY, attributes(stat.S_IFDIR)).is_directory


@pytest.mark.parametrize(
    ("flags", "reads", "writes"),
    [
        (os.O_RDONLY, 0, errno.EBADF), (os.O_WRONLY, errno.EBADF, 0), (os.O_RDWR, 0, 0),
        (O_PATH, errno.EBADF, errno.EBADF), (3, errno.EBADF, errno.EBADF),
    ],
)  # fmt: skip
def test_what_it_was_opened_for(flags, reads, writes):
    made = opened(flags=flags)
    for check, wanted in ((made.readable, reads), (made.writable, writes)):
        if wanted:
            assert refused(check) == wanted
        else:
            check()


def test_a_directory_is_not_read():
    made = opened(Directory(), os.O_RDONLY, attributes(stat.S_IFDIR | 0o755))
    made.readable()
    assert refused(made.pread, 1, 0) == errno.EISDIR


# -- attributes ----------------------------------------------------------------------------------


def test_attributes_are_the_files_or_else_its_names():
    made = opened()
    assert made.attributes().st_size == len("/x")

    class Knows(Memory):
        def stat(self):
            return attributes(stat.S_IFREG, size=77, ino=1, dev=2)

    assert opened(Knows()).attributes() == attributes(stat.S_IFREG, size=77, ino=1, dev=2)


@given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 1000))
def test_numbers_that_a_tree_left_out_are_stable_and_different(one, other, epoch):
    def numbers(name, inode=0, device=0):
        st = attributes(stat.S_IFREG | 0o644, size=9, mtime_ns=123456789012345678, ino=inode,
                        dev=device, rdev=7, blksize=512, blocks=3)  # fmt: skip
        found = completed(st, Mount("/v", Named(), epoch, "none", "", ""), name)
        assert (found.st_mode, found.st_size, found.st_mtime_ns, found.st_blocks) == (
            st.st_mode, 9, 123456789012345678, 3,
        )  # fmt: skip
        assert (found.st_rdev, found.st_blksize) == (7, 512)
        assert 0 < found.st_ino < 1 << 64
        assert os.major(found.st_dev) == (0 if not device else os.major(device))
        return found.st_dev, found.st_ino

    assert numbers(one) == numbers(one)
    words = [name.encode(errors="surrogateescape") for name in (one, other)]
    if zlib.crc32(words[0]) != zlib.crc32(words[1]):
        assert numbers(one) != numbers(other)
    assert numbers(one, 3) == (numbers(one)[0], 3)
    assert numbers(one, 3, 4) == (4, 3)


# -- reading, writing ----------------------------------------------------------------------------


def test_what_is_too_large_is_EFBIG():
    made = opened()
    assert refused(made.pwrite, b"xy", LARGEST - 1) == errno.EFBIG


def test_it_ends_where_its_size_says_if_it_has_one():
    assert opened(Memory(b"123")).end() == 3
    assert opened(File()).end() == 0

    class Broken(File):
        def size(self):
            raise refuse(errno.EIO)

    assert refused(opened(Broken()).end) == errno.EIO


def test_lseek_on_what_has_no_size_is_ESPIPE():
    assert refused(opened(File()).seek, 0, os.SEEK_END) == errno.ESPIPE
    assert refused(opened(flags=O_PATH).seek, 0, os.SEEK_SET) == errno.EBADF


def test_a_directory_is_listed_anew_from_its_start_only():
    made = opened(Directory(), os.O_RDONLY, attributes(stat.S_IFDIR | 0o755))
    made.listing = [("x", 0, 0)]
    made.seek(1, os.SEEK_SET)
    assert made.listing is not None
    made.seek(0, os.SEEK_SET)
    assert made.listing is None
    assert refused(made.seek, 0, os.SEEK_DATA) == errno.EINVAL


@pytest.fixture
def mapped():
    made = opened(Memory(b"0123456789"))
    made.pages = Pages(made.file)
    made.pages.shared = True
    made.pages.fill(0, 10)
    yield made
    made.pages.close()


def test_what_is_mapped_is_read_written_and_cut(mapped):
    os.pwrite(mapped.pages.fd, b"XY", 3)
    assert mapped.pread(10, 0) == b"012XY56789"
    assert mapped.file.data == b"0123456789"
    assert mapped.pwrite(b"ab", 4) == 2
    assert os.pread(mapped.pages.fd, 10, 0) == b"012Xab6789"
    mapped.truncate(5)
    assert os.fstat(mapped.pages.fd).st_size == 5
    assert mapped.pread(10, 0) == b"012Xa"
    mapped.truncate(7)
    assert mapped.pread(10, 0) == b"012Xa\0\0"


def test_what_was_written_by_mapping_is_not_lost_by_fallocate(mapped):
    os.pwrite(mapped.pages.fd, b"XY", 0)
    mapped.allocate(3, 4, 2)  # PUNCH_HOLE | KEEP_SIZE
    assert mapped.file.data == b"XY23\0\x006789"
    assert os.pread(mapped.pages.fd, 10, 0) == b"XY23\0\x006789"
    mapped.allocate(0, 8, 6)
    assert os.pread(mapped.pages.fd, 20, 0) == bytes(mapped.file.data)
    assert len(mapped.file.data) == 14


def test_a_write_that_fails_changes_nothing_that_is_mapped(mapped):
    class Full(Memory):
        def pwrite(self, data, offset):
            return 1

    mapped.file = Full(b"0123456789")
    assert mapped.pwrite(b"abc", 0) == 1
    assert os.pread(mapped.pages.fd, 3, 0) == b"a12"


def test_the_end_of_a_directory_is_as_far_away_as_in_ext4():
    there = opened(Directory(), st=attributes(stat.S_IFDIR | 0o755, ino=1, dev=1))
    assert there.seek(0, os.SEEK_END) == LARGEST
    assert there.offset == LARGEST
