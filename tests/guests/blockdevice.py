# SPDX-License-Identifier: GPL-2.0-or-later
"""blockdevice.py NAME: what every block device does, however its descriptors are made."""

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys

BLKGETSIZE64, BLKRRPART = 0x80081272, 0x125F
NAME = sys.argv[1]


def error_of(action, *args):
    try:
        action(*args)
    except OSError as error:
        return error.errno
    return 0


def in_child(action):
    """Do it in a child, which must not fail."""
    pid = os.fork()
    if not pid:
        try:
            action()
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def what_it_is(fd, size):
    st = os.fstat(fd)
    assert stat.S_ISBLK(st.st_mode)
    assert st == os.stat(NAME)
    assert os.readlink(f"/proc/self/fd/{fd}") == NAME
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    assert error_of(os.ftruncate, fd, size * 2) == errno.EINVAL
    assert error_of(os.lseek, fd, 0, os.SEEK_DATA) == errno.EINVAL
    assert error_of(socket.socket, socket.AF_UNIX, socket.SOCK_STREAM, 0, fd) == errno.ENOTSOCK


def positions(fd):
    os.pwrite(fd, b"0123456789" * 20, 0)
    assert os.read(fd, 3) == b"012"
    other = os.dup(fd)
    assert os.read(other, 2) == b"34"
    in_child(lambda: os.read(fd, 1) == b"5" or sys.exit(1))
    with open(f"/proc/self/fdinfo/{fd}") as file:
        assert "pos:\t6\n" in file.read()
    assert os.lseek(fd, 0, os.SEEK_CUR) == 6
    assert os.write(other, b"ab") == 2
    os.close(other)
    assert os.preadv(fd, [bytearray(1)] * 2, 5) == 2
    assert os.pread(fd, 4, 5) == b"5ab8"
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    assert os.read(again, 2) == b"01"
    assert error_of(os.write, again, b"x") == errno.EBADF
    os.close(again)


def the_end(fd, size):
    assert os.lseek(fd, 0, os.SEEK_END) == size
    assert os.read(fd, 9) == b""
    assert error_of(os.write, fd, b"x") == errno.ENOSPC
    assert os.write(fd, b"") == 0
    assert os.pwrite(fd, b"abcdef", size - 4) == 4
    assert os.pwritev(fd, [b"gh", b"ijklm"], size - 4) == 4
    os.lseek(fd, -3, os.SEEK_END)
    assert os.write(fd, b"xyz!") == 3
    assert os.pread(fd, 9, size - 4) == b"gxyz"
    assert error_of(os.pwrite, fd, b"x", size) == errno.ENOSPC
    assert error_of(os.pwrite, fd, b"x", size * 3) == errno.ENOSPC


def everywhere(fd, size):
    """pread and pwrite are the same bytes as read and write, wherever they are."""
    borders = (0, 4096, 65536, 1 << 20, size - (1 << 20), size - 65536, size)
    places = sorted({place + more for place in borders for more in (-5000, -7, 0, 1)})
    for number, place in enumerate(place for place in places if 0 <= place < size):
        count = min(size - place, (7, 9000, 70000)[number % 3])
        data = os.urandom(count)
        assert os.pwrite(fd, data, place) == count
        os.lseek(fd, place, os.SEEK_SET)
        assert os.read(fd, count) == data
        other = os.urandom(count)
        os.lseek(fd, place, os.SEEK_SET)
        assert os.write(fd, other) == count
        assert os.pread(fd, count, place) == other
        in_child(lambda data=other, at=place: os.pread(fd, len(data), at) == data or sys.exit(1))
    whole = os.pread(fd, size + 5, 0)
    assert len(whole) == size
    assert os.pread(fd, size, 4097) == whole[4097:]
    assert os.pread(fd, 99, size - 9) == whole[-9:]
    assert os.pread(fd, 99, size) == os.pread(fd, 99, size * 9) == b""
    assert error_of(os.pread, fd, 1, -1) == error_of(os.pwrite, fd, b"x", -1) == errno.EINVAL
    with open(__file__, "rb") as other:  # what is no disk's stays what it is
        text = other.read()
        assert os.pread(other.fileno(), len(text) + 1, 0) == text


KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
FALLOCATE = ctypes.CDLL(None, use_errno=True).fallocate
FALLOCATE.argtypes = ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64


def fallocate(fd, mode, offset, length):
    ctypes.set_errno(0)
    FALLOCATE(fd, mode, offset, length)
    return ctypes.get_errno()


def cleared(fd, size):
    """fallocate makes zeroes of whole sectors, and nothing else."""
    size -= size % 4096  # what loop devices have as a sector may be that
    for mode in (PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE):
        for at in (0, 1 << 20, size - 12288):
            assert os.pwrite(fd, b"x" * 12288, at) == 12288
            assert fallocate(fd, mode, at + 4096, 4096) == 0
            assert os.pread(fd, 12288, at) == b"x" * 4096 + bytes(4096) + b"x" * 4096
    for mode, offset, length, number in (
        (ZERO_RANGE, 4096, 100, errno.EINVAL),
        (PUNCH_HOLE | KEEP_SIZE, 100, 4096, errno.EINVAL),
        (PUNCH_HOLE, 4096, 4096, errno.EOPNOTSUPP),
        (0, 4096, 4096, errno.EOPNOTSUPP),
        (ZERO_RANGE, size + (1 << 20), 4096, errno.EINVAL),
        (ZERO_RANGE, -4096, 4096, errno.EINVAL),
    ):
        assert fallocate(fd, mode, offset, length) == number, (mode, offset, length)
    reads = os.open(NAME, os.O_RDONLY)
    assert fallocate(reads, ZERO_RANGE, 4096, 4096) == errno.EBADF
    os.close(reads)


