# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on names that lie in a virtual tree: one small function an operation of the table.

What the kernel checks before a file system is asked is checked here: cf. Linux fs/namei.c.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from pyview.abi.stat import pack_statfs
from pyview.abi.words import as_fd, signed
from pyview.api import Tree, attributes, refuse
from pyview.handlers import arguments, extended, limits
from pyview.handlers.arguments import RENAME_EXCHANGE, RENAME_NOREPLACE, TMPFILE_BIT
from pyview.handlers.caller import Caller
from pyview.handlers.files import TMPFS_MAGIC, packed
from pyview.openfile import O_PATH, WRITES, Directory, OpenFile, completed
from pyview.paths import Found
from pyview.syscalls import Role
from pyview.verdicts import At, Emulate, Handler, Opened, Ready, Request, Verdict, Work
from pyview.view import Mount, covers

CHANGING_LOOKS = frozenset(("chmod", "chown", "utimens"))
OURS = os.O_CLOEXEC | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_DIRECT  # not the tree's


def lstat(found: Found) -> os.stat_result:
    """The attributes of what a name leads to.  Errors: ENOENT, ENOTDIR."""
    st = found.tree.lstat(found.rest)
    if found.slash and not stat.S_ISDIR(st.st_mode):
        raise refuse(errno.ENOTDIR, found.name)
    return completed(st, found.cover.mount, found.rest)


def made_as_directory(found: Found) -> OSError:
    """What open(2) says of a name with a slash behind it, when it is to make a file."""
    above = found.tree.lstat(os.path.dirname(found.rest))
    return refuse(errno.EISDIR if stat.S_ISDIR(above.st_mode) else errno.ENOTDIR, found.name)


def exists(found: Found) -> bool:
    try:
        found.tree.lstat(found.rest)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def answer(caller: Caller, found: list[Found]) -> Handler | Verdict:
    """The call on one or two names of one virtual tree."""
    try:
        operation = OPERATIONS[caller.call.op]
    except KeyError:
        raise refuse(_REFUSALS.get(caller.call.op, errno.EOPNOTSUPP), found[0].name) from None
    arguments.check(caller)
    caller.settle()  # whatever was closed before comes before this call
    verdict: Handler | Verdict = operation(caller, *found)
    if caller.call.op in CHANGING_LOOKS:
        caller.looks_changed()
    return verdict


# -- opening ---------------------------------------------------------------------------------------


def open_(
    caller: Caller, found: Found, flags: int, mode: int
) -> Generator[Request, Any, Opened | At | Ready]:
    """open(2) of a name in a virtual tree."""
    if not caller.can_hold(found.tree, flags):
        return Ready(caller.reach(found.tree, flags))
    caller.settle()  # who has just closed it holds nothing of it any more
    st = _before_open(caller, found, flags)
    keeps = flags & (O_PATH | os.O_CLOEXEC)
    makes = flags & (os.O_CREAT | TMPFILE_BIT)
    mode = masked(caller, found, mode) & 0o7777 if makes else 0
    if st is not None and flags & os.O_TMPFILE == os.O_TMPFILE and not flags & O_PATH:
        return (yield from _open_nameless(found, flags, mode))
    if st is not None and (flags & O_PATH or stat.S_ISDIR(st.st_mode)):
        opened = OpenFile(Directory(), found.cover.mount, found.rest, found.name, flags, st)
        return Opened(opened, bool(keeps & os.O_CLOEXEC))
    if st is not None and stat.S_ISFIFO(st.st_mode):
        return _named(caller, found.tree.backing(found.rest) or caller.fifo(st))
    opens = partial(found.tree.open, found.rest, flags & ~OURS, mode)
    # A slow tree's files may still be closing in its own thread.
    slow = getattr(found.tree, "slow", False)
    file = (yield Work(found.tree, opens)) if slow else opens()
    created = st is None
    if st is None or stat.S_ISREG(st.st_mode):
        if flags & os.O_TRUNC:
            caller.cut(found, 0)
        try:
            about = file.stat() or found.tree.lstat(found.rest)
        except OSError:
            file.close()
            raise
        st = completed(about, found.cover.mount, found.rest)
    opened = OpenFile(file, found.cover.mount, found.rest, found.name, flags, st)
    opened.created = created
    return Opened(opened, bool(flags & os.O_CLOEXEC))


