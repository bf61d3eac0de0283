# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on emulated descriptors: reading, writing, seeking, attributes.

Each handler is asked for every descriptor of a process that has, or has had, an emulated one; for
the kernel's own it answers Real at once.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from pyview.abi.stat import pack_stat, pack_statfs, pack_statx
from pyview.abi.words import as_fd, signed
from pyview.api import Tree, refuse
from pyview.handlers import limits, vectors
from pyview.handlers.arguments import owner
from pyview.handlers.caller import Caller
from pyview.openfile import LARGEST, O_PATH, WRITES, OpenFile
from pyview.syscalls import Role
from pyview.verdicts import Asleep, Emulate, Handler, Real, Verdict, Work
from pyview.view import MOUNT_IDS, Mount

TMPFS_MAGIC = 0x01021994  # as good as any: f_type of what has none
RWF_HIPRI, RWF_DSYNC, RWF_SYNC = 0x01, 0x02, 0x04
RWF_APPEND, RWF_NOAPPEND, RWF_KNOWN = 0x10, 0x20, 0x3F
KEEP_SIZE, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 0x01, 0x02, 0x08, 0x10, 0x20, 0x40
#: The modes of fallocate(2) that go together: fs/open.c:vfs_fallocate.
FALLOCATES = frozenset(
    (0, KEEP_SIZE, PUNCH | KEEP_SIZE, COLLAPSE, INSERT)
    + tuple(mode | keep for mode in (ZERO, UNSHARE) for keep in (0, KEEP_SIZE))
)


def opened(caller: Caller, index: int = 0) -> OpenFile | None:
    """The open file of a descriptor argument; None when the kernel knows better."""
    return caller.object(as_fd(caller.args[index]))


def perform(file: OpenFile, run: Callable[[], Any]) -> Generator[Work, Any, Any]:
    """Do something with a file, in its own thread when it is slow."""
    if file.file.slow:
        return (yield Work(file.tree, run))
    return run()


def read(caller: Caller) -> Handler | Verdict:
    """read, readv, pread64, preadv, preadv2."""
    file = opened(caller)
    if file is None:
        return Real()
    return _read(caller, file)


def _read(caller: Caller, file: OpenFile) -> Handler:
    at, moves = _position(caller, file)
    file.readable()
    wanted = vectors.pieces(caller)
    vector = caller.call.args[1].role not in (Role.IN, Role.OUT)
    if not _begins(caller, at, vectors.total(wanted), vector):
        return Emulate(0)
    if file.is_directory:
        flagged = caller.call.name == "preadv2" and caller.args[5] & ~RWF_HIPRI & 0xFFFFFFFF
        raise refuse(errno.EOPNOTSUPP if flagged else errno.EISDIR)
    done = 0
    for address, length in vectors.chunks(wanted):
        try:
            data = yield from perform(file, partial(file.pread, length, at + done))
        except OSError as error:
            if done:
                break
            if error.errno == errno.EAGAIN:
                _show(caller, file)
                if not file.flags & os.O_NONBLOCK:
                    return Asleep(file.file)
            raise
        stored = caller.store(address, data) if data else 0
        done += stored
        if stored < len(data):
            if not done:
                raise refuse(errno.EFAULT)
            break
        if len(data) < length:
            break
    if moves:
        file.offset = at + done
    if file.map is not None and done:
        caller.missed(file, at, done)
    _show(caller, file)
    return Emulate(done)


def _show(caller: Caller, file: OpenFile) -> None:
    """Let poll(2) say what the file does after a read."""
    if file.polls:
        caller.polled(as_fd(caller.args[0]), file)


def write(caller: Caller) -> Handler | Verdict:
    """write, writev, pwrite64, pwritev, pwritev2."""
    file = opened(caller)
    if file is None:
        return Real()
    return _write(caller, file)


def _write(caller: Caller, file: OpenFile) -> Handler:
    at, moves = _position(caller, file)
    file.writable()
    wanted = vectors.pieces(caller)
    if not _begins(caller, at, vectors.total(wanted), True):
        return Emulate(0)
    if appends(file, _flags(caller)):
        at = yield from perform(file, file.end)
    left = yield from limits.room(caller, file, at, vectors.total(wanted))
    done, map_moves = 0, file.map.moves if file.map is not None else 0
    for address, whole in vectors.chunks(wanted, vectors.WRITTEN):
        length = min(whole, left - done)
        try:
            data = caller.peek(address, length)
            count = yield from perform(file, partial(file.pwrite, data, at + done))
        except OSError as error:
            if done:
                break
            if error.errno == errno.EAGAIN and not file.flags & os.O_NONBLOCK:
                return Asleep(file.file)
            raise
        done += count
        if count < whole:
            break
    if done and is_synchronous(file, _flags(caller)):
        yield from perform(file, file.file.fsync)
    if moves:
        file.offset = at + done
    if file.map is not None and done and file.map.moves == map_moves:
        caller.missed(file, at, done)  # else they are where nobody writes them twice, as a rule
    return Emulate(done)


