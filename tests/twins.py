# SPDX-License-Identifier: GPL-2.0-or-later
"""The same call twice: made by the kernel on a directory, answered by a handler on its twin.

The twin is shown in /e by an emulated tree.  What differs is a bug.  Paths are written "@/name",
descriptors Fd(...), memory is a bytearray that both get a copy of.
"""

from __future__ import annotations

import ctypes
import os
from typing import NamedTuple

import oracle
from playbook import MASK, Nobody, play

from pyview.handlers.caller import Ids
from pyview.modules.unreal import Emulated
from pyview.openfile import OpenFile
from pyview.verdicts import Emulate, Opened
from pyview.view import Past, View

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
FIRST = 700  # emulated descriptors, at least: the kernel's are lower


class Fd(NamedTuple):
    """A descriptor, by the order in which they were opened."""

    index: int


class Answers(NamedTuple):
    """Results (a value or -errno, an opened descriptor 0), and the buffers after the call."""

    value: int
    memory: tuple[bytes, ...]


class Twins:
    """Two directories that start alike."""

    def __init__(self, plain: str, shown: str) -> None:
        self.plain, self.shown = plain, shown
        parent, _, name = shown.rpartition("/")
        self.top = f"/e/{name}"
        self.view = View()
        self.view.mount("/e", Emulated(Past(View(), 0, parent)))
        self.caller = Nobody(self.view, "/")
        umask = os.umask(0)
        os.umask(umask)
        groups = frozenset((*os.getgroups(), os.getegid()))
        self.caller.rights = Ids(os.geteuid(), os.getegid(), groups, umask)
        self.fds: list[int] = []  # the kernel's

    def plant(self, plan: dict[str, str | bytes | None]) -> None:
        """Files (bytes), links (text) and directories (None), by name."""
        for top in (self.plain, self.shown):
            for name, what in plan.items():
                full = f"{top}/{name}"
                if what is None:
                    os.mkdir(full, 0o755)
                elif isinstance(what, str):
                    os.symlink(what, full)
                else:
                    with open(full, "wb") as file:
                        file.write(what)
                    os.chmod(full, 0o644)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        for opened in self.caller.objects.values():
            opened.file.close()
        for pages in self.caller.pages_given:
            pages.close()

    # -- calls -------------------------------------------------------------------------------
    def kernel(self, name: str, *args: object) -> Answers:
        """What the kernel answers on the plain directory."""
        buffers = []
        words = []
        for arg in args:
            if isinstance(arg, str):
                words.append(ctypes.c_char_p(os.fsencode(arg.replace("@", self.plain, 1))))
            elif isinstance(arg, bytearray):
                buffers.append(ctypes.create_string_buffer(bytes(arg), len(arg)))
                words.append(buffers[-1])
            else:
                number = self.fds[arg.index] if isinstance(arg, Fd) else int(arg)
                words.append(ctypes.c_long(number))
        ctypes.set_errno(0)
        value = _libc.syscall(ctypes.c_long(oracle.numbers()[name]), *words)
        number = -ctypes.get_errno() if value == -1 else value
        return Answers(number, tuple(buffer.raw for buffer in buffers))

    def view_of(self, name: str, *args: object) -> Answers:
        """What the caller gets on the directory that is shown."""
        buffers = []
        words = []
        for arg in args:
            if isinstance(arg, str):
                words.append(arg.replace("@", self.top, 1))
            elif isinstance(arg, bytearray):
                buffers.append(self.caller.puts(bytes(arg)))
                words.append(buffers[-1])
            else:
                words.append(FIRST + arg.index if isinstance(arg, Fd) else int(arg))
        self.caller.calls(name, *words)
        try:
            verdict, _ = play(self.caller)
        except OSError as error:
            value = -error.errno
        else:
            value = self._carry_out(verdict)
        return Answers(value, tuple(self.caller.memory[at] for at in buffers))

    def _carry_out(self, verdict: object) -> int:
        """What comes of a verdict.  None leaves it to the kernel: the names are not its own."""
        if isinstance(verdict, Opened):
            self.caller.objects[FIRST + len(self.caller.objects)] = verdict.object
            return 0
        assert isinstance(verdict, Emulate), verdict
        for address, data in verdict.poke:
            assert self.caller.store(address & MASK, data) == len(data)
        return verdict.value

    def same(self, name: str, *args: object) -> Answers:
        """Make the call in both; they must answer the same, which is returned."""
        ours, theirs = self.view_of(name, *args), self.kernel(name, *args)
        if ours != theirs:  # pytest would take long to say how long buffers differ
            raise AssertionError(f"{name}{_few(args)}: {_few(ours)} instead of {_few(theirs)}")
        return theirs

    def alike(self, name: str, *args: object) -> int:
        """The same but for what is in memory."""
        ours, theirs = self.view_of(name, *args), self.kernel(name, *args)
        if ours.value != theirs.value:
            raise AssertionError(f"{name}{_few(args)}: {ours.value} instead of {theirs.value}")
        return theirs.value

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """Open it in both: 0 or -errno.  Its descriptors are the next Fd."""
        ours = self.view_of("open", path, flags, mode)
        theirs = self.kernel("open", path, flags, mode)
        value = min(0, theirs.value)
        if not value:
            self.fds.append(theirs.value)
        assert ours.value == value, f"open({path}, {flags:o}): {ours.value} instead of {value}"
        return value

    def object(self, fd: Fd) -> OpenFile:
        """The open file of the caller."""
        return self.caller.objects[FIRST + fd.index]

    # -- what has become of them -------------------------------------------------------------
    def look_alike(self) -> None:
        """Both directories hold the same."""
        ours, theirs = _picture(self.shown), _picture(self.plain)
        for name in ours.keys() | theirs.keys():
            one, other = ours.get(name, ()), theirs.get(name, ())
            if one != other:
                raise AssertionError(f"{name}: {_few(one)} instead of {_few(other)}")


def _few(values: tuple[object, ...]) -> str:
    """What is short of some values."""
    return ", ".join(repr(value)[:60] for value in values)


def _picture(top: str) -> dict[str, tuple[object, ...]]:
    """Names, types, permissions, owners, links, and what is in them; times only when they are
    not of today."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, str] = {}
    for where, directories, files in os.walk(top):
        for name in sorted([*directories, *files]):
            full = os.path.join(where, name)
            st = os.lstat(full)
            same = inodes.setdefault(st.st_ino, full.removeprefix(top))
            times = [t if t < 10**18 else "now" for t in (st.st_atime_ns, st.st_mtime_ns)]
            what: object = None
            if os.path.islink(full):
                what = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    what = file.read()
            found[full.removeprefix(top)] = (
                st.st_mode, st.st_uid, st.st_gid, st.st_rdev, same, st.st_nlink, what, *times,
            )  # fmt: skip
    return found
