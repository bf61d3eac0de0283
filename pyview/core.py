# SPDX-License-Identifier: GPL-2.0-or-later
"""The one door to C: types in, OSError out.  Nothing else imports pyview._core.

Every function belongs to the core's single thread (ptrace's rule).  `Gone` (ESRCH) means that the
task has been killed: at any moment, so whoever works on a task must expect it.
"""

from __future__ import annotations

import errno
import os

from pyview._core import ffi, lib

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# What pv_next reports, in words (enum pv_kind).
EMPTY, READY, NOTICE, TRACED = lib.PV_EMPTY, lib.PV_READY, lib.PV_NOTICE, lib.PV_TRACED
ENTRY, EXIT, SIGNAL, TRAP = lib.PV_ENTRY, lib.PV_EXIT, lib.PV_SIGNAL, lib.PV_TRAP
GROUP, BORN, EXEC, DEAD = lib.PV_GROUP, lib.PV_BORN, lib.PV_EXEC, lib.PV_DEAD
EXITING, VFORKED = lib.PV_EXITING, lib.PV_VFORKED  # only of tracees: see below
TOLD, REFUSED = lib.PV_TOLD, lib.PV_REFUSED

# Why a call was refused (enum pv_refusal).
ROW, ARCH, OTHER = lib.PV_REFUSED_ROW, lib.PV_REFUSED_ARCH, lib.PV_REFUSED_OTHER

# How a stopped task goes on (enum pv_how).
GO, TO_EXIT, STAY_STOPPED = lib.PV_GO, lib.PV_TO_EXIT, lib.PV_STAY_STOPPED

VIRTUAL = lib.PV_VIRTUAL  # as a domain: in a tree that is none of the kernel's
ELSEWHERE, OTHER_RIGHTS = lib.PV_ELSEWHERE, lib.PV_OTHER_RIGHTS
NO_CALL = 0xFFFFFFFFFFFFFFFF  # as Regs.nr: the task is in no call, nothing is restarted
PATH_MAX = 4096  # bytes, with the NUL
PROCMAP_QUERY = 0xC0686611  # linux/fs.h


class Gone(Exception):
    """The task has been killed meanwhile."""


def _checked(value: int) -> int:
    if value < 0:
        if value == -errno.ESRCH:
            raise Gone
        raise OSError(-value, os.strerror(-value))
    return value


# -- stops ---------------------------------------------------------------------------------------


def start() -> None:
    """Make this thread the core."""
    _checked(lib.pv_start())


def new_stop() -> Any:
    """A struct pv_stop for wait() to fill in, again and again."""
    return ffi.new("struct pv_stop *")


wait = lib.pv_next
wait_within = lib.pv_next_within  # ms; 0 (no kind) when nothing at all has happened


def open_files(wanted: int) -> None:
    """Raise the limit of open files as far as it goes."""
    lib.pv_open_files(wanted)


def watch(fd: int, on: int = 1) -> None:
    """Report READY when `fd` is readable (1), writable (2) or either (3); 0 ends it."""
    _checked(lib.pv_watch(fd, on))


def watch_control(fd: int, door: int) -> None:
    """Report READY when `fd` is readable, where clients of the listening socket `door` are seen."""
    _checked(lib.pv_control(fd, door))


def watch_rung(fd: int, on: int = 1) -> None:
    """Report READY when `fd` is readable, where who makes it so calls ring() next; 0 ends it."""
    _checked(lib.pv_watch(fd, on | 4))


def rings(fd: int) -> None:
    """Have a socket call ring() itself when something happens to it."""
    _checked(lib.pv_rings(fd))


ring = lib.pv_ring  # the one function for any thread
talking = lib.pv_talking  # how many connections there are to `door`: to be called at each change


def listen(fd: int) -> None:
    """Serve the calls that arrive at the seccomp listener `fd`, which C owns from now on."""
    _checked(lib.pv_listener(fd))


def seize(pid: int, view: Any) -> None:
    """Trace a running process.  Errors: EPERM when the machine does not allow it, ESRCH."""
    value = lib.pv_seize(pid, view)
    if value < 0:
        raise OSError(-value, os.strerror(-value))