def appended(fd):
    """O_APPEND means nothing to a disk: Linux block/fops.c, blkdev_write_iter."""
    for how in (os.O_APPEND, 0):
        other = os.open(NAME, os.O_RDWR | how)
        fcntl.fcntl(other, fcntl.F_SETFL, fcntl.fcntl(other, fcntl.F_GETFL) | os.O_APPEND)
        assert os.pwrite(other, b"here", 70000) == 4
        assert os.write(other, b"there") == 5
        assert os.lseek(other, 0, os.SEEK_CUR) == 5
        assert (os.pread(fd, 4, 70000), os.pread(fd, 5, 0)) == (b"here", b"there")
        os.close(other)


def limits(fd):
    """RLIMIT_FSIZE is for files."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        assert os.pwrite(fd, b"unlimited", 4096) == 9

    in_child(limited)
    assert os.pread(fd, 9, 4096) == b"unlimited"


def mappings(fd, size):
    one = os.open(NAME, os.O_RDWR)
    mapped = mmap.mmap(one, size)
    os.close(one)
    with open("/proc/self/maps") as file:
        assert any(line.endswith(f"{NAME}\n") for line in file)
    mapped[8192:8198] = b"mapped"
    mapped.flush()
    assert os.pread(fd, 6, 8192) == b"mapped"
    os.pwrite(fd, b"written", 8192)
    assert mapped[8192:8199] == b"written"
    in_child(lambda: mapped.__setitem__(slice(99999, 100005), b"theirs"))
    assert os.pread(fd, 6, 99999) == b"theirs"
    in_child(lambda: os.pwrite(fd, b"mine", 99999) == 4 or sys.exit(1))
    assert mapped[99999:100005] == b"miners"
    mapped.close()
    assert os.pread(fd, 6, 99999) == b"miners"
    last = (size - 4096) // 4096 * 4096
    private = mmap.mmap(fd, size - last, mmap.MAP_PRIVATE, offset=last)
    private[:4] = b"only"
    assert os.pread(fd, 4, last) != b"only"
    private.close()
    with open(__file__, "rb") as file:  # no disk, which is mapped as it is
        assert mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:] == file.read()


def alone():
    """O_EXCL, whose claim ends with the last descriptor."""
    first = os.open(NAME, os.O_RDWR | os.O_EXCL)
    copy = os.dup(first)
    os.close(first)
    assert error_of(os.open, NAME, os.O_RDONLY | os.O_EXCL) == errno.EBUSY
    os.close(copy)
    os.close(os.open(NAME, os.O_RDONLY | os.O_EXCL))


def locks(fd):
    other = os.open(NAME, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert error_of(fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB) == errno.EAGAIN
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def passed(size):
    """A process that never opened it gets it in a message."""
    mine, theirs = socket.socketpair()
    receiver = (
        "import array, errno, os, socket\n"
        "link = socket.socket(fileno=0)\n"
        "link.send(b'?')\n"
        "_, ancillary, _, _ = link.recvmsg(1, 64)\n"
        "fd = array.array('i', ancillary[0][2])[0]\n"
        "try:\n"
        f"    os.pwrite(fd, b'xx', {size})\n"
        "except OSError as error:\n"
        "    assert error.errno == errno.ENOSPC\n"
        "else:\n"
        "    raise SystemExit('written')\n"
        "assert os.pwrite(fd, b'theirs', 512) == 6\n"
    )
    child = subprocess.Popen([sys.executable, "-c", receiver], stdin=theirs.fileno())
    mine.recv(1)
    fd = os.open(NAME, os.O_RDWR)
    socket.send_fds(mine, [b"x"], [fd])
    assert child.wait() == 0
    assert os.pread(fd, 6, 512) == b"theirs"
    os.close(fd)


def main():
    passed_size = os.open(NAME, os.O_RDONLY)
    size = struct.unpack("Q", fcntl.ioctl(passed_size, BLKGETSIZE64, bytes(8)))[0]
    os.close(passed_size)
    first = os.open(NAME, os.O_RDWR)
    everywhere(first, size)
    cleared(first, size)
    appended(first)
    os.close(first)
    passed(size)
    alone()
    fd = os.open(NAME, os.O_RDWR)
    what_it_is(fd, size)
    positions(fd)
    the_end(fd, size)
    limits(fd)
    mappings(fd, size)
    locks(fd)
    os.fsync(fd)
    mixed = os.open("/dev/null0", os.O_RDWR)  # emulated, and not direct: the test has mounted it
    assert os.pread(fd, 6, 512) == b"theirs"
    assert os.read(mixed, 1) == b""
    positions(os.open(NAME, os.O_RDWR))
    the_end(fd, size)
    mappings(fd, size)


main()
print("well")
