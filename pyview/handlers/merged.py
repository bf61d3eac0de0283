# SPDX-License-Identifier: GPL-2.0-or-later
"""The entries of real directories to which an overlay adds, and in which it hides.

The kernel's own entries come first, with its own positions.  Behind their end are the added
ones: the descriptor's offset, which the kernel keeps, is then END and the number of the last.
"""

from __future__ import annotations

import itertools
import os
import stat

from pyview.abi import dirent
from pyview.api import Named
from pyview.handlers import overlays
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.paths import Found
from pyview.verdicts import Emulate, Verdict

END = 1 << 42  # no position of the kernel's in practice, and lseek(2) takes it
OURS = range(END, END + (1 << 40))
Numbers = dict[str, int]

_NUMBERS: dict[tuple[int, int], Numbers] = {}  # of added names, by the directory
_counter = itertools.count(1)


def entries(caller: Caller, fd: int, directory: str, size: int) -> Verdict | None:
    """getdents(2) of the real directory `directory`; None when no overlay touches it."""
    where = caller.resolve(AT_FDCWD, directory, follow=False)
    if where.overlay is None or not overlays.is_virtual(where):
        return None
    overlay, path = overlays.act(caller, where)
    mine = caller.real_fd(fd)
    try:
        found: list[dirent.Entry] = []
        if len(where.cover.layers) > 1:  # each may hide and add something
            if os.lseek(mine, 0, os.SEEK_CUR) not in OURS:
                os.lseek(mine, END, os.SEEK_SET)
            dots = [(".", 1, stat.S_IFDIR), ("..", 1, stat.S_IFDIR)]
            named = dots + overlay.entries(path)
            return _added(caller, mine, named + _mounts(caller, where, named), size)
        while os.lseek(mine, 0, os.SEEK_CUR) not in OURS:
            data = caller.listing(mine, size)
            if not data:
                os.lseek(mine, END, os.SEEK_SET)
                break
            own = {os.fsdecode(e.name): e for e in dirent.unpack(data)}
            kinds = [(name, e.inode, e.kind << 12) for name, e in own.items()]
            for name, inode, kind in overlay.inside(path, kinds):
                found.append(own[name]._replace(inode=inode, kind=kind >> 12))
            if found:
                return _given(caller, found)
        named = overlay.beside(path)
        return _added(caller, mine, named + _mounts(caller, where, named), size)
    finally:
        os.close(mine)


def _mounts(caller: Caller, where: Found, named: list[Named]) -> list[Named]:
    """The mount points in a directory that are no names of it otherwise."""
    overlay, path = overlays.act(caller, where)
    known, found = {name for name, _, _ in named}, []
    for name in sorted(mounted_in(caller, where.name) - known):
        try:
            overlay.lstat(f"{path.rstrip('/')}/{name}")
        except OSError:
            found.append((name, 1, 0))
    return found


def _added(caller: Caller, mine: int, names: list[Named], size: int) -> Verdict:
    at = os.lseek(mine, 0, os.SEEK_CUR) - END
    st = os.fstat(mine)
    numbers = _NUMBERS.setdefault((st.st_dev, st.st_ino), {})
    if not at:  # who is in the middle has seen those that are gone
        present = {name for name, _, _ in names}
        for name in [name for name in numbers if name not in present]:
            del numbers[name]
    for name, _, _ in names:
        if name not in numbers:
            numbers[name] = next(_counter)
    found: list[dirent.Entry] = []
    room = size
    for name, inode, kind in sorted(names, key=lambda entry: numbers[entry[0]]):
        if numbers[name] <= at:
            continue
        entry = dirent.Entry(os.fsencode(name), inode, END + numbers[name], stat.S_IFMT(kind) >> 12)
        room -= len(dirent.pack([entry]))
        if room < 0:
            break
        found.append(entry)
    if found:
        os.lseek(mine, found[-1].offset, os.SEEK_SET)
    return _given(caller, found)


def _given(caller: Caller, found: list[dirent.Entry]) -> Emulate:
    packer = dirent.pack_old if caller.call.name == "getdents" else dirent.pack
    out = packer(found)
    return Emulate(len(out), ((caller.args[1], out),) if out else ())


def mounted_in(caller: Caller, directory: str) -> set[str]:
    """The names of the mount points in a directory of the view."""
    here = "" if directory == "/" else directory
    below = (cover.prefix for cover in caller.view.covers())
    return {n.rpartition("/")[2] for n in below if n and n.rpartition("/")[0] == here}
