# SPDX-License-Identifier: GPL-2.0-or-later
"""The door to C, as far as it opens without a task; and one tracer, in a process of its own."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview import core
from pyview._core import lib
from pyview.syscalls import BY_NAME

ME = os.getpid()
NOBODY = 0x7FFFFFF0  # no thread has this number
GETSIG = 11  # F_GETSIG


@pytest.fixture
def pages():
    """Two pages of this process, the second of which cannot be read; and their address."""
    memory = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    view = ctypes.c_char.from_buffer(memory)
    start = ctypes.addressof(view)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    assert libc.mprotect(start + mmap.PAGESIZE, mmap.PAGESIZE, 0) == 0
    yield memory, start
    assert libc.mprotect(start + mmap.PAGESIZE, mmap.PAGESIZE, 3) == 0
    del view
    memory.close()


# -- memory --------------------------------------------------------------------------------------


@given(st.binary(max_size=9000), st.integers(0, 4096))
def test_what_is_stored_is_read(data, offset):
    buffer = ctypes.create_string_buffer(16384)
    address = ctypes.addressof(buffer) + offset
    assert core.poke(os.getpid(), address, data)
    assert core.peek(os.getpid(), address, len(data)) == data
    assert buffer.raw[offset : offset + len(data)] == data


def test_bytes_before_a_bad_page_are_read(pages):
    memory, start = pages
    memory[mmap.PAGESIZE - 3 : mmap.PAGESIZE] = b"end"
    me = os.getpid()
    assert core.peek(me, start + mmap.PAGESIZE - 3, 100) == b"end"
    assert core.poke(me, start + mmap.PAGESIZE - 3, b"END")
    assert not core.poke(me, start + mmap.PAGESIZE - 3, b"longer")
    with pytest.raises(OSError) as raised:
        core.peek(me, start + mmap.PAGESIZE, 1)
    assert raised.value.errno == errno.EFAULT
    assert core.peek(me, start + mmap.PAGESIZE, 0) == b""


def test_the_memory_of_nobody_is_gone():
    with pytest.raises(core.Gone):
        core.peek(NOBODY, 0x1000, 1)
    assert not core.poke(NOBODY, 0x1000, b"x")


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 4000, 4095])
def test_a_name_is_read_up_to_its_NUL(pages, length):
    memory, start = pages
    memory[0:4096] = (b"n" * length + b"\0").ljust(4096, b"x")
    assert core.text(os.getpid(), start) == "n" * length
    ends_with_page = start + mmap.PAGESIZE - length - 1
    memory[mmap.PAGESIZE - length - 1 : mmap.PAGESIZE] = b"m" * length + b"\0"
    assert core.text(os.getpid(), ends_with_page) == "m" * length


def test_a_name_that_does_not_end(pages):
    memory, start = pages
    memory[0:4096] = b"x" * 4096
    with pytest.raises(OSError) as raised:
        core.text(os.getpid(), start)
    assert raised.value.errno == errno.ENAMETOOLONG
    with pytest.raises(OSError) as raised:
        core.text(os.getpid(), start + 1)
    assert raised.value.errno == errno.EFAULT


def test_a_name_that_is_no_text_is_kept():
    buffer = ctypes.create_string_buffer(b"\xff/\xfe")
    assert os.fsencode(core.text(os.getpid(), ctypes.addressof(buffer))) == b"\xff/\xfe"


def test_patch_writes_whatever_the_protection():
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, mmap.PAGESIZE, flags=private, prot=mmap.PROT_READ) as memory:
        address = _address_of(memory)
        assert not core.poke(os.getpid(), address, b"no")
        assert core.patch(os.getpid(), address, b"yes")
        assert memory[:3] == b"yes"


def _address_of(memory):
    """Where a read-only mapping is: it has no other name."""
    get = ctypes.pythonapi.PyObject_GetBuffer
    raw = (ctypes.c_byte * 80)()
    get.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
    assert get(memory, raw, 0) == 0
    address = ctypes.cast(raw, ctypes.POINTER(ctypes.c_void_p))[0]
    release = ctypes.pythonapi.PyBuffer_Release
    release.argtypes = (ctypes.c_void_p,)
    release(raw)
    return address


# -- descriptors ---------------------------------------------------------------------------------


def test_a_mark_is_kept_by_the_open_file(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    copy = os.dup(fd)
    try:
        core.mark(fd, 5)
        assert fcntl.fcntl(copy, GETSIG) == fcntl.fcntl(fd, GETSIG) != 0
    finally:
        os.close(fd)
        os.close(copy)


def test_entries_of_what_is_no_directory_are_ENOTDIR(tmp_path):
    (tmp_path / "file").write_text("")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        with pytest.raises(OSError) as raised:
            core.directory_entries(fd, 4096)
    finally:
        os.close(fd)
    assert raised.value.errno == errno.ENOTDIR


# -- views and tasks -----------------------------------------------------------------------------


def test_a_view_can_be_described_again_and_again():
    view = core.new_view()
    for _ in range(3):
        layer = core.Layer(False)
        layered = ("/a", 1, "/b", [(layer.pointer, "/x")], (2, "/kept"))
        core.describe(view, [layered, ("", 0, "", [], None)], ["a"], [(1, 2)])
    core.trace_all(view, True)
    core.has_sockets(view)
    core.free_view(view)


def test_nobody_is_no_task():
    assert core.task(ME) is None
    assert list(core.tasks()) == []
    assert core.thread_group(os.getpid()) == os.getpid()


def test_the_numbers_are_those_of_the_table():
    numbers = core.numbers()
    assert set(numbers) <= set(BY_NAME)
    assert len(set(numbers.values())) == len(numbers) > 300
    if os.uname().machine == "x86_64":
        assert (numbers["read"], numbers["execve"], numbers["openat2"]) == (0, 59, 437)


def test_nobody_can_be_traced():
    view = core.new_view()
    with pytest.raises(OSError) as raised:
        core.seize(NOBODY, view)
    assert raised.value.errno == errno.ESRCH
    core.free_view(view)
    core.resume(NOBODY)  # it may die at any moment: no error


def _trace(told):
    """In a process of its own: trace a child that ends with status 7; what was reported."""
    core.start()
    view = core.new_view()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(read, 1)
        os._exit(7)
    core.seize(child, view)
    seen = [core.task(child).tid == child, core.task(child).view == view]
    os.write(write, b"x")
    stop = core.new_stop()
    while core.wait(stop) != core.EMPTY:
        seen.append((stop.kind, stop.tid == child, stop.message))
    seen.append(list(core.tasks()))
    os.write(told, repr(seen).encode())


def test_a_process_is_traced_until_its_end():
    heard, told = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        status = 1
        try:
            _trace(told)
            status = 0
        finally:
            os._exit(status)
    os.close(told)
    said = os.read(heard, 4096).decode()
    os.close(heard)
    assert os.waitpid(tracer, 0)[1] == 0
    seen = eval(said, {})
    assert seen[:2] == [True, True]
    assert seen[-2] == (core.DEAD, True, 7 << 8)
    assert seen[-1] == []


@pytest.mark.needs("strace")
def test_who_may_call_ptrace_is_told_by_the_program():
    strace = os.path.realpath(shutil.which("strace") or "")
    for program, may in ((strace, True), ("/bin/sleep", False)):
        with subprocess.Popen(
            [program, "-o", "/dev/null", "sleep", "20"] if may else [program, "20"],
        ) as process:
            while os.readlink(f"/proc/{process.pid}/exe") != os.path.realpath(program):
                pass
            assert bool(lib.pv_may_debug(process.pid)) is may
            assert bool(lib.pv_may_debug(process.pid)) is may  # it is remembered
            process.terminate()
    assert not lib.pv_may_debug(2**22 + 1)
