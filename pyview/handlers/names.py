# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that name files: one handler for all of them, by their roles in the table."""

from __future__ import annotations

import errno
import os
import struct

from pyview.abi.stat import STAT_OWNER, STATX_OWNER
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import arguments, beneath, bydescriptor, overlays, trees
from pyview.handlers.beneath import How
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.paths import Found, cover_of
from pyview.syscalls import Lookup, Role
from pyview.verdicts import At, Done, Emulate, Give, Handler, Ready, Real, Redirect, Verdict, Word
from pyview.view import Cover

TWO_NAMES = frozenset(("rename", "link"))
O_PATH = 0o10000000
CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_DIRECTORY
PATH_MAX = 4096  # bytes, with the NUL
CREATS = os.O_CREAT | os.O_WRONLY | os.O_TRUNC  # creat(2)


def lookup_flags(caller: Caller, path_index: int) -> int:
    """The word of flags that says how the last name is looked up; 0 when there is none."""
    arg = caller.call.args[path_index]
    if arg.flags is None:
        return CREATS if caller.call.name == "creat" else 0
    value = caller.args[arg.flags]
    if arg.lookup is Lookup.HOW:
        return int.from_bytes(caller.peek(value, 8), "little")
    return value & 0xFFFFFFFF


def find(caller: Caller, dirfd_index: int | None, path_index: int) -> Found | None:
    """Where a path argument leads; None when it names nothing (NULL, or "" for the descriptor)."""
    if not caller.args[path_index]:
        return None
    path = caller.text(caller.args[path_index])
    if not path:
        return _linked(caller)
    dirfd = AT_FDCWD if dirfd_index is None else as_fd(caller.args[dirfd_index])
    arg, flags = caller.call.args[path_index], lookup_flags(caller, path_index)
    if caller.call.op == "open" and flags & O_PATH:
        flags &= ~(os.O_CREAT | os.O_EXCL)  # open(2): ignored
    makes = caller.call.op == "open" and bool(flags & os.O_CREAT)
    follow = arg.follows(flags)
    return caller.resolve(dirfd, path, follow=follow, entry=arg.entry, makes=makes)


def _is_empty(caller: Caller) -> bool:
    return not caller.text(caller.args[1])


def _linked(caller: Caller) -> Found | None:
    """What linkat(2) with AT_EMPTY_PATH gives a name: the file of a descriptor."""
    if caller.call.name != "linkat" or not caller.args[4] & arguments.AT_EMPTY_PATH:
        return None
    fd = as_fd(caller.args[0])
    if fd == AT_FDCWD or caller.args[4] & ~(arguments.AT_EMPTY_PATH | arguments.AT_FOLLOW):
        return None
    caller.closes_at_exec(fd)  # EBADF
    link = f"/proc/{caller.tid}/fd/{fd}"
    # The kernel lets only who has opened the file do so, and that may have been the core.
    return caller.resolve(AT_FDCWD, link, follow=True)._replace(same=False)


def as_word(real: str) -> bytes:
    """A name as an argument."""
    return os.fsencode(real) + b"\0"


def any_name(caller: Caller) -> Handler | Verdict:
    """The call is run on the kernel's names for what its names lead to."""
    found: list[Found] = []
    changes: dict[int, Word] = {}
    if caller.call.op == "utimens" and arguments.leaves_times(caller):
        return Emulate(0)
    for dirfd_index, path_index in caller.call.paths():
        where = _sought(caller, dirfd_index, path_index, found)
        if where is None:
            first = caller.call.paths()[0][1]
            if not found and path_index != first:
                _check_named(caller, first)
            if found and found[0].real is None:
                arguments.check(caller)
                caller.exists(found[0], parent=caller.call.op == "rename")
            verdict = _nameless(caller, dirfd_index)
            if verdict is not None:
                return verdict
            continue
        found.append(where)
        if not where.same and where.real is not None:
            changes[path_index] = as_word(where.real)
            if caller.call.name == "linkat" and path_index == 1 and _is_empty(caller):
                changes |= {0: AT_FDCWD, 4: arguments.AT_FOLLOW}
    if caller.call.op == "link" and found and found[-1].overlay is not None:
        linked = overlays.link_descriptor(caller, found)
        if linked is not None:
            return linked
    if caller.call.op in TWO_NAMES and len(found) == 2:
        _one_mount(caller, found[0], found[1])
    if any(where.overlay is not None for where in found):
        if caller.elsewhere():
            return Real()
        if len(found) < len(caller.call.paths()):
            raise _unnamed(caller, found[0])
        overlaid = overlays.named(caller, found, changes)
        if overlaid is not None:
            return overlaid
    if any(where.real is None for where in found):
        if len(found) < len(caller.call.paths()):
            raise _unnamed(caller, found[0])
        return trees.answer(caller, found)
    if caller.call.op == "stat" and found and (found[0].real or "").startswith("/proc/"):
        real = found[0].real or ""
        owner = caller.owner_in_proc(real)
        st = caller.link_attributes(real, owner)
        if st is not None:
            return trees.told(caller, st, found[0].cover.mount)
        if owner is not None:
            return _owned_by(caller, changes, owner)
    if not changes:
        return Real(all(where.clean for where in found))
    return At(found[0].real or "", found[0].number, changes)


