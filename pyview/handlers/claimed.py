# SPDX-License-Identifier: GPL-2.0-or-later
"""Real descriptors of files that an overlay claims (api.Overlay.claims), or that lie below one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator
from typing import Any

from pyview.api import Overlay, refuse
from pyview.handlers import arguments
from pyview.handlers.caller import Caller
from pyview.handlers.files import told
from pyview.paths import cover_of
from pyview.verdicts import Done, Emulate, Handler, Real, Redirect, Request, Verdict

O_PATH = 0o10000000


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
