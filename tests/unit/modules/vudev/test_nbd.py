# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk of an NBD server: like a bytearray, whatever the server does to the connection."""

from __future__ import annotations

import errno
import os
import random
import select
import struct
import subprocess
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbdserver import (
    ALL,
    FLUSH,
    READ,
    READ_ONLY,
    SEND_FLUSH,
    SEND_FUA,
    SEND_TRIM,
    SEND_WRITE_ZEROES,
    SIZE,
    TRIM,
    WRITE,
    WRITE_ZEROES,
    Server,
)

from pyview.abi.ioctl import BLKDISCARD
from pyview.kernel import Kernel
from pyview.modules.vudev import nbd
from pyview.modules.vudev.nbd import Nbd, apart
from pyview.modules.vudev.nbdlink import Request

KEEP_SIZE, PUNCH_HOLE, NO_HIDE_STALE, ZERO_RANGE = 1, 2, 4, 16
GREETED = 28  # bytes to the server until a client of the unnamed export is through


@pytest.fixture
def mount():
    """The open disk of a server; hung up with the test."""
    disks = []

    def start(server, timeout=10, flags=os.O_RDWR, **options):
        disks.append(Nbd(Kernel(), getattr(server, "path", server), timeout=timeout, **options))
        return disks[-1].open("/", flags)

    yield start
    for disk in disks:
        disk.session.close()


def fails(number, call, *args):
    with pytest.raises(OSError) as caught:
        call(*args)
    assert caught.value.errno == number


# -- reading and writing ---------------------------------------------------------------------


def test_it_is_a_disk(serve, mount):
    server = serve()
    file = mount(server)
    assert file.slow
    assert file.size() == SIZE
    assert file.pwrite(b"text", 1000) == 4
    assert file.pread(6, 999) == b"\0text\0"
    assert file.pread(100, SIZE - 10) == bytes(10)
    assert file.pwrite(b"past the end", SIZE - 4) == 4
    fails(errno.ENOSPC, file.pwrite, b"x", SIZE)
    assert bytes(server.durable) == bytes(SIZE)
    file.fsync()
    assert server.durable[1000:1004] == b"text"
    assert server.durable == server.disk


def test_big_requests_go_in_pieces(serve, mount):
    server = serve(5 << 20, blocks=(1, 4096, 700_000))
    file = mount(server)
    content = random.Random(1).randbytes(3_000_000)
    assert file.pwrite(content, 12_345) == len(content)
    assert file.pread(len(content), 12_345) == content
    assert [entry[3] for entry in server.requests] == 2 * [*[700_000] * 4, 200_000]


def test_whole_blocks_only(serve, mount):
    server = serve(1 << 18, blocks=(4096, 4096, 10_000))
    server.disk[:] = model = bytearray(random.Random(2).randbytes(1 << 18))
    model = bytearray(model)
    file = mount(server)
    chance = random.Random(5)
    for at, size in [(5, 1), (4096, 4096), (4095, 2), (0, 30_000), (9_000, 30_000)]:
        data = chance.randbytes(size)
        model[at : at + size] = data
        assert file.pwrite(data, at) == size
        assert file.pread(size, at) == data
        assert server.disk == model
    for at, size in [(512, 1024), (4096, 8192), (7680, 20_480), (16_384, 512)]:
        model[at : at + size] = bytes(size)
        file.fallocate(ZERO_RANGE | KEEP_SIZE, at, size)
        assert server.disk == model
    file.fallocate(PUNCH_HOLE | KEEP_SIZE, 40_960, 4096)
    assert server.requests[-1] == (WRITE_ZEROES, 0, 40_960, 4096)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPERM, errno.EIO])
def test_errors_of_the_server(serve, mount, number):
    server = serve()
    file = mount(server)
    file.pwrite(b"before", 0)
    server.errors = {WRITE: number, READ: number}
    fails(number, file.pwrite, b"x", 0)
    fails(number, file.pread, 1, 0)
    server.errors = {}
    assert file.pread(6, 0) == b"before"
    assert server.connections == 1


