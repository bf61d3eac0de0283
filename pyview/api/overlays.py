# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that show what lies below them, and keep what is changed: viewfs is one."""

# Annotations are evaluated here: NamedTuple compiles each that is a text, which every start pays.
import errno
import os
import stat
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from pyview.api.errors import refuse
from pyview.api.trees import Tree

Named = tuple[str, int, int]  # an entry of a directory: name, inode, type as in a mode


class Who(NamedTuple):
    """For whom a tree does something.

    uid, gid, groups  what files are checked against: credentials(7), file-system ids
    virtual           they are the view's own; otherwise they are those of the real user
    """

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()
    virtual: bool = False


class Shown(NamedTuple):
    """What an overlay shows under a name.

    real     the kernel's name of a file with the same bytes, None when there is none
    touched  it is not simply what lies below
    kept     `real` lies in the overlay's own directory
    """

    real: str | None
    touched: bool = False
    kept: bool = False


class Touch(IntEnum):
    """How a name of an overlay is touched."""

    TOUCHED = 0  # it shows something else, but what is below it does not
    CUT = 1  # and nor does what is below it show what lies below the overlay
    FILE = 2  # all of it is kept, under the same name: no directory
    DIRECTORY = 3  # a directory whose attributes are those of the kept one; files come from both
    OWN_DIRECTORY = 4  # a directory that is kept with all that is in it
    GONE = 5  # removed
    CLOSED_DIRECTORY = 6  # as DIRECTORY for its owner, who alone may search it; CUT for others
    CLOSED_OWN_DIRECTORY = 7  # as OWN_DIRECTORY for its owner, CUT for others


class Looks(NamedTuple):
    """The attributes that replace the kernel's own; the size and the times are the kernel's.

    links, less  how many names it has; with 0, as many as the kernel says, but for `less`
    odd          of a directory: its entries are not just those that the kernel tells of it
    """

    device: int
    inode: int
    rdev: int
    mode: int
    uid: int
    gid: int
    links: int = 0
    less: int = 0
    odd: bool = True