def interrupt(tid: int) -> None:
    """Make the task stop (TRAP) as soon as it can."""
    _checked(lib.pv_interrupt(tid))


def resume(tid: int, how: int = GO, signal: int = 0) -> None:
    """Let a stopped task go on.  Its death is no error here: DEAD will be reported."""
    lib.pv_resume(tid, how, signal)


def counts() -> tuple[int, int, int, int]:
    """Calls that reached the listener and the tracer, stops that reached Python, calls served."""
    return (lib.pv_count(0), lib.pv_count(1), lib.pv_count(2), lib.pv_count(3))


def allow_tracer() -> None:
    """Let any process of this user trace this one, where yama would only let ancestors do so."""
    lib.pv_tracer(-1)


def disallow_tracer() -> None:
    """Back to what the machine allows."""
    lib.pv_tracer(0)


def descriptors() -> list[int]:
    """What C has open for itself."""
    return [lib.pv_own_fd(0), lib.pv_own_fd(1)]


# -- the task at a stop --------------------------------------------------------------------------


def copy_stop(stop: Any) -> Any:
    """Another struct with the same stop: wait() fills the first one again."""
    return ffi.new("struct pv_stop *", stop[0])


def registers(tid: int) -> Any:
    """The registers of a stopped task (struct pv_regs)."""
    regs = ffi.new("struct pv_regs *")
    _checked(lib.pv_get_regs(tid, regs))
    return regs


def copy_registers(regs: Any) -> Any:
    """Another struct with the same registers."""
    return ffi.new("struct pv_regs *", regs[0])


def set_registers(tid: int, regs: Any) -> None:
    """Give a stopped task these registers."""
    _checked(lib.pv_set_regs(tid, regs))


def answer(tid: int, value: int) -> None:
    """The call it is stopped before shall not run and have this result."""
    _checked(lib.pv_answer(tid, value))


def call_site(tid: int) -> int:
    """The address of an instruction in the task that makes a call; 0 when there is none.

    Errors: EMFILE, Gone.
    """
    address = int(lib.pv_call_site(tid))
    return _checked(address - (1 << 64)) if address >> 63 else address


def block_signals(tid: int) -> int:
    """Let no signal reach a stopped task until unblock_signals(); its own mask."""
    mask = ffi.new("uint64_t *")
    _checked(lib.pv_block_signals(tid, mask))
    return int(mask[0])


def unblock_signals(tid: int, mask: int) -> None:
    """Give a stopped task its signal mask back."""
    lib.pv_unblock_signals(tid, mask)


CALL_LENGTH = lib.pv_call_length()  # bytes of that instruction


# -- debuggers in a view -------------------------------------------------------------------------
TRACEE, DEBUGGER = lib.PV_TRACEE, lib.PV_DEBUGGER  # which stops of a task Python wants
OURS = lib.PV_SECCOMP_OURS  # as a TRACED stop's message: no word of the program's own filter


def ptrace(request: int, tid: int, address: int, data: int | bytearray) -> int:
    """ptrace(2) on a task, `data` or what it points to.  Errors: its own, Gone for ESRCH."""
    if isinstance(data, int):
        return int(_checked(lib.pv_ptrace(request, tid, address, data)))
    room = ffi.from_buffer(data)
    return int(_checked(lib.pv_ptrace(request, tid, address, int(ffi.cast("uintptr_t", room)))))


def options(tid: int, more: int) -> None:
    """Have these events (PTRACE_O_*) of a stopped task reported besides those of all tasks."""
    _checked(lib.pv_options(tid, more))


def kill(process: int, tid: int, signal: int) -> None:
    """tgkill(2)."""
    _checked(lib.pv_kill(process, tid, signal))


def tell(process: int, signal: int, meaning: int, child: int, uid: int, status: int) -> None:
    """A SIGCHLD about a child whose si_code, `meaning`, has still to be put in its place."""
    lib.pv_tell(process, signal, meaning, child, uid, status)


def again(stop: Any) -> bool:
    """Is the call at which `stop.tid` is stopped one for Python?  The stop is filled in."""
    return bool(lib.pv_again(stop))


