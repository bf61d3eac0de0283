# SPDX-License-Identifier: GPL-2.0-or-later
"""The stack of a program that has just been executed: argc, argv, envp, auxiliary vector.

cf. Linux fs/binfmt_elf.c:create_elf_tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pyview import core

AT_NULL, AT_UID, AT_EUID, AT_GID, AT_EGID, AT_SECURE, AT_EXECFN = 0, 11, 12, 13, 14, 23, 31
WORD = 8  # bytes
NARROW = 1 << 32  # the stack of a 32-bit program lies below, no other's does
ENTRIES = 64  # more than any kernel's auxiliary vector has
SCRIPT_ARGUMENTS = 12  # an interpreter, its option and the script, as often as scripts nest


def is_narrow(tid: int) -> bool:
    """Whether the program has words of 32 bits: its calls are ENOSYS, and it is told nothing."""
    return bool(core.registers(tid).sp < NARROW)


def _words(tid: int, address: int, count: int) -> tuple[int, ...]:
    data = core.peek(tid, address, count * WORD)
    return struct.unpack(f"={len(data) // WORD}Q", data[: len(data) // WORD * WORD])


def _auxiliary(tid: int, sp: int, argc: int) -> Iterator[tuple[int, int, int]]:
    """The auxiliary vector: the address of each entry, its kind, its value."""
    at = sp + WORD * (argc + 2)
    while any(words := _words(tid, at, 64)):
        end = words.index(0) if 0 in words else len(words)
        at += WORD * end
        if end < len(words):
            break
    at += WORD
    words = _words(tid, at, 2 * ENTRIES)
    for here in range(0, len(words) - 1, 2):
        if words[here] == AT_NULL:
            break
        yield at + WORD * here, words[here], words[here + 1]


def _pointers(tid: int) -> list[int]:
    """Where the names are that the kernel put there: the first arguments, and AT_EXECFN."""
    sp = core.registers(tid).sp
    argc = _words(tid, sp, 1)[0]
    found = list(_words(tid, sp + WORD, min(argc, SCRIPT_ARGUMENTS)))
    found += [value for _, kind, value in _auxiliary(tid, sp, argc) if kind == AT_EXECFN]
    return found


def tell_identity(tid: int, ids: tuple[int, int, int, int], secure: bool) -> None:
    """Tell a new program who it is: uid, euid, gid, egid; and whether not to trust its caller."""
    if is_narrow(tid):
        return
    sp = core.registers(tid).sp
    argc = _words(tid, sp, 1)[0]
    told = dict(zip((AT_UID, AT_EUID, AT_GID, AT_EGID), ids, strict=True)) | {AT_SECURE: secure}
    for address, kind, value in _auxiliary(tid, sp, argc):
        if kind in told and told[kind] != value:
            core.patch(tid, address + WORD, struct.pack("=Q", told[kind]))


def rename_on_stack(tid: int, given: bytes, shown: bytes) -> None:
    """Replace each copy of `given` by `shown`, which is no longer; nothing else can be done."""
    if given == shown or len(given) < len(shown):
        return
    for address in _pointers(tid):
        if core.peek(tid, address, len(given) + 1) == given + b"\0":
            core.patch(tid, address, shown.ljust(len(given), b"\0"))
