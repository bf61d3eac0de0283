# SPDX-License-Identifier: GPL-2.0-or-later
"""fcntl, ioctl, flock, epoll_ctl: as the kernel does them on a file like that one."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import Nobody, play
from twins import Fd

from pyview import locks
from pyview.abi import ioctl as requests
from pyview.api import Device, File
from pyview.api import refuse as error
from pyview.handlers import controls
from pyview.locks import Locks
from pyview.openfile import O_PATH, OpenFile
from pyview.verdicts import Asleep, Done, Emulate, Real, Redirect, Work
from pyview.view import Mount

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
ZERO, ONE = Fd(0), Fd(1)
SETLK, SETLKW, GETLK = 6, 7, 5
OFD_GETLK, OFD_SETLK, OFD_SETLKW = 36, 37, 38
READ, WRITE, UNLOCK = 0, 1, 2


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No locks are left from other tests."""
    made = Locks()
    monkeypatch.setattr(controls, "LOCKS", made)
    monkeypatch.setattr(locks, "LOCKS", made)
    return made


@pytest.fixture
def twins(twins):
    twins.plant({"file": b"0123456789", "dir": None})
    return twins


def room(size):
    return bytearray(b"." * size)


def flock(kind, start=0, length=0, whence=0, pid=0):
    return bytearray(struct.pack("=hh4xqqi4x", kind, whence, start, length, pid))


# -- flags ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [R, W, RW, RW | os.O_APPEND, R | os.O_NONBLOCK, W | os.O_SYNC])
def test_flags_are_shown_and_set(twins, flags):
    twins.open("@/file", flags | os.O_CREAT)
    twins.same("fcntl", ZERO, 3, 0)
    for wanted in (os.O_APPEND, os.O_NONBLOCK, W | os.O_TRUNC, os.O_APPEND | os.O_NONBLOCK, 0):
        twins.same("fcntl", ZERO, 4, wanted)
        twins.same("fcntl", ZERO, 3, 0)


@pytest.mark.parametrize("flags", [O_PATH, O_PATH | os.O_NOFOLLOW, O_PATH | RW])
def test_a_path_has_flags_and_nothing_else(twins, flags):
    twins.open("@/file", flags)
    twins.same("fcntl", ZERO, 3, 0)
    for command in (4, GETLK, SETLK, 9, 1024, 1031, 1033):
        twins.same("fcntl", ZERO, command, 0)
    twins.same("ioctl", ZERO, requests.FIONREAD, room(4))
    twins.same("ioctl", ZERO, requests.FIOCLEX, 0)
    twins.same("flock", ZERO, 2)


def test_a_directorys_flags(twins):
    twins.open("@/dir", os.O_DIRECTORY)
    twins.same("fcntl", ZERO, 3, 0)


def test_a_file_sends_no_signals_and_is_nobodys_lease(twins):
    twins.open("@/file", R)
    for command in (9, 11, 1025):  # F_GETOWN, F_GETSIG, F_GETLEASE
        twins.same("fcntl", ZERO, command, 0)
    with pytest.raises(OSError) as raised:
        play(twins.caller.calls("fcntl", 700, 1024, 0))
    assert raised.value.errno == errno.EAGAIN
    twins.same("fcntl", ZERO, 12345, 0)


def test_who_made_the_file(twins):
    """F_CREATED_QUERY, since Linux 6.12; before it the kernel says EINVAL of any number."""
    twins.open("@/new", RW | os.O_CREAT)
    twins.open("@/new", RW | os.O_CREAT)
    twins.open("@/file", R)
    made = twins.kernel("fcntl", ZERO, 1028, 0).value
    if made == 1:
        for fd in (ZERO, ONE, Fd(2)):
            twins.same("fcntl", fd, 1028, 0)
    assert twins.view_of("fcntl", ZERO, 1028, 0).value == 1


def test_a_directory_is_watched_and_nothing_told(twins):
    twins.open("@/dir", R)
    twins.open("@/file", R)
    for mask in (1, 0):  # DN_ACCESS; nothing any more
        twins.same("fcntl", ZERO, 1026, mask)
        twins.same("fcntl", ONE, 1026, 1)


