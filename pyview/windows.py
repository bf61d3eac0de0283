# SPDX-License-Identifier: GPL-2.0-or-later
"""Windows: descriptors of block devices whose bytes lie somewhere in other files.

A window is /proc/PID/mem of a process that has the bytes mapped where the address is their offset
in the device (csrc/window.c).  So pread(2) and pwrite(2) of it need no stop: proc(5).  All else is
done by the core, as with any emulated descriptor; pyview/reach.py tells what must be.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from functools import partial

from pyview import core
from pyview.api import ZEROES, Extent, File, Linear, refuse
from pyview.direct import HIGHEST, is_warm, lowest, reopened, shown
from pyview.openfile import OpenFile
from pyview.pages import PAGE, Pages, rounded

MANY = 16384  # mappings; the kernel allows 65530: proc(5), vm.max_map_count
PIECES = 8192  # into which a device with more is divided
SPARE = 2  # processes that are kept for the next windows


class Window:
    """The windows that a device has: all of them are the memory of one process.

    found  where its bytes are
    mem    the core's own: it tells who still has one
    users  the open files, by what they are known by: core.emulated()
    stale  nobody has heard where bytes have gone since there were some
    """

    stale = False

    def __init__(
        self, file: File, process: core.Window, mapped: Callable[[], Pages | None]
    ) -> None:
        """`mapped`: what of the device is mapped shared in other files' place.

        Errors: EINVAL, and those of open(2).
        """
        found = shown(file)
        if found is None:
            raise refuse(errno.EINVAL)
        self.found, self.process, self._pages = found, process, mapped
        self._image = _image_of(found)
        self.users: dict[int, File] = {}
        self._mappings = 0
        self._gathers = False
        self._single = is_warm(found)
        self.mem = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def name(self) -> str:
        return f"/proc/{self.process.pid}/mem"

    def close(self) -> None:
        os.close(self.mem)

    def shows(self, file: File) -> bool:
        """Whether it still does, though nobody had a window meanwhile."""
        found = None if self.stale else shown(file)
        return found is not None and found == self.found and _image_of(found) == self._image

    def warm_up(self) -> None:
        """Whoever writes from now on may do so without a stop: reach.py."""
        if not self._single and is_warm(self.found):
            self._single = True
            self.show(0, self.found.size)

    def show(self, offset: int, length: int) -> None:
        """Show what the device has there.

        Errors: EINVAL where that can't be mapped, ENOMEM when it lies in too many places, and those
        of mmap(2).
        """
        at, end = self._limits(offset, length)
        if at == lowest() and end == self.found.size:
            self._mappings = 0
        pages = self._pages()
        # Not even for a moment what the file has where somebody may have written by mapping.
        for low, high in [(at, end)] if pages is None else pages.missing(at, end):
            self._show_file(low, high)
        for low, high in [] if pages is None else pages.filled():
            self.show_pages(pages, max(low, offset), min(high, offset + length))

    def _show_file(self, at: int, end: int) -> None:
        while at < end:
            before = at
            for extent in _places(self.found, at, end - at):
                self._map(at, min(extent.length, end - at), extent)
                at += extent.length
            if at <= before:
                raise refuse(errno.EINVAL)

    def show_pages(self, pages: Pages | None, start: int, end: int) -> None:
        """Show what has been mapped shared of the device, which may have been written there."""
        at, end = self._limits(start, end - start)
        if at < end and pages is not None:
            self._map(at, end - at, Extent(end - at, pages.fd, at))

    def refresh(self) -> None:
        """It may lie elsewhere, or not be written any more."""
        self.stale = not self.users
        found = next(filter(None, map(shown, self.users.values())), None)
        if found is not None and found != self.found:
            self.found = found
            self.show(0, found.size)

    def _limits(self, offset: int, length: int) -> tuple[int, int]:
        return max(lowest(), offset // PAGE * PAGE), min(rounded(offset + length), self.found.size)

    def _map(self, at: int, length: int, extent: Extent) -> None:
        where = 0 if extent.fd == ZEROES else extent.start
        if (at | where) % PAGE or extent.fd < ZEROES:
            raise refuse(errno.EINVAL)
        if self._mappings >= MANY and not self._gathers:
            raise refuse(errno.ENOMEM)
        self.process.show(at, rounded(length), extent.fd, where, extent.writes, self._single)
        self._mappings += 1

    def moved(self, offset: int, length: int) -> None:
        """Bytes of the device's file are elsewhere: pyview/linear.py.

        Or the file is closed (a length of -1), by any thread: then nobody has a window any more.
        """
        self.stale = not self.users
        if self.users and length >= 0:
            offset -= self.found.start
            if self._mappings < MANY or self._gathers:
                self.show(offset, length)
            else:
                self._gather(offset)

    def _gather(self, offset: int) -> None:
        """Write more than has changed, so that it lies together, and show that."""
        of, size = self.found.of, self.found.size
        assert of is not None
        piece = rounded(max(1 << 20, size // PIECES))
        start = max(0, offset // piece * piece)
        length = min(piece, size - start)
        self._gathers = True
        try:
            of.pwrite(of.pread(length, self.found.start + start), self.found.start + start)
            self.show(start, length)
        finally:
            self._gathers = False


def _image_of(found: Linear) -> tuple[int, int] | None:
    """Which file that is; None: some that others say where they are."""
    if found.of is not None:
        return None
    st = os.fstat(found.fd)
    return st.st_dev, st.st_ino


def _places(found: Linear, offset: int, length: int) -> Iterator[Extent]:
    """Where the device's bytes are, neighbours together."""
    if found.of is None:
        yield Extent(length, found.fd, found.start + offset, found.writes)
        return
    last = None
    for extent in found.of.extents(found.start + offset, length):
        extent = extent._replace(writes=False)  # the first change of some is the file's own affair
        if last is not None and last._replace(length=extent.length, start=_after(last)) == extent:
            last = last._replace(length=last.length + extent.length)
            continue
        if last is not None:
            yield last
        last = extent
    if last is not None:
        yield last


