# SPDX-License-Identifier: GPL-2.0-or-later
"""qcow2 images to be read: versions 2 and 3, backing chains, zero and deflated clusters.

The format is QEMU's docs/interop/qcow2.  Nothing is written, so refcounts, snapshots and bitmaps
mean nothing here.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyview.api import NOWHERE, ZEROES, Extent, File, Linear, Tree, if_it_fails, places, refuse
from pyview.modules.vudev.disk import Disk, open_source

MAGIC = b"QFI\xfb"
FIRST = struct.Struct(">4sIQIIQIIQ")  # what both versions begin with
SECOND = struct.Struct(">QQQII")  # version 3's own, at 72
BACKING_FORMAT = 0xE2792ACA  # a header extension
LONGEST_NAME = 1023  # bytes, of a backing file
LARGEST_L1 = 32 << 20  # bytes: QEMU's limit
DEEPEST = 100  # images in a chain, lest it takes all descriptors
CACHE = 4 << 20  # bytes of L2 tables that are kept

# Incompatible features.  Dirty and corrupt images may be read: both speak of refcounts.
KNOWN = 0b11
NAMED = {2: "an external data file", 3: "zstd compression", 4: "extended L2 entries"}

OFFSET = 0x00FF_FFFF_FFFF_FE00  # of a table or a cluster, in its entry
COMPRESSED = 1 << 62
READS_ZERO = 1

DATA, PACKED, ZERO, BELOW = range(4)  # where a cluster's content is


class Run(NamedTuple):
    """Bytes of the disk, from `start`, whose content is in one place."""

    kind: int
    where: int  # DATA: offset in the file; PACKED: the entry; otherwise 0
    start: int
    length: int


class Header(NamedTuple):
    version: int
    bits: int  # a cluster has 1 << bits bytes
    size: int  # bytes, of the disk
    l1: int  # entries of the L1 table
    l1_at: int  # bytes
    backing: str  # "" when there is none
    backing_format: str  # "" when unknown


class Qcow2(Disk):
    """The device of `mount -t vudevqcow2 IMAGE /dev/hda`; it is read-only, with or without `ro`."""

    def __init__(self, below: Tree, source: str, *, ro: bool = False, **disk: Any) -> None:
        """Errors: those of open_image, for any file of the chain."""
        super().__init__(below, ro=True, **disk)
        self.image = open_image(below, source, "qcow2")
        self.slow = self.image.slow

    def pread(self, size: int, offset: int) -> bytes:
        return self.image.pread(size, offset)

    def size(self) -> int:
        return self.image.size()

    def fsync(self) -> None:
        """Nothing was written."""

    def linear(self) -> Linear:
        return Linear(-1, 0, self.image.size(), False, self.image)

    def finish(self) -> None:
        self.image.close()


class Image(File):
    """A qcow2 file and what backs it, as the disk that they describe."""

    def __init__(self, below: Tree, name: str, file: File, chain: frozenset[object]) -> None:
        """`file` is the open image; `chain` what must not come again below it."""
        header = read_header(name, file)
        self.name, self.file, self.length = name, file, header.size
        self.version, self.bits = header.version, header.bits
        self._cluster = 1 << header.bits
        self._l1 = _table(_exactly(file, 8 * header.l1, header.l1_at))
        if len(self._l1) < header.l1:
            raise refuse(errno.EINVAL, f"{name}: its L1 table is cut off")
        self._tables: dict[int, array[int]] = {}  # by their offset, least recently used first
        self._kept = max(2, CACHE >> header.bits)
        self._unpacked = (0, b"")  # the last PACKED entry and its cluster
        self.backing: File | None = None
        if header.backing:
            at = os.path.normpath(os.path.join(os.path.dirname(name), header.backing))
            self.backing = open_image(below, at, header.backing_format, chain)
        self.slow = file.slow or (self.backing is not None and self.backing.slow)

    def size(self) -> int:
        return self.length

    def linear(self) -> Linear:
        return Linear(-1, 0, self.length, False, self)

    relocates = False

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """Beyond the file's end are zeros: QEMU need not write the last cluster in full."""
        for kind, where, start, size in self._runs(offset, min(length, self.length - offset)):
            file = self.file if kind == DATA else self.backing if kind == BELOW else None
            if kind == PACKED:
                yield Extent(size, NOWHERE)
            elif file is None:
                yield Extent(size, ZEROES)
            else:
                at = where if kind == DATA else start
                there = max(0, min(size, file.size() - at))
                if there:
                    for extent in places(file, at, there):
                        yield extent._replace(writes=False)
                if there < size:
                    yield Extent(size - there, ZEROES)

    def stat(self) -> os.stat_result | None:
        return self.file.stat()

    def close(self) -> None:
        self.relocated(0, -1)
        self.file.close()
        if self.backing is not None:
            self.backing.close()

    def pread(self, size: int, offset: int) -> bytes:
        """Errors: EIO for tables or clusters that make no sense."""
        size = min(size, self.length - offset)
        if size <= 0:
            return b""
        parts = [self._read(run) for run in self._runs(offset, size)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # -- clusters --------------------------------------------------------------------------
    def _runs(self, offset: int, size: int) -> Iterator[Run]:
        """What makes up a range of the disk, neighbours in the file joined."""
        run = Run(ZERO, 0, offset, 0)
        for piece in self._pieces(offset, offset + size):
            kind, where, start, length = run
            if kind == piece.kind and (
                kind in (ZERO, BELOW) or (kind == DATA and where + length == piece.where)
            ):
                run = Run(kind, where, start, length + piece.length)
            else:
                if length:
                    yield run
                run = piece
        yield run

    def _pieces(self, at: int, end: int) -> Iterator[Run]:
        """A run for each cluster, or for all clusters of an L2 table that is not there."""
        bits = self.bits
        per_table = bits - 3  # bits: an entry has 8 bytes
        while at < end:
            first = at >> bits + per_table
            until = min(end, first + 1 << bits + per_table)
            table = self._l2(self._l1[first] & OFFSET)
            if table is None:
                yield Run(BELOW, 0, at, until - at)
                at = until
                continue
            mask = len(table) - 1
            while at < until:
                inside = at & self._cluster - 1
                length = min(until - at, self._cluster - inside)
                kind, where = self._place(table[at >> bits & mask], inside)
                yield Run(kind, where, at, length)
                at += length

    def _place(self, entry: int, inside: int) -> tuple[int, int]:
        """The kind and place of the byte at `inside` in the cluster of an L2 entry."""
        if entry & COMPRESSED:
            return PACKED, entry
        if entry & READS_ZERO:
            if self.version < 3:
                raise self._corrupt()
            return ZERO, 0
        where = entry & OFFSET
        if not where:
            return BELOW, 0
        if where & self._cluster - 1:
            raise self._corrupt()
        return DATA, where + inside

    def _l2(self, where: int) -> array[int] | None:
        """The L2 table at `where` in the file; None when nothing of it is allocated."""
        if not where:
            return None
        table = self._tables.pop(where, None)
        if table is None:
            content = b""
            if not where & self._cluster - 1:
                content = _exactly(self.file, self._cluster, where)
            if len(content) < self._cluster:
                raise self._corrupt()
            table = _table(content)
            while len(self._tables) >= self._kept:
                del self._tables[next(iter(self._tables))]
        self._tables[where] = table
        return table

    def _read(self, run: Run) -> bytes:
        kind, where, start, length = run
        if kind == DATA:
            # Beyond the file's end are zeros: QEMU need not write the last cluster in full.
            return _exactly(self.file, length, where).ljust(length, b"\0")
        if kind == PACKED:
            inside = start & self._cluster - 1
            return self._unpack(where)[inside : inside + length]
        if kind == BELOW and self.backing is not None:
            return _exactly(self.backing, length, start).ljust(length, b"\0")
        return bytes(length)

    def _unpack(self, entry: int) -> bytes:
        """The content of a compressed cluster."""
        if self._unpacked[0] == entry:
            return self._unpacked[1]
        x = 62 - (self.bits - 8)
        where = entry & (1 << x) - 1
        sectors = (entry & COMPRESSED - 1) >> x
        packed = _exactly(self.file, 512 * (sectors + 1) - (where & 511), where)
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, self._cluster)
        except zlib.error:
            content = b""
        if len(content) < self._cluster:
            raise self._corrupt()
        self._unpacked = entry, content
        return content

    def _corrupt(self) -> OSError:
        return refuse(errno.EIO, self.name)