# -- memory --------------------------------------------------------------------------------------


_room = ffi.new_allocator(should_clear_after_alloc=False)


def peek(tid: int, address: int, length: int) -> bytes:
    """Up to `length` bytes, less at the first bad page.  Errors: EFAULT when none, Gone."""
    if not length:
        return b""
    buffer = _room("char[]", length)
    return bytes(ffi.buffer(buffer, _checked(lib.pv_peek(tid, address, buffer, length))))


def poke(tid: int, address: int, data: bytes) -> bool:
    """Store `data` as copy_to_user would; False when a byte could not be stored."""
    return not data or lib.pv_poke(tid, address, data, len(data)) == len(data)


def store(tid: int, address: int, data: bytes) -> int:
    """The same; how many bytes were stored."""
    return max(0, int(lib.pv_poke(tid, address, data, len(data))))


def patch(tid: int, address: int, data: bytes) -> bool:
    """Store `data` whatever the protection: only in code, or where the kernel put it."""
    return bool(lib.pv_patch(tid, address, data, len(data)) == len(data))


def text(tid: int, address: int) -> str:
    """A name, as getname() reads it.  Errors: EFAULT, ENAMETOOLONG."""
    buffer = ffi.new("char[]", PATH_MAX)
    length = _checked(lib.pv_path(tid, address, buffer))
    return os.fsdecode(bytes(ffi.buffer(buffer, length)))


# -- answering the listener ----------------------------------------------------------------------


def reply(listener: int, cookie: int, value: int) -> bool:
    """The call's result; False when the caller no longer waits for it."""
    return bool(lib.pv_reply(listener, cookie, value) == 0)


def let_run(listener: int, cookie: int) -> None:
    """Let the kernel run the call as it stands."""
    lib.pv_continue(listener, cookie)


def give(listener: int, cookie: int, fd: int, cloexec: bool) -> None:
    """Answer with a copy of the core's `fd`, at the caller's lowest free number."""
    lib.pv_give(listener, cookie, fd, cloexec)


def serve(stop: Any, domain: int, real: str) -> bool:
    """Answer the listener's call for the kernel's name `real`; False: the caller must run it."""
    return bool(lib.pv_serve_at(stop, domain, os.fsencode(real)))


# -- what C knows of tasks -----------------------------------------------------------------------


def task(tid: int) -> Any:
    """Its struct pv_task, or None."""
    found = lib.pv_task(tid)
    return found if found != ffi.NULL else None


def tasks() -> Iterator[Any]:
    """Every struct pv_task."""
    room = lib.pv_ntasks()
    tids = ffi.new("int[]", max(room, 1))
    for i in range(min(room, lib.pv_tasks(tids, room))):
        found = task(tids[i])
        if found is not None:
            yield found


def thread_group(tid: int) -> int:
    """The process that a thread belongs to."""
    return int(lib.pv_tgid(tid))


def moved(task: Any, domain: int, place: int = 0) -> None:
    """The task's directory has changed to one in `domain`, or to a place in a virtual tree."""
    lib.pv_moved(task, domain)
    task.fs.place = place


def groups_of(identity: Any) -> list[int]:
    """The supplementary groups of a struct pv_identity."""
    return list(ffi.unpack(identity.groups, identity.ngroups)) if identity.ngroups else []


def assume(
    task: Any,
    users: tuple[int, ...],
    groups: tuple[int, ...],
    others: tuple[int, ...],
    sets: tuple[int, ...],
    flags: tuple[int, int],
) -> None:
    """The task has these credentials in its view: struct pv_identity; flags: the last two."""
    made = lib.pv_identity_new(len(others))
    if made == ffi.NULL:
        raise MemoryError
    made.uid, made.gid, made.caps = users, groups, sets
    made.securebits, made.no_new_privs = flags
    for at, group in enumerate(others):
        made.groups[at] = group
    lib.pv_assume(task, made)


def assume_none(task: Any) -> None:
    """What the kernel says of its credentials holds."""
    lib.pv_assume(task, ffi.NULL)


