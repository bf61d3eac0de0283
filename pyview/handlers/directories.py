# SPDX-License-Identifier: GPL-2.0-or-later
"""The working directory, the root, and the listing of directories that have mount points."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from pyview.abi import dirent
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import merged, overlays, trees
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.handlers.merged import mounted_in
from pyview.handlers.names import as_word, find
from pyview.openfile import O_PATH, OpenFile, number_of
from pyview.paths import Found
from pyview.verdicts import Done, Emulate, Handler, Real, Redirect, Verdict

if TYPE_CHECKING:
    from pyview.credentials import Credentials

PATH_MAX = 4096  # bytes
CAP_SYS_CHROOT = 18
VIRTUAL = -1  # as a domain: the directory lies in a virtual tree


def chdir(caller: Caller) -> Handler:
    """Really change the directory, and remember its domain."""
    where = find(caller, None, 0)
    if where is None:
        return Real()
    if where.overlay is not None:
        where = overlays.revealed(caller, where)
        if overlays.is_virtual(where):
            _may_enter(caller, where)
    if where.real is None:
        return _enter(caller, where)
    value = yield Redirect({} if where.same else {0: as_word(where.real)})
    if value == 0:
        caller.moved(where.number)
    return Done()


def _enter(caller: Caller, where: Found) -> Emulate:
    """A directory in a virtual tree becomes the task's: the kernel's own stays where it is."""
    _may_enter(caller, where)
    caller.moved(VIRTUAL, caller.place(where))
    return Emulate(0)


def _may_enter(caller: Caller, where: Found) -> None:
    """Errors: ENOENT, ENOTDIR, EACCES."""
    st = trees.lstat(where)
    if not stat.S_ISDIR(st.st_mode):
        raise refuse(errno.ENOTDIR, where.name)
    trees.may(caller, where, st, os.X_OK)


def fchdir(caller: Caller) -> Handler:
    """The directory's domain is what its descriptor remembers."""
    file = caller.object(as_fd(caller.args[0]))
    if file is not None:
        if not file.is_directory:
            raise refuse(errno.ENOTDIR, file.name)
        return _enter(caller, caller.resolve(AT_FDCWD, file.name, follow=False))
    domain = caller.fd_domain(as_fd(caller.args[0]))
    value = yield Redirect({})
    if value == 0:
        caller.moved(domain)
    return Done()


def chroot(caller: Caller) -> Handler:
    """A task with another root sees other files than the core."""
    where = find(caller, None, 0)
    if where is None:
        return Real()
    who = caller.credentials()
    if where.real is None or who is not None:
        return _enter_root(caller, where, who)
    kept = where.shown is not None and where.shown.kept
    if where.overlay is not None and where.overlay.keeps and not kept:
        raise refuse(errno.EPERM, where.name)  # from there it would change what lies below
    value = yield Redirect({} if where.same else {0: as_word(where.real)})
    if value == 0 and where.real.rstrip("/"):
        caller.foreign()
    return Done()


def _enter_root(caller: Caller, where: Found, who: Credentials | None) -> Emulate:
    """chroot(2) as the view has it: Linux fs/open.c:do_chroot.

    Errors: ENOENT, ENOTDIR, EACCES, EPERM.
    """
    if where.overlay is not None:
        where = overlays.revealed(caller, where)
    if where.real is None or overlays.is_virtual(where):
        _may_enter(caller, where)
    else:
        caller.search(where)
    if who is None or not who.can(CAP_SYS_CHROOT):
        raise refuse(errno.EPERM, where.name)
    if where.name != "/":
        caller.enters_root(where.name)
    return Emulate(0)