def open_image(
    below: Tree, name: str, kind: str = "", chain: frozenset[object] = frozenset()
) -> File:
    """An image, locked against writers, with all that backs it.

    `kind` is "qcow2" or "raw", or "" to find out.  Errors: EINVAL, EOPNOTSUPP, ELOOP, and those of
    open_source.
    """
    file = open_source(below, name, ro=True, alone=False)
    with if_it_fails(file.close):
        about = file.stat()
        known = {name, (about.st_dev, about.st_ino)} if about and about.st_ino else {name}
        if known & chain or len(chain) >= 2 * DEEPEST:
            raise refuse(errno.ELOOP, name)
        if not kind:
            kind = "qcow2" if file.pread(4, 0) == MAGIC else "raw"
        if kind == "raw":
            return file
        if kind != "qcow2":
            raise refuse(errno.EOPNOTSUPP, f"{name}: backing file of format {kind}")
        return Image(below, name, file, chain | known)


def read_header(name: str, file: File) -> Header:
    """The header of an image.  Errors: EINVAL, EOPNOTSUPP, each with the reason in its line."""
    start = file.pread(112, 0).ljust(112, b"\0")
    magic, version, name_at, name_size, bits, size, crypt, l1, l1_at = FIRST.unpack_from(start)
    if magic != MAGIC:
        raise refuse(errno.EINVAL, f"{name}: not a qcow2 image")
    if version not in (2, 3):
        raise refuse(errno.EOPNOTSUPP, f"{name}: qcow2 version {version}")
    length = 72
    if version == 3:
        incompatible, _, _, _, length = SECOND.unpack_from(start, 72)
        unknown = incompatible & ~KNOWN
        if unknown:
            bit = unknown.bit_length() - 1
            what = NAMED.get(bit, f"the incompatible feature of bit {bit}")
            raise refuse(errno.EOPNOTSUPP, f"{name}: uses {what}")
    if crypt:
        raise refuse(errno.EOPNOTSUPP, f"{name}: encrypted")
    if not 9 <= bits <= 21:
        raise refuse(errno.EINVAL, f"{name}: clusters of 2^{bits} bytes")
    cluster = 1 << bits
    needed = -(-size >> 2 * bits - 3)
    if (
        size >= 1 << 63
        or not needed <= l1 <= LARGEST_L1 // 8
        or l1_at % cluster
        or length > cluster
        or (version == 3 and (length < 104 or length % 8))
    ):
        raise refuse(errno.EINVAL, f"{name}: damaged qcow2 header")
    if not name_at:
        return Header(version, bits, size, l1, l1_at, "", "")
    backing = _exactly(file, min(name_size, LONGEST_NAME + 1), name_at)
    if not 0 < len(backing) <= LONGEST_NAME or b"\0" in backing:
        raise refuse(errno.EINVAL, f"{name}: damaged name of its backing file")
    form = _backing_format(name, file, length, min(name_at, cluster))
    return Header(version, bits, size, l1, l1_at, _plain(name, os.fsdecode(backing)), form)


