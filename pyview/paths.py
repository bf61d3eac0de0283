# SPDX-License-Identifier: GPL-2.0-or-later
"""Names made canonical through a view: symbolic links, `..`, mount points, trailing slashes.

Pure: what lies in the kernel is looked at through `Eyes`.  The kernel has the last word on every
error: where the walk cannot go on, the rest of the name is left to it unresolved, so that the
caller gets its errno for its credentials.  cf. path_resolution(7), Linux fs/namei.c.
"""

# Annotations are evaluated here: NamedTuple compiles each that is a text, which every start pays.
import errno
import stat
from typing import NamedTuple, Protocol

from pyview.api import Device, Overlay, Shown, Tree, refuse
from pyview.view import Cover, View, checked_real, covers

LINKS = 40  # MAXSYMLINKS: one more is ELOOP


class Eyes(Protocol):
    """How the kernel's tree looks to the caller."""

    def readlink(self, real: str) -> str:
        """The target of a link.  Errors: EINVAL when it is none, ENOENT, EACCES..."""

    def is_directory(self, real: str) -> bool:
        """Whether `real`, which is no link, is a directory that the caller may enter.

        Errors: EACCES when it is one that it may not, ENOENT.
        """

    def is_plain(self, real: str) -> bool:
        """Whether `real` is known to be a directory, and no link, that the caller may enter."""

    def is_magic(self, real: str) -> bool:
        """Whether `real` is a link of proc that leads to a file rather than to a name."""

    def domain_of(self, real: str) -> int:
        """The domain of what a magic link leads to."""

    def jump(self, real: str) -> str:
        """A name of the view for where a magic link leads.  Errors: ENOENT when it has none."""


class Found(NamedTuple):
    """Where a name leads.

    name    canonical, in the view; what could not be looked up is still at its end
    cover   what answers there: a domain, or a virtual tree
    real    the kernel's name with what was left of the caller's words, None in a virtual tree
    rest    the name within the virtual tree
    same    the kernel, given the caller's own words, gets to the same place
    clean   so will C, which looks only at the words
    slash   it must be a directory: a slash or a dot was at the end
    dots    "." or ".." for whoever makes or removes entries, when that was the last name
    shown   what an overlay shows there; None where there is no overlay
    fixed   in a virtual tree; the way is the same for everybody, until mounts or devices change
    """

    name: str
    cover: Cover
    real: str | None
    rest: str
    same: bool
    clean: bool
    slash: bool = False
    dots: str = ""
    shown: Shown | None = None
    fixed: bool = False

    @property
    def number(self) -> int:
        """The domain's number; 0 in a tree that is none, whatever the kernel's name."""
        if self.shown is not None and self.shown.kept:
            return self.cover.kept
        for number, directory in self.cover.deeper:
            if self.real is not None and covers(directory, self.real):
                return number
        return max(self.cover.number, 0)

    @property
    def overlay(self) -> Overlay | None:
        """The overlay that shows it."""
        return self.cover.layers[0].overlay if self.shown is not None else None

    @property
    def tree(self) -> Tree:
        """The virtual tree that it lies in."""
        return self.cover.mount.tree

    @property
    def is_mount_point(self) -> bool:
        """Whether something is mounted exactly here."""
        return bool(self.cover.prefix) and self.name == self.cover.prefix


def cover_of(view: View, name: str) -> Cover:
    """What answers for the canonical `name`.  Errors: ENOENT when nothing does."""
    found = view.by_prefix()
    key = "" if name == "/" else name
    while (cover := found.get(key)) is None:
        if not key:
            raise refuse(errno.ENOENT, name)
        key = key.rpartition("/")[0]
    return cover


def real_of(cover: Cover, name: str) -> str:
    """The kernel's name of the canonical `name`, which `cover` answers for."""
    return cover.root + ("" if name == "/" else name)[len(cover.prefix) :] or "/"


def rest_of(cover: Cover, name: str) -> str:
    """The name, in the tree of its mount, of the canonical `name`, which `cover` answers for."""
    return ("" if name == "/" else name)[len(cover.mount.target) :] or "/"


