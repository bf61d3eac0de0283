# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of a thread and may be done for it: the Caller of a handler, on a real task.

C keeps what the kernel shares by CLONE_FS (pv_fs) and CLONE_VM (pv_mm); the kernel itself keeps
descriptors, and a descriptor remembers its domain (csrc/marks.c): there is no second table.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pyview import core
from pyview.api import Who, refuse
from pyview.eyes import CoreEyes
from pyview.handlers.caller import AT_FDCWD, Ids
from pyview.holder import Session
from pyview.openfile import LARGEST
from pyview.paths import Found, cover_of, resolve
from pyview.proc import Proc
from pyview.syscalls import Call
from pyview.view import View

if TYPE_CHECKING:
    from pyview.credentials import Credentials, Program

AT_EACCESS = 0x200
_DELETED = " (deleted)"


def _credentials(record: Any) -> Credentials | None:
    """Whom a task is in its view; None: whom the kernel says."""
    if not record.identity:
        return None
    from pyview import identities  # not before it is needed

    return identities.of(record)


class Task(Proc):
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
        self._whom: Who | None = None

    # -- memory ----------------------------------------------------------------------------
    def text(self, address: int) -> str:
        return core.text(self.tid, address)

    def peek(self, address: int, length: int) -> bytes:
        return core.peek(self.tid, address, length)

    def store(self, address: int, data: bytes) -> int:
        return core.store(self.tid, address, data)

    # -- rights ----------------------------------------------------------------------------
    def ids(self) -> Ids:
        return self._ids(3)

    def real_ids(self) -> Ids:
        return self._ids(0)

    def _ids(self, which: int) -> Ids:
        """The ids of one kind: 0 real, 3 for files."""
        who = self.credentials()
        if who is None:
            fields = self.status_fields(b"Uid", b"Gid", b"Groups", b"Umask", b"CapEff")
            uid, gid = int(fields[0].split()[which]), int(fields[1].split()[which])
            groups: Iterator[int] = map(int, fields[2].split())
            capabilities = int(fields[4], 16)
        else:
            fields = self.status_fields(b"Umask") * 4
            uid, gid, groups = who.users[which], who.own_groups[which], iter(who.groups)
            capabilities = who.effective
            if not which:  # Linux fs/open.c:access_override_creds
                capabilities = 0 if uid else who.permitted
        umask = int(fields[3], 8)
        return Ids(uid, gid, frozenset(groups) | {gid}, umask, capabilities, who is not None)

    def credentials(self) -> Credentials | None:
        return _credentials(self._record)

    def credentials_of(self, pid: int) -> Credentials | None:
        record = core.task(pid)
        return None if record is None else _credentials(record)

    def become(self, credentials: Credentials) -> None:
        from pyview import identities  # not before it is needed

        identities.give(self._record, credentials)
        self._whom = None

    def leaves_users(self) -> None:
        core.assume_none(self._record)

    def child_leaves_users(self) -> None:
        self._record.child_leaves_users = 1

    def owner_in_proc(self, real: str) -> tuple[int, int] | None:
        if not self._record.identity:
            return None
        from pyview import identities

        return identities.owned_by(real)

    def enters_root(self, name: str) -> None:
        self.session.enters_root(self._record, name)

    def file_limit(self) -> int:
        limit, _ = resource.prlimit(self.tid, resource.RLIMIT_FSIZE)
        return LARGEST + 1 if limit == resource.RLIM_INFINITY else limit

    def for_whom(self) -> Who:
        if self._whom is None:
            self._whom = self._for_whom()
        return self._whom

    def _for_whom(self) -> Who:
        who = self.credentials()
        if who is not None:
            which = 0 if self._asks_for_real() else 3
            gid = who.own_groups[which]
            return Who(who.users[which], gid, frozenset(who.groups) | {gid}, True)
        if self.alike():
            return Who(os.geteuid(), os.getegid())
        ids = self.ids()
        return Who(ids.uid, ids.gid, ids.groups, ids.virtual)

    def _asks_for_real(self) -> bool:
        """access(2) is about the real ids, on the way to the name, too."""
        if self.call.op != "access":
            return False
        return self.call.name != "faccessat2" or not self.args[3] & AT_EACCESS

    def elsewhere(self) -> bool:
        return bool(self._record.fs.foreign == core.ELSEWHERE)

    def alike(self) -> bool:
        return core.alike(self._record)

    def now(self) -> int:
        return time.time_ns()

    # -- names -----------------------------------------------------------------------------
    def resolve(
        self, dirfd: int, path: str, *, follow: bool, entry: bool = False, makes: bool = False
    ) -> Found:
        base = "/" if path.startswith("/") else self.directory(dirfd)
        for overlay in self.view.overlays():
            overlay.who = self.for_whom()
        how = (path, follow, entry, makes)
        fixed = not (self._record.fs.foreign or self.view.overlays())
        found = self.view.ways.get(how, core.generation()) if fixed else None
        if found is None:
            eyes = CoreEyes(self)
            found = resolve(self.view, eyes, base, path, follow=follow, entry=entry, makes=makes)
            if fixed and found.fixed:
                self.view.ways.keep(how, core.generation(), found)
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
        held = self._record.descriptors or self._record.direct
        file = self.object(dirfd) if held else None
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
        if domain is not None:
            name = domain.name(real)
        elif self.view.domain(0) is not None:
            name = real
        else:  # it was opened before the root was changed
            name = next(filter(None, (one.name(real) for one in self.view.domains())), None)
        if name is None or not name.startswith("/"):
            raise refuse(errno.ENOENT, real)
        shown = cover_of(self.view, name).outer(name, number)
        if shown is None:
            raise refuse(errno.ENOENT, real)
        return shown

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

    def foreign(self, mounts: bool = True) -> None:
        fs = self._record.fs
        fs.foreign = max(fs.foreign, core.ELSEWHERE if mounts else core.OTHER_RIGHTS)

    def child_is_foreign(self, mounts: bool = True) -> None:
        self._record.foreign_child = core.ELSEWHERE if mounts else core.OTHER_RIGHTS

    def executes(self, domain: int, place: int = 0) -> None:
        self._record.exec_domain = domain
        self._record.exec_place = place
        if domain:
            core.use_domains()

    def executes_as(self, program: Program | None) -> None:
        self.session.executes_as(self.tid, program)

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

    def search(self, found: Found) -> None:
        os.stat(os.path.join(found.real or "/", "."))

    def names_changed(self) -> None:
        core.forget_names()
        for overlay in self.view.overlays():
            overlay.turned()

    def real_fd(self, fd: int) -> int:
        return core.descriptor(self._record, fd)

    def file_name(self, fd: int) -> str:
        real = os.readlink(f"/proc/{self.tid}/fd/{fd}")
        return self._shown(real, self.fd_domain(fd))

    def open_here(self, real: str, flags: int, mode: int, domain: int) -> int:
        fd = os.open(real, flags | os.O_CLOEXEC | os.O_NOCTTY, mode)
        if domain:
            self.marked_here(fd, domain)
        return fd

    def marked_here(self, fd: int, domain: int) -> None:
        core.mark(fd, domain)
        st = os.fstat(fd)
        core.note_opened(st.st_dev, st.st_ino, domain)

    def exists(self, found: Found, *, parent: bool) -> None:
        if found.real is not None:
            real = found.real
            os.lstat(os.path.dirname(real.rstrip("/")) + "/." if parent else real)
            return
        st = found.tree.lstat(os.path.dirname(found.rest) if parent else found.rest)
        if (parent or found.slash) and not stat.S_ISDIR(st.st_mode):
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
            try:
                file = found.tree.open(found.rest, os.O_RDONLY)
            except PermissionError:
                return b""  # execute-only
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

    def listing(self, fd: int, size: int) -> bytes:
        return core.directory_entries(fd, size)

    # -- sockets -----------------------------------------------------------------------------
    def socket_named(self, real: bytes, name: bytes | None) -> None:
        if name is None:
            self.view.sockets.pop(real, None)
        else:
            self.view.sockets[real] = name
            core.has_sockets(self._record.view)

    def socket_name(self, real: bytes) -> bytes | None:
        return self.view.sockets.get(real)