def _after(extent: Extent) -> int:
    return extent.start if extent.fd < 0 else extent.start + extent.length


class Windows:
    """Those of a session, by what fstat(2) says of the device."""

    def __init__(
        self, watch: Callable[..., None], mapped: Callable[[tuple[int, int]], Pages | None]
    ) -> None:
        """`watch(fd)`, `watch(fd, 0)`: the core wants to know, or not, when it is readable.

        `mapped(key)`: what of a device is mapped shared in other files' place.
        """
        self._watch, self._mapped = watch, mapped
        self._by_key: dict[tuple[int, int], Window] = {}
        self._left: tuple[int, int] | None = (
            None  # one that nobody has, and somebody may want again
        )
        self._spare: list[core.Window] = []

    def open(self, opened: OpenFile) -> tuple[int, int, Window]:
        """A descriptor of the core for a new window, and the byte it locks.

        Errors: those of Window.show, and whatever keeps a core from looking into the process.
        """
        window = self._by_key.get(opened.key)
        if window is not None and not window.users:
            if not window.shows(opened.file):
                self.leave(None)
                window = None
            self._left = None
        window = window or self._made(opened)
        try:
            window.warm_up()
            fd, byte = reopened(window.name, opened.flags & ~(os.O_SYNC | os.O_DSYNC))
        except OSError:
            self._drop(opened.key, window)
            raise
        return fd, byte, window

    def _made(self, opened: OpenFile) -> Window:
        process = self._spare.pop() if self._spare else self._process()
        try:
            window = Window(opened.file, process, partial(self._mapped, opened.key))
        except OSError:
            self._keep(process)
            raise
        self._by_key[opened.key] = window
        pages = self._mapped(opened.key)
        if pages is not None:
            self.follow(opened.key, pages)  # it was mapped before there were any windows
        try:
            window.show(0, window.found.size)
        except OSError:
            self._drop(opened.key, window)
            raise
        return window

    def _process(self) -> core.Window:
        process = core.Window()
        self._watch(process.fd)
        return process

    def _keep(self, process: core.Window) -> None:
        """For another device; or not."""
        if len(self._spare) < SPARE and not process.has_ended():
            process.clear(0, HIGHEST)
            self._spare.append(process)
        else:
            self._end(process)

    def _end(self, process: core.Window) -> None:
        self._watch(process.fd, 0)
        process.end()

    def closed(self, key: tuple[int, int], known: int) -> None:
        """An open file of a device has gone."""
        window = self._by_key.get(key)
        if window is not None:
            window.users.pop(known, None)
            if not window.users:
                self.leave(key)

    def leave(self, key: tuple[int, int] | None) -> None:
        """Nobody has a window of this device any more, or of none.

        mkfs opens a disk eight times in a row: the last one is kept until the next look.
        """
        left, self._left = self._left, key
        window = None if left is None or left == key else self._by_key.get(left)
        if left is not None and window is not None:
            self._drop(left, window)

    def _drop(self, key: tuple[int, int], window: Window) -> None:
        if not window.users:
            del self._by_key[key]
            window.close()
            self._keep(window.process)

    def refresh(self) -> None:
        """What devices have may lie elsewhere, or not be written any more."""
        for window in self._by_key.values():
            window.refresh()

    def show(self, key: tuple[int, int]) -> None:
        """Nothing is mapped of a device any more."""
        window = self._by_key.get(key)
        if window is not None:
            window.show(0, window.found.size)

    def follow(self, key: tuple[int, int], pages: Pages) -> None:
        """Show what is mapped of a device as soon as it is filled."""
        pages.told = partial(self._filled, key, pages)

    def _filled(self, key: tuple[int, int], pages: Pages, start: int, end: int) -> None:
        if key in self._by_key:
            self._by_key[key].show_pages(pages, start, end)

    def lost(self, fd: int) -> bool | None:
        """Whether the core's `fd` tells that a process has ended that is needed; None: of none."""
        for process in self._spare:
            if process.fd == fd and process.has_ended():
                self._spare.remove(process)
                self._end(process)
                return False
        for key, window in self._by_key.items():
            if window.process.fd == fd and window.process.has_ended():
                del self._by_key[key]
                window.close()
                self._end(window.process)
                return bool(window.users)
        return None