def _named(caller: Caller, real: str) -> At:
    """The call on the kernel's file of this name."""
    return At(real, 0, {caller.call.paths()[0][1]: os.fsencode(real) + b"\0"})


def _open_nameless(found: Found, flags: int, mode: int) -> Generator[Request, Any, Opened]:
    """O_TMPFILE: a file in a directory, without a name."""
    makes = partial(found.tree.tmpfile, found.rest, flags & ~OURS, mode)
    slow = getattr(found.tree, "slow", False)
    file = (yield Work(found.tree, makes)) if slow else makes()
    st = completed(file.stat() or attributes(stat.S_IFREG | mode), found.cover.mount, found.rest)
    name = f"/#{st.st_ino} (deleted)"
    rest, shown = (where.rstrip("/") + name for where in (found.rest, found.name))
    opened = OpenFile(file, found.cover.mount, rest, shown, flags, st)
    opened.nameless = True
    return Opened(opened, bool(flags & os.O_CLOEXEC))


def _before_open(caller: Caller, found: Found, flags: int) -> os.stat_result | None:
    """What the kernel checks of a file that is there; None when it must be made."""
    makes = bool(flags & os.O_CREAT) and not flags & O_PATH
    access = flags & os.O_ACCMODE
    if makes and found.slash and not found.dots:
        raise made_as_directory(found)
    try:
        st = lstat(found)
    except FileNotFoundError:
        if not makes:
            raise
        return None
    kind = stat.S_IFMT(st.st_mode)
    if makes and flags & os.O_EXCL:
        raise refuse(errno.EEXIST, found.name)
    if flags & os.O_DIRECTORY and kind != stat.S_IFDIR:
        raise refuse(errno.ENOTDIR, found.name)
    if flags & O_PATH:
        return st
    if kind == stat.S_IFLNK:
        raise refuse(errno.ELOOP, found.name)
    if kind == stat.S_IFDIR and flags & os.O_TMPFILE == os.O_TMPFILE:
        may(caller, found, st, os.W_OK | os.X_OK)
        return st
    if kind == stat.S_IFDIR and flags & os.O_DIRECT:
        raise refuse(errno.EINVAL, found.name)
    if kind == stat.S_IFDIR and (access != os.O_RDONLY or flags & os.O_TRUNC or makes):
        raise refuse(errno.EISDIR, found.name)
    if kind == stat.S_IFSOCK:
        raise refuse(errno.ENXIO, found.name)
    if access in WRITES and caller.runs(found):
        raise refuse(errno.ETXTBSY, found.name)
    wanted = {os.O_RDONLY: os.R_OK, os.O_WRONLY: os.W_OK}.get(access, os.R_OK | os.W_OK)
    if flags & os.O_TRUNC:
        wanted |= os.W_OK
    may(caller, found, st, wanted)
    if flags & os.O_NOATIME and caller.uid() not in (0, st.st_uid):
        raise refuse(errno.EPERM, found.name)
    return st


def may(caller: Caller, found: Found, st: os.stat_result, wanted: int) -> None:
    """Whether the caller may do that to a file with these attributes.  Errors: EACCES, EROFS."""
    uid = caller.uid()
    alike = uid in (0, st.st_uid) or _for_all(found, st, wanted)
    groups = frozenset() if alike else caller.ids().groups
    found.tree.access(found.rest, wanted, uid, groups)


def _for_all(found: Found, st: os.stat_result, wanted: int) -> bool:
    """Whether whoever it is may: the bits say the same for all, and nothing else matters."""
    mode = st.st_mode & st.st_mode >> 3 & st.st_mode >> 6
    return wanted & ~mode == 0 and type(found.tree).access is Tree.access


# -- attributes ------------------------------------------------------------------------------------


def told(caller: Caller, st: os.stat_result, mount: Mount) -> Emulate:
    """The answer to stat(2) and its like of a file seen through a mount."""
    buffer = caller.args[caller.call.arg(Role.STRUCT_OUT)]
    return Emulate(0, ((buffer, packed(caller, st, mount)),))


def _stat(caller: Caller, found: Found) -> Verdict:
    return told(caller, lstat(found), found.cover.mount)


def _access(caller: Caller, found: Found) -> Verdict:
    mode = caller.args[2 if caller.call.name != "access" else 1] & 7
    lstat(found)
    if mode:
        flags = caller.args[3] if caller.call.name == "faccessat2" else 0
        ids = caller.ids() if flags & arguments.AT_EACCESS else caller.real_ids()
        found.tree.access(found.rest, mode, ids.uid, ids.groups)
    return Emulate(0)


