# SPDX-License-Identifier: GPL-2.0-or-later
"""What files and links of proc say in a view: names, mounts, states (proc(5)).

csrc/proc.c decides which names are asked for here at all.  A file's text is made when it is opened:
the caller gets a memfd of it, whose own name tells which file it stands for.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from pyview import core
from pyview.holder import Holder
from pyview.openfile import O_LARGEFILE, O_PATH, OpenFile
from pyview.paths import cover_of
from pyview.view import MOUNT_IDS

# Compiled when first used.
_TASK = r"/proc/(?:\d+/task/)?(\d+)/"
MAGIC = _TASK + r"(cwd|root|exe|fd/(\d+)|map_files/([0-9a-f]+-[0-9a-f]+))"
_FILE = _TASK + r"(status|stat|mounts|mountinfo|mountstats|maps|smaps|numa_maps|fdinfo/(\d+))"
_CORE = _TASK + "pyview"
_MAPPING = rb"([0-9a-f]+-[0-9a-f]+ \S{4} [0-9a-f]+ ([0-9a-f]+):([0-9a-f]+) (\d+) +)(/.*)"
_NUMA = rb"([0-9a-f]+) (.* file=)(\S+)(.*)"
_TEXT, _DELETED = "/memfd:", " (deleted)"
TRACING, RUNNING = b"t (tracing stop)", b"R (running)"


class Proc(Holder):
    """A task that looks at proc."""

    _process = 0

    def process(self) -> int:
        """Its thread group."""
        if not self._process:
            self._process = core.thread_group(self.tid)
        return self._process

    def uid(self) -> int:
        if self._record.identity:
            return int(self._record.identity.uid[3])
        # The owner of its directory in proc, but root's when it must not be looked at: proc(5).
        owner = os.stat(f"/proc/{self.tid}").st_uid
        return owner or int(self.status_fields(b"Uid")[0].split()[3])

    def status_fields(self, *names: bytes) -> list[bytes]:
        """Some fields of /proc/TID/status, as the kernel tells them.  Errors: Gone."""
        try:
            with open(f"/proc/{self.tid}/status", "rb", 0) as file:
                text = file.read(4096)
        except (FileNotFoundError, ProcessLookupError):
            raise core.Gone from None
        found = []
        for name in names:
            _, is_there, rest = text.partition(b"\n" + name + b":")
            if not is_there:
                raise core.Gone  # who has been killed has no Umask any more
            found.append(rest.partition(b"\n")[0])
        return found

    # -- links -------------------------------------------------------------------------------
    def proc_domain(self, real: str) -> int:
        """The domain of what a magic link of proc leads to."""
        match = re.fullmatch(MAGIC, real)
        if match is None:
            return 0
        tid, what, fd, _ = match.groups()
        record = core.task(int(tid))
        if record is None:
            return 0
        if fd is not None:
            return core.mark_of(record, int(fd))
        return {"cwd": int(record.fs.domain), "exe": int(record.mm.domain)}.get(what, 0)

    def proc_name(self, real: str) -> str | None:
        """What a link of proc says in the view; None when it says what the kernel says."""
        if re.fullmatch(_CORE, real) is not None:
            return str(os.getpid())
        match = re.fullmatch(MAGIC, real)
        if match is not None and match.group(4) is not None:
            return self._mapped_name(real, match.group(4))
        number = self.proc_domain(real)
        if not number and (match is None or not self.view.overlays()):
            return None
        if number < 0:
            return self._virtual_name(real)
        domain = self.view.domain(number)
        target = os.readlink(real)
        name = domain.name(target) if domain is not None and target.startswith("/") else None
        if name is None or not self.view.overlays():
            return name
        return cover_of(self.view, name).outer(name, number) or name

    def _virtual_name(self, real: str) -> str | None:
        """The name of the virtual file or directory that a magic link of proc leads to."""
        match = re.fullmatch(MAGIC, real)
        assert match is not None
        tid, what, fd, _ = match.groups()
        record = core.task(int(tid))
        if record is None:
            return None
        if fd is not None:
            found = self._virtual_file(record, int(fd))
            return found.name if found is not None else stood_for(os.readlink(real))
        number = record.fs.place if what == "cwd" else record.mm.place
        return self.session.descriptors.place_name(number)

    def _virtual_file(self, record: Any, fd: int) -> OpenFile | None:
        return self.session.descriptors.held(record, fd)

    def link_attributes(self, real: str, owner: tuple[int, int] | None) -> os.stat_result | None:
        """lstat(2) of a link to an emulated file: its bits say how that was opened."""
        match = re.fullmatch(MAGIC, real)
        record = core.task(int(match.group(1))) if match is not None and match.group(3) else None
        if match is None or record is None:
            return None
        opened = self._virtual_file(record, int(match.group(3)))
        if opened is None:
            return None
        bits = {os.O_RDONLY: 0o500, os.O_WRONLY: 0o300}.get(opened.flags & os.O_ACCMODE, 0o700)
        st = os.lstat(real)
        mode = stat.S_IFLNK | (0 if opened.flags & O_PATH else bits)
        uid, gid = owner or (st.st_uid, st.st_gid)
        values = [mode, *st[1:4], uid, gid, *st[6:10], *(st.st_atime, st.st_mtime, st.st_ctime)]
        values += [st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns]
        return os.stat_result([*values, st.st_blksize, st.st_blocks, st.st_rdev])

    def _mapped_name(self, real: str, addresses: str) -> str | None:
        """What /proc/PID/map_files/ADDRESSES leads to."""
        maps = real.rpartition("/map_files/")[0] + "/maps"
        low, high = (int(part, 16) for part in addresses.split("-"))
        with open(maps, "rb", 0) as file:
            for line in file.readall().split(b"\n"):
                match = re.match(_MAPPING, line)
                if match is not None and line.startswith(b"%08x-%08x " % (low, high)):
                    return os.fsdecode(self._shown_mapping(line)[len(match.group(1)) :])
        return None

    # -- texts -------------------------------------------------------------------------------
    def proc_text(self, real: str) -> bytes | None:
        """What a file of proc says in this view; None when that is what the kernel says.

        Errors: those of open(2).
        """
        match = re.fullmatch(_FILE, real)
        record = core.task(int(match.group(1))) if match is not None else None
        if match is None or record is None:
            return None
        kind, fd = match.group(2), match.group(3)
        if fd is not None:
            return self._fdinfo_text(real, record, int(fd))
        if kind in ("maps", "smaps", "numa_maps") and not self._may_look():
            return None
        with open(real, "rb", 0) as file:
            text = file.readall()
        if kind == "status":
            return status_text(text, record, mine=record.tid == self.tid)
        if kind == "stat":
            return stat_text(text, record)
        if kind == "numa_maps":
            return self._numa_text(real, text)
        if kind in ("maps", "smaps"):
            return b"\n".join(map(self._shown_mapping, text.split(b"\n")))
        return self._mounts_text(real, kind, text, record)

    def _may_look(self) -> bool:
        """Whether the caller could read what the core can: a core of root's may read all."""
        return bool(os.geteuid()) or not self.uid()

    def _mounts_text(self, real: str, kind: str, text: bytes, record: Any) -> bytes:
        from pyview.mountlist import told  # only who asks for it needs it

        view = self.session.view_of(record.tid) or self.view
        with open(real.rpartition("/")[0] + "/mountinfo", errors="surrogateescape") as file:
            kernels = file.read()
        shown = told(text.decode(errors="surrogateescape"), view, kind, kernels)
        return shown.encode(errors="surrogateescape")

    def _shown_mapping(self, line: bytes) -> bytes:
        """A line of /proc/PID/maps or smaps with the view's name of its file."""
        match = re.match(_MAPPING, line)
        if match is None:
            return line
        head, major, minor, inode, real = match.groups()
        device = os.makedev(int(major, 16), int(minor, 16))
        return head + self.mapping_name(device, int(inode), real)

    def mapping_name(self, device: int, inode: int, real: bytes) -> bytes:
        """The view's name of a mapped file that the kernel calls `real`."""
        if real.startswith(b"/memfd:pyview"):
            name = self.session.mappings.mapped_name(inode)
        else:
            domain = self.view.domain(core.opened_through(device, inode))
            name = self.session.descriptors.image_name(device, inode)
            if name is None and domain is not None:
                name = domain.name(os.fsdecode(real))
        return real if name is None else os.fsencode(name)

    def _numa_text(self, real: str, text: bytes) -> bytes:
        """numa_maps: its lines begin as those of maps do, by which the files are told."""
        names: dict[bytes, bytes] = {}
        with open(real.rpartition("/")[0] + "/maps", "rb", 0) as file:
            for line in file.readall().split(b"\n"):
                match = re.match(_MAPPING, line)
                if match is not None:
                    shown = self._shown_mapping(line)[len(match.group(1)) :]
                    names[line.partition(b"-")[0]] = shown
        return re.sub(
            _NUMA, lambda m: b"%b %b%b%b" % (m[1], m[2], names.get(m[1], m[3]), m[4]), text
        )

    def _fdinfo_text(self, real: str, record: Any, fd: int) -> bytes | None:
        """fdinfo of an emulated descriptor: the kernel knows whether it closes at exec."""
        opened = self._virtual_file(record, fd)
        if opened is None:
            return None
        with open(real, "rb", 0) as file:
            words = file.readall().split()
        cloexec = int(words[words.index(b"flags:") + 1], 8) & os.O_CLOEXEC
        flags = opened.flags | cloexec | (0 if opened.flags & O_PATH else O_LARGEFILE)
        mount = MOUNT_IDS + opened.mount.epoch
        return b"pos:\t%d\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n" % (
            opened.offset, flags, mount, opened.key[1],
        )  # fmt: skip

    def proc_file(self, data: bytes, real: str) -> int:
        """A descriptor of the core for a file with these bytes, read-only, named `real`."""
        fd = os.memfd_create(real, os.MFD_CLOEXEC)
        try:
            os.write(fd, data)
            os.fchmod(fd, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
            shown = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(fd)
        core.mark_text(shown)
        return shown

    def text_of(self, fd: int) -> str:
        """The file of proc whose text the caller's descriptor has; "" when it has none of ours."""
        if core.mark_of(self._record, fd) != core.VIRTUAL:
            return ""
        return stood_for(os.readlink(f"/proc/{self.tid}/fd/{fd}")) or ""

    def can_watch(self) -> bool:
        return bool(self._record.watching)

    def maps_query(self, real: str, query: bytes) -> tuple[bytes, bytes, bytes]:
        with open(real, "rb", 0) as file:
            return core.maps_query(file.fileno(), query)


def stood_for(name: str) -> str | None:
    """The file of proc whose text a memfd of this name holds."""
    if name.startswith(_TEXT + "/proc/") and name.endswith(_DELETED):
        return name[len(_TEXT) : -len(_DELETED)]
    return None


# -- states: the one place where /proc/PID/stat and status are made from the kernel's --------------


def state_of(record: Any) -> bytes:
    """What a task that the kernel calls traced and stopped does, as far as its view can tell.

    It is stopped as a job, or the core answers its call: that takes long only for slow files.
    """
    if record.held or (record.stopped and record.debugger):
        return b"t (tracing stop)"
    if record.stopped:
        return b"T (stopped)"
    return b"D (disk sleep)" if record.watched else RUNNING


def status_lines(record: Any) -> dict[bytes, bytes]:
    """The lines of /proc/PID/status that say something else in a view than to the kernel."""
    lines = {b"TracerPid": b"%d" % record.debugger}
    if record.identity:
        from pyview import identities  # not before it is needed

        lines |= identities.status_lines(record)
    return lines


def status_text(text: bytes, record: Any, *, mine: bool) -> bytes:
    """/proc/PID/status of a task in a view, made from the kernel's; `mine`: by its own open(2)."""
    changes = status_lines(record)
    lines = []
    for line in text.split(b"\n"):
        name, colon, value = line.partition(b":\t")
        if name == b"State" and mine:
            value = RUNNING  # to the kernel it sleeps until its call has been answered
        elif name == b"State" and value == TRACING:
            value = state_of(record)
        lines.append(name + colon + changes.get(name, value))
    return b"\n".join(lines)


def stat_text(text: bytes, record: Any) -> bytes | None:
    """/proc/PID/stat of a task in a view; None when the kernel's own says the same."""
    head, _, tail = text.rpartition(b") ")
    return head + b") " + state_of(record)[:1] + tail[1:] if tail[:1] == TRACING[:1] else None
