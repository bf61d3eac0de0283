# SPDX-License-Identifier: GPL-2.0-or-later
"""The mount type `viewfs`: its options, and what they make."""

from __future__ import annotations

import errno
import os
import stat

from pyview.api import Tree, if_it_fails, refuse
from pyview.modules.viewfs.cow import Cow
from pyview.modules.viewfs.merge import Merge
from pyview.modules.viewfs.upper import Upper

#: What a copy of the whole system leaves to the kernel, unless it is mounted elsewhere.
KERNELS_OWN = ("/proc", "/sys", "/dev/pts", "/dev/shm")


def mount(
    below: Tree,
    source: str,
    target: str,
    *,
    move: bool = False,
    bind: bool = False,
    merge: bool = False,
    cow: bool = False,
    mincow: bool = False,
    except_: list[str] | None = None,
    vstat: bool = True,
    renew: bool = False,
    nochcopy: bool = True,
    ro: bool = False,
    unreadable: str = "empty",
    sync: bool = False,
) -> Tree:
    """Show `source` at `target`, alone (move, bind) or over what is there.

    vstat    owners and modes are virtual: always so
    renew    the newest mount hides the older ones: always so
    nochcopy a change of owner or mode copies no data: always so

    Errors: EINVAL, EBUSY, ENOTDIR, and what is said of the source.
    """
    ways = [name for name, on in (("merge", merge), ("cow", cow), ("mincow", mincow)) if on]
    plain = move or bind or not ways
    if len(ways) + (move or bind) > 1:
        raise OSError(errno.EINVAL, "only one of move, merge, cow and mincow", target)
    if unreadable not in ("empty", "error"):
        raise OSError(errno.EINVAL, f"unreadable={unreadable}: neither empty nor error", target)
    st = below.lstat(source)
    if plain:
        return _moved(below, source, target, ro)
    if not stat.S_ISDIR(st.st_mode):
        raise refuse(errno.ENOTDIR, source)
    real = below.real(source)
    if real is None:
        raise OSError(errno.EINVAL, "not a real directory", source)
    excepted = _excepted(source, target, except_ or [])
    if merge or ro:
        tree: Merge | Cow = Merge(
            below, target, Upper(below.at(source), real, "", read_only=True), unreadable == "empty"
        )
        assert isinstance(tree, Merge)
        tree.sealed = ro
    else:
        holder = f"the view of process {os.getpid()}"
        upper = Upper(below.at(source), real, holder)
        with if_it_fails(upper.close):
            tree = Cow(below, target, upper, empty=unreadable == "empty", sync=sync, first=mincow)
    tree.excepted = excepted
    return tree


def _moved(below: Tree, source: str, target: str, ro: bool) -> Tree:
    if ro:
        raise OSError(errno.EINVAL, "ro goes with merge, cow or mincow", target)
    return below.at(source)


def _excepted(source: str, target: str, words: list[str]) -> tuple[str, ...]:
    """The names, within the target, below which nothing is virtual."""
    inside = "" if target == "/" else target
    found = []
    for word in words:
        name = os.path.normpath("/" + word.strip("/"))
        if inside and (name == inside or name.startswith(inside + "/")):
            name = name[len(inside) :]
        if name == "/":
            raise OSError(errno.EINVAL, f"except={word}: nothing would be left", target)
        found.append(name)
    if not inside:
        found += [name for name in KERNELS_OWN if name not in found]
    if source == target or source.startswith(inside + "/"):
        own = source[len(inside) :] if inside else source
        if own in ("", "/"):
            raise OSError(errno.EINVAL, "a directory can't keep its own changes", target)
        if not any(own == name or own.startswith(name + "/") for name in found):
            found.append(own)
    return tuple(found)