def unshared(task: Any) -> None:
    """The task has a working directory of its own from now on.  Errors: ENOMEM."""
    _checked(lib.pv_unshared(task))


def descriptor(task: Any, fd: int) -> int:
    """A descriptor of the core for the task's `fd`; the caller closes it.  Errors: EBADF."""
    return _checked(lib.pv_getfd(task, fd))


def mark_of(task: Any, fd: int) -> int:
    """The domain through which the task's `fd` was opened."""
    return int(lib.pv_mark_of(task, fd))


domain_of = lib.pv_domain_of  # of the core's own descriptor: through which domain it was opened
note_opened, opened_through = lib.pv_note_opened, lib.pv_opened_through


def mark_emulated(fd: int) -> None:
    """The core's `fd`, a task's end of a socket pair, is an emulated descriptor from now on."""
    _checked(lib.pv_mark_emulated(fd))


def mark_direct(fd: int) -> int:
    """The core's `fd` is a direct descriptor from now on: what emulated() calls it.

    Errors: ENOSPC when too many are open.
    """
    found = int(lib.pv_mark_direct(fd))
    if not found:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return found


unmark_direct = lib.pv_unmark_direct


def mark_text(fd: int) -> None:
    """The core's `fd`, a memfd, stands for a file of proc from now on."""
    _checked(lib.pv_mark_text(fd))


def emulated(task: Any, fd: int) -> int:
    """What the task's emulated descriptor is known by: its socket's inode, or a direct one's mark.

    0 when it is none.
    """
    return int(lib.pv_emulated(task, fd))


def linear(known: int) -> Any:
    """C's entry (struct pv_linear) for an open file by what emulated() says.  Errors: ENOMEM."""
    found = lib.pv_linear_new(known)
    if found == ffi.NULL:
        raise MemoryError
    return found


forget_linear = lib.pv_linear_free


def new_texts(number: int, target: str) -> Any:
    """A tree of texts (struct pv_texts), to be known by `number`.  Raises MemoryError."""
    found = lib.pv_texts_new(number, os.fsencode(target))
    if found == ffi.NULL:
        raise MemoryError
    return found


def add_text(texts: Any, name: bytes, looks: bytes, data: bytes) -> None:
    """What is in it, by ascending names: a struct stat, a file's bytes.  Raises MemoryError."""
    _remembered(lib.pv_texts_add(texts, name, looks, data, len(data)))


def texts_of(entry: Any, texts: Any, inside: str) -> None:
    """An open file is this directory of a tree, or with None of none.  Raises MemoryError."""
    _remembered(lib.pv_texts_of(entry, texts or ffi.NULL, os.fsencode(inside)))


def take_text(known: int) -> tuple[int, int, int, int, bytes] | None:
    """What C has opened of a tree of texts: the tree's number, O_*, image, byte locked, name."""
    is_of = ffi.new("struct pv_opened *")
    if not lib.pv_texts_take(known, is_of):
        return None
    return is_of.id, is_of.flags, is_of.image, is_of.byte, ffi.string(is_of.name)


def opened_texts() -> list[int]:
    """What is open of those that C has opened, as emulated() calls it."""
    lib.pv_texts_sweep()
    return [known for known in map(lib.pv_texts_open, range(64)) if known]


free_texts = lib.pv_texts_free
ANSWER = lib.PV_ANSWER  # bytes that an answer to ioctl has room for


def known_text(entry: Any, text: bytes) -> None:
    """All the bytes of the file.  Raises MemoryError."""
    _remembered(lib.pv_known_text(entry, text, len(text)))


def known_answers(entry: Any, answers: bytes, count: int) -> None:
    """What requests of ioctl store: `count` structs pv_answer.  Raises MemoryError."""
    _remembered(lib.pv_known_answers(entry, answers, count))


def known_looks(entry: Any, stat: bytes) -> None:
    """What fstat(2) says: a struct stat."""
    ffi.buffer(entry.stat)[:] = stat
    entry.looks = 1


def new_extents() -> Any:
    """A struct pv_extents, empty.  Raises MemoryError."""
    found = lib.pv_extents_new()
    if found == ffi.NULL:
        raise MemoryError
    return found


