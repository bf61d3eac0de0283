# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: every system call of the x86-64 kernel (up to 6.18), one row each.

It is the only file that knows the shape of a call.  The seccomp filter, the C
dispatcher's table, the printer, docs/syscalls.md and half of the tests are read
off CALLS.  A row is the man page's prototype with the C types replaced by
*roles*: what an argument means to a view, not how wide it is.

It imports only the standard library, and runs by itself: the build script of the
C core reads it before the package exists.  It may not hold behaviour.
"""

from enum import IntEnum
from typing import Literal, NamedTuple


class Role(IntEnum):
    """What an argument is to a view.  Mirrored by enum pv_role in csrc."""

    INT = 0  # a plain number
    FD = 1  # an open descriptor of the caller
    DIRFD = 2  # a descriptor, or AT_FDCWD, that the next PATH is relative to
    PATH = 3  # a C string that names a file
    STR = 4  # a C string that is no path (an xattr's name, a symlink's target)
    IN = 5  # memory the call reads; `size` is the argument with its length in bytes
    OUT = 6  # memory the call writes; `size` as above
    SOCKADDR_IN = 7  # a socket address; `size` is the argument with its length
    SOCKADDR_OUT = 8  # a socket address to fill in; `size` is a LENP
    IOV_IN = 9  # an iovec array that is gathered from; `size` is the count
    IOV_OUT = 10  # an iovec array that is scattered to; `size` is the count
    MSG_IN = 11  # a struct msghdr to send
    MSG_OUT = 12  # a struct msghdr to fill in
    STRUCT_IN = 13  # memory whose length the call fixes, read
    STRUCT_OUT = 14  # the same, written
    STRV = 15  # a NULL-terminated vector of C strings
    ADDR = 16  # an address whose contents no view looks at
    FLAGS = 17  # a word of bits
    MODE = 18  # permission bits (or what access(2) asks for)
    NEWFD = 19  # a descriptor number that the call gives out; need not be open
    LENP = 20  # a pointer to an int: a length given and returned (value-result)
    SOURCE = 21  # a C string that is a path or not, as the file system's type says
    POLLFDS = 22  # an array of struct pollfd; `size` is the count
    FDSET = 23  # an fd_set or NULL; `size` is the argument with its number of bits
    MSGS_IN = 24  # an array of struct mmsghdr to send; `size` is the count
    MSGS_OUT = 25  # an array of struct mmsghdr to fill in; `size` is the count


class Route(IntEnum):
    """Who may answer a call.  Mirrored by enum pv_route in csrc."""

    NEUTRAL = 0  # no view can change it
    PATH = 1  # the tree mounted over the path
    FD = 2  # the module that opened the descriptor
    SOCKET = 3  # the stack chosen by address family
    CALL = 4  # the module that claimed the call by name (uname, getuid, clock_gettime)
    CORE = 5  # pyview itself: fd table, cwd, mounts, fork, exec
    REFUSE = 6  # nobody: ENOSYS, and every known program falls back to an older call


class Stop(IntEnum):
    """What the path tier's filter does with a call.  Mirrored by enum pv_stop in csrc."""

    NONE = 0  # SECCOMP_RET_ALLOW: it runs at full speed
    LISTENER = 1  # SECCOMP_RET_USER_NOTIF
    TRACER = 2  # SECCOMP_RET_TRACE
    REFUSE = 3  # SECCOMP_RET_ERRNO, ENOSYS


class Lookup(IntEnum):
    """Which word of flags says how a path's last name is looked up: a key of LOOKUPS."""

    FIXED = 0  # none: Arg.follow says it all
    AT = 1  # AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH
    OPEN = 2  # O_NOFOLLOW, O_CREAT | O_EXCL
    HOW = 3  # as OPEN, but the word is the first of the struct open_how pointed to
    INOTIFY = 4  # IN_DONT_FOLLOW
    UMOUNT = 5  # UMOUNT_NOFOLLOW
    FANOTIFY = 6  # FAN_MARK_DONT_FOLLOW
    FSPICK = 7  # FSPICK_SYMLINK_NOFOLLOW, FSPICK_EMPTY_PATH
    MOVE_FROM = 8  # MOVE_MOUNT_F_SYMLINKS, MOVE_MOUNT_F_EMPTY_PATH
    MOVE_TO = 9  # MOVE_MOUNT_T_SYMLINKS, MOVE_MOUNT_T_EMPTY_PATH


class Bits(NamedTuple):
    """The bits of one kind of flags word.

    When any bit of `nofollow`, or all of `exclusive`, is set the last symlink is
    not followed; when any of `follow` is, it is; with `empty` the name "" is dirfd.
    """

    nofollow: int = 0
    follow: int = 0
    empty: int = 0
    exclusive: int = 0


LOOKUPS: dict[Lookup, Bits] = {
    Lookup.FIXED: Bits(),
    Lookup.AT: Bits(nofollow=0x100, follow=0x400, empty=0x1000),
    Lookup.OPEN: Bits(nofollow=0o400000, exclusive=0o300),
    Lookup.HOW: Bits(nofollow=0o400000, exclusive=0o300),
    Lookup.INOTIFY: Bits(nofollow=0x02000000),
    Lookup.UMOUNT: Bits(nofollow=0x8),
    Lookup.FANOTIFY: Bits(nofollow=0x4),
    Lookup.FSPICK: Bits(nofollow=0x2, empty=0x8),
    Lookup.MOVE_FROM: Bits(follow=0x1, empty=0x4),
    Lookup.MOVE_TO: Bits(follow=0x10, empty=0x40),
}


class Null(IntEnum):
    """What NULL means where a path is expected."""

    FAULT = 0  # EFAULT
    ABSENT = 1  # no file: the call means something else (acct, quotactl, mount)
    DIRFD = 2  # dirfd itself (utimensat)
    EMPTY = 3  # as "": dirfd itself if the flags say AT_EMPTY_PATH (Linux >= 6.11)


