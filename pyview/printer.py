# SPDX-License-Identifier: GPL-2.0-or-later
"""Print a call as strace would, from its row in the table.

It may not know a call's shape: that is the table's.  Names of flags that Python has not
come from python-ptrace if it is installed; without it they are shown as numbers.
"""

import errno
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module

from .syscalls import Arg, Call, Lookup, Role

# (address, length) -> up to that many bytes; b"" when the first is unreadable.
Peek = Callable[[int, int], bytes]

TEXT_MAX = 256  # bytes shown of a C string
DATA_MAX = 32  # bytes shown of a buffer
STRV_MAX = 8  # strings shown of a vector
AT_FDCWD = -100
AT_NAMES = {
    0x100: "AT_SYMLINK_NOFOLLOW",
    0x400: "AT_SYMLINK_FOLLOW",
    0x800: "AT_NO_AUTOMOUNT",
    0x1000: "AT_EMPTY_PATH",
    0x2000: "AT_STATX_FORCE_SYNC",
    0x4000: "AT_STATX_DONT_SYNC",
}
# Bit 0x200, which means something else to each operation.
AT_OTHER = {
    "access": "AT_EACCESS",
    "name_to_handle_at": "AT_HANDLE_FID",
    "unlink": "AT_REMOVEDIR",
}
RENAME_NAMES = {1: "RENAME_NOREPLACE", 2: "RENAME_EXCHANGE", 4: "RENAME_WHITEOUT"}
ACCESS_NAMES = {4: "R_OK", 2: "W_OK", 1: "X_OK"}
OPEN_NAMES = {
    os.O_CREAT: "O_CREAT",
    os.O_EXCL: "O_EXCL",
    os.O_NOCTTY: "O_NOCTTY",
    os.O_TRUNC: "O_TRUNC",
    os.O_APPEND: "O_APPEND",
    os.O_NONBLOCK: "O_NONBLOCK",
    os.O_DSYNC: "O_DSYNC",
    os.O_ASYNC: "O_ASYNC",
    os.O_DIRECT: "O_DIRECT",
    0o100000: "O_LARGEFILE",  # os.O_LARGEFILE is 0 on x86-64
    os.O_DIRECTORY: "O_DIRECTORY",
    os.O_NOFOLLOW: "O_NOFOLLOW",
    os.O_NOATIME: "O_NOATIME",
    os.O_CLOEXEC: "O_CLOEXEC",
    os.O_SYNC: "O_SYNC",
    os.O_PATH: "O_PATH",
    os.O_TMPFILE: "O_TMPFILE",
}
# Operations whose result is an address.
ADDRESSES = frozenset({"mmap", "brk", "mremap", "shmat", "map_shadow_stack"})
# <linux/errno.h>: only the kernel and a tracer ever see these.
RESTARTS = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    516: "ERESTART_RESTARTBLOCK",
}
# (operation, argument): module and table of python-ptrace.
PTRACE_TABLES = {
    ("clone", "flags"): ("ptrace.syscall.posix_arg", "CLONE_FLAGS_BITMASK"),
    ("unshare", "flags"): ("ptrace.syscall.posix_arg", "CLONE_FLAGS_BITMASK"),
    ("mmap", "prot"): ("ptrace.syscall.posix_arg", "MMAP_PROT_BITMASK"),
    ("mprotect", "protection"): ("ptrace.syscall.posix_arg", "MMAP_PROT_BITMASK"),
    ("getrlimit", "resource"): ("ptrace.syscall.linux_constants", "RLIMIT_RESOURCE"),
    ("setrlimit", "resource"): ("ptrace.syscall.linux_constants", "RLIMIT_RESOURCE"),
    ("prlimit64", "resource"): ("ptrace.syscall.linux_constants", "RLIMIT_RESOURCE"),
    ("rt_sigprocmask", "how"): ("ptrace.syscall.linux_constants", "SIGPROCMASK_HOW"),
}


def join(value: int, names: Mapping[int, str], zero: str = "0") -> str:
    """The bits of a word by name, those without a name as one number at the end."""
    shown: list[tuple[int, str]] = []
    # A name of several bits (O_SYNC) goes before the names of its parts (O_DSYNC).
    for bits in sorted(names, key=lambda b: -b.bit_count()):
        if bits and value & bits == bits:
            shown.append((bits, names[bits]))
            value &= ~bits
    words = [name for _, name in sorted(shown)]
    if value:
        words.append(f"{value:#x}")
    return "|".join(words) or zero


