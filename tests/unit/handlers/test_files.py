# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading, writing, seeking, attributes: as the kernel does it on a file like that one."""

from __future__ import annotations

import errno
import os
import stat
import struct

import pytest
from playbook import Nobody, play
from twins import Fd

from pyview.api import Device, File, Tree, attributes
from pyview.api import refuse as error
from pyview.handlers import files
from pyview.openfile import LARGEST, O_PATH, OpenFile
from pyview.verdicts import Asleep, Emulate, Real, Work
from pyview.view import Mount

R, W, RW, APPEND = os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_APPEND
ZERO, ONE = Fd(0), Fd(1)
LARGE = 1 << 62
DATA = bytes(range(256)) * 20  # more than a page


@pytest.fixture
def twins(twins):
    twins.plant({"file": DATA, "dir": None, "link": "file"})
    return twins


def room(size):
    return bytearray(b"." * size)


def bad_offsets(twins, *calls):
    for call in calls:
        for offset in (-1, -(1 << 63), LARGEST, LARGE, 5000, 5119, 5120, 6000):
            twins.same(*call, offset)


# -- reading and writing -------------------------------------------------------------------------


def test_read_goes_on_where_the_last_one_ended(twins):
    twins.open("@/file", R)
    for size in (0, 1, 4096, 500, 4096, 10, 0):
        twins.same("read", ZERO, room(5000), size)
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)


def test_write_goes_on_where_the_last_one_ended(twins):
    twins.open("@/file", RW)
    for data in (b"one", b"", b"three" * 2000, b"4"):
        twins.same("write", ZERO, bytearray(data or b"."), len(data))
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)
    twins.look_alike()


def test_pread_and_pwrite_leave_the_offset(twins):
    twins.open("@/file", RW)
    twins.same("pread64", ZERO, room(100), 100, 5100)
    twins.same("pwrite64", ZERO, bytearray(b"text"), 4, 10000)
    twins.same("pread64", ZERO, room(100), 100, 9990)
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)
    bad_offsets(twins, ("pread64", ZERO, room(100), 100))
    twins.look_alike()


def test_what_was_opened_to_append_is_written_at_its_end(twins):
    twins.open("@/file", RW | APPEND)
    twins.same("write", ZERO, bytearray(b"one"), 3)
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)
    twins.same("pwrite64", ZERO, bytearray(b"two"), 3, 0)
    twins.same("lseek", ZERO, 7, os.SEEK_SET)
    twins.same("write", ZERO, bytearray(b"."), 0)
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)
    twins.look_alike()


@pytest.mark.parametrize("flags", [R, W, RW, O_PATH])
@pytest.mark.parametrize("name", ["file", "dir"])
def test_a_descriptor_serves_what_it_was_opened_for(twins, name, flags):
    if twins.open(f"@/{name}", flags):
        return
    for call in ("read", "write"):
        twins.same(call, ZERO, room(10), 10)
        twins.same(call, ZERO, room(10), 0)
    twins.same("pread64", ZERO, room(10), 10, 0)
    twins.same("pwrite64", ZERO, room(10), 10, -1)
    twins.same("ftruncate", ZERO, 3)
    twins.same("ftruncate", ZERO, -1)
    twins.same("fallocate", ZERO, 0, 0, 10)
    twins.same("fadvise64", ZERO, 0, 0, 0)
    twins.same("readahead", ZERO, 0, 10)
    for call in ("fsync", "fdatasync"):
        twins.same(call, ZERO)
    twins.same("fchmod", ZERO, 0o751)
    twins.same("fchown", ZERO, -1, -1)
    twins.same("lseek", ZERO, 0, os.SEEK_SET)
    twins.alike("fstat", ZERO, room(144))
    twins.alike("fstatfs", ZERO, room(120))
    twins.same("flistxattr", ZERO, 0, 0)
    twins.look_alike()


@pytest.mark.parametrize("size", [-1, -(1 << 63), 1 << 63, (1 << 64) - 4096])
def test_sizes_that_no_buffer_has(twins, size):
    twins.open("@/file", RW)
    twins.same("read", ZERO, 0x1000, size)
    twins.same("write", ZERO, 0x1000, size)


@pytest.mark.parametrize(
    ("offset", "length", "flags"),
    [(0, 10, 2), (0, 0, 7), (-1, 1, 1), (0, -1, 2), (0, 1, 8), ((1 << 63) - 1, 1, 0)],
)
def test_sync_file_range(twins, offset, length, flags):
    twins.open("@/file", RW)
    twins.same("sync_file_range", ZERO, offset, length, flags)


@pytest.mark.parametrize("call", ["accept", "listen", "shutdown"])
def test_a_path_is_no_descriptor_for_other_calls(twins, call):
    twins.open("@/file", O_PATH)
    twins.same(call, ZERO, 0, 0, 0)


