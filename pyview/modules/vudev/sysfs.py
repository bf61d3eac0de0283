# SPDX-License-Identifier: GPL-2.0-or-later
"""What sysfs and proc tell of a disk: for lsblk, parted and others that look there first.

The disk's own directory is mounted at /sys/devices/virtual/block/NAME.  The directories of links
to it (/sys/block, /sys/class/block, /sys/dev/block) and /proc/partitions are mounted over those
that were there: each shows what lies below it, and the disk's lines.  All text is made when it is
read.  cf. Documentation/ABI/stable/sysfs-block, sysfs(5), proc(5).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from pyview.api import File, Known, Tree, attributes, refuse
from pyview.modules.vudev import requests
from pyview.modules.vudev.disk import SECTOR, Disk, Piece

DEVICES = "/sys/devices/virtual/block"
PARTITIONS = "/proc/partitions"
STATISTICS = " 0" * 17
DIRECTORY = attributes(stat.S_IFDIR | 0o755, nlink=2)
PIECE = 1 << 16  # bytes read at once of what lies below


@cache
def _file(size: int) -> os.stat_result:
    return attributes(stat.S_IFREG | 0o444, size=size)


class Link(NamedTuple):
    """A symbolic link."""

    target: str


Entry = str | Link | Mapping[str, "Later"]
Later = Entry | Callable[[], Entry]  # to be called when it is needed


class Text(File):
    """An open file of a few lines."""

    def __init__(self, text: str) -> None:
        self.data = os.fsencode(text)

    def pread(self, size: int, offset: int) -> bytes:
        return self.data[offset : offset + size]

    def size(self) -> int:
        return len(self.data)

    def stat(self) -> os.stat_result:
        return _file(len(self.data))

    def known(self) -> Known:
        return Known(self.stat(), text=self.data)


class Small(Tree):
    """A few files with a line each, links and directories, of which `make` tells when asked."""

    texts = True

    def __init__(self, make: Callable[[], Entry]) -> None:
        self.make = make

    def find(self, path: str) -> Entry:
        """Errors: ENOENT, ENOTDIR."""
        found = self.make()
        for name in path.split("/"):
            if not name:
                continue
            if not isinstance(found, Mapping):
                raise refuse(errno.ENOTDIR, path)
            if name not in found:
                raise refuse(errno.ENOENT, path)
            there = found[name]
            found = there() if callable(there) else there
        return found

    def lstat(self, path: str) -> os.stat_result:
        found = self.find(path)
        if isinstance(found, Link):
            return attributes(stat.S_IFLNK | 0o777, size=len(found.target))
        if isinstance(found, str):
            return _file(len(os.fsencode(found)))
        return DIRECTORY

    def readlink(self, path: str) -> str:
        found = self.find(path)
        if isinstance(found, Link):
            return found.target
        raise refuse(errno.EINVAL, path)

    def listdir(self, path: str) -> list[str]:
        found = self.find(path)
        if isinstance(found, Mapping):
            return list(found)
        raise refuse(errno.ENOTDIR, path)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        """Errors: EACCES to write; EISDIR, ELOOP for what is no file."""
        found = self.find(path)
        if isinstance(found, Link):
            raise refuse(errno.ELOOP, path)
        if isinstance(found, Mapping):
            raise refuse(errno.EISDIR, path)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise refuse(errno.EACCES, path)
        return Text(found)


class Links(Small):
    """A directory of links over the one at `place`: the disk's own, and what lies below."""

    def __init__(self, below: Tree, place: str, own: Callable[[], Mapping[str, Link]]) -> None:
        self.below, self.place, self.own = below, place, own
        super().__init__(lambda: self.own())

    def listdir(self, path: str) -> list[str]:
        if path != "/":
            return super().listdir(path)
        try:
            names = self.below.listdir(self.place)
        except OSError:
            names = []
        return list(dict.fromkeys((*names, *self.own())))

    def lstat(self, path: str) -> os.stat_result:
        if path == "/" or path[1:] in self.own():
            return super().lstat(path)
        return self.below.lstat(self.place + path)

    def readlink(self, path: str) -> str:
        if path == "/" or path[1:] in self.own():
            return super().readlink(path)
        return self.below.readlink(self.place + path)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        if path == "/" or path[1:] in self.own():
            return super().open(path, flags, mode)
        return self.below.open(self.place + path, flags, mode)

    def unmounted(self) -> None:
        """Disks mounted later still see this one below them: it has nothing to add any more."""
        self.own = dict


class Lines(Small):
    """The file at `place`, with lines of the disk's behind those that lie below."""

    def __init__(self, below: Tree, place: str, own: Callable[[], str]) -> None:
        self.below, self.place, self.own = below, place, own
        super().__init__(lambda: self._before() + self.own())

    def _before(self) -> str:
        try:
            file = self.below.open(self.place, os.O_RDONLY)
        except OSError:
            return "major minor  #blocks  name\n\n"
        try:
            data = b""
            while piece := file.pread(PIECE, len(data)):
                data += piece
        finally:
            file.close()
        return os.fsdecode(data)

    def unmounted(self) -> None:
        self.own = str


def companions(disk: Disk) -> dict[str, Tree]:
    """What to mount for a disk at the moment at which it is mounted, by place."""
    below = disk.below
    block = Links(below, "/sys/block", lambda: {disk.name: Link(f"../{_inside(disk)}")})
    by_name = Links(below, "/sys/class/block", lambda: dict(_links(disk, by_number=False)))
    by_number = Links(below, "/sys/dev/block", lambda: dict(_links(disk, by_number=True)))
    trees = (block, by_name, by_number)
    return {
        f"{DEVICES}/{disk.name}": Home(disk),
        **{tree.place: tree for tree in trees},
        PARTITIONS: Lines(below, PARTITIONS, lambda: "".join(map(_line, _all(disk)))),
    }


