# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls as text: what strace would print."""

import errno
import os
import socket
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview import printer
from pyview.printer import format_call, format_result
from pyview.syscalls import BY_NAME, CALLS

BASE = 0x7F0000001000
FDCWD = 0xFFFFFF9C  # AT_FDCWD as compilers load it: 32 bits


class Memory:
    """Some bytes at BASE; nothing else is readable."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def __call__(self, address: int, length: int) -> bytes:
        at = address - BASE
        return self.data[at : at + length] if 0 <= at < len(self.data) else b""


def shown(name: str, *args: int, data: bytes = b"") -> str:
    return format_call(BY_NAME[name], [*args, *[0] * (6 - len(args))], Memory(data))


def test_an_open_that_creates_nothing_has_no_mode():
    data = b"/etc/passwd\0"
    flags = os.O_RDONLY | os.O_CLOEXEC
    assert shown("openat", FDCWD, BASE, flags, 0o7777, data=data) == (
        'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC)'
    )


def test_an_open_that_creates_has_one():
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    assert shown("open", BASE, flags, 0o644, data=b"a\0") == (
        'open("a", O_WRONLY|O_CREAT|O_EXCL, 0644)'
    )
    assert shown("openat", 5, BASE, os.O_TMPFILE | os.O_RDWR, 0o600, data=b".\0") == (
        'openat(5, ".", O_RDWR|O_TMPFILE, 0600)'
    )


def test_bits_that_are_parts_of_others_are_named_once():
    assert shown("open", BASE, os.O_SYNC, data=b"a\0") == 'open("a", O_RDONLY|O_SYNC)'
    assert shown("open", BASE, os.O_DSYNC, data=b"a\0") == 'open("a", O_RDONLY|O_DSYNC)'
    assert shown("open", BASE, os.O_DIRECTORY, data=b"a\0") == 'open("a", O_RDONLY|O_DIRECTORY)'
    assert shown("open", BASE, 1 << 30, data=b"a\0") == 'open("a", O_RDONLY|0x40000000)'


def test_an_fstat_of_glibc():
    assert shown("newfstatat", 3, BASE, BASE, 0x1000, data=b"\0") == (
        f'newfstatat(3, "", {BASE:#x}, AT_EMPTY_PATH)'
    )


def test_two_paths():
    assert shown("renameat2", FDCWD, BASE, 4, BASE + 2, 1, data=b"a\0b\0") == (
        'renameat2(AT_FDCWD, "a", 4, "b", RENAME_NOREPLACE)'
    )


def test_a_bit_with_three_meanings():
    assert shown("unlinkat", 3, BASE, 0x200, data=b"a\0") == 'unlinkat(3, "a", AT_REMOVEDIR)'
    assert shown("faccessat2", 3, BASE, 4, 0x300, data=b"a\0") == (
        'faccessat2(3, "a", R_OK, AT_SYMLINK_NOFOLLOW|AT_EACCESS)'
    )
    assert shown("fchownat", 3, BASE, 1, 1, 0x200, data=b"a\0") == ('fchownat(3, "a", 1, 1, 0x200)')


def test_an_access_mode():
    assert shown("access", BASE, 0, data=b"a\0") == 'access("a", F_OK)'
    assert shown("access", BASE, 6, data=b"a\0") == 'access("a", W_OK|R_OK)'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xc3\xa9\0", '"café"'),
        (b"\xff\xfe\0", '"\\xff\\xfe"'),
        (b'"\\\n\t\r\0', '"\\"\\\\\\n\\t\\r"'),
        (b"\x01\x7f\xc2\x85\0", '"\\x01\\x7f\\xc2\\x85"'),
        (b"x" * 300, '"' + "x" * 256 + '"...'),
        (b"end of the mapping", '"end of the mapping"...'),
    ],
)
def test_a_string(data, text):
    assert shown("chdir", BASE, data=data) == f"chdir({text})"


def test_pointers_that_cannot_be_read():
    assert shown("chdir", 0) == "chdir(NULL)"
    assert shown("chdir", 0xDEAD) == "chdir(0xdead)"
    assert shown("write", 1, 0xDEAD, 5) == "write(1, 0xdead, 5)"
    assert shown("write", 1, 0, 0) == "write(1, NULL, 0)"
    assert shown("execve", 0, 0xDEAD, 0) == "execve(NULL, 0xdead, NULL)"
    assert shown("accept", 3, 8, 0xDEAD) == "accept(3, 0x8, 0xdead)"
    assert shown("connect", 3, 0xDEAD, 16) == "connect(3, 0xdead, 16)"


def test_a_buffer_is_cut():
    assert shown("write", 1, BASE, 3, data=b"hi\n") == 'write(1, "hi\\n", 3)'
    assert shown("write", 1, BASE, 100, data=b"a" * 100) == f'write(1, "{"a" * 32}"..., 100)'
    assert shown("read", 0, BASE, 100, data=b"a" * 100) == f"read(0, {BASE:#x}, 100)"


def test_vectors_of_strings():
    data = b"ls\0-l\0\0\0" + struct.pack("=QQQ", BASE, BASE + 3, 0)
    assert shown("execve", BASE, BASE + 8, 0, data=data) == 'execve("ls", ["ls", "-l"], NULL)'
    data = struct.pack("=Q", BASE + 160) * 20 + b"x\0"
    many = ", ".join(['"x"'] * 8)
    assert shown("execve", 0, BASE, 0, data=data) == f"execve(NULL, [{many}, ...], NULL)"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (struct.pack("=H", socket.AF_UNIX) + b"/tmp/s\0", '{AF_UNIX, "/tmp/s"}'),
        (struct.pack("=H", socket.AF_UNIX) + b"\0name", '{AF_UNIX, "@name"}'),
        (struct.pack("=H2s4s8x", 2, b"\0\x50", b"\x7f\0\0\1"), "{AF_INET, 127.0.0.1:80}"),
        (struct.pack("=H2s4x16s4x", 10, b"\0\x50", b"\0" * 15 + b"\1"), "{AF_INET6, [::1]:80}"),
        (struct.pack("=H", 77) + b"z", '{77, "z"}'),
    ],
)
def test_socket_addresses(data, text):
    assert shown("connect", 3, BASE, len(data), data=data) == f"connect(3, {text}, {len(data)})"


def test_address_families():
    assert shown("socket", 1, 1, 0) == "socket(AF_UNIX, 1, 0)"
    assert shown("socket", 77, 1, 0) == "socket(77, 1, 0)"


def test_a_length_given_by_address():
    assert shown("getsockname", 3, 0x10, BASE, data=struct.pack("=i", 110)) == (
        "getsockname(3, 0x10, [110])"
    )


def test_numbers_have_their_sign():
    assert shown("epoll_wait", 3, 0, 1, 0xFFFFFFFF) == "epoll_wait(3, NULL, 1, -1)"
    assert shown("lseek", 3, 2**64 - 5, 2) == "lseek(3, -5, 2)"
    assert shown("dup2", 0xFFFFFFFF, 1) == "dup2(-1, 1)"
    assert shown("kill", 0xFFFFFFFF, 15) == "kill(-1, SIGTERM)"
    assert shown("kill", 5, 0) == "kill(5, 0)"


def test_names_of_python_ptrace():
    pytest.importorskip("ptrace")
    assert shown("unshare", 0x20000) == "unshare(CLONE_NEWNS)"
    assert shown("clone", 0x11) == "clone(SIGCHLD, NULL, NULL, NULL, NULL)"
    assert shown("clone", 0x4111) == "clone(CLONE_VM|CLONE_VFORK|SIGCHLD, NULL, NULL, NULL, NULL)"
    assert shown("mprotect", BASE, 4096, 3) == f"mprotect({BASE:#x}, 4096, PROT_READ|PROT_WRITE)"
    assert shown("rt_sigprocmask", 2, 0, 0, 8) == "rt_sigprocmask(SIG_SETMASK, NULL, NULL, 8)"


def test_without_python_ptrace_numbers_are_shown(monkeypatch):
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(printer, "import_module", absent)
    printer.borrowed.cache_clear()
    try:
        assert shown("unshare", 0x20000) == "unshare(0x20000)"
        assert shown("mprotect", BASE, 4096, 3) == f"mprotect({BASE:#x}, 4096, 3)"
    finally:
        printer.borrowed.cache_clear()


def test_importing_the_printer_does_not_import_python_ptrace():
    script = "import pyview.printer, sys; sys.exit('ptrace' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("openat", 3, "= 3"),
        ("openat", -errno.ENOENT, "= -1 ENOENT (No such file or directory)"),
        ("openat", 2**64 - errno.ENOENT, "= -1 ENOENT (No such file or directory)"),
        ("getpid", -4095, "= -1 4095 (Unknown error 4095)"),
        ("getpriority", 20, "= 20"),
        ("lseek", 0xFFFFFFFF, "= 4294967295"),
        ("mmap", 0x7F0000000000, "= 0x7f0000000000"),
        ("mmap", -errno.ENOMEM, "= -1 ENOMEM (Cannot allocate memory)"),
        ("read", -512, "= ? ERESTARTSYS (To be restarted)"),
        ("nanosleep", -516, "= ? ERESTART_RESTARTBLOCK (To be restarted)"),
        ("exit_group", None, "= ?"),
        ("ptrace", 2**63, f"= {-(2**63)}"),
    ],
)
def test_a_result(name, value, text):
    assert format_result(BY_NAME[name], value) == text


@given(
    st.sampled_from(CALLS),
    st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6),
    st.binary(max_size=64),
    st.sets(st.integers(0, 5)),
)
def test_any_call_can_be_printed(call, args, data, pointers):
    for i in pointers:
        args[i] = BASE + args[i] % 32
    text = format_call(call, args, Memory(data))
    assert text.startswith(f"{call.name}(")
    assert text.isprintable()
    assert format_result(call, args[0]).startswith("= ")
