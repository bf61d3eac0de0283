# SPDX-License-Identifier: GPL-2.0-or-later
"""A view: trees mounted over trees, each seeing only what was there before it.

Pure: knows no process.  The kernel is the first tree, mounted on "/" at epoch 0; a view frozen at
an epoch is itself a tree.  A *domain* is a place where the kernel's own tree shows (again): the
answer of every tree between a name and the kernel is "the same, under another name".
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pyview.api import Overlay, Tree, refuse
from pyview.kernel import Kernel
from pyview.ways import Ways

MOUNT_IDS = 1000000  # those of a view are above it in proc: the kernel takes the lowest free
#: Groups of calls that a module may claim: users, groups and capabilities.
CLAIMS = frozenset({"identity"})


def covers(target: str, path: str) -> bool:
    """True when the canonical `path` is `target` or below it ("" is the root)."""
    return path.startswith(target) and (len(path) == len(target) or path[len(target)] == "/")


class Mount:
    """One tree at one place.  `target` is canonical and absolute, "" for the root."""

    __slots__ = (
        "epoch", "kind", "leader", "options", "owner", "permanent", "root", "source",
        "target", "tree",
    )  # fmt: skip

    def __init__(
        self, target: str, tree: Tree, epoch: int, source: str, kind: str, options: str
    ) -> None:
        self.target, self.tree, self.epoch = target, tree, epoch
        self.source, self.kind, self.options = source, kind, options
        self.owner: object = None  # the loaded module that asked for it, if any
        self.permanent = False
        self.leader: Mount | None = None  # the one that it came with and goes with
        #: the kernel's name of its root ("" for "/") when the tree only renames, else None
        self.root = _root(tree)

    @property
    def sort(self) -> str:
        """Its type, or the module that asked for it; "" for a bind mount."""
        return "" if self.kind == "none" else self.kind or getattr(self.owner, "name", "")

    def command(self) -> list[str]:
        """The words of a command that would make it: its source and target are whole names."""
        options = [word for word in self.options.split(",") if word and word != "bind"]
        flags = ["permanent"] * self.permanent + options
        told = ["-o", ",".join(flags)] if flags else []
        how = ["-t", self.kind] if self.kind and self.kind != "none" else ["-B"]
        return ["vumount", *how, *told, self.source, self.target or "/"]


def _root(tree: Tree) -> str | None:
    real = None if isinstance(tree, Past | Overlay) else checked_real(tree.real("/"))
    return "" if real == "/" else real


def checked_real(real: str | None) -> str | None:
    """What a tree says to be the kernel's name of something, if it can be one."""
    if real is not None and (not real.startswith("/") or "\0" in real):
        raise ValueError(f"{real!r} is no absolute name")
    return real


class Domain:
    """One place where the kernel's tree shows.

    number   small and never reused: what a descriptor or a working directory is remembered by
    prefix   its root's name in the view ("" for the view's own root)
    root     the kernel's name of that root ("" for the kernel's own root)
    inside   the names, from its root, of what is mounted inside it, newest first
    """

    __slots__ = ("inside", "number", "prefix", "root")

    def __init__(self, number: int, prefix: str, root: str, inside: tuple[str, ...]) -> None:
        self.number, self.prefix, self.root, self.inside = number, prefix, root, inside

    def name(self, real: str) -> str | None:
        """The view's name of the kernel's absolute `real`, or None when it lies outside."""
        if self.root:
            if not covers(self.root, real):
                return None
            real = real[len(self.root) :]
        return (self.prefix + ("" if real == "/" else real)) or "/"


class Layer(NamedTuple):
    """An overlay over a place; `base` is the place's name in the overlay ("" for its root)."""

    overlay: Overlay
    base: str


class Cover:
    """What answers below a name of the view: a domain (then `number` >= 0) or a virtual tree.

    layers  the overlays through which it shows, the last mounted first
    kept    the number of the domain that is the first one's own directory, -1 without
    deeper  the same of the others: (number, the directory)
    """

    __slots__ = ("deeper", "kept", "layers", "mount", "number", "prefix", "root")

    def __init__(
        self, prefix: str, number: int, root: str, mount: Mount, layers: tuple[Layer, ...] = ()
    ) -> None:
        self.prefix, self.number, self.root, self.mount = prefix, number, root, mount
        self.layers, self.kept = layers, -1
        self.deeper: tuple[tuple[int, str], ...] = ()

    def inner(self, name: str) -> str:
        """The name in the first overlay of the canonical `name`, which this answers for."""
        rest = ("" if name == "/" else name)[len(self.prefix) :]
        return self.layers[0].base + rest or "/"

    def above(self, number: int) -> tuple[Layer, ...]:
        """The overlays through which what lies in the domain `number` is seen here."""
        if number == self.number:
            return self.layers
        depths = [at for at, (deep, _) in enumerate(self.deeper) if deep == number]
        return self.layers[: depths[0] + 1] if depths else ()

    def outer(self, name: str, number: int) -> str | None:
        """The view's name of what the domain `number` calls `name`; None when it has none."""
        rest = ("" if name == "/" else name)[len(self.prefix) :]
        for overlay, base in reversed(self.above(number)):
            path = overlay.here(base + rest or "/")
            path = "" if path == "/" else path
            if path is None or not covers(base, path):
                return None
            rest = path[len(base) :]
        return self.prefix + rest or "/"