def _begins(caller: Caller, at: int, length: int, vector: bool) -> bool:
    """Whether there is anything to do: fs/read_write.c.  Errors: EINVAL, EOPNOTSUPP."""
    if vector and not length:
        return False
    if at + length > LARGEST:
        raise refuse(errno.EINVAL)
    if caller.call.name in ("preadv2", "pwritev2"):
        flags = caller.args[5] & 0xFFFFFFFF
        if flags & ~RWF_KNOWN:
            raise refuse(errno.EOPNOTSUPP)
        if flags & RWF_APPEND and flags & RWF_NOAPPEND:
            raise refuse(errno.EINVAL)
    return True


def _flags(caller: Caller) -> int:
    """RWF_* of a call that writes."""
    return caller.args[5] if caller.call.name == "pwritev2" else 0


def is_synchronous(file: OpenFile, flags: int) -> bool:
    """Whether what is written, with these RWF_*, must be durable at once."""
    return bool(file.flags & (os.O_SYNC | os.O_DSYNC) or flags & (RWF_DSYNC | RWF_SYNC))


def appends(file: OpenFile, flags: int) -> bool:
    """Whether it goes to the end of the file, wherever that is."""
    if file.kind != stat.S_IFREG or flags & RWF_NOAPPEND:
        return False
    return bool(file.flags & os.O_APPEND or flags & RWF_APPEND)


def _position(caller: Caller, file: OpenFile) -> tuple[int, bool]:
    """Where the call reads or writes, and whether it moves the offset.  Errors: EINVAL."""
    if caller.call.op in ("read", "write"):
        return file.offset, True
    if caller.call.name in ("preadv2", "pwritev2") and signed(caller.args[3]) == -1:
        return file.offset, True
    at = signed(caller.args[3])
    if at < 0 or at > LARGEST:
        raise refuse(errno.EINVAL)
    return at, False


def lseek(caller: Caller) -> Handler | Verdict:
    """lseek: the offset is the open file's."""
    file = opened(caller)
    if file is None:
        return Real()
    offset, whence = signed(caller.args[1]), as_fd(caller.args[2])
    if whence in (os.SEEK_SET, os.SEEK_CUR):
        return Emulate(file.seek(offset, whence))
    return _result(file, lambda: file.seek(offset, whence))


def _result(file: OpenFile, run: Callable[[], int | None]) -> Handler:
    value = (yield from perform(file, run)) or 0
    if not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is no result")
    return Emulate(value)


def attributes(caller: Caller) -> Verdict:
    """fstat; newfstatat and statx with an empty name."""
    file = opened(caller)
    if file is None:
        from pyview.handlers import claimed  # which needs this file

        return claimed.attributes(caller, as_fd(caller.args[0])) or Real()
    return told(caller, file.attributes(), file.mount)


def told(caller: Caller, st: os.stat_result, mount: Mount) -> Emulate:
    """Attributes as the answer to a call of the stat family."""
    return Emulate(0, ((_buffer(caller), packed(caller, st, mount)),))


def _buffer(caller: Caller) -> int:
    """Where a call of the stat family wants its answer."""
    return caller.args[caller.call.arg(Role.STRUCT_OUT)]


def packed(caller: Caller, st: os.stat_result, mount: Mount) -> bytes:
    """Attributes as the call wants them, of a file seen through a mount."""
    if caller.call.name == "statx":
        return pack_statx(st, MOUNT_IDS + mount.epoch)
    return pack_stat(st)


def statfs(caller: Caller) -> Verdict:
    """fstatfs."""
    file = opened(caller)
    if file is None:
        return Real()
    # Its file may have no name any more.
    own = getattr(file.file, "fstatvfs", None)
    found = own() if own is not None else file.tree.statvfs(file.rest)
    return Emulate(0, ((caller.args[1], pack_statfs(found, TMPFS_MAGIC)),))


def truncate(caller: Caller) -> Handler | Verdict:
    """ftruncate."""
    file = opened(caller)
    if file is None:
        return Real()
    size = signed(caller.args[1])
    if size >= 0 and file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if size < 0 or file.kind != stat.S_IFREG or file.flags & os.O_ACCMODE not in WRITES:
        raise refuse(errno.EINVAL)
    return _truncate(caller, file, size)


def _truncate(caller: Caller, file: OpenFile, size: int) -> Handler:
    yield from limits.grows(caller, file.end(), size)
    yield from perform(file, lambda: file.truncate(size))
    return Emulate(0)


def allocate(caller: Caller) -> Handler | Verdict:
    """fallocate."""
    file = opened(caller)
    if file is None:
        return Real()
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    mode, offset, length = as_fd(caller.args[1]), signed(caller.args[2]), signed(caller.args[3])
    if offset < 0 or length <= 0:
        raise refuse(errno.EINVAL)
    if mode not in FALLOCATES:
        raise refuse(errno.EOPNOTSUPP)
    file.writable()
    if file.kind not in (stat.S_IFREG, stat.S_IFBLK):
        raise refuse(errno.ENODEV)
    if offset + length > LARGEST:
        raise refuse(errno.EFBIG)
    return _allocate(caller, file, mode, offset, length)