def test_C_is_told_that_flags_have_changed(twins):
    twins.open("@/file", RW)
    twins.view_of("fcntl", ZERO, 4, os.O_APPEND)
    assert ("changed", twins.object(ZERO).name) in twins.caller.notes


# -- record locks --------------------------------------------------------------------------------


@pytest.fixture
def two(twins):
    """The same file, opened twice: locks of open files."""
    for _ in range(2):
        twins.open("@/file", RW)
    return twins


def same_lock(twins, fd, command, *words, **more):
    asked = flock(*words, **more)
    return twins.same("fcntl", fd, command, asked)


def test_locks_of_open_files(two):
    for fd, *step in (
        (ZERO, OFD_SETLK, WRITE, 2, 5), (ONE, OFD_SETLK, READ, 0, 2), (ONE, OFD_SETLK, READ, 6, 2),
        (ONE, OFD_GETLK, READ, 0, 0), (ONE, OFD_GETLK, WRITE, 7, 1), (ZERO, OFD_GETLK, WRITE, 0, 0),
        (ZERO, OFD_SETLK, READ, 2, 5), (ONE, OFD_SETLK, READ, 4, 0),
        (ZERO, OFD_GETLK, WRITE, 20, 1), (ZERO, OFD_GETLK, READ, 20, 1),
        (ONE, OFD_SETLK, UNLOCK, 0, 0), (ONE, OFD_SETLK, WRITE, 4, 1),
        (ZERO, OFD_SETLK, UNLOCK, 3, 2), (ONE, OFD_SETLK, WRITE, 3, 2),
        (ONE, OFD_SETLK, WRITE, 2, 1),
    ):  # fmt: skip
        same_lock(two, fd, *step)


def test_what_an_open_file_has_locked_itself(two):
    """F_OFD_GETLK of F_UNLCK, since Linux 6.5; before it the kernel says EINVAL."""
    same_lock(two, ZERO, OFD_SETLK, WRITE, 10, 5)
    same_lock(two, ZERO, OFD_SETLK, READ, 2, 3)
    if two.kernel("fcntl", ZERO, OFD_GETLK, flock(UNLOCK)).value == 0:
        for fd in (ZERO, ONE):
            for start, length in ((0, 0), (0, 2), (3, 1), (4, 7), (14, 1), (15, 0)):
                same_lock(two, fd, OFD_GETLK, UNLOCK, start, length)
    found = two.view_of("fcntl", ZERO, OFD_GETLK, flock(UNLOCK))
    assert found.memory == (bytes(flock(READ, 2, 3, pid=-1)),)


def test_ranges_are_counted_from_anywhere(two):
    two.same("lseek", ZERO, 4, os.SEEK_SET)
    for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, 3):
        for start, length in ((0, 1), (-2, 1), (-4, 2), (-5, 1), (2, -2), (2, -3), (-4, -1), (1, 0),
                              (-11, 0), (1 << 62, 1 << 62), ((1 << 63) - 1, 1), (1 << 62, 0),
                              ((1 << 63) - 1, 0), ((1 << 63) - 1, 2)):  # fmt: skip
            same_lock(two, ZERO, OFD_SETLK, WRITE, start, length, whence=whence)
            same_lock(two, ONE, OFD_GETLK, WRITE, 0, 0)
            same_lock(two, ZERO, OFD_SETLK, UNLOCK)


def test_locks_that_make_no_sense(two):
    for command in (OFD_SETLK, OFD_GETLK, SETLK, GETLK):
        same_lock(two, ZERO, command, 7)
        two.same("fcntl", ZERO, command, 8)
    for command in (OFD_SETLK, OFD_GETLK):
        same_lock(two, ZERO, command, WRITE, pid=5)
    same_lock(two, ZERO, GETLK, UNLOCK)


@pytest.mark.parametrize("flags", [R, W])
def test_who_cannot_write_cannot_lock_for_that(twins, flags):
    twins.open("@/file", flags)
    for command in (OFD_SETLK, SETLK):
        for kind in (READ, WRITE, UNLOCK):
            same_lock(twins, ZERO, command, kind)


