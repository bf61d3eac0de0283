# SPDX-License-Identifier: GPL-2.0-or-later
"""many_open.py NAME SEED: a disk or a file open eighty times stays what a bytearray is.

Some of its descriptors may be served in one way and some in another, and a few mappings come and
go: each must show what was written through any of them, in this process and in its children.
"""

import mmap
import os
import random
import sys

OPEN, MAPPED = 80, 4
MOVES = (
    *["write"] * 12, *["read"] * 12, *["sequential"] * 3, *["reopen"] * 4, *["map"] * 2,
    *["store"] * 4, "unmap", "child",
)  # fmt: skip


class Many:
    def __init__(self, name, seed):
        self.name, self.chance = name, random.Random(seed)
        self.fds = [os.open(name, os.O_RDWR) for _ in range(OPEN)]
        self.size = os.lseek(self.fds[0], 0, os.SEEK_END)
        self.model = bytearray(os.pread(self.fds[0], self.size, 0))
        self.maps = []

    def do(self):
        what, at = self.chance.choice(MOVES), self.chance.randrange(self.size)
        end = min(at + self.chance.choice((1, 100, 4096, 9000)), self.size)
        getattr(self, what)(self.chance.choice(self.fds), at, end)

    def put(self, at, end):
        self.model[at:end] = data = self.chance.randbytes(end - at)
        return data

    def write(self, fd, at, end):
        assert os.pwrite(fd, self.put(at, end), at) == end - at

    def read(self, fd, at, end):
        assert os.pread(fd, end - at, at) == self.model[at:end]

    def sequential(self, fd, at, end):
        assert os.lseek(fd, at, os.SEEK_SET) == at
        assert os.read(fd, end - at) == self.model[at:end]

    def reopen(self, fd, at, end):
        os.close(fd)
        self.fds[self.fds.index(fd)] = os.open(self.name, os.O_RDWR)

    def map(self, fd, at, end):
        if len(self.maps) < MAPPED:
            self.maps.append(mmap.mmap(fd, self.size))

    def store(self, fd, at, end):
        for mapped in self.maps[:1]:
            assert mapped[at:end] == self.model[at:end]
            mapped[at:end] = self.put(at, end)
        for other in self.maps[1:]:
            assert other[at:end] == self.model[at:end]
        assert os.pread(fd, end - at, at) == self.model[at:end]

    def unmap(self, fd, at, end):
        if self.maps:
            self.maps.pop(self.chance.randrange(len(self.maps))).close()

    def child(self, fd, at, end):
        pid = os.fork()
        if not pid:
            os._exit(os.pread(fd, self.size, 0) != self.model)
        assert os.waitpid(pid, 0)[1] == 0


many = Many(sys.argv[1], int(sys.argv[2]))
for _ in range(1200):
    many.do()
assert all(os.pread(fd, many.size, 0) == many.model for fd in many.fds)
print("alike")