def name_of(cover: Cover, name: str) -> str | None:
    """The kernel's name of the canonical `name`; None when a virtual tree must be asked."""
    if cover.layers:
        return shown_by(cover, name).real
    if cover.number >= 0:
        return real_of(cover, name)
    return checked_real(cover.mount.tree.real(rest_of(cover, name)))


def shown_by(cover: Cover, name: str) -> Shown:
    """What the first overlay of `cover`, which answers for `name`, shows there."""
    found = cover.layers[0].overlay.shown(cover.inner(name))
    if found.touched:
        return found
    rest = ("" if name == "/" else name)[len(cover.prefix) :]
    for overlay, base in cover.layers[1:]:  # what one below has touched is no less touched
        if overlay.shown(base + rest or "/").touched:
            return found._replace(touched=True)
    return found


def _is_fixed(cover: Cover) -> bool:
    """Whether what its tree shows changes only with mounts and devices."""
    tree = cover.mount.tree
    return cover.number < 0 and (isinstance(tree, Device) or getattr(tree, "texts", False) is True)


class _Way(NamedTuple):
    """What a walk knows once it is in the directory of the last name."""

    at: str
    cover: Cover
    stays: bool
    plain: bool
    strayed: bool
    touched: bool
    links: int


class _Walk:
    """One resolution under way: `at` is canonical and has been reached, `todo` is to come."""

    def __init__(
        self, view: View, eyes: Eyes, base: str, path: str, how: tuple[bool, bool, bool]
    ) -> None:
        self.view, self.eyes, self.places = view, eyes, view.by_prefix()
        self.at = self.base = "/" if path.startswith("/") else base
        self.relative = "" if path.startswith("/") else path
        self.follows, self.entry, self.makes = how
        self.todo = [part for part in reversed(path.split("/")) if part]
        self.slash = path.endswith("/")
        self.tail: list[str] = []  # what is left to the kernel
        self.links = 0
        self.cover = cover_of(view, self.at)
        # The kernel's root, where it begins by itself, is this view's.
        self.rooted = real_of(cover_of(view, "/"), "/") == "/"
        # In the domain it started in, and where the kernel would stay, too.
        self.stays = self.rooted or not path.startswith("/")
        self.plain = True  # no domain was entered after a link or a ".."
        self.strayed = False  # a link or ".." was met
        self.touched = False  # the kernel, in the lower of an overlay, goes another way
        self.beyond: Cover | None = None  # what a magic link at the end leads to lies there
        self.overlaid = bool(self.cover.layers)  # all the way lies in overlays
        self.fixed = not self.relative  # so far

    def step(self, part: str) -> None:
        """Go on by one name.  Errors: whatever the kernel says of it."""
        last = not any(self.todo)
        if part in ("", "."):
            if part and last:
                self.tail = ["."]
        elif part == "..":
            if (last and self.entry) or not self.is_directory():
                self.tail = [part, *reversed(self.todo)]
                return
            self.up()
            if last:
                self.tail = ["."]
        else:
            self.name(self.child(part), last)

    def name(self, child: str, last: bool) -> None:
        kept = not self.follows and (self.entry or not self.slash)
        kept = last and (kept or (self.makes and self.slash))
        cover = self.places.get(child, self.cover)
        if not cover.layers and cover.number >= 0 and not (last or kept):
            real = real_of(cover, child)
            if self.eyes.is_plain(real):
                self.to(child, cover)
                return
        target = None if kept else self.look(child, cover, last)
        self.fixed = self.fixed and (_is_fixed(cover) or child == cover.prefix)
        if target is not None:
            self.slash = self.slash or (last and target.endswith("/"))
            self.follow(target)
            return
        self.to(child, cover)
        if not last and not self.may_enter():
            self.tail = [*reversed(self.todo)]  # ENOTDIR or EACCES, says the kernel

    def may_enter(self) -> bool:
        try:
            return self.is_directory()
        except OSError as error:
            if self.cover.number < 0 or self.covered():
                raise
            layers = self.cover.layers
            hidden = error.errno == errno.EACCES and bool(layers)
            return hidden and layers[0].overlay.reveals(self.cover.inner(self.at))

    def covered(self) -> bool:
        """Whether an overlay has changed what has been reached."""
        return bool(self.cover.layers) and shown_by(self.cover, self.at).touched

    def to(self, name: str, cover: Cover) -> None:
        if cover is not self.cover and (cover.number or self.cover.number):
            self.stays = False
            self.plain = self.plain and not self.strayed
        self.at, self.cover = name, cover
        self.overlaid = self.overlaid and bool(cover.layers)

    def up(self) -> None:
        self.strayed = True
        if self.at == "/":
            self.stays = self.stays and self.rooted
        parent = self.at.rpartition("/")[0] or "/"
        self.to(parent, cover_of(self.view, parent))

    def child(self, name: str) -> str:
        return ("" if self.at == "/" else self.at) + "/" + name

    def look(self, name: str, cover: Cover, last: bool) -> str | None:
        """The target when `name`, which `cover` answers for, is a link; None: it is something else.

        A magic link at the end of a name is the kernel's to follow: it leads to a file.
        """
        if name == cover.prefix:
            return None  # a mount point hides what is below it
        try:
            if cover.layers and (found := shown_by(cover, name)).touched:
                self.touched = self.touched or found.real != real_of(cover, name)
                real = found.real
            else:
                real = name_of(cover, name)
            if real is None:
                return cover.mount.tree.readlink(rest_of(cover, name))
            if self.eyes.is_magic(real):
                number = self.eyes.domain_of(real)
                if not last or number < 0:
                    return self.eyes.jump(real)
                if self.keeps(number) and (kept := self.kept_directory(real)):
                    return kept
                self.beyond = self.behind(real, number)
                return None
            return self.eyes.readlink(real)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise

    def keeps(self, number: int) -> bool:
        """Whether a domain is an overlay's own directory."""
        covers = self.view.covers() if number else ()
        return any(number in (c.kept, *(deep for deep, _ in c.deeper)) for c in covers)

    def kept_directory(self, real: str) -> str:
        """The view's name of the directory that a magic link leads to; "": it has none."""
        try:
            return self.eyes.jump(real)
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def behind(self, real: str, number: int) -> Cover | None:
        """What answers for the file that a magic link leads to."""
        found = [cover for cover in self.view.covers() if cover.number == number]
        if len(found) < 2:
            return found[0] if found else None
        target = self.eyes.readlink(real)
        return cover_of(self.view, target) if target.startswith("/") else found[-1]

    def follow(self, target: str) -> None:
        self.strayed = True
        self.links += 1
        if self.links > LINKS:
            raise refuse(errno.ELOOP)
        if target.startswith("/"):
            self.stays = self.stays and self.rooted
            self.to("/", cover_of(self.view, "/"))
        self.todo.extend(reversed(target.split("/")))

    def way(self) -> _Way:
        return _Way(
            *(self.at, self.cover, self.stays, self.plain, self.strayed, self.touched, self.links)
        )

    def take(self, way: _Way) -> None:
        """Be where another walk has been."""
        self.at, self.cover, self.stays, self.plain, self.strayed, self.touched, self.links = way
        del self.todo[1:]

    def is_directory(self) -> bool:
        if self.covered():
            self.cover.layers[0].overlay.enter(self.cover.inner(self.at))
            return True
        real = name_of(self.cover, self.at)
        if real is not None:
            self.fixed = self.fixed and self.eyes.is_plain(real)
            return self.eyes.is_directory(real)
        rest = rest_of(self.cover, self.at)
        if not stat.S_ISDIR(self.cover.mount.tree.lstat(rest).st_mode):
            raise refuse(errno.ENOTDIR, self.at)
        return True