def open_flags(value: int) -> str:
    """The flags of open(2)."""
    access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[value & os.O_ACCMODE]
    rest = join(value & ~os.O_ACCMODE, OPEN_NAMES, zero="")
    return f"{access}|{rest}" if rest else access


@cache
def borrowed(op: str, name: str) -> Mapping[int, str] | None:
    """A table of python-ptrace (number -> name), or None if it has none or is not installed."""
    where = PTRACE_TABLES.get((op, name))
    if where is None:
        return None
    try:
        table = getattr(import_module(where[0]), where[1])
    except ImportError:
        return None
    pairs: Iterable[tuple[int, str]] = table.items() if isinstance(table, dict) else table
    return {int(value): str(label) for value, label in pairs}


def signed(value: int) -> int:
    """A register as an int: negative if the caller's int or long was."""
    value &= 0xFFFFFFFFFFFFFFFF
    if value >> 63:
        return value - (1 << 64)
    # An int is zero-extended: of all its negative values only those near 0 are meant.
    return value - (1 << 32) if 0xFFFFF000 <= value <= 0xFFFFFFFF else value


def descriptor(value: int) -> str:
    """A descriptor, of which the kernel reads the low 32 bits."""
    value &= 0xFFFFFFFF
    return str(value - (1 << 32) if value >> 31 else value)


MARKS = {ord('"'): '\\"', ord("\\"): "\\\\", 9: "\\t", 10: "\\n", 13: "\\r"}


def quoted(data: bytes) -> str:
    """Bytes as a C string literal; UTF-8 stays readable, any other byte is escaped."""
    shown: list[str] = []
    for char in data.decode("utf-8", "surrogateescape"):
        point = ord(char)
        if 0xDC80 <= point <= 0xDCFF:  # not UTF-8
            shown.append(f"\\x{point - 0xDC00:02x}")
        elif point in MARKS or char.isprintable():
            shown.append(MARKS.get(point, char))
        else:
            shown += [f"\\x{byte:02x}" for byte in char.encode()]
    return f'"{"".join(shown)}"'


def cstr(peek: Peek, address: int) -> str:
    """The C string at an address of the caller."""
    if address == 0:
        return "NULL"
    data = peek(address, TEXT_MAX)
    if not data:
        return f"{address:#x}"
    head, end, _ = data.partition(b"\0")
    return quoted(head) + ("" if end else "...")


def strv(peek: Peek, address: int) -> str:
    """A NULL-terminated vector of C strings."""
    if address == 0:
        return "NULL"
    shown: list[str] = []
    for i in range(STRV_MAX):
        word = peek(address + 8 * i, 8)
        if len(word) < 8:
            return f"{address:#x}"
        pointer = int.from_bytes(word, "little")
        if pointer == 0:
            return f"[{', '.join(shown)}]"
        shown.append(cstr(peek, pointer))
    return f"[{', '.join(shown)}, ...]"


def family_name(value: int) -> str:
    """An address family by name: AF_NETLINK."""
    import socket  # 4 ms that only a trace with sockets pays

    known = {int(f): f.name for f in socket.AddressFamily}
    return known.get(value, str(value))


def sockaddr(peek: Peek, address: int, length: int) -> str:
    """A socket address: family and what people call the address."""
    data = peek(address, min(length, 128)) if address and length > 2 else b""
    if len(data) < 2:
        return f"{address:#x}" if address else "NULL"
    import socket

    family, rest = int.from_bytes(data[:2], "little"), data[2:]
    port = int.from_bytes(rest[:2], "big")
    if family == socket.AF_UNIX:
        name = b"@" + rest[1:] if rest[:1] == b"\0" else rest.split(b"\0")[0]
        return f"{{AF_UNIX, {quoted(name)}}}"
    if family == socket.AF_INET and len(rest) >= 6:
        return f"{{AF_INET, {socket.inet_ntop(family, rest[2:6])}:{port}}}"
    if family == socket.AF_INET6 and len(rest) >= 22:
        return f"{{AF_INET6, [{socket.inet_ntop(family, rest[6:22])}]:{port}}}"
    return f"{{{family_name(family)}, {quoted(rest)}}}"