class Place(NamedTuple):
    """A part of a tree that shows the kernel's (`root` is its name there), or not (None)."""

    prefix: str
    root: str | None
    layers: tuple[Layer, ...]


# (prefix, root) -> number, in all views: a descriptor may be handed from one view to another.
_NUMBERS: dict[tuple[str, str], int] = {("", ""): 0}


def _number(prefix: str, root: str) -> int:
    """The domain in which `root` is seen at `prefix`."""
    return _NUMBERS.setdefault((prefix, root), len(_NUMBERS))


def _places(tree: Tree, root: str | None) -> Iterator[Place]:
    """What a tree shows, the newest of it first."""
    if isinstance(tree, Past):
        yield from tree.shows()
    elif isinstance(tree, Overlay):
        below = tree.below
        real = None if isinstance(below, Past) else below.real("/")
        for name in tree.excepted:
            part = below.at(name)
            real_part = None if isinstance(part, Past) else part.real("/")
            for place in _places(part, real_part):
                yield place._replace(prefix=name + place.prefix)
        for prefix, lower, layers in _places(below, "" if real == "/" else real):
            yield Place(prefix, lower, (Layer(tree, prefix), *layers))
    else:
        yield Place("", root, ())


class View:
    """The mounts of a group of processes."""

    def __init__(self, number: int = 1, name: str = "", parent: View | None = None) -> None:
        self.number, self.name, self.parent = number, name, parent
        self.epoch = 0
        self.mounts: list[Mount] = [Mount("", Kernel(), 0, "none", "kernel", "")]
        self._covers: tuple[Cover, ...] | None = None
        self._by_prefix: dict[str, Cover] = {}
        self._overlays: tuple[Overlay, ...] = ()
        self.ways: Ways[Any] = Ways()  # where names were found to lead, by paths.py
        self._domains: dict[int, Domain] = {}
        self.sockets: dict[bytes, bytes] = {}  # the kernel's name of a bound socket -> the view's
        self.claims: set[str] = set()  # groups of calls that stop for a module's sake
        if parent is not None:
            self.epoch = parent.epoch
            self.mounts = list(parent.mounts)
            self.claims = set(parent.claims)

    # -- mounts ----------------------------------------------------------------------------
    def mount(
        self, target: str, tree: Tree, *, source: str = "none", kind: str = "", options: str = ""
    ) -> Mount:
        """Show `tree` at `target`.  Newer mounts hide older ones, as in the kernel."""
        target = "" if target == "/" else target
        if target and (not target.startswith("/") or target.endswith("/")):
            raise refuse(errno.EINVAL, target)
        self.epoch += 1
        mount = Mount(target, tree, self.epoch, source, kind, options)
        self.mounts.append(mount)
        self._covers = None
        return mount

    def claim(self, calls: str) -> None:
        """Let a group of calls stop in this view.  Errors: EINVAL when there is none such."""
        if calls not in CLAIMS:
            raise refuse(errno.EINVAL, calls)
        self.claims.add(calls)

    def umount(self, mount: Mount) -> None:
        """Take one mount away.  Errors: EINVAL when it is not mounted here or is the kernel."""
        if mount.epoch == 0 or mount not in self.mounts:
            raise refuse(errno.EINVAL, mount.target)
        for going in [*self.companions(mount), mount]:
            self.mounts.remove(going)
        self._covers = None

    def companions(self, mount: Mount) -> list[Mount]:
        """What came with a mount and goes with it."""
        return [other for other in self.mounts if other.leader is mount]

    def top(self, target: str) -> Mount | None:
        """The newest mount exactly at `target`, or None."""
        target = "" if target == "/" else target
        return next((m for m in reversed(self.mounts) if m.target == target and m.epoch), None)

    # -- names -----------------------------------------------------------------------------
    def now(self) -> Past:
        """This view as it stands: a tree."""
        return Past(self, self.epoch)

    def find(self, path: str, epoch: int | None = None) -> tuple[Mount, str]:
        """The mount that answers for the canonical `path`, and the rest of the name in it."""
        key = "" if path == "/" else path
        for mount in reversed(self.mounts):
            if (epoch is None or mount.epoch <= epoch) and covers(mount.target, key):
                return mount, key[len(mount.target) :] or "/"
        raise refuse(errno.ENOENT, path)

    def real(self, path: str) -> str | None:
        """The kernel's name of the canonical `path`, or None when a tree must be asked."""
        mount, rest = self.find(path)
        return mount.tree.real(rest)

    # -- domains ---------------------------------------------------------------------------
    def _flatten(self, epoch: int) -> Iterator[tuple[Place, Mount]]:
        """Each thing seen at `epoch`, newest first."""
        for mount in reversed(self.mounts):
            if mount.epoch <= epoch:
                for prefix, root, layers in _places(mount.tree, mount.root):
                    yield Place(mount.target + prefix, root, layers), mount

    def covers(self) -> tuple[Cover, ...]:
        """What answers where: the first that covers a name is the one.  Numbers are stable."""
        if self._covers is None:
            found: list[Cover] = []
            domains: dict[int, Domain] = {}
            flat = list(self._flatten(self.epoch))
            layered = any(place.layers for place, _ in flat)
            for (prefix, root, layers), mount in flat:
                if any(covers(c.prefix, prefix) for c in found):
                    continue  # hidden below a newer one
                inside = tuple(c.prefix[len(prefix) :] for c in found if covers(prefix, c.prefix))
                number = -1
                if root is not None:
                    own = layered and prefix == root  # the kernel's own names
                    number = 0 if own else _number(prefix, root)
                    domains[number] = Domain(number, prefix, root, inside)
                    if own:
                        domains[0] = Domain(0, "", "", inside)
                cover = Cover(prefix, number, root or "", mount, layers)
                kept = [(_number(prefix, o.kept + base), o.kept + base) for o, base in layers]
                for own_number, directory in reversed(kept):
                    domains[own_number] = Domain(own_number, prefix, directory, inside)
                if kept:
                    cover.kept, cover.deeper = kept[0][0], tuple(kept[1:])
                found.append(cover)
            self._covers, self._domains = tuple(found), domains
            self._by_prefix = {cover.prefix: cover for cover in found}
            self._overlays = tuple(dict.fromkeys(one.overlay for c in found for one in c.layers))
            self.ways = Ways()
        return self._covers

    def by_prefix(self) -> dict[str, Cover]:
        """The same by their places: what covers a name is the one with the longest of its prefixes.

        For none lies below a newer one: that one hides it.
        """
        self.covers()
        return self._by_prefix

    def overlays(self) -> tuple[Overlay, ...]:
        """Those through which anything shows."""
        self.covers()
        return self._overlays

    def domain(self, number: int) -> Domain | None:
        """A domain by its number; None when its mount has gone."""
        self.covers()
        return self._domains.get(number)

    def domains(self) -> Iterable[Domain]:
        """All of them."""
        self.covers()
        return self._domains.values()

    def names(self) -> frozenset[str]:
        """The last components of all mount points: what no harmless name contains."""
        return frozenset(c.prefix.rpartition("/")[2] for c in self.covers() if c.prefix)