def _readlink(caller: Caller, found: Found) -> Verdict:
    if found.slash and stat.S_ISDIR(lstat(found).st_mode):
        raise refuse(errno.EINVAL)
    return target(caller, found.tree.readlink(found.rest))


def target(caller: Caller, name: str) -> Emulate:
    """The answer to readlink(2).  Errors: EINVAL."""
    at = caller.call.arg(Role.OUT)
    size = as_fd(caller.args[at + 1])
    if size <= 0:
        raise refuse(errno.EINVAL)
    data = os.fsencode(name)[:size]
    return Emulate(len(data), ((caller.args[at], data),))


def _truncate(caller: Caller, found: Found) -> Handler:
    size = signed(caller.args[1])
    st = lstat(found)
    kind = stat.S_IFMT(st.st_mode)
    if kind != stat.S_IFREG:
        raise refuse(errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL)
    yield from limits.grows(caller, st.st_size, size)
    found.tree.truncate(found.rest, size)
    caller.cut(found, size)
    return Emulate(0)


def _chmod(caller: Caller, found: Found) -> Verdict:
    lstat(found)
    mode = caller.args[caller.call.arg(Role.MODE)]
    found.tree.chmod(found.rest, mode & 0o7777)
    return Emulate(0)


def _chown(caller: Caller, found: Found) -> Verdict:
    lstat(found)
    at = 2 if caller.call.name == "fchownat" else 1
    found.tree.chown(
        found.rest, arguments.owner(caller.args[at]), arguments.owner(caller.args[at + 1])
    )
    return Emulate(0)


def _utimens(caller: Caller, found: Found) -> Verdict:
    if not arguments.leaves_times(caller):
        st = lstat(found)
        if arguments.is_now(caller) and caller.uid() != st.st_uid:
            may(caller, found, st, os.W_OK)
        found.tree.utime(found.rest, *arguments.times(caller))
    return Emulate(0)


def _statfs(caller: Caller, found: Found) -> Verdict:
    lstat(found)
    about = found.tree.statvfs(found.rest)
    return Emulate(0, ((caller.args[1], pack_statfs(about, TMPFS_MAGIC)),))


# -- names -----------------------------------------------------------------------------------------


def masked(caller: Caller, found: Found, mode: int) -> int:
    """The mode of what is to be made, with the caller's umask where that applies."""
    return mode & ~caller.ids().umask if found.tree.masks(found.rest) else mode


def _new(found: Found) -> None:
    """A name that is to be made.  Errors: EEXIST, ENOENT."""
    if exists(found):
        raise refuse(errno.EEXIST, found.name)


def _mkdir(caller: Caller, found: Found) -> Verdict:
    _new(found)
    mode = masked(caller, found, caller.args[caller.call.arg(Role.MODE)]) & 0o1777
    found.tree.mkdir(found.rest, mode)
    return Emulate(0)


def _mknod(caller: Caller, found: Found) -> Verdict:
    _new(found)
    if found.slash:
        raise refuse(errno.ENOENT, found.name)
    at = caller.call.arg(Role.MODE)
    mode = caller.args[at] & 0xFFFF
    found.tree.mknod(found.rest, masked(caller, found, mode), caller.args[at + 1] & 0xFFFFFFFF)
    return Emulate(0)


def _symlink(caller: Caller, found: Found) -> Verdict:
    target = caller.text(caller.args[0])
    _new(found)
    if found.slash:
        raise refuse(errno.ENOENT, found.name)
    found.tree.symlink(target, found.rest)
    return Emulate(0)


def _may_change(caller: Caller, found: Found) -> None:
    """Whether the directory that it is in is the caller's to change.  Errors: EACCES, EROFS."""
    uid, groups = caller.uid(), caller.ids().groups
    found.tree.access(os.path.dirname(found.rest), os.W_OK | os.X_OK, uid, groups)


def _unlink(caller: Caller, found: Found) -> Verdict:
    if caller.call.name == "unlinkat" and caller.args[2] & arguments.AT_REMOVEDIR:
        return _rmdir(caller, found)
    if found.dots:
        lstat(found)  # ENOTDIR comes first
        raise refuse(errno.EISDIR, found.name)
    if stat.S_ISDIR(lstat(found).st_mode):
        _may_change(caller, found)
        raise refuse(errno.EISDIR, found.name)
    if found.is_mount_point:
        raise refuse(errno.EBUSY, found.name)
    found.tree.unlink(found.rest)
    return Emulate(0)