class Overlay(Tree):
    """A tree that shows what lies below it, and keeps elsewhere what is changed.

    Files are opened as real ones.  What was never touched costs no more than without the overlay:
    the core lets such calls run, unless they change something.  So an overlay has to say at once,
    by touches(), which names are no longer what lies below; and by claims() of which of the
    kernel's files the attributes or the entries are not the kernel's.  The core asks
    - `lstat` and the other operations of a Tree for what is touched, and for all changes;
    - `shown` where a name leads, `opened` for opening and making files;
    - `here`, `inside` and `stat` about real descriptors.
    `who` is set before each of these.
    """

    below: Tree
    kept = ""  #: the kernel's name of the directory with what is kept
    excepted: tuple[str, ...] = ()  #: names below which nothing is changed by the overlay
    keeps = True  #: changes; otherwise some are EROFS
    live = False  #: any name may be touched at any moment: touches() is never called
    who = Who(0, 0)

    #: The names touched.
    touched: dict[str, Touch]
    #: The kernel's files (device, inode) that look otherwise here; None: `stat` is to be asked.
    claimed: dict[tuple[int, int], Looks | None]
    #: Files (device, inode) of which another name than the touched one may lie below.
    linked: set[tuple[int, int]]
    told: Callable[[str, Any, Any], None] | None = None  # the core's
    #: How often names may have come to lead elsewhere: the core remembers directories until then.
    turns = 0

    def __init__(self) -> None:
        self.touched, self.claimed, self.linked = {}, {}, set()

    def turned(self) -> None:
        """A directory or a symbolic link has come, gone, or changed who may search it."""
        self.turns += 1

    def touches(self, path: str, how: Touch) -> None:
        """From now on `path` shows something else."""
        if self.touched.get(path) is not how:
            self.touched[path] = how
            if self.told is not None:
                self.told("touch", path, how)

    def forgets(self, path: str) -> None:
        """`path` shows what lies below again."""
        if self.touched.pop(path, None) is not None and self.told is not None:
            self.told("forget", path, None)

    def claims(self, device: int, inode: int, looks: Looks | None = None) -> None:
        """This file of the kernel has other attributes or entries here: these, if they are given.

        `looks` are for what the overlay keeps; they must be told again when they change.
        """
        key = (device, inode)
        if key not in self.claimed or self.claimed[key] != looks:
            self.claimed[key] = looks
            if self.told is not None:
                self.told("claim", key, looks)

    def links(self, device: int, inode: int) -> None:
        """Other names of this file, which nobody has touched, are to be asked for, too."""
        if (device, inode) not in self.linked:
            self.linked.add((device, inode))
            if self.told is not None:
                self.told("link", (device, inode), None)

    def replaces(self, device: int, inode: int, real: str) -> None:
        """What this file of the kernel's holds is kept in `real` now, its kernel's name.

        Who has it open for reading, through the overlay, reads that from now on.
        """
        if self.told is not None:
            self.told("replace", (device, inode), real)

    def shown(self, path: str) -> Shown:
        """What is under a name; it need not exist."""
        raise refuse(errno.ENOSYS, path)

    def real(self, path: str) -> str | None:
        return self.shown(path).real

    def enter(self, path: str) -> None:
        """Whether `who` may search a directory.  Errors: ENOENT, ENOTDIR, EACCES."""
        if not stat.S_ISDIR(self.lstat(path).st_mode):
            raise refuse(errno.ENOTDIR, path)
        self.access(path, os.X_OK, self.who.uid, self.who.groups)

    def reveals(self, path: str) -> bool:
        """What `who` may read, and the real user below may not, is to be readable from now on.

        Whether `path` is touched by that.  Errors: EACCES.
        """
        return False

    def backing(self, path: str) -> str | None:
        return self.real(path)

    def attempts(self, path: str) -> bool:
        """Whether a change is first tried on what lies below, as if there were no overlay."""
        return False

    def goes_on(self, error: int) -> bool:
        """After that has failed with this errno: whether the change is then the overlay's."""
        return False

    def prepares(self, path: str, flags: int) -> Callable[[], None] | None:
        """What takes long before `opened`, and may be done in another thread; None: nothing."""
        return None

    def opened(self, path: str, flags: int, mode: int) -> str:
        """Make ready for open(2) with these flags; the kernel's name of what is to be opened.

        Whatever is to be copied or made has been.  The core has seen to O_EXCL, O_DIRECTORY and
        O_NOFOLLOW, and opens the name without O_CREAT.  `mode` has the umask applied.
        """
        raise refuse(errno.ENOSYS, path)

    def nameless(self, path: str, flags: int, mode: int) -> int:
        """A descriptor for O_TMPFILE in a directory."""
        raise refuse(errno.EOPNOTSUPP, path)

    def named(self, fd: int, path: str) -> None:
        """Give the file of a descriptor, made by `nameless`, a name: linkat(2)."""
        raise refuse(errno.EXDEV, path)

    def bound(self, path: str) -> str:
        """The kernel's name where a unix socket of this name is to be bound."""
        raise refuse(errno.EPERM, path)

    def was_bound(self, path: str) -> None:
        """It has been."""

    def watched(self, path: str) -> str | None:
        """The kernel's name of what inotify(7) is to watch, so as to hear of changes."""
        return self.real(path)

    def here(self, path: str) -> str | None:
        """The present name of what had the name `path` below; None when it is gone."""
        return path

    def inside(self, path: str, found: list[Named]) -> list[Named]:
        """What a real directory's own entries look like here."""
        return found

    def beside(self, path: str) -> list[Named]:
        """The entries that the real directory does not have."""
        return []

    def stat(self, fd: int) -> os.stat_result | None:
        """The attributes of a claimed file that the core has open; None: the kernel's."""
        return None

    def change(self, fd: int, operation: str, *values: Any) -> Any:
        """chmod, chown, utime, getxattr... of a claimed file without a name, by a descriptor."""
        raise refuse(errno.ENOSYS)

    def adopts(self, fd: int) -> None:
        """A file of below that has no name here any more is open, and about to be changed.

        It is to be claimed: the change must not reach it.
        """
        raise refuse(errno.EROFS)

    def syncs(self) -> bool:
        """Whether fsync(2) and its like reach the kernel."""
        return True
