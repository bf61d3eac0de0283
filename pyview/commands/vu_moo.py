# SPDX-License-Identifier: GPL-2.0-or-later
"""vu_moo: merge a COW file with its image, as UML's uml_moo does.  Needs no view."""

from __future__ import annotations

import os
import stat

from pyview.commands import USAGE, Failure, parser, warn
from pyview.commands.vu_mkcow import lock, opened

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from types import FrameType

    from pyview.kernel import KernelFile
    from pyview.modules.vudev.cowfile import CowFile

ABOUT = (
    "Merge a COW file with the image it was made over: into the new file NEW, or with -d into the "
    "image itself.  Nothing may use either of them meanwhile."
)
WIDTH = 50  # columns of the bar


def main(program: str, arguments: list[str]) -> int:
    given = options(program).parse_intermixed_args(arguments)
    if len(given.files) != (1 if given.in_place else 2):
        raise Failure(USAGE, "COW and NEW are needed, or -d and COW")
    name, new = [*given.files, None][:2]
    leave_on_signals()
    cow = opened(name, os.O_RDONLY)
    try:
        lock(cow, name, exclusive=False)
        merge(program, cow, name, given.backing, new)
    finally:
        cow.close()
    return 0


def options(program: str) -> ArgumentParser:
    made = parser(program, ABOUT, "[-b BACKING] COW NEW\n       %(prog)s [-b BACKING] -d COW")
    add = made.add_argument
    add("-b", dest="backing", metavar="BACKING", help="where the image is now")
    add("-d", dest="in_place", action="store_true",
        help="change the image; COW files over it, COW too, are of no use afterwards")  # fmt: skip
    add("files", metavar="COW NEW", nargs="*",
        help="a COW file; the file to make, with holes where it is zero")  # fmt: skip
    return made


def leave_on_signals() -> None:
    """End as after an error, nothing half-made left, when we are asked to end."""
    import signal

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, leave)


def merge(program: str, cow: KernelFile, name: str, backing: str | None, new: str | None) -> None:
    """Merge what is open as `cow` and called `name`; with no `new` in place."""
    from pyview.modules.vudev import cowfile, cowheader

    header = cowheader.header_of(cow, name)
    backing = backing or cowheader.image_of(header, name)
    image = opened(backing, os.O_RDONLY if new is not None else os.O_RDWR)
    try:
        cowheader.check(header, name, backing, image.size(), cowheader.mtime_of(image.stat()))
        lock(image, backing, exclusive=new is None)
        disk = cowfile.CowFile(cow, image, header, name)
        if new is None:
            warn(program, f"{backing}: changed in place; COW files over it are of no use now")
            with Bar(disk.size()) as bar:
                cowfile.merge_into(disk, image, bar.show)
        else:
            not_one_of(new, cow, image)
            write_new(disk, os.path.realpath(new))
    finally:
        image.close()


def not_one_of(new: str, *files: KernelFile) -> None:
    """Raises Failure when the file to make is one that is to be read, or is no file."""
    if os.path.lexists(new):
        found = os.stat(new)
        if any(os.path.samestat(found, file.stat()) for file in files):
            raise Failure(1, f"{new}: is to be merged itself (in place: -d)")
        if not stat.S_ISREG(found.st_mode):
            raise Failure(1, f"{new}: not a file")


def write_new(disk: CowFile, new: str) -> None:
    """Write a disk to a file of another name, which then takes the place of `new`."""
    from contextlib import ExitStack
    from functools import partial

    from pyview.api import if_it_fails
    from pyview.kernel import KernelFile
    from pyview.modules.vudev import cowfile

    part = f"{new}.{os.getpid()}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with ExitStack() as stack, if_it_fails(partial(_removed, part)):
            file = KernelFile(os.open(part, flags, 0o644))
            stack.callback(file.close)
            with Bar(disk.size()) as bar:
                cowfile.copy(disk, file, bar.show)
            if os.path.lexists(new):
                os.fchmod(file.fd, stat.S_IMODE(os.stat(new).st_mode))
            os.rename(part, new)
    except OSError as error:
        if error.filename in (None, part):
            raise OSError(error.errno, error.strerror, new) from None
        raise


def _removed(part: str) -> None:
    """It need not be there yet: whoever ends us does so at any moment."""
    if os.path.lexists(part):
        os.unlink(part)


class Bar:
    """How far it is, on a terminal; gone when it is over."""

    def __init__(self, size: int) -> None:
        self.size, self.shown = size, -1
        self.on = size > 0 and os.isatty(2)

    def show(self, done: int) -> None:
        """`done` of `size` bytes are behind us."""
        if not self.on:
            return
        percent = 100 * done // self.size
        if percent != self.shown:
            self.shown = percent
            bar = "#" * (percent * WIDTH // 100)
            os.write(2, f"\r[{bar:<{WIDTH}}] {percent:3} %".encode())

    def __enter__(self) -> Bar:
        self.show(0)
        return self

    def __exit__(self, *_: object) -> None:
        if self.on:
            os.write(2, b"\r\x1b[K")
