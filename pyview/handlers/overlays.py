# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that lie in an overlay (api.Overlay), and opening what it shows.

What was not touched is the kernel's affair, as in any domain, until it is to be changed.  Files
are opened as real ones: those that the overlay keeps by the core, for whoever may.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Generator
from typing import Any

from pyview.abi.words import as_fd
from pyview.api import Overlay, refuse
from pyview.handlers import arguments, trees
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.paths import Found
from pyview.verdicts import (
    At,
    Done,
    Emulate,
    Give,
    Handler,
    Redirect,
    Request,
    Verdict,
    Word,
    Work,
)

O_PATH = 0o10000000
MAKES = os.O_CREAT | os.O_EXCL
SEES_CHANGES = 0xFCE  # all that inotify(7) tells of changes: IN_MODIFY... but for IN_UNMOUNT
MAGIC = re.compile(r"/proc/(\d+)/fd/(\d+)")
CHANGES = frozenset(
    (
        *("truncate", "mkdir", "rmdir", "unlink", "rename", "link", "symlink", "mknod", "chmod"),
        *("chown", "utimens", "setxattr", "removexattr", "setattr"),
    )
)
WANTED = {os.O_RDONLY: os.R_OK, os.O_WRONLY: os.W_OK, os.O_RDWR: os.R_OK | os.W_OK}


def act(caller: Caller, found: Found) -> tuple[Overlay, str]:
    """The overlay, which now knows for whom it works, and the name in it."""
    cover, who = found.cover, caller.for_whom()
    for overlay, _ in cover.layers:
        overlay.who = who
    return cover.layers[0].overlay, cover.inner(found.name)


def is_virtual(found: Found) -> bool:
    """Whether the kernel can't tell what a name leads to."""
    return found.shown is not None and (found.shown.touched or found.shown.real is None)


def revealed(caller: Caller, found: Found, flags: int = os.O_RDONLY) -> Found:
    """The same name, when an overlay must first make readable what it leads to."""
    overlay, path = act(caller, found)
    if flags & (O_PATH | os.O_ACCMODE | os.O_TRUNC):
        return found  # what is not only read is copied anyhow
    if is_virtual(found) or not overlay.reveals(path):
        return found
    return caller.resolve(AT_FDCWD, found.name + "/" * found.slash, follow=False)


def named(caller: Caller, found: list[Found], changes: dict[int, Word]) -> Handler | Verdict | None:
    """A call on one or two names of which some lie in overlays; None: it is the kernel's affair."""
    acting = [act(caller, where) for where in found if where.overlay is not None]
    operation = caller.call.op
    if operation == "inotify_add_watch":
        return _watch(caller, found[0])
    if operation in CHANGES:
        return _change(caller, found, acting, changes)
    overlay, path = acting[0]
    writes = operation == "access" and bool(_access_mode(caller) & os.W_OK)
    if writes and overlay.attempts(path) and not overlay.goes_on(errno.EACCES):
        return None
    if writes or any(is_virtual(where) for where in found):
        if found[0].real is None:
            trees.lstat(found[0])
        if operation in trees.OPERATIONS or found[0].real is None:
            return trees.answer(caller, found)
        whole = {caller.call.paths()[0][1]: os.fsencode(found[0].real) + b"\0"}
        return At(found[0].real, found[0].number, whole)
    return None


def link_descriptor(caller: Caller, found: list[Found]) -> Verdict | None:
    """linkat(2) of what a descriptor is open for; None: its file is meant by a name."""
    where = found[-1]
    empty = caller.call.name == "linkat" and not caller.text(caller.args[1])
    if empty and not caller.args[4] & arguments.AT_EMPTY_PATH:
        raise refuse(errno.ENOENT)
    if len(found) == 1 or empty:
        fd = as_fd(caller.args[0])
    else:
        match = MAGIC.fullmatch((found[0].real or "").rstrip("/"))
        follows = caller.call.name == "linkat" and caller.args[4] & arguments.AT_FOLLOW
        if match is None or int(match[1]) != caller.process() or not follows:
            return None
        fd = int(match[2])
    overlay, path = act(caller, where)
    if trees.exists(where):
        raise refuse(errno.EEXIST, where.name)
    mine = caller.real_fd(fd)
    try:
        overlay.named(mine, path)
    finally:
        os.close(mine)
    return Emulate(0)


def _access_mode(caller: Caller) -> int:
    return caller.args[1 if caller.call.name == "access" else 2]


def _watch(caller: Caller, found: Found) -> Handler:
    """A file or a directory is watched where its changes will happen."""
    overlay, path = act(caller, found)
    real = found.real
    if caller.args[2] & SEES_CHANGES:
        if stat.S_ISREG(trees.lstat(found).st_mode):
            yield from prepared(overlay, path, os.O_WRONLY)
        real = overlay.watched(path)
    if real is None:
        raise refuse(errno.EOPNOTSUPP, found.name)
    return At(real, found.number, {caller.call.paths()[0][1]: os.fsencode(real) + b"\0"})


def _change(
    caller: Caller,
    found: list[Found],
    acting: list[tuple[Overlay, str]],
    changes: dict[int, Word],
) -> Handler:
    overlay, path = acting[0]
    if all(one.attempts(name) for one, name in acting):
        value = yield Redirect(changes)
        if value >= 0 and caller.call.op in ("rename", "rmdir", "unlink"):
            caller.names_changed()
        if value >= 0 or not overlay.goes_on(-value):
            return Done()
    if caller.call.op == "truncate":
        yield from prepared(overlay, path, os.O_WRONLY)
    answer = trees.answer(caller, found)
    return (yield from answer) if isinstance(answer, Generator) else answer