def _rmdir(caller: Caller, found: Found) -> Verdict:
    if found.dots:
        lstat(found)
        raise refuse(errno.EINVAL if found.dots == "." else errno.ENOTEMPTY, found.name)
    if found.is_mount_point or found.name == "/":
        raise refuse(errno.EBUSY, found.name)
    if not stat.S_ISDIR(found.tree.lstat(found.rest).st_mode):
        _may_change(caller, found)
        raise refuse(errno.ENOTDIR, found.name)
    found.tree.rmdir(found.rest)
    return Emulate(0)


def _link(caller: Caller, old: Found, new: Found) -> Verdict:
    nameless = caller.nameless(old)
    if nameless is not None:
        _new(new)
        nameless.get_name(new.rest)
        return Emulate(0)
    st = lstat(old)
    _new(new)
    if new.slash:
        raise refuse(errno.ENOENT, new.name)
    if stat.S_ISDIR(st.st_mode):
        _may_change(caller, new)
        raise refuse(errno.EPERM, old.name)
    old.tree.link(old.rest, new.rest)
    return Emulate(0)


def _rename(caller: Caller, old: Found, new: Found) -> Verdict:
    flags = caller.args[4] & 0xFFFFFFFF if caller.call.name == "renameat2" else 0
    exchange = flags & RENAME_EXCHANGE
    if old.dots or "/" in (old.name, new.name):
        raise refuse(errno.EBUSY, old.name)
    if new.dots:
        raise refuse(errno.EEXIST if flags & RENAME_NOREPLACE else errno.EBUSY, new.name)
    for found in (old, new):  # both directories are found before either name is looked up
        if not stat.S_ISDIR(found.tree.lstat(os.path.dirname(found.rest)).st_mode):
            raise refuse(errno.ENOTDIR, found.name)
    both = [stat.S_ISDIR(old.tree.lstat(old.rest).st_mode)]
    if flags & RENAME_NOREPLACE:
        _new(new)
    if exchange:
        both.append(stat.S_ISDIR(new.tree.lstat(new.rest).st_mode))
    elif not flags & RENAME_NOREPLACE:
        exists(new)  # ENAMETOOLONG, say
    if (new.slash and not both[-1]) or (old.slash and not both[0]):
        raise refuse(errno.ENOTDIR, old.name)
    if covers(old.rest, new.rest) and old.rest != new.rest:
        raise refuse(errno.EINVAL, new.name)
    if covers(new.rest, old.rest) and old.rest != new.rest:
        raise refuse(errno.EINVAL if exchange else errno.ENOTEMPTY, new.name)
    old.tree.rename(old.rest, new.rest, flags)
    if exchange:
        aside = old._replace(name=old.name + "\0", rest=old.rest + "\0")  # no name of any file
        caller.renamed(old, aside)
        caller.renamed(new, old)
        caller.renamed(aside, new)
    else:
        caller.renamed(old, new)
    return Emulate(0)


# -- what only the kernel can do ---------------------------------------------------------------


def _backed(caller: Caller, found: Found) -> Verdict:
    """inotify_add_watch and the like: for the kernel's file behind it.  Errors: EOPNOTSUPP."""
    lstat(found)
    real = found.tree.backing(found.rest)
    if real is None:
        raise refuse(errno.EOPNOTSUPP, found.name)
    return _named(caller, real)


OPERATIONS: dict[str, Callable[..., Any]] = extended.ON_NAMES | {
    "stat": _stat,
    "access": _access,
    "readlink": _readlink,
    "truncate": _truncate,
    "mkdir": _mkdir,
    "rmdir": _rmdir,
    "unlink": _unlink,
    "rename": _rename,
    "link": _link,
    "symlink": _symlink,
    "mknod": _mknod,
    "chmod": _chmod,
    "chown": _chown,
    "utimens": _utimens,
    "statfs": _statfs,
    "inotify_add_watch": _backed,
    "fanotify_mark": _backed,
    "name_to_handle_at": _backed,
}
_REFUSALS = {"acct": errno.EPERM, "swapon": errno.EPERM, "swapoff": errno.EPERM}
