# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes of files in virtual trees, by name and by descriptor: xattr(7)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import arguments
from pyview.handlers.caller import Caller
from pyview.handlers.files import change, opened
from pyview.paths import Found
from pyview.verdicts import Done, Emulate, Handler, Real, Verdict


def sized(caller: Caller, data: bytes) -> Verdict:
    """Answer with `data` where and if the caller has room: getxattr(2)."""
    address, room, _ = arguments.attribute(caller)
    if room and len(data) > room:
        raise refuse(errno.ERANGE)
    return Emulate(len(data), ((address, data),) if room and data else ())


def names_of(names: list[str]) -> bytes:
    """A list of attributes as listxattr(2) gives it."""
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _getxattr(caller: Caller, found: Found) -> Verdict:
    _is_there(found)
    return sized(caller, found.tree.getxattr(found.rest, arguments.attribute_name(caller)))


def _setxattr(caller: Caller, found: Found) -> Verdict:
    _is_there(found)
    name, value = arguments.attribute_name(caller), arguments.attribute_value(caller)
    found.tree.setxattr(found.rest, name, value, arguments.attribute(caller).flags)
    return Emulate(0)


def _listxattr(caller: Caller, found: Found) -> Verdict:
    _is_there(found)
    return sized(caller, names_of(found.tree.listxattr(found.rest)))


def _removexattr(caller: Caller, found: Found) -> Verdict:
    _is_there(found)
    found.tree.removexattr(found.rest, arguments.attribute_name(caller))
    return Emulate(0)


def _is_there(found: Found) -> None:
    """Errors: ENOENT, ENOTDIR."""
    st = found.tree.lstat(found.rest)
    if found.slash and not stat.S_ISDIR(st.st_mode):
        raise refuse(errno.ENOTDIR, found.name)


def _real(caller: Caller, operation: str, *values: Any) -> Handler:
    """The same of a real descriptor's file, which may lie in an overlay."""
    from pyview.handlers import claimed  # which needs this file

    found = yield from claimed.xattr(caller, as_fd(caller.args[0]), operation, *values)
    if found is None or not found[0]:
        return Real()
    if operation == "getxattr":
        return sized(caller, found[1])
    if operation == "listxattr":
        return sized(caller, names_of(found[1]))
    return Done() if isinstance(found[1], int) and found[1] else Emulate(0)


def getxattr(caller: Caller) -> Handler | Verdict:
    """fgetxattr; getxattrat without a name."""
    file = opened(caller)
    if file is None:
        return _real(caller, "getxattr", arguments.attribute_name(caller))
    value = change(file, "getxattr", arguments.attribute_name(caller))
    return sized(caller, value)


def setxattr(caller: Caller) -> Handler | Verdict:
    """fsetxattr; setxattrat."""
    file = opened(caller)
    arguments.check(caller)
    name, value = arguments.attribute_name(caller), arguments.attribute_value(caller)
    flags = arguments.attribute(caller).flags
    if file is None:
        return _real(caller, "setxattr", name, value, flags)
    change(file, "setxattr", name, value, flags)
    return Emulate(0)


def listxattr(caller: Caller) -> Handler | Verdict:
    """flistxattr; listxattrat."""
    file = opened(caller)
    if file is None:
        return _real(caller, "listxattr")
    return sized(caller, names_of(change(file, "listxattr")))


def removexattr(caller: Caller) -> Handler | Verdict:
    """fremovexattr; removexattrat."""
    file = opened(caller)
    if file is None:
        return _real(caller, "removexattr", arguments.attribute_name(caller))
    change(file, "removexattr", arguments.attribute_name(caller))
    return Emulate(0)


ON_NAMES: dict[str, Callable[[Caller, Found], Verdict]] = {
    "getxattr": _getxattr,
    "setxattr": _setxattr,
    "listxattr": _listxattr,
    "removexattr": _removexattr,
}
ON_DESCRIPTORS: dict[str, Callable[[Caller], Handler | Verdict]] = {
    "getxattr": getxattr,
    "setxattr": setxattr,
    "listxattr": listxattr,
    "removexattr": removexattr,
}
