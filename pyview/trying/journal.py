# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit's steps: done in order, each once, taken back in reverse; also after a kill -9.

First everything new is made beside its place under names of ours, which `try.undo` lists before
they exist.  Then `try.commit` appears, whole, with the steps that are left: renames mostly.
`try.done` counts them, and then says that the old is being removed: from there on there is no way
back.  Who finds `try.undo` alone takes back, who finds `try.commit` goes on.

Names are relative to the host's root, or below ".-/" to the upper directory.
"""

from __future__ import annotations

import errno
import json
import os
from typing import Any

from pyview.modules.viewfs.copying import Told, silent
from pyview.trying import copying
from pyview.trying.places import Place
from pyview.trying.state import Directory, damaged, read, replaced
from pyview.trying.trees import Plain

UNDO, COMMIT, DONE, KEPT = b"try.undo", b"try.commit", b"try.done", b"try.kept"
Step = list[Any]
EFFORT = 256 << 10  # bytes that are copied in the time that a step takes, about


def text(name: bytes) -> str:
    """A name as JSON keeps it."""
    return os.fsdecode(name)


class Undo:
    """The list of what has been made or opened up so far."""

    def __init__(self, directory: Directory) -> None:
        self.name = directory.own(UNDO)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.name, flags, 0o600)

    def will_make(self, path: bytes) -> None:
        """Something is about to be made on the host."""
        self._write(b"t" + path)

    def will_open(self, path: bytes, mode: int) -> None:
        """A directory of ours with these permissions is about to become writable."""
        self._write(b"m%o " % mode + path)

    def _write(self, record: bytes) -> None:
        data = record + b"\0"
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        os.close(self._fd)


class Journal:
    """The commit that a directory is in the middle of, if it is."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.host, self.top = Place(os.fsencode(directory.about["root"])), Place(directory.raw)
        self.steps: list[Step] = []
        self.after: list[Step] = []
        self.whole = True
        self.names: list[str] = []
        self._fd = -1

    # -- files ---------------------------------------------------------------------------------

    def found(self) -> bool:
        """Read what an interrupted commit has left; False when there is no such.

        Errors: EPERM for another user's, EUCLEAN for a damaged one.
        """
        try:
            with open(self.directory.own(COMMIT), "rb") as file:
                self._ours(file.fileno())
                kept = read(file, dict)
        except FileNotFoundError:
            return False
        try:
            self.steps, self.after = _steps("do_", kept["steps"]), _steps("end_", kept["after"])
            self.whole = kept["whole"]
        except (KeyError, ValueError):
            raise damaged(self.directory.own(COMMIT)) from None
        return True

    def begun(self) -> bool:
        """An interrupted commit had not come so far that it could be completed."""
        return os.path.lexists(self.directory.own(UNDO))

    def _ours(self, fd: int) -> None:
        """Root does not go on with what a user has begun, or says to have begun."""
        if os.fstat(fd).st_uid != os.geteuid():
            why = "an interrupted commit of another user"
            raise OSError(errno.EPERM, why, self.directory.raw)

    def write(self) -> None:
        """From here on it is completed, whatever happens."""
        with open(self.directory.own(DONE), "wb") as file:
            file.write(bytes(len(self.steps) + 1))  # counting needs no room on a full disk then
        kept = {"steps": self.steps, "after": self.after, "whole": self.whole}
        replaced(self.directory.own(COMMIT), json.dumps(kept).encode())

    def erase(self) -> None:
        """Forget it.  In this order: what is left at any moment tells the truth."""
        self.close()
        for name in (UNDO, COMMIT, DONE):
            try:
                os.unlink(self.directory.own(name))
            except FileNotFoundError:
                pass
        copying.remove(self.directory.own(KEPT))

    def close(self) -> None:
        self.host.close()
        self.top.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _count(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self.directory.own(DONE), os.O_RDWR | os.O_CLOEXEC)
        return os.pread(self._fd, len(self.steps) + 1, 0).count(1)

    def _tick(self, at: int, value: int) -> None:
        os.pwrite(self._fd, bytes((value,)), at)

    def settled(self) -> bool:
        """All steps are done, and what they have left of the old may be gone."""
        return self._count() > len(self.steps)

    # -- forwards ------------------------------------------------------------------------------

    def run(self, told: Told = silent) -> None:
        """Do the steps that are left.  Raises what a step raises; `back` is then the way out."""
        for at in range(self._count(), len(self.steps)):
            kind, *words = self.steps[at]
            getattr(self, "do_" + kind)(*words)
            self._tick(at, 1)
            told(EFFORT)

    def finish(self) -> None:
        """What is left when all steps are done; may be done again, and not be taken back."""
        self._count()
        self._tick(len(self.steps), 1)
        for kind, *words in self.after:
            getattr(self, "end_" + kind)(*words)

    def back(self) -> None:
        """Take back what has been done, and what had been prepared.

        Precondition: it is not settled.
        """
        for at in range(self._count(), -1, -1):
            if at < len(self.steps):
                kind, *words = self.steps[at]
                getattr(self, "undo_" + kind)(*words)
                self._tick(at, 0)
        os.unlink(self.directory.own(COMMIT))  # from here on there is only `try.undo`
        self.clear()

    def clear(self) -> None:
        """Remove what an unfinished preparation has made."""
        self.host.forget()
        try:
            with open(self.directory.own(UNDO), "rb") as file:
                self._ours(file.fileno())
                records = file.read().split(b"\0")[:-1]
        except FileNotFoundError:
            records = []
        for record in reversed(records):
            if record[:1] == b"t":
                try:
                    copying.remove(self.host.name(record[1:]))
                except (FileNotFoundError, NotADirectoryError):
                    pass  # what it was in has been removed, or was never made
            else:
                mode, _, path = record[1:].partition(b" ")
                os.chmod(self.host.name(path), int(mode, 8))
        self.erase()

    # -- steps ---------------------------------------------------------------------------------

    def name(self, path: str) -> bytes:
        raw = os.fsencode(path)
        if raw.startswith(b".-/"):
            return self.directory.raw + b"/" + raw
        return self.host.name(raw)

    def do_rename(self, old: str, new: str) -> None:
        if os.path.lexists(self.name(old)):
            os.rename(self.name(old), self.name(new))
        self._moved()

    def undo_rename(self, old: str, new: str) -> None:
        if os.path.lexists(self.name(new)) and not os.path.lexists(self.name(old)):
            os.rename(self.name(new), self.name(old))
        self._moved()

    def _moved(self) -> None:
        """Descriptors of deep directories may be elsewhere now."""
        self.host.forget()

    def do_link(self, old: str, new: str) -> None:
        """A further name; or where that is not allowed, a copy."""
        if os.path.lexists(self.name(new)):
            return
        try:
            os.link(self.name(old), self.name(new), follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP):
                raise
            self._copy(os.fsencode(old), self.name(new))

    def _copy(self, path: bytes, name: bytes) -> None:
        """Make a copy of something of the host, whole at once."""
        tree, part = Plain(self.host.root), name + b".part"
        try:
            node = tree.look(path)
            assert node is not None
            copying.remove(part)
            copying.make(tree, path, node, part)
            copying.dress(part, copying.attributes_of(node, tree.xattrs(path)))
            os.rename(part, name)
        finally:
            tree.close()

    def undo_link(self, _old: str, new: str) -> None:
        if os.path.lexists(self.name(new)):
            os.unlink(self.name(new))

    def do_replace(self, new: str, name: str, backup: str) -> None:
        """Put one file in the place of another, which stays under a name of ours."""
        if not os.path.lexists(self.name(new)):
            return
        if not os.path.lexists(self.name(backup)):
            try:
                os.link(self.name(name), self.name(backup), follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                    raise
                os.rename(self.name(name), self.name(backup))
        os.rename(self.name(new), self.name(name))

    def undo_replace(self, new: str, name: str, backup: str) -> None:
        if os.path.lexists(self.name(backup)):
            if not os.path.lexists(self.name(new)) and os.path.lexists(self.name(name)):
                os.rename(self.name(backup), self.name(name))
            elif os.path.lexists(self.name(name)):
                os.unlink(self.name(backup))
            else:
                os.rename(self.name(backup), self.name(name))

    def do_write(self, changed: str, name: str, _backup: str, _old: copying.Attributes) -> None:
        """Write into a file that must stay the same one what the upper has under a path."""
        self._write(self.top.name(os.fsencode(changed)), name)

    def undo_write(self, _changed: str, name: str, backup: str, old: copying.Attributes) -> None:
        self._write(self.name(backup), name)
        copying.dress(self.name(name), old)

    def _write(self, source: bytes, name: str) -> None:
        fd = os.open(self.name(name), os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            copying.copy_into(source, fd)
        finally:
            os.close(fd)

    def do_dress(self, name: str, new: copying.Attributes, _old: copying.Attributes) -> None:
        copying.dress(self.name(name), new)

    def undo_dress(self, name: str, _new: copying.Attributes, old: copying.Attributes) -> None:
        copying.dress(self.name(name), old)

    # -- after all steps ---------------------------------------------------------------------------

    def end_remove(self, name: str) -> None:
        copying.remove(self.name(name))

    def end_dress(self, name: str, attributes: copying.Attributes, must: bool) -> None:
        try:
            copying.dress(self.name(name), attributes)
        except OSError as error:
            if must or error.errno not in (errno.EPERM, errno.EACCES, errno.EROFS):
                raise

    def end_drop(self, path: str) -> None:
        """What the host has now need not be kept in the upper."""
        try:
            os.unlink(self.top.name(os.fsencode(path)))
        except FileNotFoundError:
            pass

    def end_refer(self, path: str, key: str, value: str) -> None:
        """What an entry of the upper refers to is called otherwise now."""
        try:
            os.setxattr(self.top.name(os.fsencode(path)), key, os.fsencode(value))
        except FileNotFoundError:
            pass


def _steps(prefix: str, found: object) -> list[Step]:
    """A list of steps that there are.  Raises ValueError."""
    if not isinstance(found, list) or not all(isinstance(step, list) and step for step in found):
        raise ValueError
    if not all(hasattr(Journal, f"{prefix}{step[0]}") for step in found):
        raise ValueError
    return found