def resolve(
    view: View,
    eyes: Eyes,
    base: str,
    path: str,
    *,
    follow: bool = True,
    entry: bool = False,
    makes: bool = False,
) -> Found:
    """Where `path` leads from the directory `base` (canonical, in the view).

    `entry`: the last name is that of an entry to be made or removed, so neither a slash after it
    makes a link be followed, nor is a last `..` resolved: the kernel has an error for each.
    `makes`: a file is made if there is none (O_CREAT); with a slash at its end, also at the end of
    a link's target, the kernel refuses the name (EISDIR) before it looks at it.

    Errors: ELOOP after 40 links, ENOENT for "".
    """
    if not path:
        raise refuse(errno.ENOENT, path)
    walk = _Walk(view, eyes, base, path, (follow, entry, makes))
    if walk.relative and walk.covered():
        walk.is_directory()  # the kernel must be let search where it begins, too
    key = _key(walk, path)
    turns = sum(overlay.turns for overlay in view.overlays()) if key else 0
    way = view.ways.get(key, turns) if key else None
    if way is not None:
        walk.take(way)
        key = None
    while walk.todo and not walk.tail:
        if key and len(walk.todo) == 1 and walk.overlaid:
            view.ways.keep(key, turns, walk.way())
            key = None  # another last name may come, of a link's target
        part = walk.todo.pop()
        try:
            walk.step(part)
        except OSError as error:
            virtual = walk.cover.number < 0 or bool(walk.cover.layers)
            if error.errno == errno.ELOOP or (virtual and any(walk.todo)):
                raise
            walk.tail = [part, *reversed(walk.todo)]
    return _found(walk)


