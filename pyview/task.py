# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a thread and may be done for it: the Caller of a handler, on a real task.

C keeps what the kernel shares by CLONE_FS (pv_fs) and CLONE_VM (pv_mm); the kernel itself keeps
descriptors, and a descriptor remembers its domain (csrc/marks.c): there is no second table.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable
from typing import Any

from pyview import core
from pyview.api import refuse
from pyview.handlers.caller import AT_FDCWD, Ids
from pyview.holder import Holder, Session
from pyview.paths import Found, resolve
from pyview.syscalls import Call
from pyview.view import View

# Compiled when first used: that costs more than the rest of this file.
_MAGIC = r"/proc/(\d+)(?:/task/(\d+))?/(cwd|root|exe|fd/(\d+))"
_MAPPING = rb"([0-9a-f]+-[0-9a-f]+ \S{4} [0-9a-f]+ ([0-9a-f]+):([0-9a-f]+) (\d+) +)(/.*)"
_DELETED = " (deleted)"
MAPS = ("maps", "smaps")


class CoreEyes:
    """The kernel's tree as a task sees it, through the core's own eyes."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def readlink(self, real: str) -> str:
        if real == "/proc/self":
            return str(self._task.process())
        if real == "/proc/thread-self":
            return f"{self._task.process()}/task/{self._task.tid}"
        return os.readlink(real)

    def is_directory(self, real: str) -> bool:
        try:
            os.stat(os.path.join(real, "."))
        except NotADirectoryError:
            return False
        return True

    def is_magic(self, real: str) -> bool:
        return real.startswith("/proc/") and re.fullmatch(_MAGIC, real) is not None

    def domain_of(self, real: str) -> int:
        return self._task.proc_domain(real)

    def jump(self, real: str) -> str:
        name = self._task.proc_name(real) or os.readlink(real)
        if not name.startswith("/"):
            raise refuse(errno.ENOENT, real)
        return name


class Task(Holder):
    """One call of one thread."""

    def __init__(
        self,
        record: Any,
        view: View,
        call: Call,
        args: tuple[int, ...],
        session: Session,
        debug: Callable[..., None] | None = None,
    ) -> None:
        super().__init__(record, view, session)
        self._debug = debug
        self.call, self.args = call, args
        self._process = 0

    def process(self) -> int:
        """Its thread group."""
        if not self._process:
            self._process = core.thread_group(self.tid)
        return self._process

    # -- memory ----------------------------------------------------------------------------
    def text(self, address: int) -> str:
        return core.text(self.tid, address)

    def peek(self, address: int, length: int) -> bytes:
        return core.peek(self.tid, address, length)

    def store(self, address: int, data: bytes) -> int:
        return core.store(self.tid, address, data)

    # -- rights ----------------------------------------------------------------------------
    def ids(self) -> Ids:
        fields = self._status(b"Uid", b"Gid", b"Groups", b"Umask")
        uid, gid = int(fields[0].split()[3]), int(fields[1].split()[3])
        return Ids(uid, gid, frozenset(map(int, fields[2].split())) | {gid}, int(fields[3], 8))

    def uid(self) -> int:
        # The owner of its directory in proc, but root's when it must not be looked at: proc(5).
        return os.stat(f"/proc/{self.tid}").st_uid or int(self._status(b"Uid")[0].split()[3])

    def _status(self, *names: bytes) -> list[bytes]:
        """Some fields of /proc/TID/status."""
        with open(f"/proc/{self.tid}/status", "rb", 0) as file:
            text = file.read(4096)
        found = []
        for name in names:
            at = text.index(b"\n" + name + b":") + len(name) + 2
            found.append(text[at : text.index(b"\n", at)])
        return found

    def now(self) -> int:
        return time.time_ns()

    # -- names -----------------------------------------------------------------------------
    def resolve(
        self, dirfd: int, path: str, *, follow: bool, entry: bool = False, makes: bool = False
    ) -> Found:
        base = "/" if path.startswith("/") else self.directory(dirfd)
        eyes = CoreEyes(self)
        found = resolve(self.view, eyes, base, path, follow=follow, entry=entry, makes=makes)
        if found.cover.number < 0:
            self.asked = found.cover.mount
        if self._debug is not None:
            self._debug("p", self.view, self.tid, path, "->", found.name, found.number, found.real)
        return found

    def directory(self, dirfd: int) -> str:
        """The view's name of a directory descriptor, or of the working directory.

        Errors: EBADF, ENOTDIR, ENOENT when it has none (removed, or outside its mount).
        """
        if dirfd == AT_FDCWD:
            return self.cwd()
        file = self.object(dirfd) if self._record.descriptors else None
        if file is not None:
            if not file.is_directory:
                raise refuse(errno.ENOTDIR)
            return file.name
        link = f"/proc/{self.tid}/fd/{dirfd}"
        try:
            real = os.readlink(link)
        except FileNotFoundError:
            raise refuse(errno.EBADF) from None
        if not stat.S_ISDIR(os.stat(link).st_mode):
            raise refuse(errno.ENOTDIR)
        return self._shown(real, self.fd_domain(dirfd))

    def _shown(self, real: str, number: int) -> str:
        domain = self.view.domain(number)
        name = domain.name(real) if domain is not None else real
        if name is None or not name.startswith("/"):
            raise refuse(errno.ENOENT, real)
        return name

    # -- the working directory ---------------------------------------------------------------
    def cwd_domain(self) -> int:
        return int(self._record.fs.domain)

    def cwd(self) -> str:
        if self.cwd_domain() < 0:
            return self.session.descriptors.place_name(self._record.fs.place)
        link = f"/proc/{self.tid}/cwd"
        real = os.readlink(link)
        if real.endswith(_DELETED) and not os.stat(link).st_nlink:
            raise refuse(errno.ENOENT, real)
        return self._shown(real, self.cwd_domain())

    def moved(self, domain: int, place: int = 0) -> None:
        core.moved(self._record, domain, place)

    def unshared(self) -> None:
        core.unshared(self._record)

    def foreign(self) -> None:
        self._record.fs.foreign = 1

    def child_is_foreign(self) -> None:
        self._record.foreign_child = 1

    def executes(self, domain: int, place: int = 0) -> None:
        self._record.exec_domain = domain
        self._record.exec_place = place
        if domain:
            core.use_domains()

    # -- descriptors -------------------------------------------------------------------------
    def fd_domain(self, fd: int) -> int:
        return core.mark_of(self._record, fd)

    def mark(self, fd: int, domain: int) -> None:
        mine = core.descriptor(self._record, fd)
        try:
            st = os.fstat(mine)
            if stat.S_IFMT(st.st_mode) in (stat.S_IFREG, stat.S_IFDIR):
                core.mark(mine, domain)
                core.note_opened(st.st_dev, st.st_ino, domain)
        finally:
            os.close(mine)

    def exists(self, found: Found, *, parent: bool) -> None:
        if found.real is not None:
            real = found.real
            os.lstat(os.path.dirname(real.rstrip("/")) + "/." if parent else real)
        elif not parent:
            found.tree.lstat(found.rest)
        elif not stat.S_ISDIR(found.tree.lstat(os.path.dirname(found.rest)).st_mode):
            raise refuse(errno.ENOTDIR)

    def socket_address(self, fd: int, peer: bool) -> bytes:
        import _socket

        try:
            mine = core.descriptor(self._record, fd)
        except OSError:
            return b""
        if not stat.S_ISSOCK(os.fstat(mine).st_mode):
            os.close(mine)
            return b""
        end = _socket.socket(fileno=mine)
        try:
            if end.family != _socket.AF_UNIX:
                return b""
            return os.fsencode(end.getpeername() if peer else end.getsockname())
        except OSError:
            return b""  # not connected
        finally:
            end.close()

    def closes_at_exec(self, fd: int) -> bool:
        try:
            with open(f"/proc/{self.tid}/fdinfo/{fd}") as info:
                words = info.read().split()
        except FileNotFoundError:
            raise refuse(errno.EBADF) from None
        return bool(int(words[words.index("flags:") + 1], 8) & os.O_CLOEXEC)

    def program_head(self, found: Found, size: int) -> bytes:
        if found.real is None:
            file = found.tree.open(found.rest, os.O_RDONLY)
            try:
                return file.pread(size, 0)
            finally:
                file.close()
        try:
            fd = os.open(found.real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return b""  # execute-only, or not there: execve says what is wrong
        try:
            return os.pread(fd, size, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        finally:
            os.close(fd)

    def entries(self, fd: int, size: int) -> bytes | None:
        mine = core.descriptor(self._record, fd)
        try:
            if os.lseek(mine, 0, os.SEEK_CUR):
                return None
            return core.directory_entries(mine, size)
        finally:
            os.close(mine)

    # -- proc --------------------------------------------------------------------------------
    def proc_domain(self, real: str) -> int:
        """The domain of what a magic link of proc leads to."""
        match = re.fullmatch(_MAGIC, real)
        if match is None:
            return 0
        process, thread, what, fd = match.groups()
        record = core.task(int(thread or process))
        if record is None:
            return 0
        if fd is not None:
            return core.mark_of(record, int(fd))
        return {"cwd": int(record.fs.domain), "exe": int(record.mm.domain), "root": 0}[what]

    def proc_name(self, real: str) -> str | None:
        number = self.proc_domain(real)
        if not number:
            return None
        if number < 0:
            return self._virtual_name(real)
        domain = self.view.domain(number)
        target = os.readlink(real)
        return domain.name(target) if domain is not None and target.startswith("/") else None

    def _virtual_name(self, real: str) -> str | None:
        """The name of the virtual file or directory that a magic link of proc leads to."""
        match = re.fullmatch(_MAGIC, real)
        assert match is not None
        process, thread, what, fd = match.groups()
        record = core.task(int(thread or process))
        if record is None:
            return None
        if fd is not None:
            found = self.session.descriptors.find(core.emulated(record, int(fd)))
            return found.name if found is not None else None
        number = record.fs.place if what == "cwd" else record.mm.place
        return self.session.descriptors.place_name(number)

    def proc_text(self, real: str, kind: str) -> bytes:
        with open(real, "rb", 0) as file:
            text = file.readall()
        if kind in MAPS:
            return b"\n".join(map(self._shown_mapping, text.split(b"\n")))
        return text + "".join(_mount_lines(self.view, kind)).encode(errors="surrogateescape")

    def _shown_mapping(self, line: bytes) -> bytes:
        """A line of /proc/PID/maps or smaps with the view's name of its file."""
        match = re.match(_MAPPING, line)
        if match is None:
            return line
        head, major, minor, inode, real = match.groups()
        name = None
        if real.startswith(b"/memfd:pyview"):
            name = self.session.descriptors.mapped_name(int(inode))
        else:
            device = os.makedev(int(major, 16), int(minor, 16))
            domain = self.view.domain(core.opened_through(device, int(inode)))
            name = domain.name(os.fsdecode(real)) if domain is not None else None
        return line if name is None else head + os.fsencode(name)

    def memory_file(self, data: bytes) -> int:
        fd = os.memfd_create("pyview", os.MFD_CLOEXEC)
        try:
            os.write(fd, data)
            return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(fd)

    # -- sockets -----------------------------------------------------------------------------
    def socket_named(self, real: bytes, name: bytes | None) -> None:
        if name is None:
            self.view.sockets.pop(real, None)
        else:
            self.view.sockets[real] = name
            core.has_sockets(self._record.view)

    def socket_name(self, real: bytes) -> bytes | None:
        return self.view.sockets.get(real)


def _escaped(text: str) -> str:
    """A field of proc's mount lists: blanks and backslashes in octal."""
    for char in "\\ \t\n":
        text = text.replace(char, f"\\{ord(char):03o}")
    return text or "none"


def _mount_lines(view: View, kind: str) -> list[str]:
    lines = []
    for mount in view.mounts:
        if not mount.epoch or mount.leader is not None:
            continue
        target, source = _escaped(mount.target or "/"), _escaped(mount.source)
        sort = _escaped(mount.kind or "none")
        given = mount.options.split(",")
        words = [word for word in given if word and word not in ("ro", "rw")]
        how = _escaped(",".join(["ro" if "ro" in given else "rw", *words]))
        if kind == "mounts":
            lines.append(f"{source} {target} {sort} {how} 0 0\n")
        elif kind == "mountinfo":
            number = 1000000 + mount.epoch
            lines.append(f"{number} 1 0:0 / {target} rw - {sort} {source} {how}\n")
        else:
            lines.append(f"device {source} mounted on {target} with fstype {sort}\n")
    return lines
