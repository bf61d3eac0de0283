# SPDX-License-Identifier: GPL-2.0-or-later
"""proc's lists of mounts with a view's own in them: mounts, mountinfo, mountstats of proc(5).

A view's mount stands in them as one of the kernel's would: below its parent, with the device number
that stat(2) tells of its files, so that df, findmnt and lsblk find it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from pyview.openfile import completed
from pyview.view import MOUNT_IDS, Mount, View, covers


class Line(NamedTuple):
    """A line of mountinfo, its names as they are there: escaped.

    number, parent   mount ids
    root             the mounted directory's name in its file system
    how, options     of the mount, and of the file system
    """

    number: int
    parent: int
    device: str
    root: str
    target: str
    how: str
    kind: str
    source: str
    options: str


def told(text: str, view: View, kind: str, kernels: str = "") -> str:
    """A list as the kernel gave it, with the view's mounts after its own.

    kind      mounts, mountinfo or mountstats
    kernels   the kernel's mountinfo
    """
    known = [line for line in map(_parsed, kernels.splitlines()) if line is not None]
    return text + "".join(_written(line, kind) for line in _lines(view, known))


def _parsed(text: str) -> Line | None:
    head, found, tail = text.partition(" - ")
    first, last = head.split(" "), tail.split(" ")
    if not found or len(first) < 6 or len(last) < 3:
        return None
    return Line(int(first[0]), int(first[1]), *first[2:6], *last[:3])


def _written(line: Line, kind: str) -> str:
    number, parent, device, root, target, how, sort, source, options = line
    if kind == "mounts":
        return f"{source} {target} {sort} {options} 0 0\n"
    if kind == "mountinfo":
        return f"{number} {parent} {device} {root} {target} {how} - {sort} {source} {options}\n"
    return f"device {source} mounted on {target} with fstype {sort}\n"


def _lines(view: View, known: list[Line]) -> Iterator[Line]:
    """A view's mounts; `known` are the kernel's lines."""
    known = list(known)
    for mount in view.mounts:
        if not mount.epoch or mount.leader is not None:
            continue
        above = _answering(known, _escaped(mount.target or "/"))
        line = _line(mount, above.number if above is not None else 1, known)
        known.append(line)
        yield line


def _answering(known: list[Line], name: str) -> Line | None:
    """The mount in which the escaped `name` lies: of those that cover it the newest of the view's.

    Of the kernel's the longest, and of several at one place the last.
    """
    best: Line | None = None
    for line in known:
        if not covers("" if line.target == "/" else line.target, "" if name == "/" else name):
            continue
        if best is None or line.number > MOUNT_IDS or len(line.target) >= len(best.target):
            best = line
    return best


def _line(mount: Mount, parent: int, known: list[Line]) -> Line:
    target, source = _escaped(mount.target or "/"), _escaped(mount.source)
    sort = mount.sort
    given = mount.options.split(",")
    words = [word for word in given if word and word not in ("ro", "rw", "bind")]
    how = "ro" if "ro" in given else "rw"
    options = _escaped(",".join([how, *words]))
    root = "/"
    if not sort:  # a bind mount shows what it shows again
        under = _answering(known, source)
        if under is not None:
            below = source[len(under.target.rstrip("/")) :] if source != "/" else ""
            root = (under.root.rstrip("/") + below) or "/"
            sort, source, options = under.kind, under.source, under.options
    return Line(
        MOUNT_IDS + mount.epoch, parent, _device(mount), root, target, how,
        _escaped(sort or "none"), source, options,
    )  # fmt: skip


def _device(mount: Mount) -> str:
    """What stat(2) says of the files of a mount."""
    try:
        real = mount.tree.real("/")
        st = os.stat(real) if real is not None else mount.tree.lstat("/")
    except OSError:
        return "0:0"
    device = completed(st, mount, "/").st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def _escaped(text: str) -> str:
    """A field of proc's mount lists: blanks and backslashes in octal."""
    for char in "\\ \t\n":
        text = text.replace(char, f"\\{ord(char):03o}")
    return text or "none"
