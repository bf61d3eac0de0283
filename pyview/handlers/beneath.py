# SPDX-License-Identifier: GPL-2.0-or-later
"""openat2 with limits to its resolution: how far a name may lead, and through what."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import NamedTuple

from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import overlays, trees
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.openfile import O_PATH
from pyview.paths import LINKS, Found, cover_of, real_of
from pyview.verdicts import At, Done, Handler, Real, Redirect, Word
from pyview.view import Cover

NO_XDEV, NO_SYMLINKS, BENEATH, IN_ROOT = 0x01, 0x04, 0x08, 0x10
SCOPED = BENEATH | IN_ROOT


class How(NamedTuple):
    """struct open_how."""

    flags: int
    mode: int
    resolve: int


def open_(caller: Caller, how: How) -> Handler:
    """openat2 with such limits: the kernel's affair, in the descriptor's domain."""
    dirfd = as_fd(caller.args[0])
    name = caller.text(caller.args[1])
    if not name:
        raise refuse(errno.ENOENT)
    absolute = name.startswith("/")
    if absolute and how.resolve & BENEATH:
        return Real()  # EXDEV
    if absolute and not how.resolve & IN_ROOT:
        return (yield from _absolute(caller, name, how))
    domain = caller.cwd_domain() if dirfd == AT_FDCWD else caller.fd_domain(dirfd)
    if dirfd != AT_FDCWD and caller.object(dirfd) is not None:
        domain = -1
    if domain >= 0 and any(cover.layers for cover in caller.view.covers()):
        base = caller.directory(dirfd)
        if cover_of(caller.view, base).layers and not caller.elsewhere():
            return (yield from _virtual(caller, base, name, how))
    if not domain:
        return Real()
    if domain < 0:
        return (yield from _virtual(caller, caller.directory(dirfd), name, how))
    fd = yield Redirect({})
    if fd >= 0:
        caller.mark(fd, domain)
    return Done()


def _absolute(caller: Caller, name: str, how: How) -> Handler:
    """A name whose first words lead straight to a mount of the view, and what is behind them."""
    cover, rest = _head(caller, name)
    if cover is None or not (cover.number or cover.prefix or cover.layers):
        return Real()
    if cover.number < 0 or cover.layers:
        return (yield from _virtual(caller, cover.prefix or "/", rest, how))
    real = real_of(cover, cover.prefix).rstrip("/") + "/" + rest
    changes: dict[int, Word] = {1: os.fsencode(real) + b"\0"}
    fd = yield Redirect(changes)
    if fd >= 0:
        caller.mark(fd, cover.number)
    return Done()


def _head(caller: Caller, name: str) -> tuple[Cover | None, str]:
    """The mount that a name's first words are the name of, and the words behind them."""
    best, rest, here = None, name, ""
    covers = {cover.prefix: cover for cover in caller.view.covers()}
    words = name.split("/")
    for at, word in enumerate(words):
        if word == "..":
            break
        if word not in ("", "."):
            here += "/" + word
        if here in covers:
            best, rest = covers[here], "/".join(words[at + 1 :])
    return best, rest


def _virtual(caller: Caller, base: str, name: str, how: How) -> Handler:
    """The same from a directory in a virtual tree."""
    where = _found(caller, base, name, how)
    if isinstance(where, str):
        yield Redirect({1: os.fsencode(where) + b"\0"})
        return Done()
    if where.overlay is not None:
        where = overlays.revealed(caller, where, how.flags)
        verdict = yield from overlays.open_(caller, where, how.flags, how.mode)
        if verdict is not None:
            return verdict
    if where.real is not None:
        return (yield from _real(caller, where, how))
    verdict = yield from trees.open_(caller, where, how.flags, how.mode)
    if isinstance(verdict, At):
        return (yield from _real(caller, where._replace(real=verdict.real), how))
    return verdict


def _real(caller: Caller, where: Found, how: How) -> Handler:
    """A file of the kernel that a tree shows as it is, by its own name: nothing limits that."""
    unlimited = struct.pack("=QQQ", how.flags, how.mode, 0)
    name = os.fsencode(where.real or "") + b"\0"
    fd = yield Redirect({1: name, 2: unlimited, 3: len(unlimited)})
    if fd >= 0 and where.overlay is not None:
        caller.mark(fd, where.number)
    return Done()


def _found(caller: Caller, base: str, name: str, how: How) -> Found | str:
    """Where a name leads, each of its words looked at; the kernel's name once it is among its own.

    Errors: EXDEV, ELOOP, ENOENT, ENOTDIR, EACCES.
    """
    follows = not how.flags & os.O_NOFOLLOW
    follows = follows and how.flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
    here, links, slash, dotted = base, 0, name.endswith("/"), False
    todo = list(reversed(name.split("/")))
    while todo:
        word = todo.pop()
        last = not any(todo)
        dotted = word in (".", "..") or (dotted and not word)
        if word in ("", "."):
            continue
        if word == "..":
            here = _above(here, base, how.resolve)
            continue
        child = here.rstrip("/") + "/" + word
        if last and slash and how.flags & (os.O_CREAT | O_PATH) == os.O_CREAT and name[-1] == "/":
            raise refuse(errno.EISDIR)
        target = _link(caller, child) if not last or follows or slash else None
        if target is None:
            here = child
            real = None if last else _search(caller, here)
            if real is not None:
                if how.resolve & SCOPED:
                    raise refuse(errno.EXDEV, here)
                return "/".join([real, *reversed(todo)])
            continue
        links += 1
        if links > LINKS or how.resolve & NO_SYMLINKS:
            raise refuse(errno.ELOOP)
        if target.startswith("/"):
            if how.resolve & BENEATH:
                raise refuse(errno.EXDEV)
            here = base if how.resolve & IN_ROOT else "/"
        slash = slash or (last and target.endswith("/"))
        todo.extend(reversed(target.split("/")))
    slash = slash and not dotted
    return caller.resolve(AT_FDCWD, here + ("/" if slash else ""), follow=False, makes=True)


def _above(here: str, base: str, resolve: int) -> str:
    """Where ".." leads.  Errors: EXDEV."""
    if here.rstrip("/") == base.rstrip("/") and resolve & SCOPED:
        if resolve & BENEATH:
            raise refuse(errno.EXDEV)
        return here
    return os.path.dirname(here)


def _link(caller: Caller, name: str) -> str | None:
    """The target of a link; None for anything else, and for nothing."""
    where = caller.resolve(AT_FDCWD, name, follow=False)
    if where.real is not None and where.overlay is None:
        return None
    try:
        if not stat.S_ISLNK(where.tree.lstat(where.rest).st_mode):
            return None
    except FileNotFoundError:
        return None
    return where.tree.readlink(where.rest)


def _search(caller: Caller, name: str) -> str | None:
    """A directory on the way; its name when it is one of the kernel's.

    Errors: ENOENT, ENOTDIR, EACCES.
    """
    where = caller.resolve(AT_FDCWD, name, follow=False)
    if where.real is not None and where.overlay is None:
        if stat.S_ISDIR(os.stat(where.real).st_mode):
            return where.real
        raise refuse(errno.ENOTDIR, name)
    st = trees.lstat(where)
    if not stat.S_ISDIR(st.st_mode):
        raise refuse(errno.ENOTDIR, name)
    trees.may(caller, where, st, os.X_OK)
    return None
