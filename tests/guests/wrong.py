# SPDX-License-Identifier: GPL-2.0-or-later
"""wrong: a module in whose tree everything goes wrong that can, each under a name of its own.

`/wrong/OPERATION-FAULT`: that operation raises FAULT, or gives it back.  As a program: tries all of
them, and prints for each what the caller got.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import stat
import sys

GOOD = b"0123456789"
ROOM = 16  # bytes that a reader has room for


class Odd(BaseException):
    """Neither an Exception nor anything else that is known."""


class Hostile(Exception):
    """Its text can't be had either."""

    def __str__(self):
        raise RuntimeError("no text")


def _endless(depth=0):
    return _endless(depth + 1)


RAISED = {
    "key": (KeyError, "k"), "memory": (MemoryError,), "exit": (SystemExit, 3),
    "keyboard": (KeyboardInterrupt,), "generator": (GeneratorExit,), "stop": (StopIteration, 5),
    "odd": (Odd,), "hostile": (Hostile,), "nameless": (OSError, "no number"),
    "restart": (OSError, 513, "x"), "success": (OSError, -5, "x"), "assertion": (AssertionError,),
    "unicode": (UnicodeDecodeError, "utf-8", b"x", 0, 1, "y"),
}  # fmt: skip
GIVEN = {
    "none": None, "text": "nonsense", "negative": -5, "restarted": -512, "huge": 1 << 80,
    "float": 1.5, "long": b"x" * 100000, "list": [1], "zero": b"a\0b", "slash": "a/b\0c",
    "empty": "", "class": int,
}  # fmt: skip
FAULTS = ["recursion", *RAISED, *GIVEN]
OF_TREES = ["real", "lstat", "readlink", "entries", "access", "open", "statvfs", "getxattr",
            "listxattr", "truncate", "utime", "unlink"]  # fmt: skip
OF_FILES = ["pread", "pwrite", "size", "stat", "linear", "poll", "seek", "ioctl", "fsync", "close",
            "ftruncate", "mapped", "known", "extents"]  # fmt: skip
OPERATIONS = OF_TREES + OF_FILES


# -- the module -----------------------------------------------------------------------------------


def fault(name):
    if name == "recursion":
        return _endless()
    if name in RAISED:
        kind, *words = RAISED[name]
        raise kind(*words)
    return GIVEN[name]


try:
    from pyview.api import File, Linear, Module, Tree, attributes
except ImportError:  # as a program it may run under any Python
    File = Module = Tree = object


class WrongFile(File):
    def __init__(self, operation, name):
        self._at = operation, name
        if operation != "poll":
            self.__class__ = Plain

    def _do(self, operation, good):
        return fault(self._at[1]) if self._at[0] == operation else good

    def pread(self, size, offset):
        return self._do("pread", GOOD[offset : offset + size])

    def pwrite(self, data, offset):
        return self._do("pwrite", len(data))

    def size(self):
        return self._do("mapped", self._do("size", len(GOOD)))

    def stat(self):
        return self._do("stat", None)

    def linear(self):
        here = self._at[0] == "extents"
        return self._do("linear", Linear(-1, 0, len(GOOD), True, self) if here else None)

    def known(self):
        return self._do("known", None)

    def extents(self, offset, length):
        return self._do("extents", iter(()))

    def seek(self, offset, whence):
        return self._do("seek", offset)

    def ioctl(self, request, data):
        return self._do("ioctl", b"")

    def fsync(self):
        return self._do("fsync", None)

    def truncate(self, size):
        return self._do("ftruncate", None)

    def close(self):
        return self._do("close", None)

    def poll(self):
        return self._do("poll", 1)


class Plain(WrongFile):
    poll = getattr(File, "poll", None)


class Wrong(Tree):
    def _do(self, path, operation, good):
        wanted, _, name = path[1:].partition("-")
        return fault(name) if wanted == operation else good

    def real(self, path):
        return self._do(path, "real", None)

    def lstat(self, path):
        if path == "/":
            return attributes(stat.S_IFDIR | 0o755)
        kind = {"readlink": stat.S_IFLNK, "entries": stat.S_IFDIR}.get(
            path[1:].split("-")[0], stat.S_IFREG
        )
        return self._do(path, "lstat", attributes(kind | 0o666, size=len(GOOD)))

    def readlink(self, path):
        if not path.startswith("/readlink"):
            raise OSError(errno.EINVAL, "no link")
        return self._do(path, "readlink", "")

    def entries(self, path):
        found = self._do(path, "entries", [])
        if isinstance(found, str):
            return [(found, 0, 0), (found, 0, 0)]
        return found

    def access(self, path, mode, uid, groups):
        return self._do(path, "access", None)

    def open(self, path, flags, mode=0o777):
        operation, _, name = path[1:].partition("-")
        return self._do(path, "open", WrongFile(operation, name))

    def statvfs(self, path):
        return self._do(path, "statvfs", None)

    def getxattr(self, path, name):
        return self._do(path, "getxattr", b"")

    def listxattr(self, path):
        return self._do(path, "listxattr", [])

    def truncate(self, path, size):
        return self._do(path, "truncate", None)

    def utime(self, path, atime_ns, mtime_ns):
        return self._do(path, "utime", None)

    def unlink(self, path):
        return self._do(path, "unlink", None)


class WrongModule(Module):
    def load(self, view):
        view.mount("/wrong", Wrong())


# -- the program ----------------------------------------------------------------------------------


def read(fd):
    """read(2) of few bytes; what lies behind them must stay."""
    room = ctypes.create_string_buffer(b"\xaa" * 200000, 200000)
    libc = ctypes.CDLL(None, use_errno=True)
    count = libc.read(fd, room, ROOM)
    if count < 0:
        raise OSError(ctypes.get_errno(), "")
    assert count <= ROOM, count
    assert room.raw[count:] == b"\xaa" * (200000 - count)


def with_file(do):
    def run(path):
        fd = os.open(path, os.O_RDWR)
        try:
            do(fd)
        finally:
            os.close(fd)

    return run


TRIES = {
    "real": os.stat, "lstat": os.stat, "readlink": os.readlink, "entries": os.listdir,
    "access": lambda path: os.stat(path) and os.close(os.open(path, os.O_RDONLY)),
    "open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "statvfs": os.statvfs, "getxattr": lambda path: os.getxattr(path, "user.x"),
    "listxattr": os.listxattr,
    "truncate": lambda path: os.truncate(path, 3), "utime": os.utime, "unlink": os.unlink,
    "pread": with_file(read), "pwrite": with_file(lambda fd: os.write(fd, GOOD)),
    "size": with_file(lambda fd: os.lseek(fd, 0, os.SEEK_END)), "stat": with_file(os.fstat),
    "linear": with_file(read), "poll": with_file(read), "known": with_file(read),
    "extents": with_file(read),
    "seek": with_file(lambda fd: os.lseek(fd, 1, os.SEEK_DATA)),
    "ioctl": with_file(lambda fd: fcntl.ioctl(fd, 0x1234, bytes(8))), "fsync": with_file(os.fsync),
    "close": with_file(read), "ftruncate": with_file(lambda fd: os.ftruncate(fd, 3)),
    "mapped": with_file(lambda fd: mmap.mmap(fd, len(GOOD))),
}  # fmt: skip


def main():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for operation in OPERATIONS:
        for name in FAULTS:
            signal.alarm(10)
            try:
                TRIES[operation](f"/wrong/{operation}-{name}")
            except OSError as error:
                print(operation, name, errno.errorcode.get(error.errno, error.errno))
            else:
                print(operation, name, "ok")
    signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