def test_memory_that_is_not_there(twins):
    twins.open("@/file", RW)
    for call in ("read", "write"):
        twins.same(call, ZERO, 8, 10)
        twins.same(call, ZERO, 8, 0)
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)


# -- vectors -------------------------------------------------------------------------------------


def vector(twins, name, fd, sizes, *more):
    """A call with a vector of buffers; the kernel's and ours are made apart."""
    import ctypes

    buffers = [ctypes.create_string_buffer(b"." * size, size) for size in sizes]
    table = struct.pack(
        f"={2 * len(sizes)}Q",
        *(word for b, n in zip(buffers, sizes, strict=True) for word in (ctypes.addressof(b), n)),
    )
    theirs = twins.kernel(name, fd, bytearray(table or b"."), len(sizes), *more)
    caller = twins.caller
    places = [caller.puts(b"." * size or b"?") for size in sizes]
    table = struct.pack(
        f"={2 * len(sizes)}Q", *(word for pair in zip(places, sizes, strict=True) for word in pair)
    )
    ours = twins.view_of(name, fd, bytearray(table or b"."), len(sizes), *more)
    assert ours.value == theirs.value
    for place, buffer, size in zip(places, buffers, sizes, strict=True):
        assert caller.memory[place][:size] == buffer.raw
    return theirs.value


def test_vectors(twins):
    twins.open("@/file", RW)
    vector(twins, "readv", ZERO, [1, 0, 100, 4096])
    vector(twins, "readv", ZERO, [4096, 4096])
    vector(twins, "readv", ZERO, [])
    vector(twins, "writev", ZERO, [10, 0, 20])
    vector(twins, "preadv", ZERO, [10, 20], 5100, 0)
    vector(twins, "pwritev", ZERO, [10, 20], 6000, 0)
    vector(twins, "preadv2", ZERO, [10, 20], -1, -1, 0)
    vector(twins, "preadv2", ZERO, [10, 20], 3, 0, 0)
    vector(twins, "preadv2", ZERO, [10, 20], -2, 0, 0)
    vector(twins, "pwritev2", ZERO, [10], 3, 0, 0x10)  # RWF_APPEND
    vector(twins, "pwritev2", ZERO, [10], -1, -1, 0x10)
    vector(twins, "preadv2", ZERO, [10], 0, 0, 1 << 30)
    twins.same("lseek", ZERO, 0, os.SEEK_CUR)
    twins.look_alike()


def test_vectors_that_make_no_sense(twins):
    twins.open("@/file", RW)
    huge = struct.pack("=4Q", 0, 1 << 63, 0, 0)
    for call in ("readv", "writev"):
        twins.same(call, ZERO, room(16), -1)
        twins.same(call, ZERO, room(16 * 1025), 1025)
        twins.same(call, ZERO, bytearray(huge), 2)
        twins.same(call, ZERO, 8, 1)


# -- offsets and sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["file", "dir"])
def test_lseek(twins, name):
    twins.open(f"@/{name}", R)
    whences = [os.SEEK_SET, os.SEEK_CUR]
    if name == "file":  # where a directory ends, every file system says for itself
        whences += [os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE]
    for offset in (0, 10, -5, 5119, 5120, 5121, -6000, 1 << 40, -LARGEST, 1 << 63):
        for whence in (*whences, 5, -1):
            twins.same("lseek", ZERO, offset, whence)


def test_holes(twins):
    twins.open("@/file", RW)
    twins.same("ftruncate", ZERO, 1 << 20)
    for offset in (0, 5119, 8192, 1 << 19, (1 << 20) - 1, 1 << 20):
        twins.same("lseek", ZERO, offset, os.SEEK_DATA)
        twins.same("lseek", ZERO, offset, os.SEEK_HOLE)


def test_sizes_change(twins):
    twins.open("@/file", RW)
    for size in (100, 0, 6000, -1, -(1 << 63)):
        twins.same("ftruncate", ZERO, size)
        twins.look_alike()


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 0x80, 0x10, -1])
def test_fallocate(twins, mode):
    twins.open("@/file", RW)
    for offset, length in ((0, 10), (5000, 5000), (-1, 5), (0, 0), (5, -1)):
        twins.same("fallocate", ZERO, mode, offset, length)
        twins.look_alike()


def test_a_file_is_not_allocated_past_the_largest_offset(twins):
    twins.open("@/file", RW)
    for mode in (0, 1, 3):
        twins.same("fallocate", ZERO, mode, LARGEST, 5)


