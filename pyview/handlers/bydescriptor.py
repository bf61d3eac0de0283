# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that act on an emulated descriptor's file where others have a name: "" or NULL.

fstatat(fd, "", AT_EMPTY_PATH), futimens, fchownat...
"""

from __future__ import annotations

import errno
import stat

from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import arguments, extended, trees
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.handlers.files import attributes, change
from pyview.openfile import O_PATH, OpenFile
from pyview.syscalls import Null
from pyview.verdicts import Emulate, Handler, Verdict


def answer(caller: Caller, file: OpenFile, at: int) -> Handler | Verdict:
    """The call, whose argument `at` is the descriptor.  Errors: see named()."""
    operation = caller.call.op
    if operation == "utimens" and arguments.leaves_times(caller):
        return Emulate(0)
    if operation == "stat":
        if _means_itself(caller, at):  # vfs_fstat() knows no flags
            arguments.check_mask(caller)
        else:
            arguments.check(caller)
        named(caller, at)
        return attributes(caller)
    arguments.check(caller)
    named(caller, at)
    if operation == "utimens":
        if not caller.args[at + 1]:
            if caller.args[3] & 0xFFFFFFFF:
                raise refuse(errno.EINVAL)
            change(file, "utime", *arguments.times(caller))
        else:
            _change_named(file, "utime", *arguments.times(caller))
        caller.looks_changed()
        return Emulate(0)
    if operation == "chown":
        _change_named(
            file, "chown", arguments.owner(caller.args[2]), arguments.owner(caller.args[3])
        )
        caller.looks_changed()
        return Emulate(0)
    if operation == "chmod":
        _change_named(file, "chmod", caller.args[2] & 0o7777)
        caller.looks_changed()
        return Emulate(0)
    if operation == "access":
        mode = caller.args[2] & 7
        if mode:
            file.tree.access(file.rest, mode, caller.uid(), caller.ids().groups)
        return Emulate(0)
    if operation == "readlink":
        if file.kind != stat.S_IFLNK:
            raise refuse(errno.ENOENT)
        return trees.target(caller, file.tree.readlink(file.rest))
    if operation in extended.ON_DESCRIPTORS:
        return extended.ON_DESCRIPTORS[operation](caller)
    raise refuse(errno.EOPNOTSUPP)


def _change_named(file: OpenFile, operation: str, *values: int | None) -> None:
    """Change what a descriptor is open for; by its name, when that is all there is of it."""
    if file.flags & O_PATH:
        getattr(file.tree, operation)(file.rest, *values)
    else:
        change(file, operation, *values)


def _means_itself(caller: Caller, at: int) -> bool:
    arg = caller.call.args[at + 1]
    flags = caller.args[arg.flags] if arg.flags is not None else 0
    return arg.allows_empty(flags & 0xFFFFFFFF)


def is_named(caller: Caller, at: int) -> bool:
    """Whether named() has nothing against it."""
    try:
        named(caller, at)
    except OSError:
        return False
    return True


def named(caller: Caller, at: int) -> None:
    """Whether the call means its descriptor, argument `at`, when its name is NULL or "".

    Errors: EFAULT, ENOENT when it does not.
    """
    arg, empty = caller.call.args[at + 1], _means_itself(caller, at)
    if caller.args[at + 1]:
        if not empty:
            raise refuse(errno.ENOENT)
    elif arg.null is Null.DIRFD:
        if as_fd(caller.args[at]) == AT_FDCWD:
            raise refuse(errno.EFAULT)
    elif not (arg.null is Null.EMPTY and empty):
        raise refuse(errno.EFAULT)