def _allocate(caller: Caller, file: OpenFile, mode: int, offset: int, length: int) -> Handler:
    if file.kind == stat.S_IFREG and not mode & (KEEP_SIZE | COLLAPSE):
        size = file.end()
        ends = size + length if mode & INSERT else offset + length
        yield from limits.grows(caller, size, ends)
    yield from perform(file, lambda: file.allocate(mode, offset, length))
    return Emulate(0)


def sync(caller: Caller) -> Handler | Verdict:
    """fsync, fdatasync, syncfs, sync_file_range."""
    file = opened(caller)
    if file is None:
        from pyview.handlers import claimed  # which needs this file

        return Real() if claimed.syncs(caller, as_fd(caller.args[0])) else Emulate(0)
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if caller.call.name == "sync_file_range":
        _check_range(caller, file)
    return _result(file, lambda: synced(file))


def _check_range(caller: Caller, file: OpenFile) -> None:
    """What is wrong with a sync_file_range(2): Linux fs/sync.c.  Errors: EINVAL, ESPIPE."""
    offset, length = signed(caller.args[1]), signed(caller.args[2])
    if caller.args[3] & ~7 & 0xFFFFFFFF or offset < 0 or not offset <= offset + length <= LARGEST:
        raise refuse(errno.EINVAL)
    if file.kind not in (stat.S_IFREG, stat.S_IFBLK, stat.S_IFDIR):
        raise refuse(errno.ESPIPE)


def sync_all(caller: Caller) -> Handler:
    """sync: of the view's devices too, before the kernel's own."""
    for tree, run in caller.unsynced():
        if tree is None:
            run()
        else:
            yield Work(tree, run)
    return Real()


def synced(file: OpenFile) -> None:
    """Make durable what was written, by mapping too."""
    pages = file.pages
    if pages is not None:
        pages.write_back()
    file.file.fsync()


def advise(caller: Caller) -> Verdict:
    """fadvise64, readahead: advice is heard and not needed.  Errors: EBADF, EINVAL."""
    file = opened(caller)
    if file is None:
        return Real()
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if caller.call.name == "fadvise64":
        if as_fd(caller.args[3]) not in range(6) or signed(caller.args[2]) < 0:
            raise refuse(errno.EINVAL)
    else:
        file.readable()
        if file.kind not in (stat.S_IFREG, stat.S_IFBLK):
            raise refuse(errno.EINVAL)
    return Emulate(0)


def change(file: OpenFile, operation: str, *arguments: Any) -> Any:
    """Ask the open file, or else its tree by name: chmod, chown, utime, getxattr..."""
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    # A device is a tree, too, whatever it is seen through: what it calls so wants a path.
    own: object = file.file
    method = None if isinstance(own, Tree) else getattr(own, operation, None)
    if method is not None:
        return method(*arguments)
    return getattr(file.tree, operation)(file.rest, *arguments)


def _real_change(caller: Caller, operation: str, *values: Any) -> Handler | Verdict:
    """A change of a real descriptor's file, which may lie in an overlay."""
    from pyview.handlers import claimed  # which needs this file

    return claimed.by_number(caller, as_fd(caller.args[0]), operation, *values)


def chmod(caller: Caller) -> Handler | Verdict:
    """fchmod."""
    file = opened(caller)
    if file is None:
        return _real_change(caller, "chmod", caller.args[1] & 0o7777)
    change(file, "chmod", caller.args[1] & 0o7777)
    caller.looks_changed()
    return Emulate(0)


def chown(caller: Caller) -> Handler | Verdict:
    """fchown."""
    file = opened(caller)
    if file is None:
        wanted = owner(caller.args[1]), owner(caller.args[2])
        return _real_change(caller, "chown", *wanted)
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    change(file, "chown", owner(caller.args[1]), owner(caller.args[2]))
    caller.looks_changed()
    return Emulate(0)


def otherwise(caller: Caller) -> Verdict:
    """Any other call on a descriptor: an emulated one is never taken for what it is made of."""
    for index, arg in enumerate(caller.call.args):
        file = opened(caller, index) if arg.role is Role.FD else None
        if file is not None:
            path = file.flags & O_PATH  # for nearly every call as good as none: open(2)
            raise refuse(errno.EBADF if path else _REFUSALS.get(caller.call.name, errno.EINVAL))
    return Real()


_NO_SOCKET = (
    *("bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "sendto"),
    *("recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown", "setsockopt"),
    "getsockopt",
)
_REFUSALS = dict.fromkeys(_NO_SOCKET, errno.ENOTSOCK) | {
    "signalfd": errno.EINVAL, "mq_timedsend": errno.EBADF, "mq_timedreceive": errno.EBADF,
    "mq_notify": errno.EBADF, "mq_getsetattr": errno.EBADF,
    "pidfd_send_signal": errno.EBADF, "process_madvise": errno.EBADF, "vmsplice": errno.EBADF,
    "process_mrelease": errno.EBADF, "landlock_add_rule": errno.EBADFD, "setns": errno.EINVAL,
    "cachestat": errno.EOPNOTSUPP, "quotactl_fd": errno.ENOTBLK, "pidfd_getfd": errno.EBADF,
}  # fmt: skip
