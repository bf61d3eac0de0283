# SPDX-License-Identifier: GPL-2.0-or-later
"""Do random things to a disk, which must stay what a bytearray is: a guest of test_devices.

disk_moves.py DISK SEED N FILE    N operations; FILE gets what the disk must hold then; "alike"
disk_moves.py read DISK FILE      random reads of a disk that FILE is a copy of
"""

import ctypes
import errno
import fcntl
import mmap
import os
import random
import struct
import sys

BLKGETSIZE64, BLKDISCARD = 0x80081272, 0x1277
SIZES = (1, 511, 512, 4096, 4097, 30000, 65536, 1 << 20)
OPERATIONS = (
    *["write"] * 8, *["again"] * 6, *["read"] * 14, "readv", "sync", "discard", "punch", "zero",
    "map", "reopen", "append", "end",
)  # fmt: skip


class Moves:
    """Two open files of the disk, and the model of both."""

    def __init__(self, name, seed):
        self.name, self.chance = name, random.Random(seed)
        self.open()
        self.model = bytearray(os.pread(self.fds[0], self.size(), 0))
        assert len(self.model) == self.size()
        self.last = (0, 1)  # what was written before: C may write there again

    def size(self):
        return struct.unpack("=Q", fcntl.ioctl(self.fds[0], BLKGETSIZE64, bytes(8)))[0]

    def open(self):
        self.fds = [os.open(self.name, os.O_RDWR) for _ in range(2)]
        assert all(os.lseek(fd, 0, os.SEEK_CUR) == 0 for fd in self.fds)

    def range(self):
        at, size = self.chance.randrange(len(self.model)), self.chance.choice(SIZES)
        return at, min(at + size, len(self.model))

    def do(self):
        what = self.chance.choice(OPERATIONS)
        fd = self.chance.choice(self.fds)
        at, end = self.range()
        getattr(self, f"do_{what}")(fd, at, end)
        return what

    def put(self, fd, at, end):
        data = self.chance.randbytes(end - at)
        if self.chance.random() < 0.5:
            assert os.pwrite(fd, data, at) == len(data)
        else:
            assert os.lseek(fd, at, os.SEEK_SET) == at
            assert os.write(fd, data) == len(data)
            assert os.lseek(fd, 0, os.SEEK_CUR) == end
        self.model[at:end] = data

    def do_write(self, fd, at, end):
        self.put(fd, at, end)
        self.last = at, end

    def do_again(self, fd, at, end):
        low, high = self.last
        at = self.chance.randrange(low, high)
        self.put(fd, at, self.chance.randrange(at, high) + 1)

    def do_read(self, fd, at, end):
        if self.chance.random() < 0.5:
            got = os.pread(fd, end - at + 7, at)
        else:
            os.lseek(fd, at, os.SEEK_SET)
            got = os.read(fd, end - at + 7)
            assert os.lseek(fd, 0, os.SEEK_CUR) == at + len(got)
        assert got == self.model[at : end + 7], (at, end)

    def do_readv(self, fd, at, end):
        parts = [bytearray(3), bytearray(5000)]
        done = os.preadv(fd, parts, at)
        assert (parts[0] + parts[1])[:done] == self.model[at : at + 5003]

    def do_sync(self, fd, at, end):
        os.fsync(fd)

    def do_discard(self, fd, at, end):
        at, end = at // 4096 * 4096, end // 4096 * 4096
        if at < end:
            fcntl.ioctl(fd, BLKDISCARD, struct.pack("=QQ", at, end - at))
            self.model[at:end] = os.pread(self.fds[0], end - at, at)  # it may be anything

    def do_punch(self, fd, at, end):
        self.cleared(fd, at, end, 3)  # PUNCH_HOLE | KEEP_SIZE

    def do_zero(self, fd, at, end):
        self.cleared(fd, at, end, self.chance.choice((16, 17)))  # ZERO_RANGE, and KEEP_SIZE

    def cleared(self, fd, at, end, mode):
        libc = ctypes.CDLL(None, use_errno=True)
        at, end = at // 512 * 512, end // 512 * 512
        for size, error in ((end - at + 1, errno.EINVAL), (end - at, 0)):
            if at < end < len(self.model):  # what is too long is cut
                done = libc.fallocate(fd, mode, ctypes.c_int64(at), ctypes.c_int64(size))
                assert (done, ctypes.get_errno() if done else 0) == (-bool(error), error)
                self.model[at:end] = self.model[at:end] if error else bytes(end - at)

    def do_map(self, fd, at, end):
        at = at // 4096 * 4096
        end = min(end, at + 9000)
        if end <= at:
            return
        with mmap.mmap(fd, end - at, offset=at) as mapped:
            assert mapped[:] == self.model[at:end]
            data = self.chance.randbytes((end - at) // 2 + 1)
            mapped[: len(data)] = data
            self.model[at : at + len(data)] = data
            assert os.pread(self.fds[0], end - at, at) == self.model[at:end]

    def do_reopen(self, fd, at, end):
        for one in self.fds:
            os.close(one)
        self.open()

    def do_append(self, fd, at, end):
        """O_APPEND means nothing to a device."""
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) == flags | os.O_APPEND
        self.put(fd, at, end)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) == flags

    def refused(self, call, *arguments):
        try:
            call(*arguments)
        except OSError as error:
            return error.errno
        return 0

    def do_end(self, fd, at, end):
        size = len(self.model)
        assert os.pwrite(fd, b"abc", size - 2) == 2
        self.model[-2:] = b"ab"
        assert os.pread(fd, 10, size) == b""
        assert self.refused(os.pwrite, fd, b"a", size) == errno.ENOSPC


def reads(name, copy):
    with open(copy, "rb") as file:
        want = file.read()
    chance, fd = random.Random(1), os.open(name, os.O_RDONLY)
    for _ in range(400):
        at, size = chance.randrange(len(want) + 600), chance.choice(SIZES)
        assert os.pread(fd, size, at) == want[at : at + size], (at, size)


def main(words):
    if words[0] == "read":
        reads(*words[1:])
    else:
        moves = Moves(words[0], int(words[1]))
        done = [moves.do() for _ in range(int(words[2]))]
        assert os.pread(moves.fds[0], len(moves.model), 0) == moves.model, done
        with open(words[3], "wb") as file:
            file.write(moves.model)
    print("alike")


main(sys.argv[1:])