def number(call: Call, arg: Arg, value: int) -> str:
    """A plain number, by name where one is known."""
    names = borrowed(call.op, arg.name)
    if names is not None:
        value &= 0xFFFFFFFF
        if arg.name in ("prot", "protection"):
            return join(value, names, zero="PROT_NONE")
        return names.get(value, str(value))
    if arg.name == "sig" and value in signal.valid_signals():
        known = {int(s): s.name for s in signal.Signals}
        return known.get(value, str(value))
    if arg.name == "family":
        return family_name(value & 0xFFFFFFFF)
    return str(signed(value))


def bits(call: Call, index: int, value: int) -> str:
    """A word of flags.  Which kind it is, the path that depends on it says."""
    value &= 0xFFFFFFFFFFFFFFFF
    kinds = {a.lookup for a in call.args if a.flags == index}
    if Lookup.OPEN in kinds:
        return open_flags(value & 0xFFFFFFFF)
    if Lookup.AT in kinds or call.op == "unlink":
        own = {0x200: AT_OTHER[call.op]} if call.op in AT_OTHER else {}
        return join(value & 0xFFFFFFFF, AT_NAMES | own)
    if call.op == "rename":
        return join(value & 0xFFFFFFFF, RENAME_NAMES)
    if call.name == "clone":  # the low byte is the signal for the parent
        names = borrowed("clone", "flags") or {}
        sent = number(call, Arg(Role.INT, "sig"), value & 0xFF)
        words = [join(value & ~0xFF, names, zero=""), sent if value & 0xFF else ""]
        return "|".join(filter(None, words)) or "0"
    names = borrowed(call.op, call.args[index].name) or {}
    return join(value, names)


def argument(call: Call, index: int, args: Sequence[int], peek: Peek) -> str:
    """One argument as text."""
    arg, value = call.args[index], args[index]
    size = args[arg.size] if arg.size is not None else 0
    match arg.role:
        case Role.PATH | Role.STR | Role.SOURCE:
            return cstr(peek, value)
        case Role.FD | Role.NEWFD:
            return descriptor(value)
        case Role.DIRFD:
            shown = descriptor(value)
            return "AT_FDCWD" if shown == str(AT_FDCWD) else shown
        case Role.IN:
            data = peek(value, min(size, DATA_MAX)) if value and size else b""
            if not data:
                return f"{value:#x}" if value else "NULL"
            return quoted(data) + ("..." if size > len(data) else "")
        case Role.STRV:
            return strv(peek, value)
        case Role.SOCKADDR_IN:
            return sockaddr(peek, value, size & 0xFFFFFFFF)
        case Role.LENP:
            word = peek(value, 4) if value else b""
            if len(word) < 4:
                return f"{value:#x}" if value else "NULL"
            return f"[{int.from_bytes(word, 'little')}]"
        case Role.FLAGS:
            return bits(call, index, value)
        case Role.MODE:
            if call.op == "access":
                return join(value & 0xFFFFFFFF, ACCESS_NAMES, zero="F_OK")
            return f"{value & 0xFFFF:#05o}".replace("o", "", 1)
        case Role.INT:
            return number(call, arg, value)
        case _:
            return f"{value:#x}" if value else "NULL"


def wanted(call: Call, args: Sequence[int]) -> int:
    """How many arguments mean something: open's mode only when it creates a file."""
    for i, arg in enumerate(call.args):
        if arg.role is Role.PATH and arg.lookup is Lookup.OPEN and arg.flags is not None:
            temporary = args[arg.flags] & os.O_TMPFILE == os.O_TMPFILE
            return len(call.args) if args[arg.flags] & os.O_CREAT or temporary else i + 2
    return len(call.args)


def format_call(call: Call, args: Sequence[int], peek: Peek) -> str:
    """The call, `args` its six registers: openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC).

    Memory is read when this is called: what the call writes is shown as an address.
    """
    shown = (argument(call, i, args, peek) for i in range(wanted(call, args)))
    return f"{call.name}({', '.join(shown)})"


def format_result(call: Call, value: int | None) -> str:
    """What the call returned: "= 3", "= -1 ENOENT (No such file or directory)".

    `value` is the register, signed or not; None means that it did not return ("= ?").
    """
    if value is None:
        return "= ?"
    value &= 0xFFFFFFFFFFFFFFFF
    code = (1 << 64) - value
    if code in RESTARTS:
        return f"= ? {RESTARTS[code]} (To be restarted)"
    if code < 4096:  # IS_ERR_VALUE
        return f"= -1 {errno.errorcode.get(code, str(code))} ({os.strerror(code)})"
    return (
        f"= {value:#x}"
        if call.op in ADDRESSES
        else f"= {value - (1 << 64) if value >> 63 else value}"
    )