def _backing_format(name: str, file: File, at: int, end: int) -> str:
    """What the header extensions from `at` to `end` say of the backing file's format."""
    while at + 8 <= end:
        kind, length = struct.unpack(">II", _exactly(file, 8, at).ljust(8, b"\0"))
        if not kind:
            break
        if at + 8 + length > end:
            raise refuse(errno.EINVAL, f"{name}: damaged qcow2 header extension")
        if kind == BACKING_FORMAT:
            return _exactly(file, length, at + 8).decode("ascii", "replace")
        at += 8 + (length + 7 & ~7)
    return ""


def _plain(name: str, backing: str) -> str:
    """The path of a backing file.  QEMU takes what has a colon before any slash for a protocol."""
    if backing.startswith("file:"):
        return backing.removeprefix("file:")
    if re.match(r"[^/]*:", backing):
        raise refuse(errno.EOPNOTSUPP, f"{name}: backing file {backing.partition(':')[0]}:")
    return backing


def _table(content: bytes) -> array[int]:
    """The entries of an L1 or L2 table, which the file has in network order."""
    table = array("Q", content[: len(content) & ~7])
    if sys.byteorder == "little":
        table.byteswap()
    return table


def _exactly(file: File, size: int, offset: int) -> bytes:
    """`size` bytes of a file; fewer only when it ends before."""
    content = file.pread(size, offset)
    while content and len(content) < size:
        more = file.pread(size - len(content), offset + len(content))
        if not more:
            break
        content += more
    return content