def _owned_by(caller: Caller, changes: dict[int, Word], owner: tuple[int, int]) -> Handler:
    """stat(2) of a file of proc, whose owner is the view's affair."""
    value = yield Redirect(changes)
    if value == 0:
        buffer = caller.args[caller.call.arg(Role.STRUCT_OUT)]
        at = STATX_OWNER if caller.call.name == "statx" else STAT_OWNER
        caller.store(buffer + at, struct.pack("=II", *owner))
    return Done()


def _sought(
    caller: Caller, dirfd_index: int | None, path_index: int, before: list[Found]
) -> Found | None:
    """find(), with the error that the kernel would have come upon before the name's own."""
    try:
        return find(caller, dirfd_index, path_index)
    except OSError:
        arguments.check(caller)
        first = caller.call.paths()[0][1]
        if not before and path_index != first:
            _check_named(caller, first)
        if before:
            caller.exists(before[0], parent=caller.call.op == "rename")
        raise


def _nameless(caller: Caller, dirfd_index: int | None) -> Handler | Verdict | None:
    """A call on a directory descriptor itself, when that is an emulated one."""
    if dirfd_index is None:
        return None
    dirfd = as_fd(caller.args[dirfd_index])
    if dirfd == AT_FDCWD:
        if caller.cwd_domain() >= 0:
            return None
        arguments.check(caller)
        bydescriptor.named(caller, dirfd_index)
        if caller.call.op == "readlink":
            raise refuse(errno.ENOENT)
        here = caller.resolve(AT_FDCWD, ".", follow=True)
        return trees.answer(caller, [here]) if here.real is None else None
    file = caller.object(dirfd)
    if file is not None:
        return bydescriptor.answer(caller, file, dirfd_index)
    if not bydescriptor.is_named(caller, dirfd_index):
        return None
    from pyview.handlers import claimed  # not before it is needed

    return claimed.by_descriptor(caller, dirfd, dirfd_index)


def _unnamed(caller: Caller, other: Found) -> OSError:
    """What is wrong with a call that has a name in a virtual tree, and beside it "" or NULL."""
    arguments.check(caller)
    first = caller.call.paths()[0][1]
    if caller.args[first] and caller.text(caller.args[first]):
        caller.exists(other, parent=caller.call.op == "rename")
    for _, path_index in caller.call.paths():
        _check_named(caller, path_index)
    return refuse(errno.EXDEV)  # "" was a file of the kernel


def _check_named(caller: Caller, path_index: int) -> None:
    """Errors: EFAULT for NULL, ENOENT for "" where that is no name."""
    address, arg = caller.args[path_index], caller.call.args[path_index]
    if not address:
        raise refuse(errno.EFAULT)
    if not caller.text(address) and not arg.allows_empty(lookup_flags(caller, path_index)):
        raise refuse(errno.ENOENT)


def _one_mount(caller: Caller, old: Found, new: Found) -> None:
    """rename(2) and link(2) stay within one mount; EXDEV before anything happens."""
    renames = caller.call.op == "rename"
    fixed = renames and any(_is_mount_point(where) for where in (old, new))
    if fixed:
        apart = _home(caller, old) is not _home(caller, new)
    else:
        apart = old.cover is not new.cover
        if old.overlay is None:
            apart = apart or (old.real is None) is not (new.real is None)
    if not fixed and not apart:
        return
    # The kernel looks up what it needs before it compares mounts: Linux fs/namei.c.
    arguments.check(caller)
    caller.exists(old, parent=renames)
    caller.exists(new, parent=True)
    if apart:
        if not renames and _there(caller, new):
            raise refuse(errno.EEXIST)
        if not renames and (new.slash or (new.real or "").endswith("/")):
            raise refuse(errno.ENOENT)
        raise refuse(errno.EXDEV)
    caller.exists(old, parent=False)
    raise refuse(errno.EBUSY)


