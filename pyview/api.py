# SPDX-License-Identifier: GPL-2.0-or-later
"""What a module author subclasses: Module, Tree, File, Device, Stack, Socket.

Operations are shaped like the ones of `os`; an error is `OSError(errno.X)`; an operation left out
answers ENOSYS.  Any other exception is logged with its traceback, the caller gets EIO, and the
view lives on.  This file imports nothing of pyview, and nothing that is slow to import.

Paths given to a tree are absolute within it, canonical (no `.`, `..`, `//`, and no symbolic link
but perhaps the last component), and "/" for its root: the core resolves names, modules never do.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple, Protocol

ALWAYS = 0x005  # POLLIN | POLLOUT
Named = tuple[str, int, int]  # an entry of a directory: name, inode, type as in a mode


def attributes(
    mode: int, *, size: int = 0, ino: int = 0, dev: int = 0, nlink: int = 1,
    uid: int = 0, gid: int = 0, rdev: int = 0,
    atime_ns: int = 0, mtime_ns: int = 0, ctime_ns: int = 0,
    blksize: int = 4096, blocks: int | None = None,
) -> os.stat_result:  # fmt: skip
    """Attributes of a file: `mode` with its type, `size` in bytes, times in ns since the epoch.

    An `ino` or `dev` of 0 is filled in by the core; `blocks` counts 512 bytes each.
    """
    blocks = -(-size // 512) if blocks is None else blocks
    times = (atime_ns, mtime_ns, ctime_ns)
    whole = tuple(t // 10**9 for t in times)
    exact = tuple(t / 1e9 for t in times)
    return os.stat_result(
        (mode, ino, dev, nlink, uid, gid, size, *whole, *exact, *times, blksize, blocks, rdev)
    )


def refuse(number: int, *about: object) -> OSError:
    """An OSError to raise: `raise refuse(errno.EROFS, path)`."""
    return OSError(number, os.strerror(number), *about[:1])


class if_it_fails:
    """`with if_it_fails(file.close): ...` does that when what is inside raises anything.

    Really anything: the core ends an operation that nobody waits for any more by an exception that
    is no Exception.  It goes on to whoever catches it.
    """

    def __init__(self, undo: Callable[[], object]) -> None:
        self._undo = undo

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._undo()


class Tree:
    """Files with names: what can be mounted.  Every operation may be left out (ENOSYS)."""

    def real(self, path: str) -> str | None:
        """The kernel's own name of `path` when this tree only renames it, else None.

        With a name, the kernel does the work: the caller gets real descriptors, permissions are
        checked with the caller's credentials, and no other operation of this tree is asked.
        The name need not exist.  A tree that answers for "/" renames as a whole: `real(path)` is
        `real("/") + path`, and the core asks for "/" alone.  One that answers None for "/" is
        asked for each name.
        """
        return None

    def lstat(self, path: str) -> os.stat_result:
        """The attributes of `path`, a last symbolic link not followed.  Errors: ENOENT, ENOTDIR."""
        raise refuse(errno.ENOSYS, path)

    def readlink(self, path: str) -> str:
        """The target of a symbolic link.  Errors: EINVAL when it is none, ENOENT."""
        raise refuse(errno.EINVAL, path)

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, without "." and "..".  Errors: ENOTDIR, ENOENT."""
        raise refuse(errno.ENOSYS, path)

    def entries(self, path: str) -> list[tuple[str, int, int]]:
        """(name, inode number or 0, mode) of what is in a directory, of the mode only the type."""
        found = []
        for name in self.listdir(path):
            try:
                st = self.lstat(path.rstrip("/") + "/" + name)
                found.append((name, st.st_ino, stat.S_IFMT(st.st_mode)))
            except OSError:
                found.append((name, 0, 0))  # it is listed, and nobody can say what it is
        return found

    def access(self, path: str, mode: int, uid: int, groups: frozenset[int]) -> None:
        """access(2) for these ids; here: what the permission bits say.  Errors: EACCES, EROFS."""
        st = self.lstat(path)
        if uid == 0:
            executable = st.st_mode & 0o111 or stat.S_ISDIR(st.st_mode)
            refused = 0 if executable else mode & os.X_OK
        else:
            shift = 6 if uid == st.st_uid else 3 if st.st_gid in groups else 0
            refused = mode & ~(st.st_mode >> shift) & 7
        if refused:
            raise refuse(errno.EACCES, path)

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        """A file opened as open(2) would.

        The core has seen to O_DIRECTORY, O_NOFOLLOW and to O_EXCL of a file that is there, and
        opens no directory; O_CREAT, O_TRUNC and the access mode are the tree's.  `mode` has the
        caller's umask applied.  Errors: those of open(2).
        """
        raise refuse(errno.ENOSYS, path)

    def unlink(self, path: str) -> None:
        """Remove a name that is no directory."""
        raise refuse(errno.ENOSYS, path)

    def masks(self, path: str) -> bool:
        """Whether a caller's umask applies to what he makes under this name, as usual: acl(5).

        Otherwise `mode` is, wherever one is given, what was asked for.
        """
        return True

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory; `mode` has the caller's umask applied."""
        raise refuse(errno.ENOSYS, path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        raise refuse(errno.ENOSYS, path)

    def symlink(self, target: str, path: str) -> None:
        """Make `path` a symbolic link to `target`."""
        raise refuse(errno.ENOSYS, path)

    def rename(self, old: str, new: str, flags: int) -> None:
        """renameat2(2) within this tree; across trees the core has answered EXDEV already."""
        raise refuse(errno.ENOSYS, old)

    def link(self, old: str, new: str) -> None:
        """Give the file `old` a second name."""
        raise refuse(errno.ENOSYS, old)

    def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits."""
        raise refuse(errno.ENOSYS, path)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Set owner and group; -1 leaves one as it is."""
        raise refuse(errno.ENOSYS, path)

    def utime(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Set the times, in ns since the epoch; None leaves one as it is."""
        raise refuse(errno.ENOSYS, path)

    def truncate(self, path: str, size: int) -> None:
        """Make the file `size` bytes long."""
        raise refuse(errno.ENOSYS, path)

    def mknod(self, path: str, mode: int, device: int) -> None:
        """Make a special file or a regular one; `mode` has its type."""
        raise refuse(errno.EPERM, path)

    def socket(self, path: str) -> str | None:
        """The kernel's name where a unix socket of this name is, or is to be bound; None: nowhere.

        No tree can be a socket's file itself.
        """
        return None

    def backing(self, path: str) -> str | None:
        """The kernel's file that `path` shows, for what only the kernel can do; None: none.

        Watch it (inotify(7), fanotify(7)), tell a handle of it, execute it when it can't be read.
        """
        return None

    def tmpfile(self, path: str, flags: int, mode: int) -> File:
        """A new file without a name, where the directory `path` is: O_TMPFILE.

        `flags` and `mode` as for `open`.  Errors: EOPNOTSUPP.
        """
        raise refuse(errno.EOPNOTSUPP, path)

    def link_file(self, path: str, file: File) -> None:
        """Give a file that `tmpfile` has made a name.  Errors: ENOENT."""
        raise refuse(errno.ENOENT, path)

    def statvfs(self, path: str) -> os.statvfs_result:
        """How large the file system is.  Here: nothing is known."""
        return os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))

    def getxattr(self, path: str, name: str) -> bytes:
        """An extended attribute.  Errors: ENODATA, EOPNOTSUPP."""
        raise refuse(errno.EOPNOTSUPP, path)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        """Set an extended attribute; `flags` as setxattr(2)."""
        raise refuse(errno.EOPNOTSUPP, path)

    def listxattr(self, path: str) -> list[str]:
        """The names of the extended attributes."""
        return []

    def removexattr(self, path: str, name: str) -> None:
        """Remove an extended attribute."""
        raise refuse(errno.EOPNOTSUPP, path)

    def at(self, path: str) -> Tree:
        """This tree as it is seen from one of its directories, or a file as a tree."""
        return _Part(self, path)

    def busy(self) -> bool:
        """True when it must not be unmounted now (EBUSY)."""
        return False

    def unmounted(self) -> None:
        """Called once after the last mount of this tree has gone: flush and close."""


class _Part(Tree):
    """A tree from one of its directories: what Tree.at gives when the tree knows no better."""

    def __init__(self, whole: Tree, start: str) -> None:
        self._whole, self._start = whole, start.rstrip("/")

    def __getattribute__(self, operation: str) -> Any:
        found = object.__getattribute__(self, operation)
        if operation.startswith("_") or operation in ("at", "busy", "unmounted"):
            return found
        whole, start = self._whole, self._start
        both = operation in ("rename", "link")

        def moved(path: str, *arguments: Any) -> Any:
            if both:
                arguments = (start + arguments[0], *arguments[1:])
            elif operation == "symlink":
                return whole.symlink(path, start + arguments[0])
            return getattr(whole, operation)((start + path).rstrip("/") or "/", *arguments)

        return moved


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


class Linear(NamedTuple):
    """Bytes of a descriptor of this process: `size` bytes of `fd` from `start` on.

    size    -1: up to its end, wherever that is
    writes  they may be written, too, if the file was opened for that
    of      they are bytes of this file instead, which tells its `extents`; `fd` is -1, `size` not
    syncs   fsync(2) of `fd` is all that there is to make them durable
    """

    fd: int
    start: int
    size: int
    writes: bool
    of: File | None = None
    syncs: bool = False


class Extent(NamedTuple):
    """Where the next `length` bytes of a file are: from `start` on in `fd`, open in this process.

    fd      ZEROES: they are all 0; NOWHERE: only `pread` can tell
    writes  they may be written there, too, and nothing else is to be done for that
    """

    length: int
    fd: int
    start: int = 0
    writes: bool = False


ZEROES, NOWHERE = -1, -2


def places(file: File, offset: int, length: int) -> Iterator[Extent]:
    """Where bytes of a file are, for the extents of one that is made of it.

    They lie within it.  A file that may move them tells only those who have it open: NOWHERE.
    """
    where = file.linear()
    if where is None or (where.of is not None and where.of.relocates):
        yield Extent(length, NOWHERE)
    elif where.of is None:
        yield Extent(length, where.fd, where.start + offset, where.writes)
    else:
        for extent in where.of.extents(where.start + offset, length):
            yield extent._replace(writes=extent.writes and where.writes)


class Known(NamedTuple):
    """What a file says of itself beforehand, so that the core need not ask each time.

    stat     its attributes, until chmod, chown or utime is asked of its tree, or an ioctl of it
    answers  requests of ioctl that do nothing but store these bytes, 16 at most, or get this errno,
             until another one
    text     all its bytes: nobody writes it
    """

    stat: os.stat_result | None = None
    answers: tuple[tuple[int, bytes | int], ...] = ()
    text: bytes | None = None


class File:
    """An open file: the descriptor calls of `os`, without the descriptor.

    Whoever writes `pread`, `pwrite` and `size` gets the rest from the core: offsets, vectors,
    O_APPEND, mmap, exec, poll, locks between processes, sendfile...  What changes attributes
    (fchmod, fsetxattr...) goes to the tree under the name the file was opened by, unless the
    file has a method of that name, without the path: `chmod(mode)`, `setxattr(name, value, flags)`.
    """

    #: Operations may wait (for a network, for another program): the core runs them in a thread of
    #: the file's own, one at a time, and only the caller waits.
    slow: bool = False

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` (bytes); b"" at or past the end.  Errors: EIO."""
        raise refuse(errno.EINVAL)

    def pwrite(self, data: bytes, offset: int) -> int:
        """Write at `offset` (bytes); how many bytes were taken.  Errors: ENOSPC, EIO."""
        raise refuse(errno.EINVAL)

    def size(self) -> int:
        """Its length in bytes.  Errors: ESPIPE when it has none."""
        raise refuse(errno.ESPIPE)

    def linear(self) -> Linear | None:
        """Where its bytes lie, one after the other, in a file that is really open here.

        The core then reads and writes them itself.  Asked when the file is opened, and again after
        an ioctl.
        """
        return None

    #: Whether bytes may be elsewhere later than `extents` has said: see `relocated`.
    relocates: bool = True

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """Where bytes from `offset` on are, each Extent right behind the one before.

        For a file whose `linear` says Linear(-1, 0, size, writes, of=self): the core reads, and
        writes, there itself, until `relocated` says that it is no longer so.  What is told may
        end anywhere; the core asks only when it comes to bytes that it does not know of.
        """
        yield from ()

    def relocated(self, offset: int, length: int) -> None:
        """To be called before an operation returns that has changed what `extents` tells.

        By `close` of a file that others are made of, with (0, -1): none of it is anywhere any more.
        """
        if self._moved is not None:
            self._moved(offset, length)

    _moved: Callable[[int, int], None] | None = None  # the core's

    def known(self) -> Known | None:
        """What need not be asked each time; also a slow file has to say it at once.

        Asked when the file is opened, and again when that may have changed.
        """
        return None

    def stat(self) -> os.stat_result | None:
        """The attributes of the open file; None: ask the tree for its name."""
        return None

    def truncate(self, size: int) -> None:
        """Make it `size` bytes long.  Errors: EINVAL when it can't be."""
        raise refuse(errno.EINVAL)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2): `mode` is FALLOC_FL_*.  Errors: EOPNOTSUPP."""
        raise refuse(errno.EOPNOTSUPP)

    def seek(self, offset: int, whence: int) -> int:
        """Where data (SEEK_DATA) or a hole (SEEK_HOLE) begins at or after `offset`, as lseek(2).

        Here: all is data.  Errors: ENXIO at or past the end.
        """
        if offset >= self.size():
            raise refuse(errno.ENXIO)
        return offset if whence == os.SEEK_DATA else self.size()

    def ioctl(self, request: int, data: bytes) -> bytes:
        """Answer an ioctl with the bytes to be stored where its argument points to.

        `data` is what the argument points to, as much as the request is known to read
        (pyview/abi/ioctl.py), or the argument itself, 8 bytes in machine order, when it is no
        pointer.  Errors: ENOTTY for a request that is not known here.
        """
        raise refuse(errno.ENOTTY)

    def poll(self) -> int:
        """select.POLLIN when a read would not wait.  A file with no such method is always ready.

        An operation that would wait raises OSError(EAGAIN); the core lets the caller wait, also
        those in poll(2), until the file has called `ready`.
        """
        return ALWAYS

    def ready(self) -> None:
        """To be called, from any thread, when what would have waited may go on."""
        if self._told is not None:
            self._told()

    _told: Callable[[], None] | None = None  # the core's

    def lock(self, exclusive: bool) -> None:
        """Lock the whole file against other users of it, until it is closed.  Errors: EAGAIN."""

    def fsync(self) -> None:
        """Make what was written durable."""

    def close(self) -> None:
        """The last descriptor has gone."""


class Device(Tree, File):
    """A tree that is one special file, at its mount point: "/" is its only name.

    Its open file is, as it stands, the device itself: `users` counts them, and a device with users
    can't be unmounted.
    """

    kind: int = stat.S_IFBLK  # or S_IFCHR
    mode: int = 0o660
    uid: int = 0
    gid: int = 0
    number: tuple[int, int] = (0, 0)  # major, minor
    users: int = 0

    def lstat(self, path: str) -> os.stat_result:
        if path != "/":
            raise refuse(errno.ENOTDIR, path)
        return attributes(
            self.kind | self.mode, uid=self.uid, gid=self.gid, rdev=os.makedev(*self.number)
        )

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        if path != "/":
            raise refuse(errno.ENOTDIR, path)
        self.users += 1
        return self

    def close(self) -> None:
        self.users -= 1

    def truncate(self, *_: object) -> None:
        """No device can be made shorter: the core answers truncate(2) itself."""
        raise refuse(errno.EINVAL)

    def busy(self) -> bool:
        return self.users > 0

    def companions(self, target: str) -> Mapping[str, Tree]:
        """What else is mounted while this is mounted at `target`: canonical names and trees.

        A disk's partitions, for instance.  Asked when it is mounted and again after each ioctl on
        it; what is no longer named is unmounted.
        """
        return {}


class Socket:
    """The socket calls: bytes and addresses in, bytes and addresses out.

    An operation that would block raises OSError(EAGAIN); the core makes the caller wait.
    """

    def bind(self, address: Any) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def connect(self, address: Any) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def accept(self) -> tuple[Socket, Any]:
        raise refuse(errno.EOPNOTSUPP)

    def send(self, data: bytes, flags: int, address: Any) -> int:
        raise refuse(errno.EOPNOTSUPP)

    def recv(self, size: int, flags: int) -> tuple[bytes, Any]:
        raise refuse(errno.EOPNOTSUPP)


class Stack:
    """A network stack: where sockets come from."""

    families: ClassVar[frozenset[int]] = frozenset()

    def socket(self, family: int, kind: int, protocol: int) -> Socket | int:
        """A socket, or a real descriptor made elsewhere that is handed to the caller."""
        raise refuse(errno.EAFNOSUPPORT)


class View(Protocol):
    """What a module sees of the view it is loaded into."""

    name: str

    def now(self) -> Tree:
        """This view as it stands, frozen: what is mounted later is not seen through it."""

    def mount(
        self, target: str, tree: Tree, *, source: str = "none", kind: str = "", options: str = ""
    ) -> object:
        """Show `tree` at `target` (canonical, absolute).  Newer mounts hide older ones."""

    def claim(self, calls: str) -> None:
        """Let a group of calls stop in this view for as long as the module is loaded.

        "identity": users, groups and capabilities are the view's own (see writing-modules.md).
        """


class Module:
    """A loadable module; the first line of its file's docstring is what vu_lsmod prints.

    `vu_insmod name,key=value,flag` calls `__init__(key="value", flag=True)`: annotations convert
    (int, bool, str, list[str]), and a keyword that is not there is a usage error.
    """

    #: Mount types this module offers: name -> called as f(below, source, **options), gives a Tree;
    #: or "package.module:name" of that, to be imported when it is first mounted.
    types: ClassVar[dict[str, Any]] = {}

    def load(self, view: View) -> None:
        """Called once, when loaded into `view`.  What it mounts goes when it is unloaded."""

    def unload(self, view: View) -> None:
        """Called before the module goes, after its mounts have gone."""