def other_process(twins):
    """Another process that has the same file open."""
    other = Nobody(twins.view)
    other.tid = 200
    first = twins.object(ZERO)
    other.objects[5] = OpenFile(
        first.file, first.mount, first.rest, first.name, RW, first.attributes()
    )
    return other


def lock(caller, fd, command, *words):
    return play(caller.calls("fcntl", fd, command, flock(*words)))[0]


def test_locks_of_processes(two):
    mine, other = two.caller, other_process(two)
    assert lock(mine, 700, SETLK, WRITE, 0, 5) == Emulate(0)
    assert lock(mine, 701, SETLK, READ, 0, 5) == Emulate(0)  # it is the same process
    assert two.object(ONE).lockers == {100}
    assert ("holds locks",) in mine.notes
    verdict = lock(other, 5, GETLK, WRITE, 0, 0)
    assert verdict.poke[0][1] == bytes(flock(READ, 0, 5, pid=100))
    with pytest.raises(OSError) as raised:
        lock(other, 5, SETLK, WRITE, 4, 5)
    assert raised.value.errno == errno.EAGAIN
    assert lock(other, 5, SETLK, READ, 4, 5) == Emulate(0)
    assert lock(other, 5, GETLK, WRITE, 5, 1).poke[0][1][:2] == b"\2\0"


def test_who_must_wait_sleeps_until_the_lock_is_given_up(two):
    mine, other = two.caller, other_process(two)
    key = two.object(ZERO).key
    lock(mine, 700, SETLK, WRITE, 0, 5)
    assert lock(other, 5, SETLKW, WRITE, 0, 1) == Asleep(key)
    assert lock(other, 5, OFD_SETLKW, WRITE, 0, 1) == Asleep(key)
    mine.notes.clear()
    lock(mine, 700, SETLK, UNLOCK, 0, 5)
    assert mine.notes == [("wake", key)]
    assert lock(other, 5, SETLKW, WRITE, 0, 1) == Emulate(0)


def test_what_has_been_closed_is_let_go_of_first(two):
    lock(two.caller, 700, OFD_SETLK, WRITE, 0, 5)
    assert two.caller.notes[0] == ("settle",)


def test_a_ring_of_waiters_is_EDEADLK(two):
    mine, other = two.caller, other_process(two)
    lock(mine, 700, SETLK, WRITE, 0, 1)
    lock(other, 5, SETLK, WRITE, 1, 1)
    assert isinstance(lock(mine, 700, SETLKW, WRITE, 1, 1), Asleep)
    with pytest.raises(OSError) as raised:
        lock(other, 5, SETLKW, WRITE, 0, 1)
    assert raised.value.errno == errno.EDEADLK


# -- flock ---------------------------------------------------------------------------------------

SH, EX, NB, UN = 1, 2, 4, 8


def test_whole_files_are_locked(two):
    for fd, operation in (
        (ZERO, SH), (ONE, SH | NB), (ONE, EX | NB), (ZERO, EX | NB), (ZERO, EX | NB),
        (ONE, SH | NB), (ZERO, UN), (ONE, EX | NB), (ZERO, SH | NB), (ONE, SH), (ZERO, SH),
        (ONE, UN | NB),
        (ZERO, 0), (ZERO, SH | EX), (ZERO, NB), (ZERO, 16),
    ):  # fmt: skip
        two.same("flock", fd, operation)


def test_two_readers_who_want_to_write_do_not_wait_forever(two):
    """flock(2): what one had is lost before it gets the other lock."""
    key = ("flock", *two.object(ZERO).key)
    caller = two.caller
    for fd in (700, 701):
        assert play(caller.calls("flock", fd, SH))[0] == Emulate(0)
    caller.notes.clear()
    assert play(caller.calls("flock", 700, EX))[0] == Asleep(key)
    assert ("wake", key) in caller.notes
    caller.notes.clear()
    assert play(caller.calls("flock", 700, EX))[0] == Asleep(key)
    assert ("wake", key) not in caller.notes, "or they wake each other for ever"
    assert play(caller.calls("flock", 701, EX))[0] == Emulate(0)