class Home(Small):
    """The disk's own directory: what is in it is always the same, but for its partitions."""

    def __init__(self, disk: Disk) -> None:
        self._disk, self._own = disk, directory(disk)
        self._parts: dict[Piece, Entry] = {}
        self._all: Mapping[str, bytes | None] = {}
        self._state: object = None  # what the disk was like when that was made
        super().__init__(self._make)

    def _make(self) -> Entry:
        pieces = list(self._disk.pieces())
        if pieces != list(self._parts):
            self._parts = {part: self._parts.get(part) or _partition(part) for part in pieces}
        if not self._parts:
            return self._own
        return {**self._own, **{part.name: entry for part, entry in self._parts.items()}}

    def contents(self) -> Mapping[str, bytes | None]:
        state = [
            (disk.name, disk.number, disk.size(), disk.read_only(), disk.read_ahead, disk.start(),
             (disk.index, disk.about()) if isinstance(disk, Piece) else disk.minors)
            for disk in _all(self._disk)
        ]  # fmt: skip
        if state != self._state:
            self._state, self._all = state, dict(_flat("", self.make()))
        return self._all


def _flat(path: str, found: Later) -> Iterator[tuple[str, bytes | None]]:
    """Everything by its path, but the first of all."""
    found = found() if callable(found) else found
    if path:
        yield path, os.fsencode(found) if isinstance(found, str) else None
    if isinstance(found, Mapping):
        for name, entry in found.items():
            yield from _flat(f"{path}/{name}", entry)


def _inside(disk: Disk) -> str:
    return f"{DEVICES.removeprefix('/sys/')}/{disk.name}"


def _all(disk: Disk) -> list[Disk]:
    """A disk and its partitions."""
    return [disk, *disk.pieces()]


def _links(disk: Disk, *, by_number: bool) -> list[tuple[str, Link]]:
    links = []
    for each in _all(disk):
        key = "{}:{}".format(*each.number) if by_number else each.name
        inside = _inside(disk) if each is disk else f"{_inside(disk)}/{each.name}"
        links.append((key, Link(f"../../{inside}")))
    return links


def _line(disk: Disk) -> str:
    """A line of /proc/partitions: numbers, KiB, name."""
    major, minor = disk.number
    return f"{major:4}  {minor:7} {disk.size() >> 10:10} {disk.name}\n"


def directory(disk: Disk) -> Mapping[str, Later]:
    """/sys/devices/virtual/block/NAME, but for its partitions."""
    return {
        **_shared(disk, "disk", lambda: f"DISKSEQ={disk.sequence}\n"),
        "capability": "0\n",
        "diskseq": f"{disk.sequence}\n",
        "events": "\n",
        "events_async": "\n",
        "events_poll_msecs": "-1\n",
        "ext_range": "256\n",
        "hidden": "0\n",
        "queue": _queue(disk),
        "range": lambda: f"{disk.minors}\n",
        "removable": "0\n",
        "slaves": {},
        "subsystem": Link("../../../../class/block"),
    }


def _partition(part: Piece) -> Entry:
    number = part.index
    return {
        **_shared(part, "partition", lambda: f"PARTN={number}\n" + part.about()),
        "partition": f"{number}\n",
        "start": f"{part.start() // SECTOR}\n",
        "subsystem": Link("../../../../../class/block"),
    }


def _shared(disk: Disk, kind: str, more: Callable[[], str]) -> dict[str, Later]:
    """What the directories of a disk and of a partition both hold."""
    return {
        "alignment_offset": "0\n",
        "dev": lambda: "{}:{}\n".format(*disk.number),
        "discard_alignment": "0\n",
        "holders": {},
        "inflight": "       0        0\n",
        "ro": lambda: f"{int(disk.read_only())}\n",
        "size": lambda: f"{disk.size() // SECTOR}\n",
        "stat": f"{STATISTICS}\n",
        "uevent": lambda: (
            "MAJOR={}\nMINOR={}\n".format(*disk.number)
            + f"DEVNAME={disk.name.replace('!', '/')}\nDEVTYPE={kind}\n{more()}"
        ),
    }


def _queue(disk: Disk) -> Mapping[str, Later]:
    """Its queue's limits: bytes, unless the name says KiB."""
    kib = requests.LONGEST_REQUEST // 2
    return {
        **{
            name: f"{value}\n"
            for name, value in {
                "add_random": 0,
                "chunk_sectors": 0,
                "dax": 0,
                "discard_granularity": SECTOR,
                "discard_max_bytes": 1 << 32,
                "discard_max_hw_bytes": 1 << 32,
                "discard_zeroes_data": 0,
                "hw_sector_size": SECTOR,
                "io_poll": 0,
                "iostats": 0,
                "logical_block_size": SECTOR,
                "max_hw_sectors_kb": kib,
                "max_sectors_kb": kib,
                "max_segments": 128,
                "minimum_io_size": SECTOR,
                "nomerges": 0,
                "nr_requests": 128,
                "nr_zones": 0,
                "optimal_io_size": 0,
                "physical_block_size": SECTOR,
                "rotational": 0,
                "scheduler": "[none]",
                "write_cache": "write back",
                "write_same_max_bytes": 0,
                "write_zeroes_max_bytes": 1 << 32,
                "zoned": "none",
            }.items()
        },
        "read_ahead_kb": lambda: f"{disk.read_ahead // 2}\n",
    }