class Arg(NamedTuple):
    """One argument: its role, its name in the man page, the arguments it depends on.

    `size` and `flags` are indices into the row.  The rest is for a PATH: `follow`
    and `lookup` say whether a last symlink is followed (see follows()), `entry`
    that the call acts on the name in its directory rather than on the file (unlink,
    mkdir: the last name is not looked up), `empty` that "" is dirfd itself without
    any flag (readlinkat).
    """

    role: Role
    name: str
    size: int | None = None
    flags: int | None = None
    follow: bool = True
    lookup: Lookup = Lookup.FIXED
    entry: bool = False
    empty: bool = False
    null: Null = Null.FAULT

    def follows(self, flags: int = 0) -> bool:
        """Whether a last symlink is followed; `flags` is the word, not its index."""
        bits = LOOKUPS[self.lookup]
        if flags & bits.nofollow or (bits.exclusive and flags & bits.exclusive == bits.exclusive):
            return False
        return self.follow or bool(flags & bits.follow)

    def allows_empty(self, flags: int = 0) -> bool:
        """Whether the name "" is dirfd itself; otherwise it is ENOENT."""
        return self.empty or bool(flags & LOOKUPS[self.lookup].empty)


class When(NamedTuple):
    """A condition that a filter can test: argument `arg` is ...

    nonzero, below the first of `values`, or from that on (all 64 bits, without a sign); eq one of
    `values`, has any of the bits `values`, or is clear of them (these: the low 32 bits, all that
    the kernel looks at in these arguments).
    """

    arg: int
    kind: Literal["nonzero", "below", "from", "eq", "bits", "clear"]
    values: tuple[int, ...] = ()

    def holds(self, args: tuple[int, ...]) -> bool:
        """Whether a call with the six register values `args` meets the condition."""
        value = args[self.arg] & 0xFFFFFFFFFFFFFFFF
        if self.kind == "nonzero":
            return value != 0
        if self.kind in ("below", "from"):
            return (value < self.values[0]) is (self.kind == "below")
        if self.kind == "eq":
            return value & 0xFFFFFFFF in self.values
        return any(value & bits for bits in self.values) is (self.kind == "bits")


class Call(NamedTuple):
    """One system call.

    `held` is when it stops in a process that has, or has had, an emulated descriptor (the
    descriptor tier): always, if any of these conditions holds, or never (None).  `identity` is
    when it stops in a view whose users and groups are its own (the identity tier), likewise.

    `op` is the operation a module sees: calls that differ only in calling
    convention (stat, fstat, newfstatat) share one.  `stop` holds when any
    condition of `when` does, or there is none.  `nr` is given only for calls newer
    than the oldest headers pyview builds with (Debian 12: 6.1); the others have
    __NR_name.  `note` is a known limit, for the manual.
    """

    name: str
    route: Route
    args: tuple[Arg, ...] = ()
    op: str = ""
    stop: Stop = Stop.NONE
    when: tuple[When, ...] = ()
    nr: int | None = None
    note: str = ""
    held: tuple[When, ...] | None = None
    identity: tuple[When, ...] | None = None

    def arg(self, role: Role) -> int:
        """The index of the first argument with this role, or -1."""
        return next((i for i, a in enumerate(self.args) if a.role is role), -1)

    def paths(self) -> tuple[tuple[int | None, int], ...]:
        """(index of its DIRFD or None, index) of every PATH and SOURCE."""
        return tuple(
            (i - 1 if i and self.args[i - 1].role is Role.DIRFD else None, i)
            for i, a in enumerate(self.args)
            if a.role in (Role.PATH, Role.SOURCE)
        )

    def stops(self, args: tuple[int, ...]) -> Stop:
        """What the path tier does with this call and these six register values."""
        if not self.when or any(w.holds(args) for w in self.when):
            return self.stop
        return Stop.NONE


def n(*names: str) -> tuple[Arg, ...]:
    """Plain numbers."""
    return tuple(Arg(Role.INT, name) for name in names)


def ptr(*names: str) -> tuple[Arg, ...]:
    """Addresses whose contents no view looks at."""
    return tuple(Arg(Role.ADDR, name) for name in names)


def at(
    flags_index: int, name: str = "path", *, follow: bool = True, null: Null = Null.FAULT
) -> Arg:
    """A path whose last symlink is followed or not as AT_* flags say."""
    return Arg(Role.PATH, name, flags=flags_index, follow=follow, lookup=Lookup.AT, null=null)


def by(
    lookup: Lookup,
    flags_index: int,
    name: str = "path",
    *,
    follow: bool = True,
    null: Null = Null.FAULT,
) -> Arg:
    """A path whose last symlink is followed or not as another kind of flags says."""
    return Arg(Role.PATH, name, flags=flags_index, follow=follow, lookup=lookup, null=null)


def entry(name: str = "path") -> Arg:
    """A path that stands for a name in a directory."""
    return Arg(Role.PATH, name, follow=False, entry=True)


def out(size_index: int, name: str = "buf") -> Arg:
    """Memory that the call writes."""
    return Arg(Role.OUT, name, size=size_index)


def inp(size_index: int, name: str = "buf") -> Arg:
    """Memory that the call reads."""
    return Arg(Role.IN, name, size=size_index)


def sized(role: Role, name: str, size_index: int) -> Arg:
    """Any other argument whose length or count is another argument."""
    return Arg(role, name, size=size_index)


def get(name: str) -> Arg:
    """A structure that the call writes."""
    return Arg(Role.STRUCT_OUT, name)


def put(name: str) -> Arg:
    """A structure that the call reads."""
    return Arg(Role.STRUCT_IN, name)


def text(name: str) -> Arg:
    """A C string that is no path."""
    return Arg(Role.STR, name)


def nonzero(arg: int) -> tuple[When, ...]:
    """The condition that an argument is not 0."""
    return (When(arg, "nonzero"),)


