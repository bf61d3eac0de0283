# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes for an upper whose file system has none: a log beside what they belong to.

A line says what has changed, and the last line about something holds; `%XX` is a byte:

    of INODE            the first one: the log is that of this directory `.-`
    INODE NAME VALUE    the object has this attribute
    INODE NAME          it has it no more
    INODE               it is new: what was said of an earlier one with this number is over

Objects are known by their inode numbers, as attributes of the kernel's would be: so renaming and
linking change nothing here, and what is written before a new object is put in its place comes
there at once.  A line that was not written whole is none.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pyview.abi.upper import LABELS
from pyview.api import refuse
from pyview.modules.viewfs.labels import Place

NAME = os.fsdecode(LABELS)
CREATE, REPLACE = 1, 2  # setxattr(2)
SPARE = 1000  # lines that say nothing any more, before the log is written anew
SAFE = " /!\"#$&'()*+,:;<=>?@[]^`{|}"
#: File systems that number their files anew when they are mounted, or when memory is short.
FORGETFUL = ("vfat", "msdos", "exfat", "fuse.")


class Sidecar:
    """The log of one upper, and what it says."""

    def __init__(self, directory: str, *, read_only: bool, durable: bool = False) -> None:
        """`directory` is the private one; `durable`: each line is made so.

        Errors: EUCLEAN when it is another's log, ENOSPC.
        """
        self._path, self._durable = f"{directory}/{NAME}", durable
        self._of = os.stat(directory).st_ino
        self._known: dict[int, dict[str, bytes]] = {}
        self._lines, self._fd = 0, -1
        whole = self._read()
        if read_only:
            return
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, whole)
        if not whole:
            self._append(f"of {self._of}\n")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # -- the log -------------------------------------------------------------------------------
    def _read(self) -> int:
        """Learn what the log says; how many bytes of it are whole lines."""
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return 0
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines()
        if lines and lines[0] != b"of %d" % self._of:
            why = "its labels are those of another directory: it was copied"
            raise OSError(errno.EUCLEAN, why, self._path)
        for line in lines[1:]:
            self._learn(line)
        self._lines = len(lines)
        return whole

    def _learn(self, line: bytes) -> None:
        try:
            words = line.split(b" ", 2)
            number, name = int(words[0]), [os.fsdecode(unquote_to_bytes(w)) for w in words[1:2]]
        except ValueError:
            raise OSError(errno.EUCLEAN, f"damaged line: {line[:60]!r}", self._path) from None
        if len(words) == 3:
            self._known.setdefault(number, {})[name[0]] = unquote_to_bytes(words[2])
        elif len(words) == 2:
            self._known.get(number, {}).pop(name[0], None)
        else:
            self._known.pop(number, None)

    def _append(self, line: str) -> None:
        """One line, or none.  Errors: ENOSPC, EROFS."""
        if self._fd < 0:
            raise refuse(errno.EROFS, self._path)
        data, end = line.encode(), os.fstat(self._fd).st_size
        if os.write(self._fd, data) < len(data):
            os.ftruncate(self._fd, end)
            raise refuse(errno.ENOSPC, self._path)
        if self._durable:
            os.fdatasync(self._fd)
        self._lines += 1

    def keep(self, numbers: Iterable[int]) -> None:
        """Only these objects exist: the log is written anew when much of it is about others."""
        for number in set(self._known) - set(numbers):
            del self._known[number]
        live = sum(len(labels) for labels in self._known.values())
        if self._fd < 0 or self._lines < 2 * live + SPARE:
            return
        lines = [f"of {self._of}\n"]
        lines += [
            _line(number, name, value)
            for number, labels in self._known.items()
            for name, value in labels.items()
        ]
        made = f"{os.path.dirname(self._path)}/tmp-{NAME}"
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(fd)
        os.rename(made, self._path)
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._lines = len(lines)

    # -- cf. labels.Labels ---------------------------------------------------------------------
    def get(self, place: Place, name: str, *, follow: bool = True) -> bytes:
        value = self._known.get(_number(place, follow), {}).get(name)
        if value is None:
            raise refuse(errno.ENODATA, place)
        return value

    def set(self, place: Place, name: str, value: bytes, flags: int = 0) -> None:
        number = _number(place)
        there = name in self._known.get(number, {})
        if flags & CREATE and there:
            raise refuse(errno.EEXIST, place)
        if flags & REPLACE and not there:
            raise refuse(errno.ENODATA, place)
        self._append(_line(number, name, value))
        self._known.setdefault(number, {})[name] = value

    def remove(self, place: Place, name: str) -> None:
        number = _number(place)
        if name not in self._known.get(number, {}):
            raise refuse(errno.ENODATA, place)
        self._append(_line(number, name, None))
        del self._known[number][name]

    def names(self, place: Place) -> list[str]:
        return list(self._known.get(_number(place), {}))

    def born(self, place: Place) -> None:
        number = _number(place)
        if self._known.get(number):
            self._append(f"{number}\n")
        self._known.pop(number, None)


def _number(place: Place, follow: bool = True) -> int:
    if isinstance(place, int):
        return os.fstat(place).st_ino
    return os.stat(place, follow_symlinks=follow).st_ino


def _line(number: int, name: str, value: bytes | None) -> str:
    text = "" if value is None else " " + quote_from_bytes(value, SAFE)
    return f"{number} {quote_from_bytes(os.fsencode(name), '')}{text}\n"


def kind_of(device: int) -> str:
    """The type of the file system that a device number is of; "" when nobody tells: proc(5)."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo") as file:
        for line in file:
            head, _, tail = line.partition(" - ")
            if head.split()[2] == wanted:
                return tail.split()[0]
    return ""


def is_forgetful(device: int) -> bool:
    """Whether a file has another inode number there some other day."""
    return kind_of(device).startswith(FORGETFUL)
