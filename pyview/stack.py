# SPDX-License-Identifier: GPL-2.0-or-later
"""The stack of a program that has just been executed: argc, argv, envp, auxiliary vector.

cf. Linux fs/binfmt_elf.c:create_elf_tables.
"""

from __future__ import annotations

import struct

from pyview import core

AT_NULL, AT_EXECFN = 0, 31
WORD = 8  # bytes
SCRIPT_ARGUMENTS = 12  # an interpreter, its option and the script, as often as scripts nest


def _words(tid: int, address: int, count: int) -> tuple[int, ...]:
    data = core.peek(tid, address, count * WORD)
    return struct.unpack(f"={len(data) // WORD}Q", data[: len(data) // WORD * WORD])


def _pointers(tid: int) -> list[int]:
    """Where the names are that the kernel put there: the first arguments, and AT_EXECFN."""
    sp = core.registers(tid).sp
    argc = _words(tid, sp, 1)[0]
    found = list(_words(tid, sp + WORD, min(argc, SCRIPT_ARGUMENTS)))
    at = sp + WORD * (argc + 2)
    while any(words := _words(tid, at, 64)):
        end = words.index(0) if 0 in words else len(words)
        at += WORD * end
        if end < len(words):
            break
    at += WORD
    for _ in range(64):
        kind, value = _words(tid, at, 2)
        if kind == AT_EXECFN:
            found.append(value)
        if kind == AT_NULL:
            break
        at += 2 * WORD
    return found


def rename_on_stack(tid: int, given: bytes, shown: bytes) -> None:
    """Replace each copy of `given` by `shown`, which is no longer; nothing else can be done."""
    if given == shown or len(given) < len(shown):
        return
    for address in _pointers(tid):
        if core.peek(tid, address, len(given) + 1) == given + b"\0":
            core.patch(tid, address, shown.ljust(len(given), b"\0"))
