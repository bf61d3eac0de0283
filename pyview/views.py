# SPDX-License-Identifier: GPL-2.0-or-later
"""The views of one core, and what services.py asks of it: cf. mounting.Core."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

from pyview import core
from pyview.api import Device, Overlay, Tree, refuse
from pyview.emulation import Emulation
from pyview.installing import Installer
from pyview.openfile import OpenFile
from pyview.patience import Patience
from pyview.reports import Reports
from pyview.services import Services
from pyview.view import Cover, Mount, Past, View, covers

TYPE_CHECKING = False  # the room is loaded when a file is copied
if TYPE_CHECKING:
    from pyview.procedures import Procedure
    from pyview.readers import Readers

_LAYERS: WeakKeyDictionary[Overlay, core.Layer] = WeakKeyDictionary()


class Known:
    """A view and C's picture of it."""

    __slots__ = ("picture", "view")

    def __init__(self, view: View, picture: Any) -> None:
        self.view, self.picture = view, picture


class Views:
    """All views: which tasks are in them, what is mounted, who uses it."""

    reports: Reports
    emulation: Emulation
    patience: Patience
    _services: Services
    _installer: Installer
    _readers: Readers | None = None  # made when an overlay has copied a file
    numbers: dict[str, int]
    calling = 0  # the task whose call is being answered just now
    awaited: set[int]  # tasks that have been interrupted and have not stopped yet

    if TYPE_CHECKING:  # the loop's own (tracer.py)

        def busy_with(self, tid: int) -> bool: ...
        def start(self, tid: int, procedure: Procedure) -> None: ...

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._by_picture: dict[Any, View] = {}
        self.awaited = set()

    def _add(self, view: View, picture: Any) -> Known:
        known = self._known[view.number] = Known(view, picture)
        self._by_picture[known.picture] = view
        core.trace_all(known.picture, self.reports.wants_all(view))
        self._describe(view)
        return known

    def _describe(self, view: View) -> None:
        """Show C the view's mounts."""
        covers = view.covers()
        parents = []
        names = set(view.names())
        for cover in covers:
            if not cover.prefix:
                continue
            parent = cover.prefix.rpartition("/")[0]
            names.add(parent.rpartition("/")[2])
            try:
                found = os.stat(self._real(view, parent or "/"))
            except OSError:
                continue  # nobody lists a directory that is not there
            parents.append((found.st_dev, found.st_ino))
        shown = [f"{cover.prefix or '/'}={cover.number}:{cover.root or '/'}" for cover in covers]
        self.reports.debug("v", view, 0, *shown)
        core.describe(
            self._known[view.number].picture,
            [self._described(cover) for cover in covers],
            sorted(names - {""}),
            parents,
        )

    def _described(
        self, cover: Cover
    ) -> tuple[str, int, str, list[tuple[Any, str]], tuple[int, str] | None]:
        """What C is told of a cover: cf. core.describe."""
        layers = [(self._layer(overlay).pointer, base) for overlay, base in cover.layers]
        kept = None
        if cover.layers and cover.layers[0].overlay.kept:
            kept = (cover.kept, cover.layers[0].overlay.kept + cover.layers[0].base)
        return cover.prefix, cover.number, cover.root, layers, kept

    def _layer(self, overlay: Overlay) -> core.Layer:
        """C's picture of an overlay, kept up to date by the overlay itself."""
        found = _LAYERS.get(overlay)
        if found is None:
            found = _LAYERS[overlay] = core.Layer(overlay.live, overlay.syncs(), overlay.keeps)
            for name, how in overlay.touched.items():
                found.told("touch", name, how)
            for file, looks in overlay.claimed.items():
                found.told("claim", file, looks)
            for file in overlay.linked:
                found.told("link", file, None)
            overlay.told = partial(self._told_by, ref(overlay), found)
        return found

    def _told_by(self, about: Any, layer: core.Layer, what: str, value: Any, how: Any) -> None:
        """An overlay says what has changed."""
        if what != "replace":
            layer.told(what, value, how)
            return
        if self._readers is None:
            from pyview.readers import Readers

            self._readers = Readers(self)
        self._readers.follow(about(), value, how)

    def _ended(self, tid: int) -> None:
        """The procedure of a task is over, or the task is."""
        self._installer.ended(tid)
        if self._readers is not None:
            self._readers.free(tid)

    def seen_by(self, record: Any) -> View | None:
        return self._by_picture.get(record.view)

    def _real(self, view: View, name: str) -> str:
        """A name for the core's own eyes.  Errors: EIO when a module makes a mistake."""
        try:
            return view.real(name) or "/"
        except OSError:
            raise
        except BaseException as error:  # the module's edge: its mistakes are not the core's
            self.mistaken(f"{name}: real", error)
            raise refuse(errno.EIO, name) from None

    def view_of(self, pid: int) -> View | None:
        record = core.task(pid)
        return None if record is None else self._by_picture.get(record.view)

    def views(self) -> Iterable[View]:
        return [known.view for known in self._known.values()]

    def busy(self, view: View, mount: Mount) -> bool:
        if self.emulation.uses(mount):
            return True
        own = [cover for cover in view.covers() if cover.mount is mount]
        numbers = {cover.number for cover in own} | {cover.kept for cover in own}
        numbers -= {0, core.VIRTUAL}
        for record in list(core.tasks()):
            if self._by_picture.get(record.view) is not view:
                continue
            if record.fs.domain in numbers or record.mm.domain in numbers:
                return True
            try:
                descriptors = os.listdir(f"/proc/{record.tid}/fd")
            except OSError:
                continue  # it has gone, or never lets anyone look
            if any(core.mark_of(record, int(fd)) in numbers for fd in descriptors):
                return True
        return False

    def changed(self, view: View, then: Callable[[str], None]) -> None:
        if view.number not in self._known:  # its last task has gone meanwhile
            self._services.forget(view)
            then("")
            return
        self._describe(view)
        layered = any(cover.layers for cover in view.covers())
        virtual = any(cover.number < 0 for cover in view.covers())
        if virtual:
            self.patience.start()
        identity = "identity" in view.claims
        if not identity:
            for record in self._tasks(view):
                if record.identity:
                    core.assume_none(record)
        if len(view.mounts) == 1 and not identity:
            then("")
        else:
            picture = self._known[view.number].picture
            self._installer.install_in(picture, then, virtual, identity, layered)

    def _tasks(self, view: View) -> list[Any]:
        return [record for record in core.tasks() if self._by_picture.get(record.view) is view]

    def others(self, view: View) -> int:
        """How many tasks of a view are somebody else there than the kernel's user."""
        from pyview import identities  # not before it is needed

        return identities.others(self._tasks(view))

    def becomes_root(self, pid: int) -> None:
        """Nothing that is the view's affair is refused to a process from now on."""
        from pyview import identities  # not before it is needed

        for record in self._process(pid):
            identities.make_root(record)

    def enters_root(self, record: Any, name: str) -> None:
        """A directory becomes the root of a task, and of those that share its own: a child view."""
        parent = self._by_picture[record.view]
        inside = Past(parent, parent.epoch, name)
        real = parent.real(name)
        child = self._new_child(parent, parent.name)
        child.view.mount("/", inside, source=name, kind="none", options="bind")
        self._describe(child.view)
        here = child.view.covers()[-1]
        for other in self._tasks(parent):
            if other.fs != record.fs:
                continue
            core.join(other, child.picture)
        if real is not None and here.number > 0 and not record.fs.domain:
            link = os.readlink(f"/proc/{record.tid}/cwd")
            if covers(real, link):
                core.moved(record, here.number)
        self._services.adopt(child.view, parent)

    def child(self, pid: int, name: str) -> View:
        parent = self.view_of(pid)
        if parent is None:
            raise refuse(errno.EINVAL)
        known = self._new_child(parent, name)
        for record in self._process(pid):
            core.join(record, known.picture)
        return known.view

    def _new_child(self, parent: View, name: str) -> Known:
        self._forget_empty()
        return self._add(View(max(self._known) + 1, name, parent), core.new_view())

    def _process(self, pid: int) -> list[Any]:
        """Every task of the process that a task belongs to."""
        process = core.thread_group(pid)
        return [
            record
            for record in list(core.tasks())
            if record.tid == pid or core.thread_group(record.tid) == process
        ]

    def _forget_empty(self) -> None:
        """Let go of the views that no task is in any more."""
        records = list(core.tasks())
        if any(record.waiting for record in records):
            return  # a newborn: whose view it is in is not known yet
        used = {record.view for record in records}
        for number, known in list(self._known.items()):
            if known.picture not in used:
                del self._known[number]
                del self._by_picture[known.picture]
                self._services.forget(known.view)
                core.free_view(known.picture)

    def debug(self, view: View, pid: int, tags: frozenset[str]) -> None:
        self.reports.set_tags(view, pid, tags)
        core.trace_all(self._known[view.number].picture, self.reports.wants_all(view))

    def mistaken(self, what: str, error: BaseException) -> None:
        self.reports.failed(what, error)

    def farewell(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:  # what close(2) would say, if somebody asked it
            self.reports.write(f"pyview: {name} may not be written whole: {error.strerror}\n")
        except BaseException as error:  # the module's edge: its mistakes are not the core's
            self.reports.failed(f"{name} may not be written whole", error)

    def apart(
        self,
        action: Callable[[], Any],
        then: Callable[[Any, BaseException | None], None],
        tree: Tree | None = None,
    ) -> None:
        if tree is None:
            self.emulation.workers.once(action, then)
        else:
            self.emulation.workers.submit(tree, action, then)

    def device_changed(self, opened: OpenFile) -> None:
        if isinstance(opened.mount.tree, Device):
            for view in self.views():
                if opened.mount in view.mounts:
                    self._services.refresh(view, opened.mount)

    def log(self, text: str) -> None:
        self.reports.write(text if text.endswith("\n") else text + "\n")