fd = Arg(Role.FD, "fd")
dirfd = Arg(Role.DIRFD, "dirfd")
olddirfd = Arg(Role.DIRFD, "olddirfd")
newdirfd = Arg(Role.DIRFD, "newdirfd")
path = Arg(Role.PATH, "path")
lpath = Arg(Role.PATH, "path", follow=False)
mode = Arg(Role.MODE, "mode")
flags = Arg(Role.FLAGS, "flags")
size, offset, count, whence, addrlen = n("size", "offset", "count", "whence", "addrlen")
uid, gid, dev, cmd, length = n("uid", "gid", "dev", "cmd", "length")
statbuf = get("statbuf")
xname = text("name")
target = text("target")
argv, envp = Arg(Role.STRV, "argv"), Arg(Role.STRV, "envp")
lenp = Arg(Role.LENP, "addrlen")
newfd = Arg(Role.NEWFD, "newfd")


def call(
    name: str,
    route: Route,
    *args: Arg,
    op: str = "",
    stop: Stop = Stop.NONE,
    when: tuple[When, ...] = (),
    nr: int | None = None,
    note: str = "",
    held: tuple[When, ...] | None = (),
    identity: tuple[When, ...] | None = None,
) -> Call:
    """A row; the operation is the call's own name unless told.

    Whoever has a descriptor among its arguments is held unless told.
    """
    if not held and not any(arg.role is Role.FD for arg in args):
        held = None
    return Call(name, route, args, op or name, stop, when, nr, note, held, identity)


def refuse(name: str, *args: Arg, op: str = "", nr: int | None = None, note: str = "") -> Call:
    """A row that is ENOSYS in a view."""
    return Call(name, Route.REFUSE, args, op or name, Stop.REFUSE, (), nr, note)


def neutral(rows: str) -> tuple[Call, ...]:
    """Rows no view can change, a line each: "name[=nr] arg *pointer &flags"."""
    made = []
    for line in rows.strip().splitlines():
        head, *words = line.split()
        name, _, nr = head.partition("=")
        roles = {"*": Role.ADDR, "&": Role.FLAGS}
        args = tuple(Arg(roles.get(w[0], Role.INT), w.lstrip("*&")) for w in words)
        made.append(Call(name, Route.NEUTRAL, args, name, Stop.NONE, (), int(nr) if nr else None))
    return tuple(made)


P, F, S, C, K, N = (Route.PATH, Route.FD, Route.SOCKET, Route.CALL, Route.CORE, Route.NEUTRAL)
L, T = Stop.LISTENER, Stop.TRACER

# The rows keep the man page's order and their columns, which a formatter would undo.
# fmt: off
NAMES: tuple[Call, ...] = (
    # -- calls that name a file; glibc's fstat is newfstatat(fd, "", AT_EMPTY_PATH)
    call("open",        P, by(Lookup.OPEN, 1), flags, mode,               op="open", stop=L),
    call("openat",      P, dirfd, by(Lookup.OPEN, 2), flags, mode,        op="open", stop=L),
    call("creat",       P, path, mode,                                    op="open", stop=L),
    call("openat2",     P, dirfd, by(Lookup.HOW, 2), inp(3, "how"), size, op="open", stop=L),
    call("stat",        P, path, statbuf,                                 op="stat", stop=L),
    call("lstat",       P, lpath, statbuf,                                op="stat", stop=L),
    call("newfstatat",  P, dirfd, at(3, null=Null.EMPTY), statbuf, flags, op="stat", stop=L),
    call("statx",       P, dirfd, at(2, null=Null.EMPTY), flags,
         Arg(Role.FLAGS, "mask"), statbuf,                                op="stat", stop=L),
    call("access",      P, path, mode,                                    op="access", stop=L),
    call("faccessat",   P, dirfd, path, mode,                             op="access", stop=L),
    call("faccessat2",  P, dirfd, at(3), mode, flags,                     op="access", stop=L),
    call("readlink",    P, lpath, out(2), size,                           op="readlink", stop=L),
    call("readlinkat",  P, dirfd, lpath._replace(empty=True), out(3), size,
                                                                          op="readlink", stop=L),
    call("truncate",    P, path, length,                                  op="truncate", stop=T),
    call("mkdir",       P, entry(), mode,                                 op="mkdir", stop=T),
    call("mkdirat",     P, dirfd, entry(), mode,                          op="mkdir", stop=T),
    call("rmdir",       P, entry(),                                       op="rmdir", stop=T),
    call("unlink",      P, entry(),                                       op="unlink", stop=T),
    call("unlinkat",    P, dirfd, entry(), flags,                         op="unlink", stop=T),
    call("rename",      P, entry("oldpath"), entry("newpath"),            op="rename", stop=T),
    call("renameat",    P, olddirfd, entry("oldpath"), newdirfd, entry("newpath"),
                                                                          op="rename", stop=T),
    call("renameat2",   P, olddirfd, entry("oldpath"), newdirfd, entry("newpath"), flags,
                                                                          op="rename", stop=T),
    call("link",        P, lpath._replace(name="oldpath"), entry("newpath"),
                                                                          op="link", stop=T),
    call("linkat",      P, olddirfd, at(4, "oldpath", follow=False), newdirfd, entry("newpath"),
         flags,                                                           op="link", stop=T),
    call("symlink",     P, target, entry("linkpath"),                     op="symlink", stop=T),
    call("symlinkat",   P, target, newdirfd, entry("linkpath"),           op="symlink", stop=T),
    call("mknod",       P, entry(), mode, dev,                            op="mknod", stop=T),
    call("mknodat",     P, dirfd, entry(), mode, dev,                     op="mknod", stop=T),
    call("chmod",       P, path, mode,                                    op="chmod", stop=T),
    call("fchmodat",    P, dirfd, path, mode,                             op="chmod", stop=T),
    call("fchmodat2",   P, dirfd, at(3), mode, flags,             op="chmod", stop=T, nr=452),
    call("chown",       P, path, uid, gid,                                op="chown", stop=T),
    call("lchown",      P, lpath, uid, gid,                               op="chown", stop=T),
    call("fchownat",    P, dirfd, at(4), uid, gid, flags,                 op="chown", stop=T),
    call("utime",       P, path, put("times"),                            op="utimens", stop=T),
    call("utimes",      P, path, put("times"),                            op="utimens", stop=T),
    call("futimesat",   P, dirfd, path._replace(null=Null.DIRFD), put("times"),
                                                                          op="utimens", stop=T),
    call("utimensat",   P, dirfd, at(3, null=Null.DIRFD), put("times"), flags,
                                                                          op="utimens", stop=T),
    call("statfs",      P, path, get("buf"),                              op="statfs", stop=T),
    call("getxattr",    P, path, xname, out(3, "value"), size,            op="getxattr", stop=T),
    call("lgetxattr",   P, lpath, xname, out(3, "value"), size,           op="getxattr", stop=T),
    call("getxattrat",  P, dirfd, at(2, null=Null.EMPTY), flags, xname, inp(5, "args"), size,
                                                                  op="getxattr", stop=T, nr=464),
    call("setxattr",    P, path, xname, inp(3, "value"), size, flags,     op="setxattr", stop=T),
    call("lsetxattr",   P, lpath, xname, inp(3, "value"), size, flags,    op="setxattr", stop=T),
    call("setxattrat",  P, dirfd, at(2, null=Null.EMPTY), flags, xname, inp(5, "args"), size,
                                                                  op="setxattr", stop=T, nr=463),
    call("listxattr",   P, path, out(2, "list"), size,                    op="listxattr", stop=T),
    call("llistxattr",  P, lpath, out(2, "list"), size,                   op="listxattr", stop=T),
    call("listxattrat", P, dirfd, at(2, null=Null.EMPTY), flags, out(4, "list"), size,
                                                                  op="listxattr", stop=T, nr=465),
    call("removexattr", P, path, xname,                                   op="removexattr", stop=T),
    call("lremovexattr", P, lpath, xname,                                 op="removexattr", stop=T),
    call("removexattrat", P, dirfd, at(2, null=Null.EMPTY), flags, xname,
                                                                op="removexattr", stop=T, nr=466),
    call("file_getattr", P, dirfd, at(4, null=Null.EMPTY), out(3, "attr"), size, flags,
                                                                  op="getattr", stop=T, nr=468),
    call("file_setattr", P, dirfd, at(4, null=Null.EMPTY), inp(3, "attr"), size, flags,
                                                                  op="setattr", stop=T, nr=469),
    call("inotify_add_watch", P, fd, by(Lookup.INOTIFY, 2), Arg(Role.FLAGS, "mask"), stop=T),
    call("fanotify_mark", P, fd, flags, Arg(Role.FLAGS, "mask"), dirfd,
         by(Lookup.FANOTIFY, 1, null=Null.DIRFD), stop=T),
    call("name_to_handle_at", P, dirfd, at(4, follow=False), get("handle"), get("mount_id"), flags,
         stop=T, note="open_by_handle_at is refused, so a handle serves only to compare files"),
    call("acct",        P, path._replace(null=Null.ABSENT), stop=T),
    call("swapon",      P, path, flags, stop=T),
    call("swapoff",     P, path, stop=T),
    call("quotactl",    P, cmd, Arg(Role.PATH, "special", null=Null.ABSENT), *n("id"),
         *ptr("addr"), stop=T, note="the path of the quota file of Q_QUOTAON is not translated"),
)