def test_advice_is_checked(twins):
    twins.open("@/file", R)
    twins.open("@/file", W)
    for fd in (ZERO, ONE):
        twins.same("readahead", fd, 0, 100)
        for advice in (0, 5, 6, -1):
            twins.same("fadvise64", fd, 0, 100, advice)
            twins.same("fadvise64", fd, 0, -1, advice)


# -- attributes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [R, RW, O_PATH])
def test_attributes_are_the_open_files(twins, flags):
    twins.open("@/file", flags)
    os.rename(f"{twins.shown}/file", f"{twins.shown}/other")
    os.rename(f"{twins.plain}/file", f"{twins.plain}/other")
    if flags != O_PATH:  # which has no open file, only a name
        for call, *args in (
            ("fchmod", 0o600),
            ("fchown", -1, -1),
            ("fsetxattr", "user.x", bytearray(b"value"), 5, 0),
            ("fgetxattr", "user.x", room(10), 10),
            ("flistxattr", room(10), 10),
            ("fremovexattr", "user.x"),
        ):
            twins.same(call, ZERO, *args)
        twins.alike("fstat", ZERO, room(144))
        twins.look_alike()


def test_fstat_is_what_the_file_says(twins):
    twins.open("@/file", R)
    ours = twins.view_of("fstat", ZERO, room(144))
    st = os.stat(f"{twins.shown}/file")
    assert struct.unpack_from("=QQQIII4xQq", ours.memory[0]) == (
        st.st_dev, st.st_ino, st.st_nlink, st.st_mode, st.st_uid, st.st_gid, 0, len(DATA),
    )  # fmt: skip


# -- files that wait, that are slow, that are odd -------------------------------------------------


