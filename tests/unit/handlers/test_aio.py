# SPDX-License-Identifier: GPL-2.0-or-later
"""io_submit: what the kernel is asked to do in an emulated file's place."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from playbook import Nobody, play

from pyview.api import File, attributes
from pyview.handlers.aio import IOCB, READ, READ_VECTOR, SYNC, WRITE, WRITE_VECTOR
from pyview.handlers.caller import AT_FDCWD
from pyview.openfile import OpenFile
from pyview.verdicts import Emulate, Real, Redirect

MEMFD = 9


@pytest.fixture
def file(emulated):
    """The caller's descriptor 5, open for reading and writing."""
    verdict, _ = play(emulated.calls("openat", AT_FDCWD, "/e/file", os.O_RDWR, 0))
    emulated.objects[5] = verdict.object
    return verdict.object


def block(caller, fd, code=0, buffer=0, length=0, offset=0):
    return caller.puts(IOCB.pack(7, 0, 0, code, 0, fd, buffer, length, offset, 0, 0, 0))


def submit(caller, blocks, *results, count=None):
    pointers = b"".join(at.to_bytes(8, "little") for at in blocks)
    count = len(blocks) if count is None else count
    return play(caller.calls("io_submit", 1, count, pointers or b"."), *results)


def told(caller, at):
    """The descriptor and the offset that a request says."""
    fields = IOCB.unpack(caller.memory[at])
    return fields[5], fields[8]


def test_requests_on_the_kernels_files_alone_are_the_kernels(emulated, file):
    assert submit(emulated, [block(emulated, 3), block(emulated, 4)]) == (Real(), [])
    assert submit(emulated, [], count=0) == (Real(), [])
    assert submit(emulated, [], count=-1) == (Real(), [])
    assert submit(emulated, [8]) == (Real(), [])


@pytest.mark.parametrize("vector", [False, True])
def test_a_read_comes_from_a_memfd_that_holds_what_was_read(emulated, file, vector):
    at = block(emulated, 5, READ, 0x999, 4, 3)
    if vector:
        pieces = b"".join(n.to_bytes(8, "little") for n in (0x999, 3, 0x888, 1))
        at = block(emulated, 5, READ_VECTOR, emulated.puts(pieces), 2, 3)

    def kernel():
        assert told(emulated, at) == (MEMFD, 0)
        return 1

    verdict, asked = submit(emulated, [at], MEMFD, kernel, 0)
    assert verdict == Emulate(1)
    assert emulated.stand_ins[0].data == b"3456"
    assert asked[0].changes[1] & os.O_ACCMODE == os.O_RDWR
    assert asked[1] == Redirect({1: 1, 2: emulated.args[2]})
    assert asked[2] == Redirect({0: MEMFD}, "close")
    assert told(emulated, at) == (5, 3)
    assert emulated.stand_ins[0].closed


@pytest.mark.parametrize("vector", [False, True])
def test_a_write_is_done_before(emulated, file, vector):
    first, second = emulated.puts(b"ab"), emulated.puts(b"cd")
    at = block(emulated, 5, WRITE, first, 2, 1)
    if vector:
        pieces = b"".join(n.to_bytes(8, "little") for n in (first, 2, second, 2))
        at = block(emulated, 5, WRITE_VECTOR, emulated.puts(pieces), 2, 1)
    assert submit(emulated, [at], MEMFD, 1, 0)[0] == Emulate(1)
    assert file.pread(9, 0)[:5] == (b"0abcd" if vector else b"0ab34")


def test_what_is_appended_lands_at_the_end(emulated, file):
    file.flags |= os.O_APPEND
    at = block(emulated, 5, WRITE, emulated.puts(b"end"), 3, 0)
    assert submit(emulated, [at], MEMFD, 1, 0)[0] == Emulate(1)
    assert file.pread(20, 0) == b"0123456789end"


def test_a_device_has_no_end_to_append_to_and_what_is_synchronous_is_synced(emulated, file):
    synced, file.kind = [], stat.S_IFBLK
    file.file.fsync = lambda: synced.append(file.pread(3, 0))
    for flags, expected in ((os.O_APPEND, 0), (os.O_DSYNC, 1), (os.O_SYNC, 1)):
        synced.clear()
        file.flags = os.O_RDWR | flags
        at = block(emulated, 5, WRITE, emulated.puts(b"end"), 3, 0)
        assert submit(emulated, [at], MEMFD, 1, 0)[0] == Emulate(1)
        assert file.pread(20, 0) == b"end3456789"
        assert synced == [b"end"] * expected


def test_each_request_is_made_by_itself_and_the_first_that_fails_is_the_last(emulated, file):
    blocks = [block(emulated, 3), block(emulated, 5, SYNC), block(emulated, 4)]
    verdict, asked = submit(emulated, blocks, 1, MEMFD, 1, 0, 1)
    assert verdict == Emulate(3)
    assert [r.changes[2] - emulated.args[2] for r in asked if not r.call] == [0, 8, 16]
    assert submit(emulated, blocks, 1, MEMFD, -errno.EBADF, 0)[0] == Emulate(1)
    assert submit(emulated, blocks[1:], -errno.EMFILE)[0] == Emulate(-errno.EMFILE)


def test_what_the_file_refuses_io_submit_refuses(emulated, file, view):
    class Full(File):
        def pwrite(self, data, offset):
            raise OSError(errno.ENOSPC, "full")

    st = attributes(0o100644)
    mount = view.top("/e")
    emulated.objects[6] = OpenFile(Full(), mount, "/file", "/e/file", os.O_RDWR, st)
    at = block(emulated, 6, WRITE, emulated.puts(b"x"), 1, 0)
    assert submit(emulated, [at])[0] == Emulate(-errno.ENOSPC)
    emulated.objects[6].flags = os.O_RDONLY
    assert submit(emulated, [at], MEMFD, -errno.EBADF, 0)[0] == Emulate(-errno.EBADF)


def test_what_is_no_file_to_read_is_refused(emulated):
    for flags, number in ((os.O_PATH, errno.EBADF), (os.O_RDONLY, errno.EINVAL)):
        verdict, _ = play(emulated.calls("openat", AT_FDCWD, "/e/sub", flags, 0))
        emulated.objects[5] = verdict.object
        at = block(emulated, 5, READ, 0x999, 1, 0)
        assert submit(emulated, [at])[0] == Emulate(-number)


def test_what_is_wrong_with_a_request_the_kernel_says(emulated, file):
    vector = emulated.puts(bytes(16))
    for words in (
        (READ, 0x999, 1, -1),
        (READ, 0x999, -1 & (1 << 64) - 1, 0),
        (READ_VECTOR, vector, 2, 0),
        (READ_VECTOR, vector, 2000, 0),
        (77, 0, 0, 0),
    ):
        at = block(emulated, 5, *words)
        assert submit(emulated, [at], MEMFD, -errno.EINVAL, 0)[0] == Emulate(-errno.EINVAL)
        assert emulated.stand_ins[-1].data == b""
        assert told(emulated, at) == (5, words[3])


def test_nobody_has_emulated_files_in_a_view_without(caller):
    assert isinstance(caller, Nobody)
    assert submit(caller, [block(caller, 5)]) == (Real(), [])