def prepared(overlay: Overlay, path: str, flags: int) -> Generator[Request, Any, None]:
    """What takes long is done in another thread."""
    work = overlay.prepares(path, flags)
    if work is not None:
        yield Work(overlay, work)


# -- opening -------------------------------------------------------------------------------------


def open_(
    caller: Caller, where: Found, flags: int, mode: int
) -> Generator[Request, Any, Verdict | None]:
    """open(2) of a name in an overlay; None: as any file of the kernel's.

    `where` has been revealed().
    """
    overlay, path = act(caller, where)
    writes = bool(flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC))
    if flags & O_PATH or not writes:
        if where.real is None:
            return (yield from trees.open_(caller, where, flags, mode))
        if flags & O_PATH or not is_virtual(where):
            return None
    st = _looked_at(where, flags)
    kind = stat.S_IFREG if st is None else stat.S_IFMT(st.st_mode)
    if kind == stat.S_IFDIR and flags & os.O_TMPFILE == os.O_TMPFILE:
        fd = overlay.nameless(path, flags, _made_mode(caller, where, mode))
        return _given(caller, where, fd, flags)
    _check_kind(where, kind, flags)
    tries = kind == stat.S_IFREG and writes and where.real is not None and overlay.attempts(path)
    if tries:
        verdict = yield from _attempt(caller, where, flags, mode)
        if verdict is not None:
            return verdict
    if st is not None:
        wanted = WANTED.get(flags & os.O_ACCMODE, os.R_OK | os.W_OK)
        wanted |= os.W_OK if flags & os.O_TRUNC else 0
        overlay.access(path, wanted, overlay.who.uid, overlay.who.groups)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        if where.real is None:
            raise refuse(errno.ENXIO, where.name)
        return None
    if kind == stat.S_IFDIR or not writes:
        return None
    yield from prepared(overlay, path, flags)
    real = overlay.opened(path, flags, _made_mode(caller, where, mode) if st is None else 0)
    return (yield from _handed(caller, where, real, flags, tries and not caller.alike()))


def _looked_at(where: Found, flags: int) -> os.stat_result | None:
    """What the kernel checks of a name before it opens it; None when the file must be made."""
    makes = bool(flags & os.O_CREAT)
    if makes and where.slash and not where.dots:
        raise trees.made_as_directory(where)
    try:
        st = trees.lstat(where)
    except FileNotFoundError:
        if not makes:
            raise
        return None
    if makes and flags & os.O_EXCL:
        raise refuse(errno.EEXIST, where.name)
    return st


def _check_kind(where: Found, kind: int, flags: int) -> None:
    """Errors: ELOOP, ENOTDIR, EISDIR, ENXIO."""
    if kind == stat.S_IFLNK:
        raise refuse(errno.ELOOP, where.name)
    if flags & os.O_DIRECTORY and kind != stat.S_IFDIR:
        raise refuse(errno.ENOTDIR, where.name)
    if kind == stat.S_IFDIR and flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC):
        raise refuse(errno.EISDIR, where.name)
    if kind == stat.S_IFSOCK:
        raise refuse(errno.ENXIO, where.name)


def _made_mode(caller: Caller, where: Found, mode: int) -> int:
    return trees.masked(caller, where, mode) & 0o7777


def _attempt(
    caller: Caller, where: Found, flags: int, mode: int
) -> Generator[Request, Any, Verdict | None]:
    """Open what lies below, as if there were no overlay; None: the overlay's turn."""
    assert where.real is not None
    assert where.overlay is not None
    if not caller.alike():
        index = caller.call.paths()[0][1]
        changes: dict[int, Word] = {} if where.same else {index: os.fsencode(where.real) + b"\0"}
        value = yield Redirect(changes)
        if value >= 0:
            caller.mark(value, where.number)
        return None if value < 0 and where.overlay.goes_on(-value) else Done()
    made = mode & 0o7777 & ~caller.ids().umask if flags & os.O_CREAT else 0
    try:
        fd = caller.open_here(where.real, flags, made, where.number)
    except OSError as error:
        if not where.overlay.goes_on(error.errno or 0):
            raise
        return None
    return Give(fd, bool(flags & os.O_CLOEXEC), True)


def _handed(caller: Caller, where: Found, real: str, flags: int, ran: bool) -> Handler:
    """The caller gets a file that the overlay keeps; `ran`: it has stopped for us already."""
    own = real.startswith((where.cover.layers[0].overlay.kept, "/proc/self/fd/"))
    number = where.cover.kept if own else 0
    if not ran:
        fd = caller.open_here(real, flags & ~MAKES, 0, number)
        return Give(fd, bool(flags & os.O_CLOEXEC), True)
    index = caller.call.paths()[0][1]
    changes: dict[int, Word] = {index: os.fsencode(real) + b"\0"}
    if caller.call.name == "openat2":
        how = caller.peek(caller.args[2], caller.args[3])
        changes[2] = (flags & ~MAKES).to_bytes(8, "little") + bytes(16) + how[24:]
    elif caller.call.name != "creat":
        changes[index + 1] = flags & ~MAKES
    value = yield Redirect(changes)
    if value >= 0:
        caller.mark(value, number)
    return Done()


def _given(caller: Caller, where: Found, fd: int, flags: int) -> Verdict:
    caller.marked_here(fd, where.cover.kept)
    return Give(fd, bool(flags & os.O_CLOEXEC), True)
