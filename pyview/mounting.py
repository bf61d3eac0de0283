# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounting in views, as asked through the control channel: vumount, vuumount and their lists.

Pure over views: knows no ptrace.  What only the core can tell or do comes through `Core`.  Every
path in a request is absolute and canonical: the client resolved it inside the view.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from pyview.api import Device, Tree, refuse
from pyview.control import Answer, Later
from pyview.registry import (
    Loaded,
    ModuleError,
    current,
    keywords,
    parameters,
    traced,
    type_of,
    wants_target,
)
from pyview.view import Mount, Past, View

#: mount(8)'s options that mean nothing to a view; a type that has one of that name still gets it.
IDLE_OPTIONS = frozenset(
    (
        *("async", "atime", "auto", "defaults", "dev", "diratime", "exec", "group", "lazytime"),
        *("loud", "noatime", "noauto", "nodev", "nodiratime", "noexec", "norelatime", "nosuid"),
        *("nouser", "relatime", "rw", "silent", "strictatime", "suid", "user", "users"),
    )
)


class Core(Protocol):
    """What the services need of the core."""

    def view_of(self, pid: int) -> View | None:
        """The view a process runs in; None when it is not the core's."""

    def views(self) -> Iterable[View]:
        """All views that still have a task."""

    def busy(self, view: View, mount: Mount) -> bool:
        """True when a task of `view` has its working directory, its root or a file in `mount`."""

    def changed(self, view: View, then: Callable[[str], None]) -> None:
        """The view's mounts changed.  Call `then("")` once every task of it has the filters that
        this needs (at once when none is), or `then(why)` when that is impossible."""

    def child(self, pid: int, name: str) -> View:
        """Make a process the first of a new child view.  Errors: EINVAL, EAGAIN."""

    def others(self, view: View) -> int:
        """How many tasks of `view` are somebody else there than the kernel's user."""

    def becomes_root(self, pid: int) -> None:
        """Give a process the view's root user, with all capabilities."""

    def apart(self, action: Callable[[], Any], then: Then, tree: Tree | None = None) -> None:
        """Run what may take long in a thread, then call `then(result, error)` in the core's own.

        The thread is that of a slow `tree`, after what it has to do already, or one for this alone.
        """

    def debug(self, view: View, pid: int, tags: frozenset[str]) -> None:
        """From now on these tags hold in the view (pid 0), or for a process and its children."""

    def log(self, text: str) -> None:
        """Some lines for the debug log."""


class Refused(Exception):
    """A request that cannot be granted: one line for the user."""


Undo = Callable[[], None]
Then = Callable[[Any, BaseException | None], None]