@pytest.mark.parametrize(("flags", "ro"), [(ALL | READ_ONLY, False), (ALL, True)])
def test_read_only(serve, mount, flags, ro):
    file = mount(serve(flags=flags), flags=os.O_RDONLY, ro=ro)
    fails(errno.EROFS, file.disk.open, "/", os.O_RDWR)
    assert file.pread(1, 0) == b"\0"
    fails(errno.EPERM, file.pwrite, b"x", 0)
    fails(errno.EPERM, file.fallocate, ZERO_RANGE, 0, 512)


def test_zeroing_and_forgetting(serve, mount):
    server = serve()
    server.disk[:] = b"x" * SIZE
    file = mount(server)
    file.fallocate(ZERO_RANGE, 0, 512)
    file.fallocate(PUNCH_HOLE | KEEP_SIZE, 1024, 512)
    file.disk.fallocate(PUNCH_HOLE | KEEP_SIZE | NO_HIDE_STALE, 2048, 512)
    assert [entry[:3] for entry in server.requests] == [
        (WRITE_ZEROES, 2, 0), (WRITE_ZEROES, 0, 1024), (TRIM, 0, 2048),
    ]  # fmt: skip
    assert server.disk[:1600] == bytes(512) + b"x" * 512 + bytes(512) + b"x" * 64


def test_a_discard_is_a_trim_and_else_a_hole(serve, mount):
    asked = struct.pack("=QQ", 4096, 512)
    for flags, kind in (SEND_TRIM, TRIM), (SEND_WRITE_ZEROES, WRITE_ZEROES), (ALL, TRIM):
        server = serve(flags=flags)
        mount(server).ioctl(BLKDISCARD, asked)
        assert [entry[:3] for entry in server.requests] == [(kind, 0, 4096)]
    fails(errno.EOPNOTSUPP, mount(serve(flags=SEND_FLUSH)).ioctl, BLKDISCARD, asked)


def test_a_server_that_cannot_zero_is_sent_zeros(serve, mount):
    server = serve(flags=SEND_FLUSH)
    server.disk[:] = b"x" * SIZE
    file = mount(server)
    fails(errno.EOPNOTSUPP, file.fallocate, PUNCH_HOLE | KEEP_SIZE, 0, 512)
    fails(errno.EOPNOTSUPP, file.disk.fallocate, PUNCH_HOLE | KEEP_SIZE | NO_HIDE_STALE, 0, 512)
    file.fallocate(ZERO_RANGE, 512, 1024)
    assert server.disk[:2048] == b"x" * 512 + bytes(1024) + b"x" * 512


def test_a_huge_range_is_zeroed_in_steps(serve, mount, monkeypatch):
    monkeypatch.setattr(nbd, "ZEROED", 100_000)
    server = serve()
    server.disk[:] = b"x" * SIZE
    mount(server).fallocate(ZERO_RANGE, 0, SIZE)
    assert not any(server.disk)
    assert max(entry[3] for entry in server.requests) == 100_000


def test_without_FLUSH_every_write_is_made_durable(serve, mount):
    for flags, sent in ((SEND_FUA | SEND_WRITE_ZEROES, 1), (0, 0)):
        server = serve(flags=flags)
        file = mount(server)
        file.pwrite(b"text", 0)
        file.fsync()
        assert server.requests == [(WRITE, sent, 0, 4)]
        assert not file.disk.session.kept


def test_unmounting_flushes_and_hangs_up(serve):
    server = serve()
    disk = Nbd(Kernel(), server.path)
    disk.open("/", os.O_RDWR).pwrite(b"text", 0)
    disk.unmounted()
    assert server.left.wait(5)
    assert server.durable[:4] == b"text"


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_timeout_must_be_one(serve, timeout):
    with pytest.raises(OSError) as caught:
        Nbd(Kernel(), serve().path, timeout=timeout)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, f"timeout={timeout}")


# -- lost connections ------------------------------------------------------------------------


def test_a_lost_connection_is_not_noticed(serve, mount):
    server = serve()
    file = mount(server)
    file.pwrite(b"one", 0)
    server.hang_up()
    assert file.pread(3, 0) == b"one"
    server.hang_up()
    file.pwrite(b"two", 3)
    server.hang_up()
    file.fsync()
    assert server.durable[:6] == b"onetwo"
    assert server.connections == 4