class Odd(File):
    """Its answers are what a test says, in this order; what it was asked is kept."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def _next(self, *asked):
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def pread(self, size, offset):
        return self._next("pread", size, offset)

    def pwrite(self, data, offset):
        return self._next("pwrite", len(data), offset)

    def size(self):
        return self._next("size")

    def fsync(self):
        self._next("fsync")


def holding(file, flags=RW, kind=stat.S_IFREG):
    """A caller who has it open as descriptor 5."""
    caller = Nobody()
    mount = Mount("/o", Tree(), 1, "none", "", "")
    st = attributes(kind | 0o644, ino=1, dev=1)
    caller.objects[5] = OpenFile(file, mount, "/x", "/o/x", flags, st)
    return caller


def refused(caller):
    with pytest.raises(OSError) as raised:
        play(caller)
    return raised.value.errno


AGAIN = error(errno.EAGAIN)


def test_who_reads_nothing_yet_sleeps_unless_he_does_not_want_to():
    file = Odd(AGAIN, AGAIN, AGAIN)
    caller = holding(file)
    assert play(caller.calls("read", 5, room(10), 10))[0] == Asleep(file)
    assert play(caller.calls("write", 5, room(10), 10))[0] == Asleep(file)
    caller.objects[5].flags |= os.O_NONBLOCK
    assert refused(caller.calls("read", 5, room(10), 10)) == errno.EAGAIN


def test_what_has_been_done_counts():
    """An error after the first bytes is not told: read(2), write(2)."""
    caller = holding(Odd(b"x" * files.vectors.CHUNK, error(errno.EIO)))
    size = files.vectors.CHUNK + 10
    assert play(caller.calls("read", 5, room(size), size))[0] == Emulate(files.vectors.CHUNK)
    assert caller.objects[5].offset == files.vectors.CHUNK
    caller = holding(Odd(files.vectors.WRITTEN, AGAIN))
    size = files.vectors.WRITTEN + 10
    assert play(caller.calls("write", 5, room(size), size))[0] == Emulate(files.vectors.WRITTEN)
    assert caller.objects[5].file.asked[1] == ("pwrite", 10, files.vectors.WRITTEN)


def test_a_short_answer_ends_the_call():
    size = 2 * files.vectors.CHUNK
    for call, answer in (("read", b"xyz"), ("write", 3)):
        caller = holding(Odd(answer))
        assert play(caller.calls(call, 5, room(size), size))[0] == Emulate(3)
        assert caller.objects[5].offset == 3


def test_memory_that_ends_ends_the_call():
    caller = holding(Odd(b"0123456789", b"0123456789"))
    assert play(caller.calls("read", 5, room(4), 10))[0] == Emulate(4)
    assert caller.objects[5].offset == 4
    assert refused(caller.calls("read", 5, 8, 10)) == errno.EFAULT
    assert caller.objects[5].offset == 4
    caller = holding(Odd(4))
    assert play(caller.calls("write", 5, room(4), 10))[0] == Emulate(4)


def test_what_is_synchronous_is_synced():
    for flag in (os.O_SYNC, os.O_DSYNC):
        caller = holding(Odd(3, None), RW | flag)
        play(caller.calls("write", 5, b"xyz", 3))
        assert caller.objects[5].file.asked == [("pwrite", 3, 0), ("fsync",)]
    for flag in (os.RWF_SYNC, os.RWF_DSYNC):
        caller = holding(Odd(3, None), RW)
        pieces = b"".join(n.to_bytes(8, "little") for n in (caller.puts(b"xyz"), 3))
        play(caller.calls("pwritev2", 5, pieces, 1, 7, 0, flag))
        assert caller.objects[5].file.asked == [("pwrite", 3, 7), ("fsync",)]
    caller = holding(Odd(error(errno.EIO)), RW | os.O_SYNC)
    assert refused(caller.calls("write", 5, b"xyz", 3)) == errno.EIO


def test_only_regular_files_are_appended_to():
    caller = holding(Odd(3), RW | APPEND, stat.S_IFCHR)
    play(caller.calls("write", 5, b"xyz", 3))
    assert caller.objects[5].file.asked == [("pwrite", 3, 0)]


@pytest.mark.parametrize(
    "call",
    [
        ("read", 5, room(10), 10), ("pread64", 5, room(10), 10, 0), ("write", 5, room(10), 10),
        ("fsync", 5), ("lseek", 5, 0, os.SEEK_END), ("ftruncate", 5, 10),
        ("fallocate", 5, 0, 0, 10),
    ],
    ids=lambda call: call[0],
)  # fmt: skip
def test_a_slow_file_is_asked_in_the_thread_of_its_tree(call):
    class Slow(File):
        slow = True

        def pread(self, size, offset):
            return b"slow"

        def pwrite(self, data, offset):
            return len(data)

        def size(self):
            return 100

        def truncate(self, size):
            pass

        def fallocate(self, mode, offset, length):
            pass

    caller = holding(Slow())
    verdict, asked = play(caller.calls(*call))
    assert isinstance(verdict, Emulate)
    assert [type(request) for request in asked] == [Work]
    assert asked[0].file is caller.objects[5].tree


def test_where_an_offset_is_only_a_number_no_thread_is_needed():
    class Slow(Odd):
        slow = True

    caller = holding(Slow())
    assert play(caller.calls("lseek", 5, 3, os.SEEK_SET)) == (Emulate(3), [])
    assert play(caller.calls("lseek", 5, 4, os.SEEK_CUR)) == (Emulate(7), [])


def test_a_device_is_changed_as_a_tree():
    """What it calls chmod wants a path."""
    asked = []

    class Disk(Device):
        def chmod(self, path, mode):
            asked.append((path, mode))

        def utime(self, path, atime_ns, mtime_ns):
            asked.append((path, atime_ns, mtime_ns))

    device = Disk()
    caller = holding(device, RW, stat.S_IFBLK)
    opened = caller.objects[5]
    opened.tree, opened.rest = device, "/"
    play(caller.calls("fchmod", 5, 0o100600))
    play(caller.calls("utimensat", 5, 0, 0, 0))
    assert asked[0] == ("/", 0o600)
    assert asked[1][0] == "/"
    assert play(caller.calls("flistxattr", 5, 0, 0))[0] == Emulate(0)
    assert play(caller.calls("fstatfs", 5, room(120)))[0].value == 0


def test_sync_is_of_the_whole_view_and_then_of_the_kernel(caller):
    order = []
    tree = Tree()
    caller.to_sync = [(None, lambda: order.append("quick")), (tree, lambda: order.append("slow"))]
    verdict, asked = play(caller.calls("sync"))
    assert (verdict, [request.file for request in asked]) == (Real(), [tree])
    assert order == ["quick", "slow"]


SOCKET_CALLS = ("bind", "connect", "listen", "shutdown", "getsockopt", "sendmsg", "recvmsg")


@pytest.mark.parametrize("call", SOCKET_CALLS)
def test_a_file_is_no_socket(twins, call):
    twins.open("@/file", RW)
    twins.same(call, ZERO, room(64), 64, 0)


OTHERS = {
    "signalfd4": (room(8), 8, 0),
    "timerfd_gettime": (room(32),),
    "timerfd_settime": (0, room(32), room(32)),
    "inotify_rm_watch": (1,),
    "mq_notify": (0,),
    "mq_getsetattr": (0, room(64)),
    "tee": (Fd(0), 10, 0),
    "pidfd_send_signal": (0, 0, 0),
    "pidfd_getfd": (0, 0),
    "process_madvise": (bytearray(16), 1, 20, 0),
    "process_mrelease": (0,),
    "landlock_add_rule": (1, room(16), 0),
}


@pytest.mark.parametrize("call", OTHERS)
def test_other_calls_refuse_a_file_as_the_kernel_does(twins, call):
    twins.open("@/file", RW)
    twins.same(call, ZERO, *OTHERS[call])
