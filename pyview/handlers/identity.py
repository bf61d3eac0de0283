# SPDX-License-Identifier: GPL-2.0-or-later
"""What the caller may become, where the view decides: credentials(7).  C says who it is.

The rules are credentials.py's; here are the arguments.  cf. Linux kernel/sys.c, groups.c,
capability.c.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable

from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.credentials import CAP_LAST, EVERY, NGROUPS_MAX, Credentials
from pyview.handlers.caller import Caller
from pyview.verdicts import Emulate, Real, Verdict

# <linux/prctl.h>
PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP = 7, 8, 23, 24
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 27, 28, 38, 39
PR_CAP_AMBIENT = 47
AMBIENT_IS_SET, AMBIENT_RAISE, AMBIENT_LOWER, AMBIENT_CLEAR = 1, 2, 3, 4
KEEPS_CAPABILITIES = 0x10  # of securebits

#: How many pairs of words each version of capset(2) has; the last is the kernel's own.
VERSIONS = {0x19980330: 1, 0x20071026: 2, 0x20080522: 2}
HEADER = 8  # struct __user_cap_header_struct: version, pid
SETS = 12  # struct __user_cap_data_struct: effective, permitted, inheritable


def _id(word: int) -> int:
    """A user or a group: the low 32 bits."""
    return word & 0xFFFFFFFF


def change(caller: Caller) -> Verdict:
    """The set*id family."""
    old = caller.credentials()
    if old is None:
        return Real()
    name = caller.call.name
    ids = [_id(word) for word in caller.args[: len(caller.call.args)]]
    new: Credentials = getattr(old, name)(*ids)
    if new != old:
        caller.become(new)
    if name in ("setfsuid", "setfsgid"):
        return Emulate(as_fd(old.fsuid if name == "setfsuid" else old.fsgid))
    return Emulate(0)


def setgroups(caller: Caller) -> Verdict:
    """setgroups(2).  Errors: EPERM, EINVAL, EFAULT."""
    old = caller.credentials()
    if old is None:
        return Real()
    old.setgroups(())  # EPERM comes first
    count = _id(caller.args[0])
    if count > NGROUPS_MAX:
        raise refuse(errno.EINVAL)
    data = caller.peek(caller.args[1], 4 * count) if count else b""
    if len(data) < 4 * count:
        raise refuse(errno.EFAULT)
    caller.become(old.setgroups(struct.unpack(f"={count}I", data)))
    return Emulate(0)


# -- capabilities --------------------------------------------------------------------------------


def _header(caller: Caller) -> tuple[int, int]:
    """Pairs of words, pid.  Errors: EFAULT, EINVAL for a version that nobody knows (0 pairs)."""
    head = caller.peek(caller.args[0], HEADER)
    if len(head) < HEADER:
        raise refuse(errno.EFAULT)
    version, pid = struct.unpack("=Ii", head)
    return VERSIONS.get(version, 0), pid


def capget(caller: Caller) -> Verdict:
    """capget(2), of any task of the view.  Errors: EFAULT, EINVAL, ESRCH."""
    own = caller.credentials()
    if own is None:
        return Real()
    pairs, pid = _header(caller)
    if not pairs:
        newest = struct.pack("=I", max(VERSIONS))
        value = -errno.EINVAL if caller.args[1] else 0
        return Emulate(value, ((caller.args[0], newest),))
    if not caller.args[1]:
        return Emulate(0)
    if pid < 0:
        raise refuse(errno.EINVAL)
    who = own if pid in (0, caller.tid) else caller.credentials_of(pid)
    if who is None:
        return Real()
    sets = (who.effective, who.permitted, who.inheritable)
    words = (one >> 32 * at & 0xFFFFFFFF for at in range(pairs) for one in sets)
    return Emulate(0, ((caller.args[1], struct.pack(f"={3 * pairs}I", *words)),))


def capset(caller: Caller) -> Verdict:
    """capset(2), of the caller itself.  Errors: EFAULT, EINVAL, EPERM."""
    old = caller.credentials()
    if old is None:
        return Real()
    pairs, pid = _header(caller)
    if not pairs:
        newest = struct.pack("=I", max(VERSIONS))
        return Emulate(-errno.EINVAL, ((caller.args[0], newest),))
    if pid not in (0, caller.tid):
        raise refuse(errno.EPERM)
    data = caller.peek(caller.args[1], SETS * pairs)
    if len(data) < SETS * pairs:
        raise refuse(errno.EFAULT)
    sets = [0, 0, 0]
    for at, word in enumerate(struct.unpack(f"={3 * pairs}I", data)):
        sets[at % 3] |= word << 32 * (at // 3)
    effective, permitted, inheritable = (one & EVERY for one in sets)
    caller.become(old.capset(inheritable, permitted, effective))
    return Emulate(0)


# -- prctl ---------------------------------------------------------------------------------------


def prctl(caller: Caller) -> Verdict:
    """prctl(2), as far as it is about credentials."""
    who = caller.credentials()
    answer = _OPTIONS.get(as_fd(caller.args[0]))
    if who is None or answer is None:
        return Real()
    said = answer(who, *caller.args[1:5])
    if isinstance(said, int):
        return Emulate(said)
    if said != who:
        caller.become(said)
    return Emulate(0)


def _bounding(who: Credentials, number: int, *_: int) -> int:
    if number > CAP_LAST:
        raise refuse(errno.EINVAL)
    return who.bounding >> number & 1


def _ambient(who: Credentials, what: int, number: int, *rest: int) -> Credentials | int:
    if any(rest) or (what == AMBIENT_CLEAR and number):
        raise refuse(errno.EINVAL)
    if what == AMBIENT_CLEAR:
        return who._replace(ambient=0)
    if number > CAP_LAST or what not in (AMBIENT_IS_SET, AMBIENT_RAISE, AMBIENT_LOWER):
        raise refuse(errno.EINVAL)
    if what == AMBIENT_IS_SET:
        return who.ambient >> number & 1
    return who.raise_ambient(number) if what == AMBIENT_RAISE else who.lower_ambient(number)


def _no_new_privs(who: Credentials, on: int, *rest: int) -> Credentials:
    if on != 1 or any(rest):
        raise refuse(errno.EINVAL)
    return who._replace(no_new_privs=True)


def _has_no_new_privs(who: Credentials, *rest: int) -> int:
    if any(rest):
        raise refuse(errno.EINVAL)
    return int(who.no_new_privs)


_OPTIONS: dict[int, Callable[..., Credentials | int]] = {
    PR_GET_KEEPCAPS: lambda who, *_: int(bool(who.securebits & KEEPS_CAPABILITIES)),
    PR_SET_KEEPCAPS: lambda who, keep, *_: who.keep_capabilities(keep),
    PR_CAPBSET_READ: _bounding,
    PR_CAPBSET_DROP: lambda who, number, *_: who.drop_bounding(number),
    PR_GET_SECUREBITS: lambda who, *_: who.securebits,
    PR_SET_SECUREBITS: lambda who, bits, *_: who.set_securebits(bits),
    PR_SET_NO_NEW_PRIVS: _no_new_privs,
    PR_GET_NO_NEW_PRIVS: _has_no_new_privs,
    PR_CAP_AMBIENT: _ambient,
}