def test_what_a_dying_server_forgets_is_written_again(serve, mount):
    server = serve()
    server.crashes = [GREETED + 3 * 32 + 10]  # after three writes of 4 bytes
    file = mount(server)
    file.pwrite(b"aaaa", 0)
    file.pwrite(b"bbbb", 2)
    file.pwrite(b"cccc", 4)
    assert server.disk[:8] == b"aabbcccc"
    assert file.pread(8, 0) == b"aabbcccc"
    assert server.connections == 2
    assert not any(server.durable)
    file.fsync()
    assert server.durable[:8] == b"aabbcccc"
    assert not file.disk.session.kept


def test_writes_that_overlap_are_not_under_way_together():
    def parts(*ranges):
        requests = [Request(WRITE, start, end - start) for start, end in ranges]
        return [[r.offset for r in batch] for batch in apart(requests)]

    assert parts() == []
    assert parts((0, 4), (8, 12), (4, 8)) == [[0, 8, 4]]
    assert parts((0, 4), (3, 8), (8, 9), (7, 8)) == [[0], [3, 8], [7]]
    assert parts((4, 8), (0, 5)) == [[4], [0]]
    assert parts((0, 9), (3, 4)) == [[0], [3]]
    assert parts((3, 4), (0, 9)) == [[3], [0]]


def test_too_much_to_keep_is_flushed(serve, mount, monkeypatch):
    monkeypatch.setattr(nbd, "UNFLUSHED", 40_000)
    monkeypatch.setattr(nbd, "PIECE", 4096)
    server = serve()
    file = mount(server)
    for number in range(20):
        file.pwrite(bytes([number]) * 10_000, number * 10_000)
        assert file.disk.session.kept_size <= 40_000
    assert sum(entry[0] == FLUSH for entry in server.requests) >= 6
    file.pwrite(b"z" * 300_000, 0)
    assert file.disk.session.kept_size <= 40_000
    assert server.disk[:300_000] == b"z" * 300_000


def test_a_failed_flush_forces_everything_to_be_written_again(serve, mount):
    server = serve()
    file = mount(server)
    file.pwrite(b"text", 0)
    server.errors = {FLUSH: errno.ENOSPC}
    fails(errno.ENOSPC, file.fsync)
    server.disk[:4] = bytes(4)  # as Linux throws away pages that it could not write
    fails(errno.ENOSPC, file.fsync)
    server.errors = {}
    server.disk[:4] = bytes(4)
    file.fsync()
    assert server.durable[:4] == b"text"


def test_a_server_that_stays_away_is_EIO_and_nothing_is_forgotten(tmp_path, mount):
    path = str(tmp_path / "s")
    with Server(path, SIZE) as server:
        file = mount(server, timeout=0.4)
        file.pwrite(b"text", 0)
    begin = time.monotonic()
    fails(errno.EIO, file.pread, 1, 0)
    assert 0.35 < time.monotonic() - begin < 8
    begin = time.monotonic()
    fails(errno.EIO, file.fsync)
    fails(errno.EIO, file.fsync)
    fails(errno.EIO, file.pwrite, b"more", 4)
    assert time.monotonic() - begin < 0.8, "once it is given up, it is not waited for"
    with Server(path, SIZE) as server:
        file.fsync()
        assert server.durable[:8] == b"text\0\0\0\0"
        file.pwrite(b"more", 4)
        file.disk.unmounted()
        assert server.durable[:8] == b"textmore"


def test_unmounting_without_the_server_tells_what_is_lost(tmp_path):
    with Server(str(tmp_path / "s"), SIZE) as server:
        disk = Nbd(Kernel(), server.path, timeout=0.4)
        disk.open("/", os.O_RDWR).pwrite(b"text", 0)
    fails(errno.EIO, disk.unmounted)


def test_a_silent_server_is_left_and_then_given_up(serve, mount):
    server = serve()
    server.silent = {READ, FLUSH}
    file = mount(server, timeout=0.4)
    begin = time.monotonic()
    fails(errno.EIO, file.pread, 1, 0)
    assert 0.35 < time.monotonic() - begin < 8
    assert server.connections >= 2
    fails(errno.EIO, file.fsync)
    server.silent = set()
    assert file.pread(1, 0) == b"\0"