PROCESS: tuple[Call, ...] = (
    # -- directories, mounts and programs: what pyview itself keeps track of
    call("chdir",       K, path, stop=T),
    call("fchdir",      K, fd,                                            op="chdir", stop=T),
    call("getcwd",      K, out(1), size, stop=T),
    call("chroot",      K, path, stop=T),
    call("pivot_root",  K, Arg(Role.PATH, "new_root"), Arg(Role.PATH, "put_old"), stop=T),
    call("mount",       K, Arg(Role.SOURCE, "source", null=Null.ABSENT), Arg(Role.PATH, "target"),
         text("type"), flags, *ptr("data"), stop=T),
    call("umount2",     K, by(Lookup.UMOUNT, 1, "target"), flags,         op="umount", stop=T),
    call("execve",      K, path, argv, envp, stop=T),
    call("execveat",    K, dirfd, at(4), argv, envp, flags,               op="execve", stop=T),
    call("unshare",     K, flags, stop=T),
    call("setns",       K, fd, Arg(Role.FLAGS, "nstype"), stop=T),
    call("landlock_restrict_self", K, fd, flags, stop=T),
    call("clone",       K, flags, *ptr("stack", "parent_tid", "child_tid", "tls"), stop=T,
         when=(When(0, "bits", (0x10820000,)),)),   # UNTRACED leaves the view, NEWNS and NEWUSER
    call("clone3",      K, inp(1, "args"), size,                          op="clone", stop=T),
    call("sync",        K, stop=T),
    call("fork",        K),
    call("vfork",       K),
    call("prctl",       K, *n("option", "arg2", "arg3", "arg4", "arg5"), stop=T,
         when=(When(0, "eq", (3, 4)),),             # PR_GET_DUMPABLE, PR_SET_DUMPABLE
         # KEEPCAPS, CAPBSET, SECUREBITS, NO_NEW_PRIVS, CAP_AMBIENT
         identity=(When(0, "eq", (7, 8, 23, 24, 27, 28, 38, 39, 47)),),
         note="PR_SET_MM_EXE_FILE is the kernel's: /proc/self/exe then shows the real file"),
    # made again when a signal that is ignored has ended it: csrc/sleeps.c
    call("rt_sigtimedwait", K, inp(3, "set"), get("info"), put("timeout"), size, stop=T,
         when=nonzero(2)),
    call("ptrace",      K, *n("request", "pid"), *ptr("addr", "data"), stop=T),
    call("seccomp",     K, *n("operation"), flags, *ptr("args"),
         note="a view takes the one listener a task may have: SECCOMP_FILTER_FLAG_NEW_LISTENER "
              "is EBUSY"),
    call("umask",       K, mode),
    call("close",       K, fd,                                            held=None),
    call("close_range", K, *n("first", "last"), flags,                    op="close"),
    call("dup",         K, fd,                                            held=None),
    call("dup2",        K, fd, newfd,                                     op="dup", held=None),
    call("dup3",        K, fd, newfd, flags,                              op="dup", held=None),
    # F_GETFL .. F_GETSIG, locks, leases, seals: not F_DUPFD, F_GETFD, F_SETFD
    call("fcntl",       K, fd, *n("cmd", "arg"),
         held=(When(1, "eq", (*range(3, 18), *range(36, 39), *range(1024, 1030),
                              *range(1031, 1041))),)),
    call("mmap",        K, *ptr("addr"), length, *n("prot"), flags, fd, offset,
         held=(When(3, "clear", (0x20,)),)),        # MAP_ANONYMOUS
    call("poll",        K, sized(Role.POLLFDS, "fds", 1), *n("nfds", "timeout")),
    call("ppoll",       K, sized(Role.POLLFDS, "fds", 1), *n("nfds"), put("timeout"),
         inp(4, "sigmask"), size,                                         op="poll"),
    call("select",      K, *n("nfds"), *(sized(Role.FDSET, s, 0) for s in
         ("readfds", "writefds", "exceptfds")), put("timeout")),
    call("pselect6",    K, *n("nfds"), *(sized(Role.FDSET, s, 0) for s in
         ("readfds", "writefds", "exceptfds")), put("timeout"), put("sigmask"), op="select"),
    call("pipe",        K, get("fds")),
    call("pipe2",       K, get("fds"), flags,                             op="pipe"),
    call("pidfd_getfd", K, Arg(Role.FD, "pidfd"), *n("targetfd"), flags),
    call("kcmp",        K, *n("pid1", "pid2", "type", "idx1", "idx2")),
)