free_extents, forget_extents = lib.pv_extents_free, lib.pv_extents_forget


def add_extent(extents: Any, at: int, length: int, fd: int, start: int, writes: bool) -> None:
    """Where some bytes of a file are; `fd` PV_ZEROES: nowhere.  Raises MemoryError."""
    _remembered(lib.pv_extents_add(extents, at, length, fd, start, writes))


def _remembered(value: int) -> None:
    if value < 0:
        raise MemoryError


NULL = ffi.NULL
READS, WRITES, ENDLESS = lib.PV_READS, lib.PV_WRITES, lib.PV_ENDLESS


def cached(fd: int, start: int, length: int) -> int:
    """How many of these bytes of a file are in memory: cachestat(2); 0 before Linux 6.5."""
    return max(0, int(lib.pv_cached(fd, start, length)))


class Window:
    """A process whose memory shows bytes of files at addresses of one's choice: csrc/window.c.

    pid  the process
    fd   is readable, and rings, when it has ended
    """

    def __init__(self) -> None:
        """Errors: those of execve(2), EAGAIN, EMFILE."""
        self._one = ffi.new("struct pv_window *")
        _checked(lib.pv_window_new(self._one))
        self.pid, self.fd = int(self._one.pid), int(self._one.fd)

    def show(
        self, at: int, length: int, fd: int, start: int, writes: bool, single: bool = False
    ) -> None:
        """Bytes of the core's `fd` from `start` on; -1: zeroes.  Whole pages.

        `single`: what is not in memory is read page by page, and not with its neighbours.
        Errors: those of mmap(2), EPIPE when it has ended.
        """
        what = lib.PV_WINDOW_WRITES * writes | lib.PV_WINDOW_SINGLE * single
        _checked(lib.pv_window_show(self._one, at, length, fd, start, what))

    def clear(self, at: int, length: int) -> None:
        """Nothing: who reads there gets EIO."""
        _checked(lib.pv_window_show(self._one, at, length, -1, 0, lib.PV_WINDOW_NOTHING))

    def has_ended(self) -> bool:
        """Whether somebody has killed it."""
        return bool(lib.pv_window_has_ended(self._one))

    def end(self) -> None:
        """It is no longer needed."""
        lib.pv_window_end(self._one)


def mark(fd: int, domain: int) -> None:
    """Let the open file behind the core's `fd` remember its domain."""
    if lib.pv_mark(fd, domain) == -errno.EBADF:
        lib.pv_mark_path(fd, domain)


# -- what C knows of views -----------------------------------------------------------------------


def new_view() -> Any:
    """A struct pv_view without covers."""
    found = lib.pv_view_new()
    if found == ffi.NULL:
        raise MemoryError
    return found


free_view = lib.pv_view_free


def join(task: Any, view: Any) -> None:
    """The task belongs to this view from now on."""
    lib.pv_join(task, view)


def describe(
    view: Any,
    covers: list[tuple[str, int, str, list[tuple[Any, str]], tuple[int, str] | None]],
    names: list[str],
    parents: list[tuple[int, int]],
) -> None:
    """Tell C what answers where: (prefix, domain, root, layers, kept), names, (device, inode).

    A layer comes with its name of the prefix; `kept` is where the first one keeps what is there:
    domain and root.
    """
    lib.pv_view_clear(view)
    for prefix, number, root, layers, kept in covers:
        _checked(lib.pv_view_cover(view, os.fsencode(prefix), number, os.fsencode(root)))
        for layer, base in layers:
            _checked(lib.pv_view_layer(view, layer, os.fsencode(base)))
        if kept is not None:
            _checked(lib.pv_view_kept(view, kept[0], os.fsencode(kept[1])))
    for name in names:
        _checked(lib.pv_view_name(view, os.fsencode(name)))
    for device, inode in parents:
        _checked(lib.pv_view_parent(view, device, inode))
    lib.pv_forget()


def trace_all(view: Any, on: bool) -> None:
    """Report every stopped call of a view's tasks to Python."""
    lib.pv_view_trace(view, on)


