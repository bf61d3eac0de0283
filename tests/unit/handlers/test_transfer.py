# SPDX-License-Identifier: GPL-2.0-or-later
"""sendfile, splice, copy_file_range: between two emulated files, and with one of the kernel's."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import Nobody, play
from twins import FIRST, Fd

from pyview.handlers.vectors import CHUNK
from pyview.openfile import O_PATH
from pyview.verdicts import Emulate, Real, Redirect

R, W, RW, APPEND = os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_APPEND
ZERO, ONE = Fd(0), Fd(1)
DATA = bytes(range(250)) * 4


@pytest.fixture
def twins(twins):
    twins.plant({"from": DATA, "to": b"", "dir": None})
    return twins


def at(offset):
    return bytearray(struct.pack("=q", offset))


def state(twins):
    for fd in (ZERO, ONE):
        twins.same("lseek", fd, 0, os.SEEK_CUR)
    twins.look_alike()


# -- both emulated -------------------------------------------------------------------------------


@pytest.fixture
def both(twins):
    twins.open("@/from", R)
    twins.open("@/to", RW)
    return twins


def test_sendfile(both):
    both.same("sendfile", ONE, ZERO, 0, 300)
    both.same("sendfile", ONE, ZERO, at(10), 100)
    both.same("sendfile", ONE, ZERO, at(990), 100)
    both.same("sendfile", ONE, ZERO, at(2000), 100)
    both.same("sendfile", ONE, ZERO, 0, 0)
    both.same("sendfile", ONE, ZERO, 0, 5000)
    both.same("sendfile", ONE, ZERO, 0, 5000)
    state(both)


def test_copy_file_range(both):
    both.same("copy_file_range", ZERO, 0, ONE, 0, 300, 0)
    both.same("copy_file_range", ZERO, at(5), ONE, at(600), 100, 0)
    both.same("copy_file_range", ZERO, 0, ONE, at(0), 100, 0)
    both.same("copy_file_range", ZERO, at(900), ONE, 0, 1000, 0)
    both.same("copy_file_range", ZERO, at(1000), ONE, 0, 10, 0)
    both.same("copy_file_range", ZERO, 0, ONE, 0, 0, 0)
    both.same("copy_file_range", ZERO, 0, ONE, 0, 10, 1)
    state(both)


def test_a_file_onto_itself(twins):
    twins.open("@/from", RW)
    twins.open("@/from", RW)
    twins.same("copy_file_range", ZERO, at(0), ONE, at(500), 100, 0)
    twins.same("copy_file_range", ZERO, at(0), ONE, at(50), 100, 0)
    twins.same("copy_file_range", ZERO, at(50), ONE, at(0), 51, 0)
    twins.same("copy_file_range", ZERO, at(50), ONE, at(0), 50, 0)
    state(twins)


@pytest.mark.parametrize(
    ("source", "target"), [(W, RW), (R, R), (O_PATH, RW), (R, O_PATH), (R, W | APPEND)]
)
@pytest.mark.parametrize("call", ["sendfile", "copy_file_range", "splice"])
def test_who_may_not(twins, call, source, target):
    twins.open("@/from", source)
    twins.open("@/to", target)
    if call == "sendfile":
        twins.same(call, ONE, ZERO, 0, 10)
    else:
        twins.same(call, ZERO, 0, ONE, 0, 10, 0)


def test_a_directory_is_no_source(twins):
    twins.open("@/dir", R)
    twins.open("@/to", W)
    twins.same("sendfile", ONE, ZERO, 0, 10)
    twins.same("splice", ZERO, 0, ONE, 0, 10, 0)
    twins.same("copy_file_range", ZERO, 0, ONE, 0, 10, 0)


def test_a_negative_offset_is_EINVAL(both):
    both.same("sendfile", ONE, ZERO, at(-1), 10)
    both.same("sendfile", ONE, ZERO, 8, 10)


def test_splice_wants_a_pipe(both):
    both.same("splice", ZERO, 0, ONE, 0, 10, 0)


# -- one of the kernel's -------------------------------------------------------------------------

STAND_IN = Redirect({0: b"/stand/in\0", 1: RW | os.O_CLOEXEC, 2: 0}, "open")
OTHER = 3  # a descriptor of the kernel's


@pytest.mark.parametrize(
    ("call", "words", "changes"),
    [
        ("sendfile", (OTHER, FIRST, 0, 100), {1: 9, 3: 100, 2: 0}),
        ("splice", (FIRST, 0, OTHER, 0, 100, 2), {0: 9, 4: 100, 1: 0}),
        ("copy_file_range", (FIRST, 0, OTHER, 0, 100, 0), {0: 9, 4: 100, 1: 0}),
    ],
)
def test_from_an_emulated_file_the_kernel_reads_a_stand_in(both, call, words, changes):
    caller = both.caller
    more = (9, -errno.EAGAIN, 0) if call == "sendfile" else ()  # it goes on as far as it can
    verdict, asked = play(caller.calls(call, *words), 9, 60, 0, *more)
    assert verdict == Emulate(60)
    assert asked[:3] == [STAND_IN, Redirect(changes), Redirect({0: 9}, "close")]
    stand_in = caller.stand_ins[0]
    assert stand_in.data == DATA[:100]
    assert stand_in.closed
    assert both.object(ZERO).offset == 60


@pytest.mark.parametrize(
    ("call", "words", "changes"),
    [
        ("sendfile", (FIRST + 1, OTHER, 0, 100), {0: 9, 3: 100}),
        ("splice", (OTHER, 0, FIRST + 1, 0, 100, 0), {2: 9, 4: 100, 3: 0}),
        ("copy_file_range", (OTHER, 0, FIRST + 1, 0, 100, 0), {2: 9, 4: 100, 3: 0}),
    ],
)
def test_to_an_emulated_file_the_kernel_writes_a_stand_in(both, call, words, changes):
    caller = both.caller

    def kernel():
        caller.stand_ins[0].data[:] = b"from a pipe"
        return 11

    more = (9, 0, 0) if call == "sendfile" else ()
    verdict, asked = play(caller.calls(call, *words), 9, kernel, 0, *more)
    assert verdict == Emulate(11)
    assert asked[:3] == [STAND_IN, Redirect(changes), Redirect({0: 9}, "close")]
    assert both.object(ONE).pread(100, 0) == b"from a pipe"
    assert both.object(ONE).offset == 11
    assert caller.stand_ins[0].closed


def test_offsets_in_memory_move_instead_of_the_files(both):
    caller = both.caller
    where = caller.puts(struct.pack("=q", 40))
    play(caller.calls("splice", FIRST, where, OTHER, 0, 100, 0), 9, 60, 0)
    assert caller.memory[where] == struct.pack("=q", 100)
    assert caller.stand_ins[0].data == DATA[40:140]
    assert both.object(ZERO).offset == 0


def test_large_requests_go_in_pieces(both):
    os.truncate(f"/proc/self/fd/{both.object(ZERO).file.fd}", CHUNK + 20)
    call = both.caller.calls("sendfile", OTHER, FIRST, 0, CHUNK + 9)
    verdict, asked = play(call, 9, CHUNK, 0, 9, 9, 0)
    assert verdict == Emulate(CHUNK + 9)
    assert [asked[at].changes[3] for at in (1, 4)] == [CHUNK, 9]


@pytest.mark.parametrize("result", [0, -errno.EAGAIN, -errno.EPIPE, -errno.EINTR])
def test_what_the_kernel_did_not_take_is_still_there(both, result):
    verdict, _ = play(both.caller.calls("splice", FIRST, 0, OTHER, 0, 100, 0), 9, result, 0)
    assert verdict == Emulate(result)
    assert both.object(ZERO).offset == 0
    assert both.caller.stand_ins[0].closed


def test_a_caller_without_a_descriptor_left(both):
    call = both.caller.calls("sendfile", OTHER, FIRST, 0, 100)
    assert play(call, -errno.EMFILE)[0] == Emulate(-errno.EMFILE)
    assert both.caller.stand_ins[0].closed


def test_at_the_end_the_kernel_still_looks_at_the_other_descriptor(both):
    both.object(ZERO).offset = 1000
    call = both.caller.calls("sendfile", OTHER, FIRST, 0, 100)
    verdict, asked = play(call, 9, -errno.EBADF, 0)
    assert (verdict, len(asked)) == (Emulate(-errno.EBADF), 3)
    assert both.caller.stand_ins[0].data == b""


@pytest.mark.parametrize("offset", [0, 1000])
def test_an_offset_that_can_be_read_and_not_written_is_EFAULT(both, offset):
    """cf. Linux fs/read_write.c, fs/splice.c: it is told last, and by two of the three always."""
    caller = both.caller
    where = caller.puts(struct.pack("=q", offset))
    caller.store = lambda address, data: 0
    with pytest.raises(OSError) as raised:
        play(caller.calls("sendfile", FIRST + 1, FIRST, where, 10))
    assert raised.value.errno == errno.EFAULT
    call = caller.calls("copy_file_range", FIRST, where, FIRST + 1, 0, 10, 0)
    if offset == 1000:
        assert play(call) == (Emulate(0), [])


@pytest.mark.parametrize("call", ["sendfile", "splice", "copy_file_range"])
def test_between_two_of_the_kernels_all_is_the_kernels(call):
    assert play(Nobody().calls(call, 3, 4, 5, 6)) == (Real(), [])