X32 = 0x40000000  # __X32_SYSCALL_BIT
PROCMAP_QUERY = 0xC0686611  # of /proc/PID/maps, Linux 6.11: linux/fs.h
MSG_NAME = "the name of a unix datagram peer in msg_name is not translated"
SOCKETS: tuple[Call, ...] = (
    call("socket",      S, *n("family", "type", "protocol")),
    call("socketpair",  S, *n("family", "type", "protocol"), get("sv")),
    call("bind",        F, fd, sized(Role.SOCKADDR_IN, "addr", 2), addrlen, stop=T),
    call("connect",     F, fd, sized(Role.SOCKADDR_IN, "addr", 2), addrlen, stop=T),
    call("listen",      F, fd, *n("backlog")),
    call("accept",      F, fd, sized(Role.SOCKADDR_OUT, "addr", 2), lenp,
                                                         op="accept", stop=T, when=nonzero(1)),
    call("accept4",     F, fd, sized(Role.SOCKADDR_OUT, "addr", 2), lenp, flags,
                                                         op="accept", stop=T, when=nonzero(1)),
    call("getsockname", F, fd, sized(Role.SOCKADDR_OUT, "addr", 2), lenp, stop=T),
    call("getpeername", F, fd, sized(Role.SOCKADDR_OUT, "addr", 2), lenp, stop=T),
    call("sendto",      F, fd, inp(2), size, flags, sized(Role.SOCKADDR_IN, "addr", 5), addrlen,
                                                         op="send", stop=T, when=nonzero(4)),
    call("recvfrom",    F, fd, out(2), size, flags, sized(Role.SOCKADDR_OUT, "addr", 5), lenp,
                                                         op="recv", stop=T, when=nonzero(4)),
    call("sendmsg",     F, fd, Arg(Role.MSG_IN, "msg"), flags,         op="send", note=MSG_NAME),
    call("recvmsg",     F, fd, Arg(Role.MSG_OUT, "msg"), flags,        op="recv", note=MSG_NAME),
    call("sendmmsg",    F, fd, sized(Role.MSGS_IN, "msgs", 2), *n("vlen"), flags,
                                                                       op="send", note=MSG_NAME),
    call("recvmmsg",    F, fd, sized(Role.MSGS_OUT, "msgs", 2), *n("vlen"), flags, put("timeout"),
                                                                       op="recv", note=MSG_NAME),
    call("shutdown",    F, fd, *n("how")),
    call("setsockopt",  F, fd, *n("level", "option"), inp(4, "value"), *n("optlen")),
    call("getsockopt",  F, fd, *n("level", "option"), out(4, "value"),
         Arg(Role.LENP, "optlen")),
)

