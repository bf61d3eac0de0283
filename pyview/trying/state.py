# SPDX-License-Identifier: GPL-2.0-or-later
"""What vutry itself keeps beside an upper directory: about its runs, and what the host was then.

    .-/lock       locked by whoever uses the directory, a view or vutry; its text says who
    .-/try.json   lower root, layers, the last command, when it began
    .-/try.base   what the host had under each changed name when the command ended
    .-/try.undo, .-/try.commit, .-/try.done, .-/try.kept/   a commit that is under way (journal.py)

The host's clock is the ctime of its files, so the begin of a run is the ctime of a file of ours.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
from types import FrameType
from typing import Any, BinaryIO, TypeVar

from pyview.abi import upper
from pyview.trying.changes import Change, Scan, walk
from pyview.trying.places import within
from pyview.trying.trees import Merged, Node, Plain, Tree, Upper

Read = TypeVar("Read")
VERSION = 1
LOCK, ABOUT, BASE = b"lock", b"try.json", b"try.base"
PATIENCE = 2.0  # seconds in which a core that has lost its last process must have gone
CHANGED = b"!"  # in the base: the host's was changed while the command ran
KINDS = {
    "root": str,
    "layers": list,
    "temporary": bool,
    "first": int,
    "stamp": int,
    "running": bool,
}
UNREAD = b"?"  # in the base: we may not read the host's, so the view had to invent its bytes


class InUse(Exception):
    """A view, or another vutry, uses the directory; the text says who when they said so."""


class Directory:
    """One upper directory of ours, or a view's that becomes one."""

    def __init__(self, name: str) -> None:
        """Raises OSError(ENOTDIR, ENOENT) when it is no directory, EUCLEAN for a damaged one."""
        self.name = os.path.realpath(name)
        self.raw = os.fsencode(self.name)
        if not os.path.isdir(self.raw):
            code = errno.ENOTDIR if os.path.lexists(self.raw) else errno.ENOENT
            raise OSError(code, os.strerror(code), name)
        self._lock = -1
        self.about: dict[str, Any] = {
            "version": VERSION, "root": "/", "layers": [], "temporary": False, "first": 0,
            "stamp": 0,
            "running": False, "command": [], "status": None,
        }  # fmt: skip
        try:
            with open(self.own(ABOUT), "rb") as file:
                self.about |= read(file, dict)
        except FileNotFoundError:
            pass
        if not all(isinstance(self.about[key], kind) for key, kind in KINDS.items()):
            raise damaged(self.own(ABOUT))

    def own(self, name: bytes) -> bytes:
        """A file of ours, or of the view's, beside the changes."""
        return self.raw + b"/" + upper.OWN + b"/" + name

    @property
    def is_upper(self) -> bool:
        """False for a directory that no view has used."""
        return os.path.isdir(self.own(b""))

    def lock(self, patience: float = PATIENCE) -> None:
        """Keep views and others off.  Raises InUse when they don't leave in time."""
        self._lock = os.open(self.own(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if patience > 0:
                _flock_within(self._lock, patience)
            else:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, TimeoutError):
            who = os.pread(self._lock, 200, 0).decode(errors="replace").strip()
            self.unlock()
            raise InUse(who) from None
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"vutry, process %d\n" % os.getpid(), 0)
        except OSError:
            pass  # a full disk: it only is for the others' information

    def unlock(self) -> None:
        """Let others use it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def save(self) -> None:
        """Write what it is about, at once and whole."""
        replaced(self.own(ABOUT), json.dumps(self.about, indent=1).encode() + b"\n")

    def begin(self, command: list[str], layers: list[str]) -> None:
        """A command is about to run in it."""
        os.makedirs(self.own(b"i"), 0o700, exist_ok=True)
        self._probe_attributes()
        self.about |= {"command": command, "layers": layers, "status": None, "running": True}
        self.save()
        self.about["stamp"] = os.stat(self.own(ABOUT)).st_ctime_ns
        self.about["first"] = self.about["first"] or self.about["stamp"]
        self.save()

    def _probe_attributes(self) -> None:
        """Errors: EOPNOTSUPP where the view would keep them in a log, which is not read here."""
        beside = os.path.lexists(self.own(upper.LABELS))
        try:
            os.setxattr(self.own(b"i"), upper.WHITEOUT, b"")
            os.removexattr(self.own(b"i"), upper.WHITEOUT)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            beside = True
        if beside:
            why = "its file system has no extended attributes (user_xattr), which vutry needs"
            raise OSError(errno.EOPNOTSUPP, why, os.fsdecode(self.raw))

    def top(self) -> Upper:
        if os.path.lexists(self.own(upper.LABELS)):
            self._probe_attributes()
        return Upper(self.raw)

    def lower(self) -> Tree:
        """What it was made over: the root, and the layers that are there still."""
        tree: Tree = Plain(os.fsencode(self.about["root"]))
        for layer in self.about["layers"]:
            if os.path.isdir(layer):
                tree = Merged(Upper(os.fsencode(layer)), tree)
        return tree

    # -- what the host was -------------------------------------------------------------------------

    def ended(self, status: int | None, found: Scan, lower: Tree) -> None:
        """The command has ended: remember what the host has under the names that it changed."""
        known, orphans = self.base(), found.orphans()
        for change in found.changes:
            for key, path in host_paths(change):
                if key not in known:
                    late = self.is_late(newest(lower, path, change))
                    known[key] = CHANGED if late else self.signature(lower, path, change)
                elif goes(path, change) and known[key][:2] == b"d " and not is_deep(known[key]):
                    known[key] = self._deepened(known, lower, path, change)
                if key == change.host and invented(change, lower, path):
                    known[key] = UNREAD
            if change.path in orphans and change.host is not None:
                known[change.host] = CHANGED
        self._remember(known)
        self.about |= {"running": False, "status": status}
        self.save()

    def again(self, changes: list[Change], lower: Tree) -> None:
        """We have touched what these changes are about ourselves: remember it as it is now."""
        known = self.base()
        for change in changes:
            for key, path in host_paths(change):
                known[key] = self.signature(lower, path, change)
        self._remember(known)

    def _deepened(
        self, known: dict[bytes, bytes], lower: Tree, path: bytes, change: Change
    ) -> bytes:
        """The signature of a directory that an earlier run has changed, and this one removed."""
        if self.is_late(newest(lower, path, change)):
            return CHANGED
        for key, value in known.items():
            inner = key.lstrip(b"/")
            if inner != path and within(inner, path) and not is_deep(value):
                node = lower.look(inner)
                if value != (b"-" if node is None else self._of(node, 0)):
                    return CHANGED
        return self.signature(lower, path, change)

    def is_late(self, ctime: int) -> bool:
        """Something of the host was changed after the last command began."""
        stamp: int = self.about["stamp"]
        return 0 < stamp <= ctime

    def signature(self, lower: Tree, path: bytes, change: Change, deep: bool = False) -> bytes:
        """By what we know a file again, as it was.

        A directory that stays (and was not `deep`): whatever is in it.  Over layers, what a commit
        of the layer would make is the same file.
        """
        node = lower.look(path)
        if node is None:
            return b"-"
        if not node.is_dir or self.about["layers"]:
            return self._of(node, 0)
        return self._of(node, deepest(lower, path) if deep else newest(lower, path, change))

    def _of(self, node: Node, inside: int) -> bytes:
        if node.is_dir:
            return b"d %o %d %d %d" % (node.mode, node.uid, node.gid, inside)
        if self.about["layers"]:
            return b"~%s %x %d %d" % (node.kind.encode(), node.rdev, node.size, node.mtime)
        return b"%s %x %x %d" % (node.kind.encode(), node.dev, node.ino, node.ctime)

    def _remember(self, known: dict[bytes, bytes]) -> None:
        text = b"".join(path + b"\0" + value + b"\0" for path, value in known.items())
        replaced(self.own(BASE), text)

    def base(self) -> dict[bytes, bytes]:
        """Key of `host_paths` -> signature when the command had ended."""
        try:
            with open(self.own(BASE), "rb") as file:
                words = file.read().split(b"\0")[:-1]
        except FileNotFoundError:
            return {}
        if len(words) % 2:
            raise damaged(self.own(BASE))
        return dict(zip(words[::2], words[1::2], strict=True))


def host_paths(change: Change) -> list[tuple[bytes, bytes]]:
    """The names on the host that a change is about, each with its key in the base.

    A key that begins with a slash is for what is renamed: whatever is in that goes with it.
    """
    found = [] if change.host is None else [(change.host, change.host)]
    return found if change.origin is None else [*found, (b"/" + change.origin, change.origin)]


def invented(change: Change, lower: Tree, path: bytes) -> bool:
    """Bytes of a copy that can't be the original's: /etc/shadow's, for one who isn't root."""
    old, entry = change.old, change.entry
    if old is None or entry is None or old.kind != "f" or not old.size or change.kind != "modified":
        return False
    copied = entry.lower == old.ino and entry.data is None
    return copied and not os.access(lower.content(path), os.R_OK, effective_ids=True)


def is_deep(signature: bytes) -> bool:
    """It is that of a directory with what was in it."""
    return signature[:2] == b"d " and not signature.endswith(b" 0")


def goes(path: bytes, change: Change) -> bool:
    """What the host has there goes, with all that is in it."""
    gone = change.new is None or change.retyped or change.origin is not None
    return path == change.host and gone


def newest(lower: Tree, path: bytes, change: Change) -> int:
    """When the host's object was last changed, in ns; of a directory that goes, all in it."""
    node = lower.look(path)
    if node is None:
        return 0
    if not node.is_dir:
        return node.ctime
    return deepest(lower, path) if goes(path, change) else 0


def deepest(lower: Tree, path: bytes) -> int:
    """When anything in a directory, or itself, was last changed."""
    return max(inner.ctime for _, inner in walk(lower, path))


def damaged(name: bytes) -> OSError:
    """A file of ours that none of us has written so."""
    return OSError(errno.EUCLEAN, "is damaged: not as vutry writes it", name)


def read(file: BinaryIO, kind: type[Read]) -> Read:
    """What a file of ours holds as JSON.  Errors: EUCLEAN when it is not of this kind."""
    try:
        found = json.load(file)
    except ValueError:
        found = None
    if not isinstance(found, kind):
        raise damaged(os.fsencode(file.name))
    return found


def replaced(name: bytes, data: bytes) -> None:
    """Write a small file so that there is always the old one or the new one."""
    part = name + b".new"
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, name)
    except OSError:
        os.unlink(part)
        raise


def _flock_within(fd: int, seconds: float) -> None:
    """flock(2), for some time only.  Raises TimeoutError."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