def _there(caller: Caller, where: Found) -> bool:
    try:
        caller.exists(where, parent=False)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True  # with a slash behind its name
    return True


def _home(caller: Caller, where: Found) -> Cover:
    """What answers for the directory that a name is in."""
    if not _is_mount_point(where):
        return where.cover
    return cover_of(caller.view, where.name.rpartition("/")[0] or "/")


def _is_mount_point(where: Found) -> bool:
    """Whether a name is that of a mount point; the kernel has an error of its own for dots."""
    real = where.real or ""
    return where.is_mount_point and not real.rstrip("/").endswith(("/.", "/.."))


def open_(caller: Caller) -> Handler:
    """open, openat, creat, openat2: what is opened through a domain remembers it."""
    dirfd_index, path_index = caller.call.paths()[0]
    resolve = arguments.check_how(caller) if caller.call.name == "openat2" else 0
    flags = lookup_flags(caller, path_index) & arguments.OPEN_FLAGS
    arguments.check_open(caller, flags)
    if resolve:
        return (yield from beneath.open_(caller, How(flags, _mode(caller, path_index), resolve)))
    where = find(caller, dirfd_index, path_index)
    if where is None:
        return Real()
    if where.overlay is not None and not caller.elsewhere():
        where = overlays.revealed(caller, where, flags)
        overlaid = yield from overlays.open_(caller, where, flags, _mode(caller, path_index))
        if overlaid is not None:
            return overlaid
    if where.real is None:
        return (yield from trees.open_(caller, where, flags, _mode(caller, path_index)))
    if not flags & O_PATH:
        return _open_listened(caller, where, flags)
    if where.same and not where.number:
        return Real(where.clean)
    fd = yield Redirect({} if where.same else {path_index: as_word(where.real)})
    if fd >= 0:
        caller.mark(fd, where.number)
    return Done()


def _mode(caller: Caller, path_index: int) -> int:
    """The permission bits that a call wants for what it makes."""
    if caller.call.name == "openat2":
        return int.from_bytes(caller.peek(caller.args[2] + 8, 8), "little")
    return caller.args[path_index + (1 if caller.call.name == "creat" else 2)] & 0xFFFFFFFF


def _open_listened(caller: Caller, where: Found, flags: int) -> Real | At | Give | Ready:
    assert where.real is not None
    if where.real.startswith("/proc/") and not flags & CHANGES:
        data = caller.proc_text(where.real)
        if data is not None and where.real.endswith("/mountinfo") and not caller.can_watch():
            return Ready(watches=True)
        if data is not None:
            return Give(caller.proc_file(data, where.real), bool(flags & os.O_CLOEXEC))
    if where.same and not where.number:
        return Real(where.clean)
    path_index = caller.call.paths()[0][1]
    changes: dict[int, Word] = {} if where.same else {path_index: as_word(where.real)}
    # By a name that is too long for the core the caller opens it itself, from where it is.
    long = where.same and len(os.fsencode(where.real)) >= PATH_MAX
    return At("" if long else where.real, where.number, changes)


def readlink(caller: Caller) -> Handler | Verdict:
    """readlink, readlinkat: links of proc tell the view's names."""
    dirfd_index, path_index = caller.call.paths()[0]
    where = _sought(caller, dirfd_index, path_index, [])
    if where is None:
        return _nameless(caller, dirfd_index) or Real()
    if where.overlay is not None:
        overlays.act(caller, where)
    if where.real is None or overlays.is_virtual(where):
        return trees.answer(caller, [where])
    target = caller.proc_name(where.real)
    if target is not None:
        size = as_fd(caller.args[path_index + 2])
        if size <= 0:
            raise refuse(errno.EINVAL)
        data = os.fsencode(target)[:size]
        return Emulate(len(data), ((caller.args[path_index + 1], data),))
    if where.same:
        return Real(where.clean)
    return At(where.real, where.number, {path_index: as_word(where.real)})
