# SPDX-License-Identifier: GPL-2.0-or-later
"""fcntl, ioctl, flock and epoll_ctl on emulated descriptors."""

from __future__ import annotations

import errno
import os
import stat
import struct

from pyview.abi import ioctl as requests
from pyview.abi.words import as_fd
from pyview.api import refuse
from pyview.handlers import claimed, mapping
from pyview.handlers.caller import AT_FDCWD, Caller
from pyview.handlers.files import opened, perform
from pyview.locks import EVERYTHING, LOCKS, Lock, Range, Wait
from pyview.openfile import O_LARGEFILE, O_PATH, READS, SETTABLE, WRITES, OpenFile
from pyview.syscalls import PROCMAP_QUERY
from pyview.verdicts import Again, Asleep, Done, Emulate, Handler, Locks, Real, Redirect, Verdict

EPOLL_CTL_ADD = 1
F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW = 3, 4, 5, 6, 7
F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX = 8, 9, 10, 11, 15, 16
F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS = 1031, 1032, 1033
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
F_SETLEASE, F_GETLEASE, F_DUPFD_QUERY, F_UNLCK = 1024, 1025, 1027, 2
F_NOTIFY, F_CREATED_QUERY = 1026, 1028
_FLOCK = struct.Struct("=hh4xqqi4x")  # l_type, l_whence, l_start, l_len, l_pid
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN, LOCK_MAND = 1, 2, 4, 8, 32
F_RDLCK, F_WRLCK = 0, 1
FIBMAP, FIOQSIZE = 0x01, 0x5460  # int *: a block's number; loff_t *: bytes
BLKPG_HEAD = struct.Struct("=iiiiQ")  # op, flags, datalen, padding, data


def fcntl(caller: Caller) -> Handler | Verdict:
    """fcntl, but for what the kernel's own descriptor answers: F_DUPFD, F_GETFD, F_SETFD."""
    file = opened(caller)
    if file is None:
        return Real()
    command, argument = as_fd(caller.args[1]), caller.args[2]
    if command == F_DUPFD_QUERY:
        return Real()  # the kernel's descriptors are the same, too
    if file.flags & O_PATH and command != F_GETFL:
        raise refuse(errno.EBADF)
    if command == F_GETFL:
        return Emulate(file.flags | (0 if file.flags & O_PATH else O_LARGEFILE))
    if command == F_SETFL:
        settable = SETTABLE & ~(0 if file.kind == stat.S_IFCHR else os.O_ASYNC)
        file.flags = file.flags & ~settable | argument & settable
        caller.changed(file)
        return Emulate(0)
    if command in (F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW):
        return _lock(caller, file, command)
    if command in (F_GETOWN, F_SETOWN, F_GETSIG, F_SETSIG):
        return Emulate(0)  # it never sends a signal
    if command == F_GETLEASE:
        return Emulate(F_UNLCK)
    if command == F_CREATED_QUERY:
        return Emulate(int(file.created))
    if command == F_NOTIFY:  # heard, as on a network's file system, and never signalled
        if not file.is_directory:
            raise refuse(errno.ENOTDIR)
        return Emulate(0)
    if command == F_SETLEASE and file.kind == stat.S_IFREG:
        raise refuse(errno.EAGAIN)
    if command == F_ADD_SEALS and file.flags & os.O_ACCMODE not in WRITES:
        raise refuse(errno.EPERM)
    raise refuse(errno.EBADF if command in (F_SETPIPE_SZ, F_GETPIPE_SZ) else errno.EINVAL)


def _lock(caller: Caller, file: OpenFile, command: int) -> Handler | Verdict:
    """POSIX locks of a process and those of an open file: fcntl(2)."""
    data = caller.peek(caller.args[2], _FLOCK.size)
    if len(data) < _FLOCK.size:
        raise refuse(errno.EFAULT)
    kind, whence, start, length, pid = _FLOCK.unpack(data)
    own = command >= F_OFD_GETLK
    owner: tuple[str, int] = ("file", id(file)) if own else ("process", caller.process())
    if command == F_GETLK and kind not in (F_RDLCK, F_WRLCK):
        raise refuse(errno.EINVAL)
    wanted = _range(file, whence, start, length)
    if kind not in (F_RDLCK, F_WRLCK, F_UNLCK):
        raise refuse(errno.EINVAL)
    tests = command in (F_GETLK, F_OFD_GETLK)
    modes = {F_RDLCK: READS, F_WRLCK: WRITES}.get(kind)
    if not tests and modes is not None and file.flags & os.O_ACCMODE not in modes:
        raise refuse(errno.EBADF)
    if own and pid:
        raise refuse(errno.EINVAL)
    if tests:
        if kind == F_UNLCK:  # since Linux 6.5: what it has itself
            found = LOCKS.own(file.key, owner, wanted)
        else:
            found = LOCKS.conflict(file.key, owner, wanted, kind == F_WRLCK)
        return Emulate(0, ((caller.args[2], _shown(found, data)),))
    if kind == F_UNLCK:
        LOCKS.release(file.key, owner, wanted)
        caller.wake(file.key)
        return Emulate(0)
    if not own and not caller.stops_closing():
        return _ready_to_close()
    return _taken(caller, file, owner, wanted, kind == F_WRLCK, command in (F_SETLKW, F_OFD_SETLKW))


