# SPDX-License-Identifier: GPL-2.0-or-later
"""Upper directories without a view: a small model of viewfs that works on names, and its oracle.

`Model` does to a lower and an upper directory what viewfs does when its programs make these calls;
`Native` makes the same calls on a plain copy of the lower.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pyview.abi import upper

OLD = 1_000_000_000 * 10**9  # ns: when everything of the lower was last changed


def refuse(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Native:
    """The calls, as they are."""

    def __init__(self, root: str) -> None:
        self.root = root

    def at(self, path: str) -> str:
        return self.root + path

    def write(self, path: str, data: bytes) -> None:
        with open(self.at(path), "wb") as file:
            file.write(data)

    def append(self, path: str, data: bytes) -> None:
        with open(os.open(self.at(path), os.O_WRONLY | os.O_APPEND), "ab") as file:
            file.write(data)

    def mkdir(self, path: str) -> None:
        os.mkdir(self.at(path), 0o755)

    def unlink(self, path: str) -> None:
        os.unlink(self.at(path))

    def rmdir(self, path: str) -> None:
        os.rmdir(self.at(path))

    def rename(self, old: str, new: str) -> None:
        os.rename(self.at(old), self.at(new))

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, self.at(path))

    def link(self, old: str, new: str) -> None:
        os.link(self.at(old), self.at(new), follow_symlinks=False)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self.at(path), mode)

    def utime(self, path: str, when: int) -> None:
        os.utime(self.at(path), ns=(when, when))

    def setxattr(self, path: str, name: str, value: bytes) -> None:
        os.setxattr(self.at(path), name, value)

    def mkfifo(self, path: str) -> None:
        os.mkfifo(self.at(path), 0o640)

    def rmtree(self, path: str) -> None:
        for name in self.listdir(path):
            inner = f"{path}/{name}"
            if self.is_dir(inner):
                self.rmtree(inner)
            else:
                self.unlink(inner)
        self.rmdir(path)

    def listdir(self, path: str) -> list[str]:
        return os.listdir(self.at(path))

    def is_dir(self, path: str) -> bool:
        return stat.S_ISDIR(os.lstat(self.at(path)).st_mode)


class Model(Native):
    """The calls, with what they change kept in an upper directory.  Paths begin with "/"."""

    def __init__(self, lower: str, top: str) -> None:
        self.lower, self.top = lower, top
        os.makedirs(f"{top}/.-/i", exist_ok=True)

    # -- looking -------------------------------------------------------------------------------

    def find(self, path: str) -> tuple[str | None, str | None]:
        """The real names of what is in the upper, and in the lower under it.  Errors: ENOENT."""
        up: str | None = self.top
        low: str | None = self.lower
        for name in path.strip("/").split("/") if path.strip("/") else []:
            up, low = self._step(up, low, name)
            if up is None and low is None:
                raise refuse(errno.ENOENT)
        if up is None and low is not None:
            st = os.lstat(low)
            index = self.index(st)
            if st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode) and os.path.lexists(index):
                return index, None
        return up, low

    def _step(self, up: str | None, low: str | None, name: str) -> tuple[str | None, str | None]:
        for real in (up, low):
            if real is not None and not stat.S_ISDIR(self.stat_of(real).st_mode):
                raise refuse(errno.ENOTDIR)
            if real is not None:
                break
        opaque = up is not None and attribute(up, upper.OPAQUE) is not None
        below = None if low is None or opaque else f"{low}/{name}"
        if below is not None and not os.path.lexists(below):
            below = None
        above = f"{up}/{name}" if up is not None else None
        if above is None or not os.path.lexists(above):
            return None, below
        st = os.lstat(above)
        if stat.S_ISCHR(st.st_mode):
            return None, None
        if not stat.S_ISDIR(st.st_mode):
            return above, None
        redirect = attribute(above, upper.REDIRECT)
        if redirect is not None:
            below = self.lower + redirect
        elif below is not None and not stat.S_ISDIR(os.lstat(below).st_mode):
            below = None
        return above, None if attribute(above, upper.OPAQUE) is not None else below

    def stat_of(self, real: str) -> os.stat_result:
        return os.lstat(real)

    def index(self, st: os.stat_result) -> str:
        return f"{self.top}/.-/i/{st.st_dev:x}-{st.st_ino:x}"

    def kind(self, path: str) -> str:
        up, low = self.find(path)
        if up is not None:
            value = attribute(up, upper.RECORD)
            return value.split()[0] if value else "d"
        assert low is not None
        return upper.KIND_OF[stat.S_IFMT(os.lstat(low).st_mode)]

    def is_dir(self, path: str) -> bool:
        return self.kind(path) == "d"

    def listdir(self, path: str) -> list[str]:
        up, low = self.find(path)
        found: dict[str, bool] = {}
        if low is not None:
            found = dict.fromkeys(os.listdir(low), True)
        if up is not None:
            for name in os.listdir(up):
                found[name] = not stat.S_ISCHR(os.lstat(f"{up}/{name}").st_mode)
        return [name for name, there in found.items() if there and (path or name != ".-")]

    def exists(self, path: str) -> bool:
        try:
            self.find(path)
        except OSError:
            return False
        return True

    def lower_has(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        up, low = self.find(parent)
        opaque = up is not None and attribute(up, upper.OPAQUE) is not None
        return low is not None and not opaque and os.path.lexists(f"{low}/{name}")

    # -- copying up --------------------------------------------------------------------------------

    def record(self, real: str, low: str, kind: str | None = None) -> None:
        st = os.lstat(low)
        kind = kind or upper.KIND_OF[stat.S_IFMT(st.st_mode)]
        value = upper.Record(
            kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_rdev, st.st_ino
        )
        os.setxattr(real, upper.RECORD, value.format())
        os.utime(real, ns=(st.st_atime_ns, st.st_mtime_ns))

    def directory(self, path: str) -> str:
        """The upper's name of a directory, which is copied up with those above it."""
        here = ""
        for name in path.strip("/").split("/") if path.strip("/") else []:
            above, here = here, f"{here}/{name}"
            up, low = self.find(here)
            if up is None:
                assert low is not None
                if not stat.S_ISDIR(os.lstat(low).st_mode):
                    raise refuse(errno.ENOTDIR)
                with kept_times(self.top + above):
                    os.mkdir(self.top + here)
                self.record(self.top + here, low)
        return self.top + here

    def copy_up(self, path: str, data: bool = True) -> str:
        if self.is_dir(path):
            return self.directory(path)
        parent, _, name = path.rpartition("/")
        up, low = self.find(path)
        place = f"{self.directory(parent)}/{name}"
        if up is not None:
            if up != place:
                with kept_times(self.top + parent):
                    os.link(up, place)
            self._fill(place, data)
            return place
        assert low is not None
        st = os.lstat(low)
        with kept_times(self.top + parent), open(place, "xb") as file:
            if stat.S_ISLNK(st.st_mode):
                file.write(os.fsencode(os.readlink(low)))
        if stat.S_ISREG(st.st_mode):
            for key in os.listxattr(low):
                if key.startswith("user."):
                    os.setxattr(place, key, os.getxattr(low, key))
            os.setxattr(place, upper.DATA, os.fsencode(low.removeprefix(self.lower)))
        self.record(place, low)
        if st.st_nlink > 1:
            os.link(place, self.index(st))
        self._fill(place, data)
        return place

    def _fill(self, place: str, data: bool) -> None:
        source = attribute(place, upper.DATA)
        if data and source is not None:
            st = os.stat(place)
            shutil.copyfile(self.lower + source, place)
            os.removexattr(place, upper.DATA)
            os.utime(place, ns=(st.st_atime_ns, st.st_mtime_ns))

    # -- changing ----------------------------------------------------------------------------------

    def _new(self, path: str, kind: str, mode: int) -> str:
        parent, _, name = path.rpartition("/")
        place = f"{self.directory(parent)}/{name}"
        if os.path.lexists(place) and stat.S_ISCHR(os.lstat(place).st_mode):
            os.unlink(place)
        if kind == "d":
            os.mkdir(place)
        else:
            with open(place, "xb"):
                pass
        value = upper.Record(kind, mode, os.geteuid(), os.getegid())
        os.setxattr(place, upper.RECORD, value.format())
        return place

    def write(self, path: str, data: bytes) -> None:
        if self.exists(path):
            if self.is_dir(path):
                raise refuse(errno.EISDIR)
            if self.kind(path) == "l":
                raise refuse(errno.ELOOP)
            place = self.copy_up(path)
        else:
            place = self._new(path, "f", 0o644)
        with open(place, "wb") as file:
            file.write(data)

    def append(self, path: str, data: bytes) -> None:
        with open(self.copy_up(path), "ab") as file:
            file.write(data)

    def mkdir(self, path: str) -> None:
        if self.exists(path):
            raise refuse(errno.EEXIST)
        hidden = self.lower_has(path)
        place = self._new(path, "d", 0o755)
        if hidden:
            os.setxattr(place, upper.OPAQUE, b"y")

    def symlink(self, target: str, path: str) -> None:
        if self.exists(path):
            raise refuse(errno.EEXIST)
        with open(self._new(path, "l", 0o777), "wb") as file:
            file.write(os.fsencode(target))

    def mkfifo(self, path: str) -> None:
        if self.exists(path):
            raise refuse(errno.EEXIST)
        self._new(path, "p", 0o640)

    def _clear(self, path: str) -> None:
        """The name goes: a whiteout when the lower has it."""
        hidden = self.lower_has(path)
        parent, _, name = path.rpartition("/")
        up, low = self.find(path)
        linked = low is not None and not self.is_dir(path) and os.lstat(low).st_nlink > 1
        if up is None and linked:
            self.copy_up(path, data=False)
        place = f"{self.directory(parent)}/{name}"
        if os.path.lexists(place):
            if stat.S_ISDIR(os.lstat(place).st_mode):
                shutil.rmtree(place)
            else:
                os.unlink(place)
        if hidden:
            os.mknod(place, stat.S_IFCHR, 0)
        else:
            os.utime(self.top + parent)

    def unlink(self, path: str) -> None:
        if self.is_dir(path):
            raise refuse(errno.EISDIR)
        self._clear(path)

    def rmdir(self, path: str) -> None:
        if not self.is_dir(path):
            raise refuse(errno.ENOTDIR)
        if self.listdir(path):
            raise refuse(errno.ENOTEMPTY)
        self._clear(path)

    def link(self, old: str, new: str) -> None:
        if self.exists(new):
            raise refuse(errno.EEXIST)
        if self.is_dir(old):
            raise refuse(errno.EPERM)
        place = self.copy_up(old, data=False)
        parent, _, name = new.rpartition("/")
        made = f"{self.directory(parent)}/{name}"
        if os.path.lexists(made):
            os.unlink(made)
        os.link(place, made)

    def rename(self, old: str, new: str) -> None:
        directory = self.is_dir(old)
        if new.startswith(old + "/"):
            raise refuse(errno.EINVAL)
        if self.exists(new):
            self._over(old, new, directory)
        if self._same(old, new):
            return
        gone = self.lower_has(old)
        _, low = self.find(old)
        if directory:
            place = self.directory(old)
            if low is not None and attribute(place, upper.REDIRECT) is None:
                where = os.fsencode(low.removeprefix(self.lower))
                os.setxattr(place, upper.REDIRECT, where)
        else:
            place = self.copy_up(old, data=False)
        if self.exists(new):
            self._clear(new)
        hidden = self.lower_has(new)
        parent, _, name = new.rpartition("/")
        made = f"{self.directory(parent)}/{name}"
        if os.path.lexists(made):
            os.unlink(made)
        if directory and hidden and attribute(place, upper.REDIRECT) is None:
            os.setxattr(place, upper.OPAQUE, b"y")
        os.rename(place, made)
        if gone:
            os.mknod(place, stat.S_IFCHR, 0)

    def _same(self, old: str, new: str) -> bool:
        if not self.exists(new) or self.is_dir(new):
            return old == new
        (up, low), (other, under) = self.find(old), self.find(new)
        return os.path.samestat(os.lstat(up or low or ""), os.lstat(other or under or ""))

    def _over(self, old: str, new: str, directory: bool) -> None:
        if directory and not self.is_dir(new):
            raise refuse(errno.ENOTDIR)
        if not directory and self.is_dir(new):
            raise refuse(errno.EISDIR)
        if directory and self.listdir(new) and old != new:
            raise refuse(errno.ENOTEMPTY)

    def chmod(self, path: str, mode: int) -> None:
        place = self.copy_up(path, data=False)
        record = upper.Record.parse(os.getxattr(place, upper.RECORD))
        record.mode = mode
        os.setxattr(place, upper.RECORD, record.format())

    def utime(self, path: str, when: int) -> None:
        os.utime(self.copy_up(path, data=False), ns=(when, when))

    def setxattr(self, path: str, name: str, value: bytes) -> None:
        os.setxattr(self.copy_up(path, data=False), name, value)


@contextmanager
def kept_times(name: str) -> Iterator[None]:
    """What copying up does to a directory of the upper is nothing that the view shows."""
    st = os.stat(name)
    yield
    os.utime(name, ns=(st.st_atime_ns, st.st_mtime_ns))


def attribute(name: str, key: str) -> str | None:
    try:
        return os.fsdecode(os.getxattr(name, key, follow_symlinks=False))
    except OSError:
        return None