class Mounting:
    """The mount verbs; what is loaded tells which types there are."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._loaded: dict[int, list[Loaded]] = {}  # by the view's number, oldest first

    def _mount(self, view: View, _pid: int, words: Sequence[str]) -> Answer | Later:
        """[how, kind, options, source, target]; how is "bind", "move" or ""."""
        how, kind, options, source, target = words
        _check(target)
        given = [option for option in options.split(",") if option]
        permanent = "permanent" in given
        given = [option for option in given if option != "permanent"]
        if "remount" in given:
            raise Refused(f"{target}: remount is not supported")
        if how == "move":
            return self._move(view, source, target, given)
        if how != "bind":
            return self._mount_type(view, kind, given, source, target, permanent)
        mount = self._bind(view, source, target, given)
        mount.permanent = permanent
        later = Later()
        self._settle(view, later, lambda: self._undo(view, mount))
        return later

    def _undo(self, view: View, mount: Mount) -> None:
        going = [*view.companions(mount), mount]
        view.umount(mount)
        self._unmounted(going)

    def _bind(self, view: View, source: str, target: str, options: list[str]) -> Mount:
        _check(source)
        _no_options(target, options)
        _lstat(view, source)  # ENOENT now, not later
        _has_room(view, target)
        tree = Past(view, view.epoch, source)
        return view.mount(target, tree, source=source, kind="none", options="bind")

    def _mount_type(
        self,
        view: View,
        kind: str,
        options: list[str],
        source: str,
        target: str,
        permanent: bool,
    ) -> Later:
        types = self._types_of(view)
        name = current(kind, list(types))
        if name not in types:
            raise Refused(f"{target}: unknown file system type '{kind}'")
        owner, make = types[name]
        try:
            make = type_of(make, self._core.log)
            skip = 3 if isinstance(make, type) else 2
            named = wants_target(make, skip)
            arguments = keywords(make, _not_idle(make, options, skip + named), skip + named)
        except ModuleError as error:
            raise ModuleError(f"{target}: {error}") from None
        _has_room(view, target)
        later, below = Later(), view.now()

        def made(tree: Any, error: BaseException | None) -> None:
            try:
                if error is not None:
                    raise error
                words = ",".join(options)
                mount = view.mount(target, tree, source=source, kind=name, options=words)
            except BaseException as wrong:  # the module's edge: its mistakes are not the core's
                later.done(1, self._why(target, wrong))
                return
            mount.owner, mount.permanent = owner, permanent
            self._accompany(view, mount)
            self._settle(view, later, lambda: self._undo(view, mount))

        # It may have to wait for a program of this very view (vudevnbd, say).
        place = (target,) if named else ()
        self._core.apart(partial(make, below, source, *place, **arguments), made)
        return later

    def _why(self, target: str, error: BaseException) -> str:
        """One line about what a module raised; its own mistakes are logged, and EIO."""
        if isinstance(error, ModuleError | Refused):
            return str(error)
        if not isinstance(error, OSError):
            self._core.log(traced(error))
            error = refuse(errno.EIO, target)
        return ": ".join(filter(None, (error.filename, error.strerror or str(error))))

    def _accompany(self, view: View, mount: Mount) -> bool:
        """Mount and unmount what goes with a device; whether anything has changed."""
        if not isinstance(mount.tree, Device):
            return False
        try:
            wanted = _checked(mount.tree.companions(mount.target))
        except BaseException as error:  # the module's edge: its mistakes are not the core's
            self._core.log(traced(error))
            return False
        changed = False
        present = {old.target: old for old in view.companions(mount)}
        for target, old in list(present.items()):
            if wanted.get(target) is not old.tree:
                del present[target]
                view.umount(old)
                self._unmounted([old])
                changed = True
        for target, tree in wanted.items():
            if target not in present:
                new = view.mount(target, tree, source=mount.source, kind=mount.kind)
                new.leader, new.owner = mount, mount.owner
                changed = True
        return changed

    def refresh(self, view: View, mount: Mount) -> None:
        """A device may have other companions now."""
        if self._accompany(view, mount):
            self._core.changed(view, lambda why: None)

    def _move(self, view: View, source: str, target: str, options: list[str]) -> Answer | Later:
        _no_options(target, options)
        old = self._top(view, source)
        if view.companions(old):
            raise refuse(errno.EBUSY, source)
        if target == source or target.startswith(source + "/"):
            raise refuse(errno.ELOOP, target)
        self._may_go(view, old)
        at = view.mounts.index(old)
        view.umount(old)
        new = view.mount(target, old.tree, source=old.source, kind=old.kind, options=old.options)
        new.owner = old.owner

        def undo() -> None:
            view.umount(new)
            view.mounts.insert(at, old)

        later = Later()
        self._settle(view, later, undo)
        return later

    def _umount(self, view: View, _pid: int, words: Sequence[str]) -> Answer | Later:
        """[flags, target...]; flags hold "l" (lazy: busy or not) and "f" (not asking the tree)."""
        flags, *targets = words
        slow = [m.tree for t in targets if (m := view.top(t)) and getattr(m.tree, "slow", False)]
        if not slow:
            return self._umount_now(view, flags, targets)
        later = Later()

        def closed(_value: Any, _error: BaseException | None) -> None:
            try:
                self._umount_now(view, flags, targets).then(lambda answer: later.done(*answer))
            except BaseException as error:  # whatever it is, the one who asked gets it
                later.done(1, self._why(targets[0], error))

        # What was closed before may still be closing in the tree's own thread.
        self._core.apart(lambda: None, closed, slow[0])
        return later

    def _umount_now(self, view: View, flags: str, targets: Sequence[str]) -> Later:
        going = []
        for target in targets:
            mount = self._top(view, target)
            self._may_go(view, mount, flags)
            going.append(mount)
        gone: list[Mount] = []
        for mount in dict.fromkeys(going):
            gone += [*view.companions(mount), mount]
            view.umount(mount)
        later = Later()
        trees = self._shown_no_more(gone)

        def flushed(_value: Any, error: BaseException | None) -> None:
            if error is None:
                self._settle(view, later, None)
            else:
                why = self._why(targets[0], error)
                self._core.changed(view, lambda _: later.done(1, why))

        if any(isinstance(tree, Device) for tree in trees):
            self._core.apart(partial(_farewell, trees), flushed)
        else:
            self._unmounted(gone)
            self._settle(view, later, None)
        return later

    def _top(self, view: View, target: str) -> Mount:
        _check(target)
        mount = view.top(target)
        if mount is None:
            raise Refused(f"{target}: not mounted")
        return mount

    def _may_go(self, view: View, mount: Mount, flags: str = "") -> None:
        owner = mount.owner
        if isinstance(owner, Loaded) and mount in owner.mounts:
            raise Refused(f"{mount.target}: belongs to the module {owner.name}")
        if mount.leader is not None:
            raise Refused(f"{mount.target}: belongs to {mount.leader.target}")
        if mount.permanent:
            raise refuse(errno.EPERM, mount.target)
        if "l" in flags:
            return
        for part in (mount, *view.companions(mount)):
            if self._core.busy(view, part) or ("f" not in flags and self._is_busy(part.tree)):
                raise refuse(errno.EBUSY, part.target)

    def _mounts(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[type...]: the mounts as mount(8) prints them, oldest first; of those types, if any."""
        lines = (
            f"{m.source} on {m.target or '/'} type {m.kind or 'none'}"
            + (f" ({m.options})" if m.options else "")
            for m in view.mounts
            if m.epoch and m.leader is None and (not words or (m.kind or "none") in words)
        )
        return 0, "".join(line + "\n" for line in lines)

    def _targets(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[]: the mount points, NUL-terminated: a name may hold a newline."""
        () = words
        return 0, "".join((m.target or "/") + "\0" for m in view.mounts if m.epoch)

    def _types(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[type]: status 0 when the view mounts that type, else 1; []: all of them, a line each."""
        types = list(self._types_of(view))
        if words:
            return int(current(words[0], types) not in types), ""
        return 0, "".join(name + "\n" for name in types)

    def _types_of(self, view: View) -> dict[str, tuple[Loaded, Any]]:
        """The mount types of a view's modules; the module loaded last has the last word."""
        loaded = self._loaded.setdefault(view.number, [])
        return {name: (one, make) for one in loaded for name, make in one.module.types.items()}

    # -- what all need -----------------------------------------------------------------------
    def _settle(self, view: View, later: Later, undo: Undo | None) -> None:
        """Answer once the view's tasks follow its mounts; `undo` for when they cannot."""

        def then(why: str) -> None:
            if why and undo is not None:
                undo()
            later.done(1 if why else 0, why)

        self._core.changed(view, then)

    def _shown_no_more(self, mounts: Iterable[Mount]) -> list[Tree]:
        """The trees of these mounts that no view shows any more."""
        return [
            tree
            for tree in dict.fromkeys(mount.tree for mount in mounts)
            if not any(_shows(view.mounts, tree) for view in self._core.views())
        ]

    def _unmounted(self, mounts: Iterable[Mount]) -> None:
        """Tell the trees that no view shows any more."""
        for tree in self._shown_no_more(mounts):
            self._tell(tree.unmounted)

    def _is_busy(self, tree: Tree) -> bool:
        """Whether a tree says that it is busy; one that makes a mistake can go."""
        try:
            return bool(tree.busy())
        except BaseException as error:  # the module's edge: its mistakes are not the core's
            self._core.log(traced(error))
            return False

    def _tell(self, action: Callable[[], None]) -> None:
        """Run a farewell of a module's: what goes wrong in it stops nothing."""
        try:
            action()
        except BaseException as error:  # the module's edge: its mistakes are not the core's
            self._core.log(traced(error))


def _farewell(trees: Iterable[Tree]) -> None:
    """Tell trees that they are unmounted.  Raises what the first of them raised, after all."""
    first: BaseException | None = None
    for tree in trees:
        try:
            tree.unmounted()
        except BaseException as error:  # the module's edge: the others must be told, too
            first = first or error
    if first is not None:
        raise first


def _shows(mounts: Iterable[Mount], tree: Tree) -> bool:
    """True when a tree is among `mounts`, or in a past view that is."""
    return any(
        m.tree is tree or (isinstance(m.tree, Past) and _shows(m.tree.mounts, tree)) for m in mounts
    )


def _checked(companions: Mapping[str, Tree]) -> Mapping[str, Tree]:
    """What a device says to go with it, if that can be mounted."""
    for target, tree in companions.items():
        _check(target)
        if not isinstance(tree, Tree):
            raise TypeError(f"{tree!r} at {target} is no tree")
    return companions


def _check(path: str) -> None:
    if not path.startswith("/") or path.startswith("//") or os.path.normpath(path) != path:
        raise refuse(errno.EINVAL, path)


def _lstat(view: View, name: str) -> os.stat_result:
    real = view.real(name)
    return os.lstat(real) if real is not None else view.now().lstat(name)


def _has_room(view: View, target: str) -> None:
    """What is mounted must be found by its name, which leads through a directory.

    Errors: ENOENT, ENOTDIR.
    """
    parent = os.path.dirname(target)
    try:
        mode = _lstat(view, parent).st_mode
    except PermissionError:
        return  # who may not enter it will not come to the target either
    if not stat.S_ISDIR(mode):
        raise refuse(errno.ENOTDIR, parent)


def _no_options(target: str, options: list[str]) -> None:
    idle = IDLE_OPTIONS | {"bind", "move"}
    left = [option for option in options if option not in idle]
    if left:
        raise Refused(f"{target}: a bind mount has no option {left[0]}")


def _not_idle(make: Any, options: list[str], skip: int) -> list[str]:
    """Options without those of mount(8) that this type does not know."""
    found = parameters(make, skip)
    known = found.kinds if found is not None else ()
    return [option for option in options if option in known or option not in IDLE_OPTIONS]