def test_both_kinds_of_locks_go_together(two):
    two.same("flock", ZERO, EX)
    same_lock(two, ONE, OFD_SETLK, WRITE, 0, 0)


# -- ioctl ---------------------------------------------------------------------------------------


def test_ioctls_of_files(twins):
    twins.open("@/file", RW)
    twins.same("lseek", ZERO, 3, os.SEEK_SET)
    twins.same("ioctl", ZERO, requests.FIONREAD, room(4))
    twins.same("lseek", ZERO, 30, os.SEEK_SET)
    twins.alike("ioctl", ZERO, requests.FIGETBSZ, room(4))
    for on in (1, 0):
        twins.same("ioctl", ZERO, requests.FIONBIO, bytearray([on, 0, 0, 0]))
        twins.same("fcntl", ZERO, 3, 0)
    twins.same("ioctl", ZERO, 0x5401, room(60))  # TCGETS
    twins.same("ioctl", ZERO, 0x12345678, room(60))
    twins.same("ioctl", ZERO, 0x52345678, 8)  # who knows it not does not look at its argument
    twins.same("ioctl", ZERO, requests.FIONBIO, 8)


def test_ioctls_of_directories(twins):
    twins.open("@/dir", R)
    twins.same("ioctl", ZERO, 0x5401, room(60))
    twins.same("ioctl", ZERO, requests.BLKGETSIZE64, room(8))


def test_close_on_exec_is_the_descriptors_own(twins):
    twins.open("@/file", RW)
    for request in (requests.FIOCLEX, requests.FIONCLEX):
        assert play(twins.caller.calls("ioctl", 700, request, 0)) == (Real(), [])


class Disk(Device):
    """Says what it was asked."""

    def __init__(self, answer=b"", *, slow=False):
        self.answer, self.slow, self.asked = answer, slow, []

    def ioctl(self, request, data):
        self.asked.append((request, data))
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


def holding(device):
    caller = Nobody()
    mount = Mount("/dev/x", device, 1, "none", "", "")
    caller.objects[5] = OpenFile(device, mount, "/", "/dev/x", RW, device.lstat("/"))
    return caller


def test_an_ioctl_of_a_device_gets_what_its_argument_points_to():
    disk = Disk(b"")
    caller = holding(disk)
    assert play(caller.calls("ioctl", 5, requests.BLKROSET, b"\1\0\0\0more"))[0] == Emulate(0)
    assert play(caller.calls("ioctl", 5, requests.BLKRASET | 1 << 32, 77))[0] == Emulate(0)
    assert play(caller.calls("ioctl", 5, requests.BLKDISCARD, bytes(range(16))))[0] == Emulate(0)
    assert disk.asked == [
        (requests.BLKROSET, b"\1\0\0\0"),
        (requests.BLKRASET, (77).to_bytes(8, "little")),
        (requests.BLKDISCARD, bytes(range(16))),
    ]
    # Not after what is about its bytes.
    changes = [("settle",), ("changed", "/dev/x")] * 2
    assert caller.notes == [("must hear", -1), *changes, ("settle",)]
    for request, at in ((requests.BLKROSET, 8), (requests.BLKDISCARD, b"short")):
        with pytest.raises(OSError) as raised:
            play(caller.calls("ioctl", 5, request, at))
        assert raised.value.errno == errno.EFAULT


def test_what_a_device_answers_is_stored():
    caller = holding(Disk(b"12345678"))
    verdict, asked = play(caller.calls("ioctl", 5, requests.BLKGETSIZE64, 0x5000))
    assert (verdict, asked) == (Emulate(0, ((0x5000, b"12345678"),)), [])
    caller = holding(Disk(b"1234", slow=True))
    verdict, asked = play(caller.calls("ioctl", 5, requests.BLKSSZGET, 0x5000))
    assert verdict == Emulate(0, ((0x5000, b"1234"),))
    assert [type(request) for request in asked] == [Work]


def test_a_device_that_knows_no_such_request():
    caller = holding(Disk(error(errno.ENOTTY)))
    with pytest.raises(OSError) as raised:
        play(caller.calls("ioctl", 5, 0x1234, 0))
    assert raised.value.errno == errno.ENOTTY
    assert caller.notes == [("settle",)]