def _ready_to_close() -> Handler:
    """The process will stop when it closes the file; then its call comes again.  Errors: ENOLCK."""
    yield Redirect({}, "getpid")
    if (yield Locks()):
        raise refuse(errno.ENOLCK)
    return Again()


def _shown(found: Lock | None, data: bytes) -> bytes:
    """A struct flock for a lock that is in the way, or what was asked with F_UNLCK in it."""
    if found is None:
        return struct.pack("=h", F_UNLCK) + data[2:]
    end = 0 if found.end >= EVERYTHING.end else found.end - found.start
    process = found.owner[1] if found.owner[0] == "process" else -1
    mode = F_WRLCK if found.exclusive else F_RDLCK
    return _FLOCK.pack(mode, os.SEEK_SET, found.start, end, process)


def _range(file: OpenFile, whence: int, start: int, length: int) -> Range:
    """The bytes that struct flock means.  Errors: EINVAL, EOVERFLOW."""
    if whence == os.SEEK_CUR:
        start += file.offset
    elif whence == os.SEEK_END:
        start += file.end()
    elif whence != os.SEEK_SET:
        raise refuse(errno.EINVAL)
    if length < 0:
        start, length = start + length, -length
    if start < 0:
        raise refuse(errno.EINVAL)
    if start + max(length, 1) > EVERYTHING.end:
        raise refuse(errno.EOVERFLOW)
    return Range(start, start + length if length else EVERYTHING.end)


def _taken(
    caller: Caller, file: OpenFile, owner: tuple[str, int], wanted: Range, writes: bool, waits: bool
) -> Verdict:
    """Take a lock, or wait for it."""
    caller.settle()
    try:
        LOCKS.take(file.key, owner, wanted, writes, caller.tid if waits else 0)
    except Wait:
        return Asleep(file.key)
    if owner[0] == "process":
        file.lockers.add(owner[1])
    caller.holds_locks()
    caller.wake(file.key)  # a weaker lock may let others in
    return Emulate(0)


def flock(caller: Caller) -> Verdict:
    """flock: locks of their own kind, each an open file's."""
    file = opened(caller)
    if file is None:
        return Real()
    operation = as_fd(caller.args[1])
    if operation & LOCK_MAND:
        return Emulate(0)  # nobody's lock any more
    if operation & ~LOCK_NB not in (LOCK_SH, LOCK_EX, LOCK_UN):
        raise refuse(errno.EINVAL)
    opens = file.flags & os.O_ACCMODE in (*READS, *WRITES)
    if file.flags & O_PATH or not (opens or operation & LOCK_UN):
        raise refuse(errno.EBADF)
    owner, key = ("file", id(file)), ("flock", *file.key)
    if operation & ~LOCK_NB == LOCK_UN:
        LOCKS.release(key, owner, EVERYTHING)
        caller.wake(key)
        return Emulate(0)
    waits, exclusive = not operation & LOCK_NB, bool(operation & LOCK_EX)
    caller.settle()
    if LOCKS.mode(key, owner) is (not exclusive):
        # What it had is lost first, whether or not it gets the other: flock(2).
        LOCKS.release(key, owner, EVERYTHING)
        caller.wake(key)
    try:
        LOCKS.take(key, owner, EVERYTHING, exclusive, caller.tid if waits else 0)
    except Wait:
        return Asleep(key)
    return Emulate(0)


