# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that lie in an overlay (api.Overlay), and real descriptors of files that it shows.

What was not touched is the kernel's affair, as in any domain, until it is to be changed.  Files
are opened as real ones: those that the overlay keeps by the core, for whoever may.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Generator
from typing import Any

from pyview.abi.words import as_fd
from pyview.api import Overlay, refuse
from pyview.handlers import arguments, trees
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.handlers.files import told
from pyview.paths import Found, cover_of
from pyview.verdicts import (
    At,
    Done,
    Emulate,
    Give,
    Handler,
    Real,
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


# -- descriptors ---------------------------------------------------------------------------------


def holder(caller: Caller, fd: int) -> tuple[Overlay, int] | None:
    """The overlay that claims the file of a descriptor, and one of the core's; None: nobody does.

    Whoever asks closes it.
    """
    overlays = caller.view.overlays()
    if not overlays:
        return None
    try:
        mine = caller.real_fd(fd)
    except OSError:
        return None  # EBADF, says the kernel
    for overlay in overlays:
        overlay.who = caller.for_whom()
        if overlay.stat(mine) is not None:
            return overlay, mine
    os.close(mine)
    return None


def attributes(caller: Caller, fd: int) -> Verdict | None:
    """fstat(2) of a claimed file; None: what the kernel says."""
    held = holder(caller, fd)
    if held is None:
        return None
    overlay, mine = held
    try:
        st = overlay.stat(mine)
    finally:
        os.close(mine)
    shows = (c for c in caller.view.covers() if any(overlay is o for o, _ in c.layers))
    return None if st is None else told(caller, st, next(shows).mount)


def change(
    caller: Caller, fd: int, operation: str, *values: Any
) -> Generator[Request, Any, tuple[bool, Any]]:
    """chmod, chown, utime, getxattr... of a real descriptor's file; (False, None): the kernel's."""
    held = holder(caller, fd)
    if held is not None:
        overlay, mine = held
        try:
            return True, overlay.change(mine, operation, *values)
        finally:
            os.close(mine)
    if operation in ("getxattr", "listxattr"):
        return False, None
    try:
        name = caller.file_name(fd)
    except OSError:
        return _change_hidden(caller, fd, operation, *values)
    cover = cover_of(caller.view, name)
    if not cover.layers:
        return False, None
    path = cover.inner(name)
    for overlay, _ in cover.layers:
        overlay.who = caller.for_whom()
    overlay = cover.layers[0].overlay
    if overlay.attempts(path):
        value = yield Redirect({})
        if value >= 0 or not overlay.goes_on(-value):
            return True, value
    method: Callable[..., Any] = getattr(overlay, operation)
    return True, method(path, *values)


def _change_hidden(caller: Caller, fd: int, operation: str, *values: Any) -> tuple[bool, Any]:
    """The same, of what lies below an overlay under a name that is gone."""
    mine = caller.real_fd(fd)
    try:
        name, st = os.readlink(f"/proc/self/fd/{mine}"), os.fstat(mine)
        if not name.startswith("/") or not _is_at(name, st):
            return False, None
        cover = cover_of(caller.view, name)
        if not cover.layers or cover.number != caller.fd_domain(fd):
            return False, None
        overlay = cover.layers[0].overlay
        overlay.who = caller.for_whom()
        overlay.adopts(mine)
        return True, overlay.change(mine, operation, *values)
    finally:
        os.close(mine)


def _is_at(name: str, st: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(name), st)
    except OSError:
        return False


def leaves(caller: Caller, fd: int) -> None:
    """Whether a file's flags may be changed through a descriptor.  Errors: EOPNOTSUPP.

    No overlay keeps those, and what lies below it must not get them.
    """
    if not caller.view.overlays():
        return
    mine = caller.real_fd(fd)
    try:
        st, real = os.fstat(mine), os.readlink(f"/proc/self/fd/{mine}")
    finally:
        os.close(mine)
    if stat.S_IFMT(st.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        return
    try:
        name = caller.file_name(fd)
    except OSError:  # below an overlay, under a name that is gone; or gone altogether
        name = real
    cover = cover_of(caller.view, name)
    if cover.layers and not (st.st_nlink and cover.layers[0].overlay.attempts(cover.inner(name))):
        raise refuse(errno.EOPNOTSUPP, name)


def by_descriptor(caller: Caller, fd: int, at: int) -> Handler | Verdict | None:
    """A call whose name is "" or NULL, so that it means its descriptor `fd`, argument `at`."""
    if not caller.view.overlays():
        return None
    if caller.call.op == "stat":
        return attributes(caller, fd)
    if caller.call.op in ("utimens", "chown", "chmod"):
        return _changed(caller, fd, at)
    from pyview.handlers import extended  # which needs this file

    on_descriptor = extended.ON_DESCRIPTORS.get(caller.call.op)
    return on_descriptor(caller) if on_descriptor is not None else None


def by_number(caller: Caller, fd: int, operation: str, *values: Any) -> Handler | Verdict:
    """fchmod and its like on a real descriptor."""
    if not caller.view.overlays():
        return Real()
    return verdict_of(caller, fd, operation, *values)


def _is_path(caller: Caller, fd: int) -> bool:
    """Whether a real descriptor was opened with O_PATH."""
    import fcntl  # few ask

    try:
        mine = caller.real_fd(fd)
    except OSError:
        return False
    try:
        return bool(fcntl.fcntl(mine, fcntl.F_GETFL) & O_PATH)
    finally:
        os.close(mine)


def xattr(caller: Caller, fd: int, operation: str, *values: Any) -> Generator[Request, Any, Any]:
    """fgetxattr and its like: the value; None when it is the kernel's affair."""
    if not caller.view.overlays() or _is_path(caller, fd):
        return None  # EBADF, says the kernel
    return (yield from change(caller, fd, operation, *values))


def syncs(caller: Caller, fd: int) -> bool:
    """Whether fsync(2) of a real descriptor is to reach the kernel."""
    if caller.call.name == "syncfs":
        layers = [layer for cover in caller.view.covers() for layer in cover.layers]
        return all(layer.overlay.syncs() for layer in layers)
    held = holder(caller, fd)
    if held is None:
        return True
    os.close(held[1])
    return held[0].syncs()


def _changed(caller: Caller, fd: int, at: int) -> Handler:
    operation: str = caller.call.op
    values: tuple[int | None, ...]
    if operation == "utimens":
        if arguments.leaves_times(caller):
            return Emulate(0)
        operation, values = "utime", arguments.times(caller)
    elif operation == "chown":
        values = (arguments.owner(caller.args[at + 2]), arguments.owner(caller.args[at + 3]))
    else:
        values = (caller.args[at + 2] & 0o7777,)
    return (yield from verdict_of(caller, fd, operation, *values))


def verdict_of(caller: Caller, fd: int, operation: str, *values: Any) -> Handler:
    """A change by descriptor as the answer to a call."""
    ours, value = yield from change(caller, fd, operation, *values)
    if not ours:
        return Real()
    if isinstance(value, int) and value:
        return Done()
    return Emulate(0)