def getcwd(caller: Caller) -> Verdict:
    """The name in the view.  Errors: ENAMETOOLONG, ERANGE, ENOENT when it was removed, EFAULT."""
    if not caller.cwd_domain() and (caller.elsewhere() or not caller.view.overlays()):
        return Real()
    here = caller.cwd()
    if caller.cwd_domain() < 0:
        trees.lstat(caller.resolve(AT_FDCWD, here, follow=False))  # ENOENT when it was removed
    name = os.fsencode(here) + b"\0"
    if len(name) > PATH_MAX:
        raise refuse(errno.ENAMETOOLONG)
    if len(name) > caller.args[1]:
        raise refuse(errno.ERANGE)
    return Emulate(len(name), ((caller.args[0], name),))


def getdents(caller: Caller) -> Verdict:
    """A directory's own entries, and what the view has mounted in it, in the first piece."""
    fd, size = as_fd(caller.args[0]), caller.args[2] & 0xFFFFFFFF
    file = caller.object(fd)
    if file is not None:
        return _virtual_entries(caller, file, size)
    try:
        directory = caller.directory(fd)
    except FileNotFoundError:
        return Real()
    listed = merged.entries(caller, fd, directory, size)
    if listed is not None:
        return listed
    names = mounted_in(caller, directory)
    old = caller.call.name == "getdents"
    room = sum(len(os.fsencode(name)) + 32 for name in names)
    if not names or size < room + 300:
        return Real()
    data = caller.entries(fd, size - room)
    if data is None:
        return Real()
    real = list(dirent.unpack(data))
    known = {entry.name for entry in real}
    last = real[-1].offset if real else 0
    real += [
        dirent.Entry(name, 1, last, dirent.DT_UNKNOWN)
        for name in sorted(map(os.fsencode, names))
        if name not in known
    ]
    out = dirent.pack_old(real) if old else dirent.pack(real)
    return Emulate(len(out), ((caller.args[1], out),))


def _checked(name: str, inode: int, mode: int) -> tuple[str, int, int]:
    """An entry as a module gives it: a name that can be one."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"{name!r} is no name of an entry")
    return name, inode, mode


def _virtual_entries(caller: Caller, file: OpenFile, size: int) -> Verdict:
    """getdents of a directory in a virtual tree: as it was when its reading began."""
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if not file.is_directory:
        raise refuse(errno.ENOTDIR)
    if file.listing is None or (file.direct and not file.offset):  # rewound, says the kernel alone
        found = [_checked(*entry) for entry in file.tree.entries(file.rest)]
        known = {name for name, _, _ in found}
        if len(known) < len(found):
            raise ValueError(f"a name comes twice in {file.name}")
        mounted = sorted(mounted_in(caller, file.name) - known)
        dots = [(".", 1, stat.S_IFDIR), ("..", 1, stat.S_IFDIR)]
        here = file.rest.rstrip("/")
        file.listing = [*dots, *((n, i or number_of(f"{here}/{n}"), mode) for n, i, mode in found)]
        file.listing += [(name, 1, 0) for name in mounted]
    old = caller.call.name == "getdents"
    packer = dirent.pack_old if old else dirent.pack
    pieces: list[bytes] = []
    room = as_fd(size)  # an int, which may be negative
    for at, (name, inode, mode) in enumerate(file.listing[file.offset :], file.offset + 1):
        kind = stat.S_IFMT(mode) >> 12
        piece = packer([dirent.Entry(os.fsencode(name), inode, at, kind)])
        room -= len(piece)
        if room < 0:
            if not pieces:
                raise refuse(errno.EINVAL)
            break
        pieces.append(piece)
    return Emulate(_stored(caller, file, pieces))


def _stored(caller: Caller, file: OpenFile, pieces: list[bytes]) -> int:
    """Store as many entries as there is memory for; their bytes.  Errors: EFAULT."""
    stored = caller.store(caller.args[1], b"".join(pieces)) if pieces else 0
    done = 0
    for piece in pieces:
        if done + len(piece) > stored:
            break
        done += len(piece)
        file.offset += 1
    if pieces and not done:
        raise refuse(errno.EFAULT)
    return done