class Past(Tree):
    """A view as it stood at one epoch, from one directory of it: what was *below* a mount."""

    def __init__(self, view: View, epoch: int, start: str = "") -> None:
        self.mounts = [m for m in view.mounts if m.epoch <= epoch]
        self.start = "" if start == "/" else start
        self._below = View()
        self._below.mounts, self._below.epoch = self.mounts, epoch
        self._shown = tuple(self._seen())

    def at(self, path: str) -> Past:
        past = object.__new__(Past)
        past.mounts, past._below = self.mounts, self._below
        past.start = self.start + ("" if path == "/" else path)
        past._shown = tuple(past._seen())
        return past

    def _find(self, path: str) -> tuple[Tree, str]:
        mount, rest = self._below.find(self.start + path if path != "/" else self.start or "/")
        return mount.tree, rest

    def shows(self) -> tuple[Place, ...]:
        """What is seen from `start`, newest first."""
        return self._shown

    def _seen(self) -> Iterator[Place]:
        for cover in self._below.covers():
            root = cover.root if cover.number >= 0 else None
            if covers(self.start, cover.prefix):
                yield Place(cover.prefix[len(self.start) :], root, cover.layers)
            elif covers(cover.prefix, self.start):
                rest = self.start[len(cover.prefix) :]
                layers = tuple(Layer(o, base + rest) for o, base in cover.layers)
                yield Place("", None if root is None else root + rest, layers)
                return

    def real(self, path: str) -> str | None:
        tree, rest = self._find(path)
        return tree.real(rest)

    def rename(self, old: str, new: str, flags: int) -> None:
        tree, first, second = self._both(old, new)
        tree.rename(first, second, flags)

    def link(self, old: str, new: str) -> None:
        tree, first, second = self._both(old, new)
        tree.link(first, second)

    def symlink(self, target: str, path: str) -> None:
        tree, rest = self._find(path)
        tree.symlink(target, rest)

    def _both(self, old: str, new: str) -> tuple[Tree, str, str]:
        tree, first = self._find(old)
        other, second = self._find(new)
        if tree is not other:
            raise refuse(errno.EXDEV, old)
        return tree, first, second


def _handed_down(operation: str) -> Any:
    """A method of Past: the same, of the tree that was there."""

    def method(self: Past, path: str, *arguments: Any) -> Any:
        tree, rest = self._find(path)
        return getattr(tree, operation)(rest, *arguments)

    return method


for _operation in (
    *("lstat", "readlink", "listdir", "entries", "access", "open", "unlink", "mkdir", "rmdir"),
    *("chmod", "chown", "utime", "truncate", "mknod", "statvfs", "socket", "backing"),
    *("tmpfile", "link_file", "masks"),
    *("getxattr", "setxattr", "listxattr", "removexattr"),
):
    setattr(Past, _operation, _handed_down(_operation))