DESCRIPTORS: tuple[Call, ...] = (
    call("read",        F, fd, out(2), size),
    call("readv",       F, fd, sized(Role.IOV_OUT, "iov", 2), count,             op="read"),
    call("pread64",     F, fd, out(2), size, offset,                             op="pread"),
    call("preadv",      F, fd, sized(Role.IOV_OUT, "iov", 2), count, *n("pos_l", "pos_h"),
                                                                                 op="pread"),
    call("preadv2",     F, fd, sized(Role.IOV_OUT, "iov", 2), count, *n("pos_l", "pos_h"), flags,
                                                                                 op="pread"),
    call("write",       F, fd, inp(2), size),
    call("writev",      F, fd, sized(Role.IOV_IN, "iov", 2), count,              op="write"),
    call("pwrite64",    F, fd, inp(2), size, offset,                             op="pwrite"),
    call("pwritev",     F, fd, sized(Role.IOV_IN, "iov", 2), count, *n("pos_l", "pos_h"),
                                                                                 op="pwrite"),
    call("pwritev2",    F, fd, sized(Role.IOV_IN, "iov", 2), count, *n("pos_l", "pos_h"), flags,
                                                                                 op="pwrite"),
    call("lseek",       F, fd, offset, whence),
    call("fstat",       F, fd, statbuf,                                          op="stat"),
    call("fstatfs",     F, fd, get("buf"),                                       op="statfs"),
    call("getdents",    F, fd, out(2), size,                                     stop=L),
    call("getdents64",  F, fd, out(2), size,                                 op="getdents", stop=L),
    call("ftruncate",   F, fd, length,                                           op="truncate"),
    call("fallocate",   F, fd, mode, offset, length),
    call("fadvise64",   F, fd, offset, length, *n("advice"),                     op="fadvise"),
    call("readahead",   F, fd, offset, size),
    call("fsync",       F, fd),
    call("fdatasync",   F, fd,                                                   op="fsync"),
    call("syncfs",      F, fd),
    call("sync_file_range", F, fd, offset, length, flags),
    call("cachestat",   F, fd, put("range"), get("stat"), flags, nr=451),
    call("flock",       F, fd, *n("operation")),
    call("ioctl",       F, fd, *n("request", "arg"), stop=T,
         when=(When(1, "eq", (PROCMAP_QUERY,)),),
         note="paths inside an argument (btrfs, autofs) are not translated"),
    call("fchmod",      F, fd, mode,                                             op="chmod"),
    call("fchown",      F, fd, uid, gid,                                         op="chown"),
    call("fgetxattr",   F, fd, xname, out(3, "value"), size,                     op="getxattr"),
    call("fsetxattr",   F, fd, xname, inp(3, "value"), size, flags,              op="setxattr"),
    call("flistxattr",  F, fd, out(2, "list"), size,                             op="listxattr"),
    call("fremovexattr", F, fd, xname,                                           op="removexattr"),
    call("quotactl_fd", F, fd, cmd, *n("id"), *ptr("addr"),                      op="quotactl"),
    call("sendfile",    F, Arg(Role.FD, "out_fd"), Arg(Role.FD, "in_fd"), *ptr("offset"), size),
    call("splice",      F, Arg(Role.FD, "fd_in"), *ptr("off_in"), Arg(Role.FD, "fd_out"),
         *ptr("off_out"), size, flags),
    call("copy_file_range", F, Arg(Role.FD, "fd_in"), *ptr("off_in"), Arg(Role.FD, "fd_out"),
         *ptr("off_out"), size, flags),
    call("tee",         F, Arg(Role.FD, "fd_in"), Arg(Role.FD, "fd_out"), size, flags),
    call("vmsplice",    F, fd, sized(Role.IOV_IN, "iov", 2), count, flags),
    call("epoll_ctl",   F, Arg(Role.FD, "epfd"), *n("op"), fd, put("event")),
    call("epoll_wait",  F, Arg(Role.FD, "epfd"), get("events"), *n("maxevents", "timeout"),
         held=None),
    call("epoll_pwait", F, Arg(Role.FD, "epfd"), get("events"), *n("maxevents", "timeout"),
         inp(5, "sigmask"), size,                                     op="epoll_wait", held=None),
    call("epoll_pwait2", F, Arg(Role.FD, "epfd"), get("events"), *n("maxevents"), put("timeout"),
         inp(5, "sigmask"), size,                                     op="epoll_wait", held=None),
    call("inotify_rm_watch", F, fd, *n("wd")),
    call("signalfd",    F, fd, inp(2, "mask"), size),
    call("signalfd4",   F, fd, inp(2, "mask"), size, flags,                      op="signalfd"),
    call("timerfd_settime", F, fd, flags, put("new"), get("old")),
    call("timerfd_gettime", F, fd, get("value")),
    call("mq_timedsend", F, fd, inp(2), size, *n("priority"), put("timeout")),
    call("mq_timedreceive", F, fd, out(2), size, get("priority"), put("timeout")),
    call("mq_notify",   F, fd, put("event")),
    call("mq_getsetattr", F, fd, put("new"), get("old")),
    call("pidfd_send_signal", F, Arg(Role.FD, "pidfd"), *n("sig"), put("info"), flags),
    call("process_madvise", F, Arg(Role.FD, "pidfd"), *ptr("iov"), *n("vlen", "advice"), flags),
    call("process_mrelease", F, Arg(Role.FD, "pidfd"), flags),
    call("landlock_add_rule", F, fd, *n("type"), put("attr"), flags),
    call("finit_module", F, fd, text("params"), flags),
    call("kexec_file_load", F, Arg(Role.FD, "kernel_fd"), Arg(Role.FD, "initrd_fd"), *n("length"),
         text("cmdline"), flags),
)

CLAIMED: tuple[Call, ...] = (
    # -- calls that a module claims by name: who, what and when one is
    call("uname",       C, get("buf")),
    call("sethostname", C, inp(1, "name"), length),
    call("setdomainname", C, inp(1, "name"), length),
    call("getuid",      C, op="getresuid", identity=()),
    call("geteuid",     C, op="getresuid", identity=()),
    call("getresuid",   C, *(get(s) for s in ("ruid", "euid", "suid")), identity=()),
    call("getgid",      C, op="getresgid", identity=()),
    call("getegid",     C, op="getresgid", identity=()),
    call("getresgid",   C, *(get(s) for s in ("rgid", "egid", "sgid")), identity=()),
    call("setuid",      C, uid, identity=()),
    call("setreuid",    C, *n("ruid", "euid"), identity=()),
    call("setresuid",   C, *n("ruid", "euid", "suid"), identity=()),
    call("setfsuid",    C, uid, identity=()),
    call("setgid",      C, gid, identity=()),
    call("setregid",    C, *n("rgid", "egid"), identity=()),
    call("setresgid",   C, *n("rgid", "egid", "sgid"), identity=()),
    call("setfsgid",    C, gid, identity=()),
    call("getgroups",   C, count, get("list"), identity=()),
    call("setgroups",   C, count, put("list"), identity=()),
    call("capget",      C, put("header"), get("data"), identity=()),
    call("capset",      C, put("header"), put("data"), identity=()),
    call("time",        C, get("tloc")),
    call("gettimeofday", C, get("tv"), get("tz")),
    call("settimeofday", C, put("tv"), put("tz")),
    call("adjtimex",    C, get("buf")),
    call("clock_gettime", C, *n("clock"), get("time")),
    call("clock_settime", C, *n("clock"), put("time")),
    call("clock_getres", C, *n("clock"), get("resolution")),
    call("clock_adjtime", C, *n("clock"), get("buf"),                            op="adjtimex"),
    call("clock_nanosleep", C, *n("clock"), flags, put("request"), get("remain"), op="nanosleep"),
    call("nanosleep",   C, put("request"), get("remain")),
)