def _key(walk: _Walk, path: str) -> tuple[str, str, object] | None:
    """What the way to the last name is remembered by; None when it is not, or there is none."""
    head, _, last = path.rpartition("/")
    if not head.strip("/") or last in ("", ".", "..") or not walk.overlaid:
        return None
    overlay = walk.cover.layers[0].overlay
    if overlay.live or not overlay.keeps:
        return None
    return walk.base, head, overlay.who


def _found(walk: _Walk) -> Found:
    name, cover = walk.at, walk.cover
    words = [part for part in walk.tail if part]
    beyond = "".join("/" + part for part in words)
    plain_tail = [part for part in words if part not in (".", "..")]
    full = (("" if name == "/" else name) + "".join("/" + p for p in plain_tail)) or "/"
    dots = words[-1] if words and words[-1] in (".", "..") else ""
    if cover.number < 0:
        rest = rest_of(cover, full)
        slash = walk.slash or bool(dots)
        if cover.layers:
            return _overlaid(walk, full, slash, dots)
        shown = name_of(cover, full)
        if shown is not None and slash:
            shown = shown.rstrip("/") + "/" + (dots if walk.entry else "")
        said = dots if walk.entry or walk.makes else ""
        fixed = walk.fixed and shown is None and _is_fixed(cover)
        return Found(full, cover, shown, rest, False, False, slash, said, fixed=fixed)
    if cover.layers and walk.beyond is None:
        return _overlaid(walk, full, walk.slash or bool(dots), dots)
    real = real_of(cover, name)
    real = ("" if real == "/" and beyond else real) + beyond
    if walk.slash and not real.endswith("/"):
        real += "/"
    same = walk.stays and not walk.touched  # not through a link that only an overlay has
    if walk.beyond is not None:
        return Found(full, walk.beyond, real, "", same, False)
    return Found(full, cover, real, "", same, walk.plain and not (words or walk.touched))


def _overlaid(walk: _Walk, full: str, slash: bool, dots: str) -> Found:
    """The same where an overlay shows the kernel's files, or its own."""
    cover = walk.cover = cover_of(walk.view, full)
    shown = shown_by(cover, full)
    rest = rest_of(cover, full)
    said = dots if walk.entry or walk.makes else ""
    untouched = not (shown.touched or walk.touched)
    real = shown.real
    if real is not None and slash:
        real = real.rstrip("/") + "/" + (dots if walk.entry else "")
    same = untouched and walk.stays and cover.number >= 0
    clean = same and walk.plain and not walk.tail
    same = same or (shown.kept and _from_kept(walk, shown.real or ""))
    return Found(full, cover, real, rest, same, clean, slash, said, shown)


def _from_kept(walk: _Walk, real: str) -> bool:
    """Whether the caller's words lead there in the kernel, from a directory an overlay keeps."""
    words = [word for word in walk.relative.split("/") if word not in ("", ".")]
    if not words or ".." in words or walk.strayed:
        return False
    cover = cover_of(walk.view, walk.base)
    base = shown_by(cover, walk.base) if cover.layers else None
    return base is not None and base.kept and real == "/".join((base.real or "", *words))