@pytest.mark.parametrize(
    "change",
    [
        lambda server: server.disk.extend(bytes(512)),
        lambda server: setattr(server, "flags", ALL | READ_ONLY),
        lambda server: setattr(server, "flags", ALL & ~SEND_FLUSH),
        lambda server: setattr(server, "flags", ALL & ~SEND_TRIM),
        lambda server: setattr(server, "blocks", (512, 512, 1 << 20)),
        lambda server: setattr(server, "refusal", (1 << 31 | 6, b"")),
        lambda server: setattr(server, "answer_magic", 1),
        lambda server: setattr(server, "greeting", b"NBDMAGIC" + b"\0\0\x42\x02\x81\x86\x12\x53"),
        lambda server: setattr(server, "errors", {WRITE: errno.EIO}),
    ],
    ids=["size", "read-only", "no flush", "no trim", "blocks", "gone", "magic", "old", "errors"],
)
def test_another_export_is_not_written_to(serve, mount, change):
    server = serve()
    file = mount(server, timeout=0.4)
    file.pwrite(b"text", 0)
    then = server.connections
    change(server)
    server.hang_up()
    fails(errno.EIO, file.fsync)
    assert 2 < server.connections - then < 40, "tried again, but not in a hurry"
    assert not any(server.durable)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 60), st.integers(1, 30)),
            st.tuples(st.just("zero"), st.integers(0, 7), st.integers(1, 4)),
            st.tuples(st.just("read"), st.integers(0, 60), st.integers(1, 30)),
            st.tuples(st.just("flush"), st.just(0), st.just(0)),
        ),
        max_size=14,
    ),
    crashes=st.lists(st.integers(0, 6000), max_size=6),
    smallest=st.sampled_from([1, 512]),
    kept=st.sampled_from([3000, 1 << 20]),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_crashes_lose_nothing_that_was_acknowledged(tmp_path, steps, crashes, smallest, kept):
    """The server dies after so many bytes and forgets what was not flushed; the disk does not."""
    model = bytearray(4096)
    path = str(tmp_path / "s")
    keep, piece = nbd.UNFLUSHED, nbd.PIECE
    nbd.UNFLUSHED, nbd.PIECE = kept, 512
    with Server(path, len(model), blocks=(smallest, 512, 1024)) as server:
        disk = Nbd(Kernel(), path, timeout=20)
        server.crashes = [max(number, GREETED) for number in crashes]
        server.hang_up()
        file = disk.open("/", os.O_RDWR)
        try:
            for number, (step, at, count) in enumerate(steps, 1):
                start, size = at * 64, count * 64
                if step == "write":
                    size = min(size, len(model) - start)
                    model[start : start + size] = bytes([number]) * size
                    assert file.pwrite(bytes([number]) * size, start) == size
                elif step == "zero":
                    model[at * 512 : (at + count) * 512] = bytes(min(count, 8 - at) * 512)
                    file.fallocate(ZERO_RANGE | KEEP_SIZE, at * 512, count * 512)
                elif step == "read":
                    assert file.pread(size, start) == model[start : start + size]
                else:
                    file.fsync()
                    assert server.durable == model
            file.close()
            disk.unmounted()
            assert server.durable == model
        finally:
            disk.session.close()
            nbd.UNFLUSHED, nbd.PIECE = keep, piece


# -- real servers ----------------------------------------------------------------------------


def content(path):
    with open(path, "rb") as file:
        return file.read()


class Process:
    """A server program on a unix socket; it writes its pid when it listens."""

    def __init__(self, path, *words):
        self.path = str(path)
        self.ready = self.path + ".pid"
        self.process = subprocess.Popen([str(word) for word in words])

    def wait(self):
        """Until it listens."""
        deadline = time.monotonic() + 20
        while not (os.path.exists(self.ready) and os.stat(self.ready).st_size):
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            select.select([], [], [], 0.01)
        return self

    def __enter__(self):
        return self.wait()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for name in (self.path, self.ready):
            if os.path.exists(name):
                os.unlink(name)