REFUSED: tuple[Call, ...] = (
    refuse("io_uring_setup",    *n("entries"), *ptr("params"),
           note="its requests would not stop; programs fall back to plain calls"),
    refuse("io_uring_enter",    fd, *n("submit", "complete"), flags, inp(5, "arg"), size),
    refuse("io_uring_register", fd, *n("opcode"), *ptr("arg"), *n("nargs")),
    refuse("fsopen",            text("fsname"), flags, note="mount(8) falls back to mount(2)"),
    refuse("fsconfig",          fd, cmd, text("key"), *ptr("value"), *n("aux")),
    refuse("fsmount",           fd, flags, *n("attr_flags")),
    refuse("fspick",            dirfd, by(Lookup.FSPICK, 2), flags),
    refuse("move_mount",        Arg(Role.DIRFD, "from_dirfd"),
           by(Lookup.MOVE_FROM, 4, "from_path", follow=False), Arg(Role.DIRFD, "to_dirfd"),
           by(Lookup.MOVE_TO, 4, "to_path", follow=False), flags),
    refuse("open_tree",         dirfd, at(2), flags),
    refuse("open_tree_attr",    dirfd, at(2), flags, inp(4, "attr"), size, nr=467),
    refuse("mount_setattr",     dirfd, at(2), flags, inp(4, "attr"), size),
    refuse("statmount",         put("request"), out(2), size, flags, nr=457),
    refuse("listmount",         put("request"), *ptr("ids"), count, flags, nr=458),
    refuse("open_by_handle_at", dirfd, put("handle"), flags,
           note="a handle has no name, so no view could tell where it lies"),
    # -- numbers without a call on x86-64 since Linux 6.7 or ever: ENOSYS natively, too
    *(refuse(name) for name in (
        "_sysctl", "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old",
        "get_kernel_syms", "get_thread_area", "getpmsg", "lookup_dcookie", "nfsservctl",
        "putpmsg", "query_module", "security", "set_thread_area", "tuxcall", "uselib",
        "vserver")),
)

STRINGS: tuple[Call, ...] = (
    # -- neutral calls with strings, or with a limit to tell
    call("memfd_create", N, xname, flags),
    call("mq_open",     N, xname, flags, mode, *ptr("attr")),
    call("mq_unlink",   N, xname),
    call("init_module", N, inp(1, "image"), length, text("params")),
    call("delete_module", N, xname, flags),
    call("add_key",     N, text("type"), text("description"), inp(3, "payload"), size, *n("ring")),
    call("request_key", N, text("type"), text("description"), text("info"), *n("ring")),
    call("getrandom",   N, out(1), size, flags),
    call("syslog",      N, *n("type"), *ptr("buf"), length),
    call("bpf",         N, cmd, inp(2, "attr"), size,
         note="the path of BPF_OBJ_PIN and BPF_OBJ_GET is not translated"),
    call("io_submit",   N, *ptr("context"), count, *ptr("iocbs"),
         held=(When(1, "nonzero"),)),
    call("perf_event_open", N, put("attr"), *n("pid", "cpu", "group_fd"), flags,
         note="the path of a uprobe is not translated"),
    call("personality", N, *n("persona")),
)

NEUTRAL: tuple[Call, ...] = neutral("""
    sched_yield
    sched_setparam pid *param
    sched_getparam pid *param
    sched_setscheduler pid policy *param
    sched_getscheduler pid
    sched_get_priority_max policy
    sched_get_priority_min policy
    sched_rr_get_interval pid *interval
    sched_setaffinity pid length *mask
    sched_getaffinity pid length *mask
    sched_setattr pid *attr &flags
    sched_getattr pid *attr size &flags
    getpriority which who
    setpriority which who priority
    ioprio_set which who priority
    ioprio_get which who
    getrlimit resource *limit
    setrlimit resource *limit
    prlimit64 pid resource *new *old
    getrusage who *usage
    sysinfo *info
    times *buf
    getcpu *cpu *node *unused
    getpid
    getppid
    gettid
    getpgrp
    getpgid pid
    setpgid pid pgid
    getsid pid
    setsid
    exit status
    exit_group status
    wait4 pid *status &options *usage
    waitid which pid *info &options *usage
    kill pid sig
    tkill tid sig
    tgkill tgid tid sig
    pidfd_open pid &flags
    pause
    alarm seconds
    getitimer which *value
    setitimer which *new *old
    timer_create clock *event *timer
    timer_settime timer &flags *new *old
    timer_gettime timer *value
    timer_getoverrun timer
    timer_delete timer
    timerfd_create clock &flags
    rt_sigaction sig *new *old size
    rt_sigprocmask how *new *old size
    rt_sigpending *set size
    rt_sigsuspend *set size
    rt_sigqueueinfo pid sig *info
    rt_tgsigqueueinfo tgid tid sig *info
    rt_sigreturn
    restart_syscall
    sigaltstack *new *old
    futex *addr op value *timeout *addr2 value3
    futex_waitv *waiters count &flags *timeout clock
    futex_wake=454 *addr mask count &flags
    futex_wait=455 *addr value mask &flags *timeout clock
    futex_requeue=456 *waiters &flags wake requeue
    set_robust_list *head length
    get_robust_list pid *head *length
    set_tid_address *tid
    rseq *rseq length &flags signature
    membarrier cmd &flags cpu
    brk *addr
    munmap *addr length
    mprotect *addr length protection
    mremap *addr old_length new_length &flags *new_addr
    remap_file_pages *addr length protection page &flags
    madvise *addr length advice
    mincore *addr length *vector
    msync *addr length &flags
    mlock *addr length
    mlock2 *addr length &flags
    munlock *addr length
    mlockall &flags
    munlockall
    mseal=462 *addr length &flags
    map_shadow_stack=453 *addr length &flags
    memfd_secret &flags
    pkey_alloc &flags rights
    pkey_free key
    pkey_mprotect *addr length protection key
    mbind *addr length mode *mask maxnode &flags
    set_mempolicy mode *mask maxnode
    get_mempolicy *mode *mask maxnode *addr &flags
    set_mempolicy_home_node *addr length node &flags
    migrate_pages pid maxnode *old *new
    move_pages pid count *pages *nodes *status &flags
    process_vm_readv pid *local count *remote remote_count &flags
    process_vm_writev pid *local count *remote remote_count &flags
    userfaultfd &flags
    shmget key size &flags
    shmat id *addr &flags
    shmdt *addr
    shmctl id cmd *buf
    semget key count &flags
    semop id *ops count
    semtimedop id *ops count *timeout
    semctl id number cmd arg
    msgget key &flags
    msgsnd id *message size &flags
    msgrcv id *message size type &flags
    msgctl id cmd *buf
    eventfd value
    eventfd2 value &flags
    epoll_create size
    epoll_create1 &flags
    inotify_init
    inotify_init1 &flags
    fanotify_init &flags &event_flags
    landlock_create_ruleset *attr size &flags
    io_setup count *context
    io_destroy *context
    io_getevents *context min count *events *timeout
    io_pgetevents *context min count *events *timeout *sigmask
    io_cancel *context *iocb *event
    ustat dev *buf
    sysfs option arg1 arg2
    vhangup
    reboot magic magic2 cmd *arg
    kexec_load *entry count *segments &flags
    iopl level
    ioperm from count on
    modify_ldt function *ptr count
    arch_prctl option *addr
    keyctl option arg2 arg3 arg4 arg5
    lsm_get_self_attr=459 attr *context *size &flags
    lsm_set_self_attr=460 attr *context size &flags
    lsm_list_modules=461 *ids *size &flags
    uretprobe=335
    uprobe=336
""")
# fmt: on

