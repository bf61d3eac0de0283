# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/guests/credentials.c has told, made again with pyview.credentials: line by line."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

from pyview.credentials import Credentials, Program, root

NOTHING = Program(0o755, 0, 0)


class Line:
    """One line: a call, what it answered, and who the task was then."""

    def __init__(self, text: str) -> None:
        told, users, groups, others, sets, flags = (part.strip() for part in text.split("|"))
        call, _, answer = told.partition(" = ")
        self.call, *self.words = call.split()
        self.value, self.error = int(answer.split()[0]), answer.split()[1]
        bits, no_new_privs = flags.split()
        self.who = Credentials._make(
            (
                *map(int, users.split()),
                *map(int, groups.split()),
                tuple(map(int, others.split())),
                *(int(word, 16) for word in sets.split()),
                int(bits, 16),
                no_new_privs == "1",
            )
        )


def differences(told: str) -> Iterator[str]:
    """What the rules would have made otherwise: a line each."""
    who = root(Credentials._make((*[0] * 8, (), *[0] * 6, False)))
    for number, text in enumerate(told.splitlines(), 1):
        line = Line(text)
        if line.call == "seed" or line.error == "EACCES":  # that was about the program's file
            who = line.who
            continue
        value, error = 0, "0"
        try:
            made = CALLS[line.call](who, line.words)
            who, value = made if isinstance(made, tuple) and len(made) == 2 else (made, 0)
        except OSError as refused:
            value, error = -1, errno.errorcode[refused.errno or 0]
        if (value, error, who) != (line.value, line.error, line.who):
            yield f"line {number}: {text}\n  not {value} {error} {who}"
        who = line.who


def _ids(words: list[str]) -> list[int]:
    return [int(word) & 0xFFFFFFFF for word in words]


def _fsuid(who: Credentials, words: list[str]) -> tuple[Credentials, int]:
    return who.setfsuid(*_ids(words)), who.fsuid


def _fsgid(who: Credentials, words: list[str]) -> tuple[Credentials, int]:
    return who.setfsgid(*_ids(words)), who.fsgid


def _capset(who: Credentials, words: list[str]) -> Credentials:
    effective, permitted, inheritable = (int(word, 16) & (1 << 41) - 1 for word in words)
    return who.capset(inheritable, permitted, effective)


def _prctl(who: Credentials, words: list[str]) -> tuple[Credentials, int]:
    from pyview.handlers.identity import _OPTIONS

    option, first, second = map(int, words)
    made = _OPTIONS[option](who, first, second, 0, 0)
    return (who, made) if isinstance(made, int) else (made, 0)


def _executed(who: Credentials, words: list[str]) -> tuple[Credentials, int]:
    program = NOTHING
    if words != ["-"]:
        mode, uid, gid, attribute = words
        data = b"" if attribute == "-" else bytes.fromhex(attribute)
        program = Program(int(mode, 8), int(uid), int(gid), data)
    new, secure = who.executes(program)
    return new, int(secure)


CALLS: dict[str, Callable[[Credentials, list[str]], Credentials | tuple[Credentials, int]]] = {
    **{
        name: lambda who, words, name=name: getattr(who, name)(*_ids(words))
        for name in ("setuid", "setreuid", "setresuid", "setgid", "setregid", "setresgid")
    },
    "setfsuid": _fsuid,
    "setfsgid": _fsgid,
    "setgroups": lambda who, words: who.setgroups(tuple(_ids(words))),
    "capset": _capset,
    "prctl": _prctl,
    "exec": _executed,
}
