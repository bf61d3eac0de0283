# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated descriptors that are the kernel's own open files: direct ones, windows and texts.

Which files can have one, and how it is known whether it is still open: pyview/direct.py.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pyview import core, direct
from pyview.api import Device, File, Linear, Tree
from pyview.linear import InC
from pyview.mappings import Mappings
from pyview.openfile import KernelPosition, OpenFile, Position
from pyview.pages import Pages
from pyview.reach import NATIVELY, NOTHING, Reach

if TYPE_CHECKING:
    from pyview.texts import Texts
    from pyview.windows import Windows

Answer = TypeVar("Answer")


class Session(Protocol):
    """What this needs of all that is open."""

    in_c: InC
    mappings: Mappings

    def note(self, known: int, opened: OpenFile) -> None:
        """There is another open file, known by what core.emulated() says."""

    def closed(self, known: int) -> None:
        """Nobody has it open any more."""

    def asked(self, opened: OpenFile, what: str, question: Callable[[], Answer]) -> Answer | None:
        """What a file says of itself; None when its author made a mistake, which is logged."""

    def said(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        """The same of a tree, or of whatever a module is asked."""


def _watch_ringing(fd: int, on: int = 1) -> None:
    """Have the core look at a socket that rings itself; 0: no longer."""
    if on:
        core.rings(fd)
    core.watch_rung(fd, on)


class Natives:
    """Those of a session.

    An image is the core's own open file of the same inode; it tells whether a task still has one.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: dict[int, tuple[int, int]] = {}  # what it is known by -> image, byte locked
        self._own: set[int] = set()  # those of which the image is of no use to others
        self._texts: Texts | None = None  # from the first directory of texts on
        self._windows: Windows | None = None  # from the first on
        self._unshown: set[tuple[int, int]] = set()  # devices that can't have windows
        self._images: dict[tuple[int, int], str] = {}  # device and inode -> the name of the device

    # -- opening -------------------------------------------------------------------------------
    def reach_of(self, tree: Tree, flags: int, tid: int) -> Reach:
        """What who opens a tree's root needs no stop for, in all likelihood."""
        if not isinstance(tree, Device):
            return NATIVELY if direct.is_texts(tree) else NOTHING
        block = self._session.said("lstat", lambda: stat.S_ISBLK(tree.lstat("/").st_mode))
        return self._reach(tree, flags, tid) if block else NOTHING

    def _reach(self, file: File, flags: int, tid: int) -> Reach:
        """The same of a file that a task has opened."""
        reach = self._session.said("linear", partial(direct.reach, file, flags))
        if reach is None:
            return NOTHING
        limit = resource.prlimit(tid, resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and not reach.windowed and flags & os.O_ACCMODE:
            return reach._replace(writes=0)  # the limit is for files: to the kernel it is one
        return reach

    def give(self, opened: OpenFile, record: Any) -> int:
        """A descriptor of the core, to be handed over to a task; -1 when that can't be."""
        if opened.kind != stat.S_IFBLK:
            return self._give_text(opened, record)
        reach = self._reach(opened.file, opened.flags, record.tid)
        if reach == NOTHING or not reach.of(record):
            return -1
        try:
            if not reach.windowed:
                return -1 if self._is_mapped(opened) else self._give_direct(opened)
            return -1 if record.descriptors else self._give_window(opened)
        except OSError:
            return -1

    def _is_mapped(self, opened: OpenFile) -> bool:
        return self._session.mappings.is_mapped(opened)

    def _give_direct(self, opened: OpenFile) -> int:
        found = direct.whole(opened.file)
        assert found is not None
        fd, byte = direct.reopened(f"/proc/self/fd/{found.fd}", opened.flags)
        opened.direct = True
        opened.at = KernelPosition()
        self._marked(opened, fd, found.fd, byte)
        self._shows_image(found.fd, opened.name)
        return fd

    def _give_text(self, opened: OpenFile, record: Any) -> int:
        reads = opened.flags & os.O_ACCMODE == os.O_RDONLY and not self._is_mapped(opened)
        if not (reads and direct.is_texts(opened.tree) and NATIVELY.of(record)):
            return -1
        known = None
        if not opened.is_directory:
            known = self._session.asked(opened, "known", opened.file.known)
        data = known and known.text
        if not (opened.is_directory or isinstance(data, bytes)):
            return -1
        try:
            image = direct.text(data) if data is not None else direct.directory()
        except OSError:
            return -1
        try:
            fd, byte = direct.reopened(f"/proc/self/fd/{image}", opened.flags)
            self._owned(opened, fd, image, byte)
        except OSError:
            os.close(image)
            return -1
        return fd

    def _owned(self, opened: OpenFile, fd: int, image: int, byte: int) -> None:
        """A direct descriptor whose image goes with it."""
        opened.at, opened.direct = KernelPosition(), True
        self._own.add(self._marked(opened, fd, image, byte))
        if not opened.is_directory:
            self._session.mappings.remember(image, opened.name)

    def _give_window(self, opened: OpenFile) -> int:
        if self._windows is None:
            from pyview.windows import Windows  # only those who have a partition need them

            self._windows = Windows(_watch_ringing, self._session.mappings.shared)
        if opened.key in self._unshown:
            return -1
        try:
            fd, byte, window = self._windows.open(opened)
        except OSError:
            self._unshown.add(opened.key)  # it won't be possible later, either
            raise
        try:
            known = self._marked(opened, fd, window.mem, byte)
        except OSError:
            self._windows.closed(opened.key, 0)
            raise
        window.users[known] = opened.file
        if window.found.of is not None:
            self._session.in_c.hears(known, window.found.of, opened.key, window.moved)
        return fd

    def _marked(self, opened: OpenFile, fd: int, image: int, byte: int) -> int:
        """What a new descriptor of the kernel's is known by.  Errors: ENOSPC, and it is closed."""
        try:
            known = core.mark_direct(fd)
        except OSError:
            os.close(fd)
            opened.direct, opened.at = False, Position()
            raise
        self._note(opened, known, image, byte)
        return known

    def _note(self, opened: OpenFile, known: int, image: int, byte: int) -> None:
        self._open[known] = image, byte
        self._session.note(known, opened)

    # -- texts that C has opened ---------------------------------------------------------------
    def tell_texts(self, entry: Any, opened: OpenFile) -> None:
        """Let C answer for what is in an open directory of texts: Texts.tell()."""
        if self._texts is None:
            from pyview.texts import Texts  # only those who look into sysfs need them

            self._texts = Texts(self.take_all)
        self._texts.tell(entry, opened)

    def take_all(self) -> None:
        """Know of all that C has opened."""
        for known in core.opened_texts() if self._texts is not None else ():
            self.taken(known)

    def taken(self, known: int) -> OpenFile | None:
        """Know of what C has opened."""
        taken = self._texts.taken(known) if self._texts is not None else None
        if taken is None:
            return None
        opened, image, byte = taken
        opened.at, opened.direct = KernelPosition(), True
        self._note(opened, known, image, byte)
        self._own.add(known)
        self._session.mappings.remember(image, opened.name)
        return opened

    # -- images --------------------------------------------------------------------------------
    def _shows_image(self, fd: int, name: str) -> None:
        """Who maps the file that the core has open as `fd` has mapped this device."""
        st = os.fstat(fd)
        self._images[st.st_dev, st.st_ino] = name

    def image_of(self, opened: OpenFile) -> Linear | None:
        """Where a block device's bytes are, if that can be mapped in its place."""
        if opened.kind != stat.S_IFBLK or opened.file.slow or self._is_mapped(opened):
            return None
        found = self._session.asked(opened, "linear", partial(direct.image, opened.file))
        if found is not None:
            self._shows_image(found.fd, opened.name)
        return found

    def image_name(self, device: int, inode: int) -> str | None:
        """The name of the device that a file is the image of, when it has been opened directly."""
        return self._images.get((device, inode))

    # -- changes -------------------------------------------------------------------------------
    def refresh(self) -> None:
        """What windows show is another now."""
        if self._windows is not None:
            self._session.said("linear", self._windows.refresh)

    def mapped(self, key: tuple[int, int], pages: Pages | None) -> None:
        """A device is mapped shared from now on, or no longer: its windows show what is there."""
        if self._windows is None:
            return
        if pages is not None:
            self._windows.follow(key, pages)
        else:
            self._session.said("extents", partial(self._windows.show, key))

    def lost(self, fd: int) -> bool | None:
        """Whether a process that ended, which the core's `fd` tells, is needed; None: none did."""
        return None if self._windows is None else self._windows.lost(fd)

    # -- closing -------------------------------------------------------------------------------
    def leave(self) -> None:
        """Keep nothing of a device that nobody has had since the last look."""
        if self._windows is not None:
            self._windows.leave(None)

    def settle(self) -> None:
        """Let go of those whose last descriptor has gone."""
        for known, (image, byte) in list(self._open.items()):
            if not direct.is_open(image, byte):
                del self._open[known]
                core.unmark_direct(known)
                self._session.closed(known)
                if known in self._own:
                    self._own.discard(known)
                    os.close(image)

    def closed(self, key: tuple[int, int], known: int) -> None:
        """An open file of whatever kind has gone."""
        if self._windows is not None:
            self._windows.closed(key, known)