def test_a_partition_is_read_through_its_pointer():
    disk = Disk()
    caller = holding(disk)
    change = requests.Change(requests.BLKPG_ADD_PARTITION, 2, 512, 1024)
    whole = requests.pack_partition_change(change)
    body = caller.puts(whole[24:])
    head = requests.pack_partition_change(change, body)[:24]
    play(caller.calls("ioctl", 5, requests.BLKPG, head))
    assert requests.partition_change(disk.asked[0][1]) == change


# -- epoll, asynchronous I/O ---------------------------------------------------------------------


@pytest.mark.parametrize(("flags", "number"), [(RW, errno.EPERM), (O_PATH, errno.EBADF)])
def test_neither_what_is_always_ready_nor_a_path_is_watched(twins, flags, number):
    twins.open("@/file", flags)
    epoll = twins.kernel("epoll_create1", 0).value
    try:
        assert twins.kernel("epoll_ctl", epoll, 1, ZERO, bytearray(12)).value == -number
        with pytest.raises(OSError) as raised:
            play(twins.caller.calls("epoll_ctl", 3, 1, 700, bytes(12)))
        assert raised.value.errno == number
        twins.same("epoll_ctl", ZERO, 1, epoll, bytearray(12))
    finally:
        os.close(epoll)


def test_a_file_that_makes_its_callers_wait_is_watched():
    class Talks(File):
        def poll(self):
            return 0

    caller = holding(Disk())
    first = caller.objects[5]
    caller.objects[6] = OpenFile(Talks(), first.mount, "/", "/x", RW, first.attributes())
    assert play(caller.calls("epoll_ctl", 3, 1, 6, bytes(12))) == (Real(), [])


def test_a_descriptor_of_the_kernels_is_the_kernels():
    caller = Nobody()
    for call in ("fcntl", "ioctl", "flock", "epoll_ctl"):
        assert play(caller.calls(call, 3, 3, 4)) == (Real(), [])


# -- a list of mounts that is watched --------------------------------------------------------------


@pytest.mark.parametrize(("inheritable", "flag"), [(True, 0), (False, os.O_CLOEXEC)])
def test_the_kernels_list_of_mounts_is_watched_in_the_place_of_a_text(inheritable, flag):
    caller = Nobody()
    caller.inheritable = inheritable
    caller.stands_for[5] = "/proc/7/mountinfo"
    verdict, requests = play(caller.calls("epoll_ctl", 3, 1, 5, 0x5000), 9, 5, 0, 0)
    assert verdict == Done()
    how = os.O_RDONLY | os.O_CLOEXEC
    assert requests == [
        Redirect({0: -100, 1: b"/proc/7/mountinfo\0", 2: how, 3: 0}, "openat"),
        Redirect({0: 9, 1: 5, 2: flag}, "dup3"),
        Redirect({0: 9}, "close"),
        Redirect({}),
    ]


def test_where_it_cannot_be_opened_the_text_stays():
    caller = Nobody()
    caller.stands_for[5] = "/proc/7/mountinfo"
    verdict, requests = play(
        caller.calls("epoll_ctl", 3, 1, 5, 0x5000), -errno.EMFILE, -errno.EPERM
    )
    assert verdict == Done()
    assert requests[1:] == [Redirect({})]


@pytest.mark.parametrize(("text", "op"), [("/proc/7/mounts", 1), ("/proc/7/mountinfo", 2), ("", 1)])
def test_other_watches_are_the_kernels(text, op):
    caller = Nobody()
    caller.stands_for[5] = text
    assert play(caller.calls("epoll_ctl", 3, op, 5, 0x5000))[0] == Real()


def test_a_disk_is_made_read_only_once_all_writes_to_it_are_heard():
    disk = Disk(b"")
    caller = holding(disk)
    caller.first = Asleep("others")
    assert play(caller.calls("ioctl", 5, requests.BLKROSET, b"\1\0\0\0"))[0] == Asleep("others")
    assert disk.asked == []