CALLS: tuple[Call, ...] = (
    NAMES + PROCESS + SOCKETS + DESCRIPTORS + CLAIMED + REFUSED + STRINGS + NEUTRAL
)
BY_NAME: dict[str, Call] = {c.name: c for c in CALLS}

# Roles whose length or count is another argument, and the roles that may hold it.
SIZED = frozenset(
    {Role.IN, Role.OUT, Role.SOCKADDR_IN, Role.SOCKADDR_OUT, Role.IOV_IN, Role.IOV_OUT,
     Role.POLLFDS, Role.FDSET, Role.MSGS_IN, Role.MSGS_OUT}
)  # fmt: skip
KINDS = ("nonzero", "eq", "bits", "clear")
ROUTED = {Route.PATH: Role.PATH, Route.FD: Role.FD}


def check_arg(row: Call, index: int) -> None:
    """Raise ValueError unless argument `index` fits the row it stands in."""
    a = row.args[index]
    where = f"{row.name}: argument {index}"
    for ref in (a.size, a.flags):
        if ref is not None and (ref == index or not 0 <= ref < len(row.args)):
            raise ValueError(f"{where} points at {ref}")
    if (a.size is not None) is not (a.role in SIZED):
        raise ValueError(f"{where} has a length and no buffer, or a buffer and no length")
    if a.size is not None and row.args[a.size].role not in (Role.INT, Role.LENP):
        raise ValueError(f"{where}: its length, argument {a.size}, is no length")
    if a.role is Role.SOCKADDR_OUT and row.args[a.size or 0].role is not Role.LENP:
        raise ValueError(f"{where}: the length of an address filled in is a LENP")
    if (a.flags is None) is not (a.lookup is Lookup.FIXED):
        raise ValueError(f"{where} names its flags without their kind, or the reverse")
    if a.flags is not None:
        word = Role.IN if a.lookup is Lookup.HOW else Role.FLAGS
        role = row.args[a.flags].role
        if role is not word:
            raise ValueError(f"{where}: its flags, argument {a.flags}, are {role.name}")
    check_path(row, index, where)


def check_path(row: Call, index: int, where: str) -> None:
    """The part of check_arg() that is about DIRFD, PATH and SOURCE."""
    a = row.args[index]
    follower = row.args[index + 1].role if index + 1 < len(row.args) else None
    if a.role is Role.DIRFD and row.route is not Route.REFUSE and follower is not Role.PATH:
        raise ValueError(f"{where}: a dirfd without a path after it")
    if a.entry and (a.follow or a.lookup is not Lookup.FIXED):
        raise ValueError(f"{where}: an entry's last name is not looked up")
    if a.role is not Role.PATH and (a.flags is not None or a.entry or a.empty or not a.follow):
        raise ValueError(f"{where}: only a path is looked up")
    if a.null is not Null.FAULT and a.role not in (Role.PATH, Role.SOURCE):
        raise ValueError(f"{where}: only a path may be NULL")


def check_row(row: Call) -> None:
    """Raise ValueError unless the row is well formed."""
    if len(row.args) > 6:
        raise ValueError(f"{row.name}: {len(row.args)} arguments")
    if len({a.name for a in row.args}) != len(row.args):
        raise ValueError(f"{row.name}: two arguments have one name")
    for i in range(len(row.args)):
        check_arg(row, i)
    if (row.route is Route.REFUSE) is not (row.stop is Stop.REFUSE):
        raise ValueError(f"{row.name}: {row.route.name} but stop is {row.stop.name}")
    if row.route in ROUTED and row.arg(ROUTED[row.route]) < 0:
        raise ValueError(f"{row.name}: routed by {row.route.name} but has none")
    if row.paths() and row.stop is Stop.NONE:
        raise ValueError(f"{row.name}: a path that nobody looks at")
    if row.paths() and row.when:
        raise ValueError(f"{row.name}: a path that somebody looks at only sometimes")
    if row.route is Route.NEUTRAL and row.stop is not Stop.NONE:
        raise ValueError(f"{row.name}: neutral but stops")
    if row.when and row.stop not in (Stop.LISTENER, Stop.TRACER):
        raise ValueError(f"{row.name}: a condition without a stop")
    for w in (*row.when, *(row.held or ()), *(row.identity or ())):
        if not 0 <= w.arg < len(row.args) or w.kind not in KINDS:
            raise ValueError(f"{row.name}: condition {w}")
        if (w.kind == "nonzero") is not (w.values == ()):
            raise ValueError(f"{row.name}: values of condition {w}")


def check(calls: tuple[Call, ...] = CALLS) -> None:
    """Raise ValueError unless every row is well formed.  Runs when the C core is built."""
    if len({c.name for c in calls}) != len(calls):
        raise ValueError("a call has two rows")
    numbered = [c.nr for c in calls if c.nr is not None]
    if len(set(numbered)) != len(numbered):
        raise ValueError("a number has two rows")
    for row in calls:
        check_row(row)