def has_sockets(view: Any) -> None:
    """Some socket of this view has a name of the view: report calls that tell names."""
    lib.pv_view_sockets(view, 1)


clean, use_domains, forget_names = lib.pv_clean, lib.pv_use_domains, lib.pv_forget
generation = lib.pv_generation  # another number after each forget_names(), and change of mounts


class Layer:
    """What C knows of an overlay: cf. api.Overlay."""

    def __init__(self, live: bool, syncs: bool = True, changed: bool = True) -> None:
        self.pointer = lib.pv_layer_new()
        if self.pointer == ffi.NULL:
            raise MemoryError
        how = lib.PV_LIVE * live | lib.PV_UNSYNCED * (not syncs) | lib.PV_CHANGED * changed
        lib.pv_layer_is(self.pointer, how)
        self._shown = ffi.new("struct pv_shown *")

    def told(self, what: str, value: Any, how: Any) -> None:
        """An overlay says that something is touched, forgotten, claimed or linked."""
        if what == "touch":
            _checked(lib.pv_layer_touch(self.pointer, os.fsencode(value), how))
        elif what == "forget":
            lib.pv_layer_forget(self.pointer, os.fsencode(value))
        elif what == "link":
            _checked(lib.pv_link(*value))
        elif how is None:
            _checked(lib.pv_claim(*value))
        else:
            self._shown[0] = (0, 0, *how, 0)
            _checked(lib.pv_describe(*value, self._shown))

    def __del__(self) -> None:
        lib.pv_layer_free(self.pointer)


def alike(task: Any) -> bool:
    """Whether a call made by the core is the same as one made by the task."""
    return bool(lib.pv_alike(task))


def put(listener: int, cookie: int, fd: int, number: int, cloexec: bool) -> bool:
    """Put a copy of the core's `fd` in the place of the caller's `number`; its call still waits."""
    return bool(lib.pv_put(listener, cookie, fd, number, cloexec) >= 0)


def same_file(one: int, other: int) -> bool:
    """Whether two descriptors of the core are one open file."""
    return bool(lib.pv_same_file(one, other))


def hand_over(listener: int, cookie: int, fd: int, cloexec: bool) -> None:
    """Answer with the core's `fd`, which is closed before the caller goes on."""
    lib.pv_hand_over(listener, cookie, fd, cloexec)


def directory_entries(fd: int, size: int) -> bytes:
    """What getdents64(2) gives for the core's `fd`.  Errors: ENOTDIR, EINVAL when too small."""
    buffer = ffi.new("char[]", size)
    return bytes(ffi.buffer(buffer, _checked(lib.pv_getdents(fd, buffer, size))))


def maps_query(fd: int, query: bytes) -> tuple[bytes, bytes, bytes]:
    """ioctl(PROCMAP_QUERY) on the core's `fd`: struct procmap_query, a name, a build id.

    The addresses in `query` are replaced by the core's own, where it wants something.
    """
    import fcntl

    names, ids = ffi.new("char[]", PATH_MAX), ffi.new("char[]", PATH_MAX)
    asked = bytearray(query)
    for at, size_at, buffer in ((88, 80, names), (96, 84, ids)):
        size = min(int.from_bytes(asked[size_at : size_at + 4], "little"), PATH_MAX)
        if int.from_bytes(asked[at : at + 8], "little"):
            asked[at : at + 8] = int(ffi.cast("uintptr_t", buffer)).to_bytes(8, "little")
        asked[size_at : size_at + 4] = size.to_bytes(4, "little")
    fcntl.ioctl(fd, PROCMAP_QUERY, asked)
    found = [
        bytes(ffi.buffer(buffer, int.from_bytes(asked[at : at + 4], "little")))
        for at, buffer in ((80, names), (84, ids))
    ]
    return bytes(asked), found[0], found[1]


def numbers() -> dict[str, int]:
    """The calls of this machine by name."""
    rows = (lib.pv_calls[i] for i in range(lib.pv_ncalls))
    return {ffi.string(row.name).decode(): row.nr for row in rows if row.nr >= 0}
