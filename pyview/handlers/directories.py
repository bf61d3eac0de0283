# SPDX-License-Identifier: GPL-2.0-or-later
"""The working directory, the root, and the listing of directories that have mount points."""

from __future__ import annotations

import errno
import os

from pyview.abi import dirent
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers.caller import Caller
from pyview.handlers.names import as_word, find
from pyview.verdicts import Done, Emulate, Handler, Real, Redirect, Verdict


def chdir(caller: Caller) -> Handler:
    """Really change the directory, and remember its domain."""
    where = find(caller, None, 0)
    if where is None:
        return Real()
    if where.real is None:
        raise refuse(errno.EOPNOTSUPP, where.name)
    value = yield Redirect({} if where.same else {0: as_word(where.real)})
    if value == 0:
        caller.moved(where.number)
    return Done()


def fchdir(caller: Caller) -> Handler:
    """The directory's domain is what its descriptor remembers."""
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
    if where.real is None:
        raise refuse(errno.EOPNOTSUPP, where.name)
    value = yield Redirect({} if where.same else {0: as_word(where.real)})
    if value == 0 and where.real.rstrip("/"):
        caller.foreign()
    return Done()


def getcwd(caller: Caller) -> Verdict:
    """The name in the view.  Errors: ERANGE, ENOENT when it was removed, EFAULT."""
    if not caller.cwd_domain():
        return Real()
    name = os.fsencode(caller.cwd()) + b"\0"
    if len(name) > caller.args[1]:
        raise refuse(errno.ERANGE)
    return Emulate(len(name), ((caller.args[0], name),))


def getdents(caller: Caller) -> Verdict:
    """A directory's own entries, and what the view has mounted in it, in the first piece."""
    fd, size = as_fd(caller.args[0]), caller.args[2] & 0xFFFFFFFF
    directory = caller.directory(fd)
    here = "" if directory == "/" else directory
    below = (cover.prefix for cover in caller.view.covers())
    names = {n.rpartition("/")[2] for n in below if n and n.rpartition("/")[0] == here}
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
        dirent.Entry(name, 1, last, dirent.DT_DIR)
        for name in sorted(map(os.fsencode, names))
        if name not in known
    ]
    out = dirent.pack_old(real) if old else dirent.pack(real)
    return Emulate(len(out), ((caller.args[1], out),))