def nbdkit(path, *words):
    return Process(
        path, "nbdkit", "-f", "--exit-with-parent", "-U", path, "-P", f"{path}.pid", *words
    )


def qemu_nbd(path, image, *words):
    return Process(
        path, "qemu-nbd", "-k", path, "-t", "-f", "raw", f"--pid-file={path}.pid", *words, image
    )


def exercise(file, modes=(ZERO_RANGE, PUNCH_HOLE)):
    """Random writes, zeroes and reads; the content that they make."""
    chance = random.Random(11)
    model = bytearray(file.size())
    for _ in range(60):
        at = chance.randrange(len(model))
        data = chance.randbytes(chance.choice([1, 512, 5000, 70_000, 2_500_000]))
        taken = file.pwrite(data, at)
        model[at : at + taken] = data[:taken]
        at, size = chance.randrange(len(model) // 512) * 512, 512 * chance.randrange(1, 200)
        size = min(size, len(model) - at)
        if chance.random() < 0.3:
            file.fallocate(chance.choice(modes) | KEEP_SIZE, at, size)
            model[at : at + size] = bytes(size)
        assert file.pread(size, at) == model[at : at + size]
    file.fsync()
    assert file.pread(len(model), 0) == model
    return model


@pytest.mark.needs("nbdkit")
@pytest.mark.parametrize(
    "words",
    [
        ["memory", "8M"],
        ["--filter=blocksize-policy", "memory", "8M", "blocksize-minimum=4096",
         "blocksize-maximum=64k", "blocksize-error-policy=error"],
        ["--filter=nozero", "memory", "8M"],
        ["--mask-handshake=0", "memory", "8M"],
    ],
    ids=["memory", "blocks", "no zeroing", "old handshake"],
)  # fmt: skip
def test_nbdkit(tmp_path, mount, words):
    with nbdkit(tmp_path / "s", *words) as server:
        exercise(mount(server), [ZERO_RANGE])


@pytest.mark.needs("nbdkit")
def test_a_killed_nbdkit_that_comes_back(tmp_path, mount):
    disk, path = tmp_path / "disk", tmp_path / "s"
    disk.write_bytes(bytes(8 << 20))
    with nbdkit(path, "file", disk) as server:
        file = mount(server, timeout=30)
        file.pwrite(b"before", 0)
    disk.write_bytes(bytes(8 << 20))  # it had not been flushed: all may be lost
    with nbdkit(path, "file", disk):
        assert exercise_after(file)[:6] == b"before"
    assert content(disk)[:6] == b"before"


def exercise_after(file):
    file.pwrite(b"after", 100)
    file.fsync()
    return file.pread(6, 0)


@pytest.mark.needs("qemu-nbd")
def test_qemu_nbd(tmp_path, mount):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(8 << 20))
    with qemu_nbd(tmp_path / "s", disk, "-x", "name", "-e", "2"):
        file = mount(f"nbd+unix:///name?socket={tmp_path}/s")
        model = exercise(file)
        with pytest.raises(OSError) as caught:
            mount(f"nbd+unix:///other?socket={tmp_path}/s")
        assert caught.value.errno == errno.ENOENT
    assert content(disk) == model


@pytest.mark.needs("qemu-nbd")
def test_a_qemu_nbd_killed_again_and_again_in_the_middle_of_writes(tmp_path, mount):
    disk, path = tmp_path / "disk", tmp_path / "s"
    disk.write_bytes(bytes(8 << 20))
    chance = random.Random(23)
    model = bytearray(8 << 20)
    servers = [qemu_nbd(path, disk).wait()]
    file = mount(str(path), timeout=30)

    def restart():
        servers[-1].__exit__()
        servers.append(qemu_nbd(path, disk))  # not waited for

    try:
        for number in range(24):
            data = chance.randbytes(chance.choice([512, 100_000, 3_000_000]))
            at = chance.randrange(len(model) - len(data))
            model[at : at + len(data)] = data
            killer = threading.Timer(chance.random() / 500, restart)
            if number % 3 == 1:
                killer.start()
            assert file.pwrite(data, at) == len(data)
            if number % 3 == 1:
                killer.join()
        file.fsync()
        assert content(disk) == model
    finally:
        servers[-1].__exit__()
