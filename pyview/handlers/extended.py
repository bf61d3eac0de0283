# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes of files in virtual trees, by name and by descriptor: xattr(7)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from pyview.api import refuse
from pyview.handlers import arguments
from pyview.handlers.caller import Caller
from pyview.handlers.files import change, opened
from pyview.paths import Found
from pyview.verdicts import Emulate, Real, Verdict


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


def getxattr(caller: Caller) -> Verdict:
    """fgetxattr; getxattrat without a name."""
    file = opened(caller)
    if file is None:
        return Real()
    value = change(file, "getxattr", arguments.attribute_name(caller))
    return sized(caller, value)


def setxattr(caller: Caller) -> Verdict:
    """fsetxattr; setxattrat."""
    file = opened(caller)
    if file is None:
        return Real()
    arguments.check(caller)
    name, value = arguments.attribute_name(caller), arguments.attribute_value(caller)
    change(file, "setxattr", name, value, arguments.attribute(caller).flags)
    return Emulate(0)


def listxattr(caller: Caller) -> Verdict:
    """flistxattr; listxattrat."""
    file = opened(caller)
    if file is None:
        return Real()
    return sized(caller, names_of(change(file, "listxattr")))


def removexattr(caller: Caller) -> Verdict:
    """fremovexattr; removexattrat."""
    file = opened(caller)
    if file is None:
        return Real()
    change(file, "removexattr", arguments.attribute_name(caller))
    return Emulate(0)


ON_NAMES: dict[str, Callable[[Caller, Found], Verdict]] = {
    "getxattr": _getxattr,
    "setxattr": _setxattr,
    "listxattr": _listxattr,
    "removexattr": _removexattr,
}
ON_DESCRIPTORS: dict[str, Callable[[Caller], Verdict]] = {
    "getxattr": getxattr,
    "setxattr": setxattr,
    "listxattr": listxattr,
    "removexattr": removexattr,
}