def _watched(caller: Caller, text: str) -> Handler:
    """A list of mounts is watched for changes: by the kernel's own, for a text has none."""
    fd = as_fd(caller.args[2])
    how = os.O_RDONLY | os.O_CLOEXEC
    new = yield Redirect({0: AT_FDCWD, 1: os.fsencode(text) + b"\0", 2: how, 3: 0}, "openat")
    if new >= 0:
        closes = os.O_CLOEXEC if caller.closes_at_exec(fd) else 0
        yield Redirect({0: new, 1: fd, 2: closes}, "dup3")
        yield Redirect({0: new}, "close")
    yield Redirect({})
    return Done()


def ioctl(caller: Caller) -> Handler | Verdict:
    """ioctl: what concerns the descriptor is answered here, all else by the file."""
    file = opened(caller)
    request, argument = caller.args[1] & 0xFFFFFFFF, caller.args[2]
    if file is None:
        if request in requests.CHANGES_FILE:
            claimed.leaves(caller, as_fd(caller.args[0]))
        return mapping.query(caller) if request == PROCMAP_QUERY else Real()
    if file.flags & O_PATH:
        raise refuse(errno.EBADF)
    if request in (requests.FIOCLEX, requests.FIONCLEX):
        return Real()
    if request in (requests.FIONBIO, requests.FIOASYNC):
        bit = os.O_NONBLOCK if request == requests.FIONBIO else os.O_ASYNC
        on = int.from_bytes(caller.peek(argument, 4), "little")
        file.flags = file.flags | bit if on else file.flags & ~bit
        caller.changed(file)
        return Emulate(0)
    about = _told(file, request)
    if about:
        return Emulate(0, ((argument, about),))
    if request == FIBMAP and file.kind == stat.S_IFREG:
        raise refuse(errno.EPERM)  # as for anybody without CAP_SYS_RAWIO
    if file.is_directory:
        raise refuse(errno.ENOTTY)
    if request in requests.OF_TWO_FILES:
        raise refuse(errno.EOPNOTSUPP)  # as of a file system that can't
    first = caller.must_hear() if request == requests.BLKROSET else None
    return first or _asked(caller, file, request, argument)


def _told(file: OpenFile, request: int) -> bytes:
    """What Linux fs/ioctl.c:do_vfs_ioctl knows of a file itself."""
    if request == requests.FIGETBSZ and file.kind in (stat.S_IFREG, stat.S_IFDIR):
        return struct.pack("=i", file.attributes().st_blksize)
    if request == FIOQSIZE and file.kind in (stat.S_IFREG, stat.S_IFDIR):
        return struct.pack("=q", file.attributes().st_size)
    if request == requests.FIONREAD and file.kind == stat.S_IFREG:
        left = file.end() - file.offset & 0xFFFFFFFF  # it is an int
        return struct.pack("=I", left)
    return b""


def _pointed_to(caller: Caller, request: int, argument: int, size: int) -> bytes:
    """What a request reads, less where the caller has less.  Errors: EFAULT if it is well known.

    A file that does not know it says ENOTTY, wherever the argument leads.
    """
    try:
        data = caller.peek(argument, size) if size else b""
    except OSError:
        data = b""
    if len(data) < size and requests.is_known(request):
        raise refuse(errno.EFAULT)
    return data


def _asked(caller: Caller, file: OpenFile, request: int, argument: int) -> Handler:
    size = requests.reads(request)
    if size is None:
        data = argument.to_bytes(8, "little")
    else:
        data = _pointed_to(caller, request, argument, size)
    if request == requests.BLKPG:
        _, _, length, _, address = BLKPG_HEAD.unpack(data)
        data += caller.peek(address, max(0, min(length, 152)))
    caller.settle()  # who has just closed a device does not use it any more
    out = yield from perform(file, lambda: file.file.ioctl(request, data))
    if request not in requests.ABOUT_BYTES:
        caller.changed(file)
    if len(out) > requests.stores(request):
        raise ValueError(f"{len(out)} bytes are no answer to {request:#x}")
    return Emulate(0, ((argument, out),) if out else ())


def epoll_ctl(caller: Caller) -> Handler | Verdict:
    """epoll_ctl: what is always ready can't be watched."""
    file, epoll = opened(caller, 2), opened(caller)
    if file is None and epoll is None and caller.args[1] == EPOLL_CTL_ADD:
        text = caller.text_of(as_fd(caller.args[2]))
        if text.endswith("/mountinfo"):
            return _watched(caller, text)
    if any(one is not None and one.flags & O_PATH for one in (file, epoll)):
        raise refuse(errno.EBADF)
    if epoll is None and (file is None or file.polls):
        return Real()
    raise refuse(errno.EPERM if file is not None else errno.EINVAL)
