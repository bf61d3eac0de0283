# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of the control channel: what vu_insmod, vumount and the others ask of the core.

Here are those about modules and about the view itself; mounting.py has the others.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from pyview.control import Answer, Later
from pyview.mounting import Core, Mounting, Refused
from pyview.registry import Loaded, ModuleError, is_path, load, short_name, split
from pyview.view import View, covers

#: What vudebug and `pyview -d` accept.
DEBUG_TAGS = {
    "c": "control: requests of the vu_* commands",
    "f": "filter: what is injected into which task",
    "p": "paths: names as asked and as found",
    "s": "syscalls: each call that stopped, with its answer",
    "v": "view: mounts and domains",
}

NAME_LIMIT = 64  # characters of a view's name, as the kernel's node name


class Services(Mounting):
    """The modules of all views, and the verbs over them."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._tags: dict[int, frozenset[str]] = {}
        self._verbs: dict[str, Callable[[View, int, Sequence[str]], Answer | Later]] = {
            "insmod": self._insmod,
            "rmmod": self._rmmod,
            "lsmod": self._lsmod,
            "mount": self._mount,
            "umount": self._umount,
            "mounts": self._mounts,
            "targets": self._targets,
            "types": self._types,
            "info": self._info,
            "commands": self._commands,
            "setname": self._setname,
            "debug": self._debug,
            "child": self._child,
            "become": self._become,
            "identity": self._identity,
            "kept": self._kept,
        }

    # -- for the core ------------------------------------------------------------------------
    def dispatch(self, pid: int, uid: int, words: Sequence[str]) -> Answer | Later:
        """Answer one request of the process `pid`.  Whose `uid` may ask is the server's matter."""
        view = self._core.view_of(pid)
        if view is None:
            return 1, "not in a view"
        verb = self._verbs.get(words[0])
        if verb is None:
            return 2, f"unknown request: {words[0]!r}"
        try:
            return verb(view, pid, words[1:])
        except (Refused, ModuleError) as error:
            return 1, str(error)
        except OSError as error:
            return 1, ": ".join(filter(None, (error.filename, error.strerror or str(error))))
        except ValueError:  # too few words, too many: no client of ours sends that
            return 2, f"malformed request: {words[0]!r}"

    def modules(self, view: View) -> Sequence[Loaded]:
        """What is loaded in a view, oldest first."""
        return self._loaded.setdefault(view.number, [])

    def forget(self, view: View) -> None:
        """The last task of `view` has gone: let go of its modules and mounts."""
        self._tags.pop(view.number, None)
        gone = self._loaded.pop(view.number, [])
        mounts, view.mounts = view.mounts, view.mounts[:1]
        self._unmounted(mounts[1:])
        for loaded in reversed(gone):
            self._unloaded(view, loaded)

    # -- modules -----------------------------------------------------------------------------
    def _insmod(self, view: View, _pid: int, words: Sequence[str]) -> Answer | Later:
        """[how, spec...]: all of them are loaded, or none.

        how is "permanent", "missing" (those that are loaded already can stay) or "".
        """
        how, *specs = words
        loaded = self._loaded.setdefault(view.number, [])
        before = list(loaded)

        def undo() -> None:
            for one in reversed(loaded[len(before) :]):
                loaded.remove(one)
                self._remove(view, one)

        try:
            for spec in specs:
                name, _ = split(spec)
                if any(one.name == short_name(name) for one in loaded):
                    if how == "missing":
                        continue
                    raise Refused(f"{name}: already loaded")
                path = self._real_spec(view, spec) if is_path(name) else spec
                one = load(view, path, self._core.log, permanent=how == "permanent")
                one.spec = spec
                loaded.append(one)
        except (ModuleError, OSError, Refused):
            undo()
            raise
        later = Later()
        self._settle(view, later, undo)
        return later

    def _real_spec(self, view: View, spec: str) -> str:
        """A specification that begins with a path in the view, with the kernel's name instead."""
        path, comma, options = spec.partition(",")
        if not path.startswith("/"):
            raise Refused(f"{path}: not an absolute path")
        real = view.real(path)
        if real is None:
            raise Refused(f"{path}: no real file: a module cannot be loaded from there")
        return real + comma + options

    def _rmmod(self, view: View, _pid: int, words: Sequence[str]) -> Answer | Later:
        """[name...]: none goes unless all can go."""
        loaded = self._loaded.setdefault(view.number, [])
        going: list[Loaded] = []
        for word in words:
            found = [one for one in loaded if one.name in (word, short_name(word))]
            if not found:
                raise Refused(f"{word}: not loaded")
            if found[0].permanent:
                raise Refused(f"{word}: loaded permanently")
            if self._uses(view, found[0]):
                raise Refused(f"{word}: {os.strerror(errno.EBUSY)}")
            going += [one for one in found if one not in going]
        for one in going:
            loaded.remove(one)
            self._remove(view, one)
        later = Later()
        self._settle(view, later, None)
        return later

    def _remove(self, view: View, loaded: Loaded) -> None:
        view.claims -= loaded.claims
        mounts = [mount for mount in view.mounts if mount.owner is loaded]
        for mount in mounts:
            if mount in view.mounts:  # not gone with its leader
                view.umount(mount)
        self._unmounted(mounts)
        self._unloaded(view, loaded)

    def _unloaded(self, view: View, loaded: Loaded) -> None:
        """Tell a module that it goes, unless another view still has it."""
        if not any(loaded in others for others in self._loaded.values()):
            self._tell(lambda: loaded.module.unload(view))

    def _uses(self, view: View, loaded: Loaded) -> int:
        """How many mounts of users, and how many of its own that are busy, need a module."""
        own = [mount for mount in view.mounts if mount.owner is loaded]
        others = self._core.others(view) if "identity" in loaded.claims else 0
        return others + sum(
            mount not in loaded.mounts or self._core.busy(view, mount) or self._is_busy(mount.tree)
            for mount in own
            if mount.leader is None
        )

    def _lsmod(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[]: a line for each module: name, how often in use, what it is."""
        () = words
        loaded = self._loaded.setdefault(view.number, [])
        width = max((len(one.name) for one in loaded), default=0)
        lines = (f"{one.name:{width}}  {self._uses(view, one)}  {one.line}" for one in loaded)
        return 0, "".join(line.rstrip() + "\n" for line in lines)

    def _commands(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[pid]: the commands that would make such a view as that process is in, oldest first."""
        from shlex import join  # not before it is needed

        (pid,) = words
        other = self._core.view_of(int(pid))
        if other is None:
            raise Refused(f"{pid}: not in a view of this session")
        loaded = self._loaded.setdefault(other.number, [])
        made = [(one.epoch, 1, ["vu_insmod", *["-p"] * one.permanent, one.spec]) for one in loaded]
        own = {mount for one in loaded for mount in one.mounts}
        made += [
            (mount.epoch, 0, mount.command())
            for mount in other.mounts
            if mount.epoch and mount.leader is None and mount not in own
        ]
        made.sort(key=lambda one: one[:2])
        lines = [join(command) + "\n" for _, _, command in made]
        if other.name:
            lines.insert(0, join(["vuname", other.name]) + "\n")
        return 0, "".join(lines)

    # -- the view itself ---------------------------------------------------------------------
    def _info(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[]: number, core's pid, parent's number (0: none), name: a line each."""
        () = words
        parent = view.parent.number if view.parent is not None else 0
        return 0, f"{view.number}\n{os.getpid()}\n{parent}\n{view.name}\n"

    def _setname(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        (name,) = words
        _check_name(name)
        view.name = name
        return 0, ""

    def _debug(self, view: View, pid: int, words: Sequence[str]) -> Answer:
        """[scope, tag...]: scope "view", or "task": the client and what it becomes."""
        scope, *changes = words
        tags = set(self._tags.get(view.number, ()))
        shown = not changes or any(change.startswith("?") for change in changes)
        for change in changes:
            sign = change[0] if change[:1] in ("+", "-", "?") else "+"
            letters = change.removeprefix(sign)
            for letter in letters:
                if letter not in DEBUG_TAGS:
                    offered = "".join(DEBUG_TAGS)
                    raise Refused(f"unknown debug tag: {letter} (there are: {offered})")
            if sign == "+":
                tags |= set(letters)
            elif sign == "-":
                tags -= set(letters)
        if any(not change.startswith("?") for change in changes):
            if scope == "view":
                self._tags[view.number] = frozenset(tags)
            self._core.debug(view, 0 if scope == "view" else pid, frozenset(tags))
        lines = (
            f"{'+' if tag in tags else '-'}{tag}  {what}\n" for tag, what in DEBUG_TAGS.items()
        )
        return 0, "".join(lines) if shown else ""

    def _child(self, view: View, pid: int, words: Sequence[str]) -> Answer:
        """[name]: the client becomes the first process of a child view; its number."""
        (name,) = words
        _check_name(name)
        child = self._core.child(pid, name)
        self.adopt(child, view)
        return 0, str(child.number)

    def adopt(self, child: View, parent: View) -> None:
        """A child view has its parent's modules."""
        self._loaded[child.number] = list(self._loaded.get(parent.number, ()))

    def _identity(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[]: "1" where users are the view's own, else "0"."""
        () = words
        return 0, str(int("identity" in view.claims))

    def _kept(self, view: View, _pid: int, words: Sequence[str]) -> Answer:
        """[path]: the kernel's name of the directory that keeps what is changed there, if any."""
        (path,) = words
        layers = next(cover.layers for cover in view.covers() if covers(cover.prefix, path))
        return 0, layers[0].overlay.kept if layers else ""

    def _become(self, view: View, pid: int, words: Sequence[str]) -> Answer | Later:
        """[]: the client is root in this view, whose identities become its own for that."""
        () = words
        if "identity" in view.claims:
            self._core.becomes_root(pid)
            return 0, ""
        asked, later = self._insmod(view, pid, ("", "vuid")), Later()

        def loaded(answer: Answer) -> None:
            if not answer[0]:
                self._core.becomes_root(pid)
            later.done(*answer)

        assert isinstance(asked, Later)
        asked.then(loaded)
        return later


def _check_name(name: str) -> None:
    if len(name) > NAME_LIMIT or not (name.isprintable() or not name):
        raise Refused(f"not a name for a view: {name!r}")
