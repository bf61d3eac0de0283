# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_mkcow: make a COW file over a disk image, as UML's uml_mkcow does.  Needs no view."""

from __future__ import annotations

import errno
import os
import stat

from pyview.commands import USAGE, Failure, parser

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pyview.kernel import KernelFile

ABOUT = (
    "Make a COW file: a disk that is, to begin with, the image BACKING, and that keeps what is "
    "written to it to itself.  For mount -t vudevubd -o cow=COW, and for User Mode Linux."
)


def main(program: str, arguments: list[str]) -> int:
    given = options(program).parse_intermixed_args(arguments)
    if len(given.files) != 2:
        raise Failure(USAGE, "two names are needed: COW BACKING")
    make(*given.files, force=given.force)
    return 0


def options(program: str) -> ArgumentParser:
    made = parser(program, ABOUT, "[-f] COW BACKING")
    made.add_argument("-f", dest="force", action="store_true",
        help="COW may exist; what it holds is lost (uml_mkcow keeps changes)")  # fmt: skip
    made.add_argument("files", metavar="COW BACKING", nargs="*",
        help="the file to make, and the image, which stays as it is")  # fmt: skip
    return made


def make(cow: str, backing: str, *, force: bool) -> None:
    """Make one.  When that fails there is none, or the old one as it was."""
    from pyview.api import if_it_fails
    from pyview.modules.vudev import cowheader

    def unmade() -> None:
        if new:
            os.unlink(cow)

    image = opened(backing, os.O_RDONLY)
    try:
        size, mtime = image.size(), cowheader.mtime_of(image.stat())
        new = not (force and os.path.lexists(cow))
        file = opened(cow, os.O_RDWR | os.O_CREAT | (os.O_EXCL if new else 0))
        try:
            with if_it_fails(unmade):
                if os.path.sameopenfile(file.fd, image.fd):
                    raise Failure(1, f"{cow}: is the image itself")
                lock(file, cow, exclusive=True)
                cowheader.create(file, recorded(backing), size, mtime)
        finally:
            file.close()
    finally:
        image.close()


def recorded(backing: str) -> str:
    """The name that a COW file keeps: absolute, its last component as it was given."""
    directory, name = os.path.split(backing)
    return os.path.join(os.path.realpath(directory), name)


def opened(name: str, flags: int) -> KernelFile:
    """A disk image or a COW file; a real one or the view's.  Raises Failure when it is neither."""
    from pyview.kernel import KernelFile

    # O_NONBLOCK: a fifo would have us wait for its other end.
    fd = os.open(name, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        os.close(fd)
        raise Failure(1, f"{name}: neither a file nor a block device")
    return KernelFile(fd)


def lock(file: KernelFile, name: str, *, exclusive: bool) -> None:
    """Keep others off while we use it.  Raises Failure when they use it already."""
    try:
        file.lock(exclusive)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise OSError(error.errno, error.strerror, name) from None
        raise Failure(1, f"{name}: in use") from None
