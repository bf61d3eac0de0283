# SPDX-License-Identifier: GPL-2.0-or-later
"""Record locks on files of virtual trees: fcntl(2), flock(2).  Pure."""

# Annotations are evaluated here: NamedTuple compiles each that is a text, which every start pays.
import errno
from collections.abc import Hashable
from typing import NamedTuple

from pyview.api import refuse

Owner = tuple[str, int]  # ("process", its number) or ("file", an open file's)


class Range(NamedTuple):
    """Bytes from `start` up to `end`."""

    start: int
    end: int


EVERYTHING = Range(0, 1 << 63)


class Lock(NamedTuple):
    """One lock: who has it, on what, and whether nobody else may have one."""

    start: int
    end: int
    owner: Owner
    exclusive: bool

    def meets(self, other: Range) -> bool:
        return self.start < other.end and other.start < self.end


class Wait(Exception):
    """It is taken: the caller must wait until it is not."""


class Locks:
    """All locks, by the file's key."""

    def __init__(self) -> None:
        self._held: dict[Hashable, list[Lock]] = {}
        self._waits: dict[int, tuple[Hashable, Owner, Lock]] = {}  # thread -> what it waits for

    def conflict(self, key: Hashable, owner: Owner, wanted: Range, exclusive: bool) -> Lock | None:
        """The first lock of another owner that does not go with this one."""
        return next(
            (
                lock
                for lock in sorted(self._held.get(key, ()))
                if lock.owner != owner and lock.meets(wanted) and (exclusive or lock.exclusive)
            ),
            None,
        )

    def own(self, key: Hashable, owner: Owner, wanted: Range) -> Lock | None:
        """The first lock that the owner itself has there."""
        return next(
            (k for k in sorted(self._held.get(key, ())) if k.owner == owner and k.meets(wanted)),
            None,
        )

    def take(
        self, key: Hashable, owner: Owner, wanted: Range, exclusive: bool, waiting: int
    ) -> None:
        """Take a lock, in place of what the owner has there.

        `waiting`: the thread that waits when it can't be had (raises Wait); 0: none does.
        Errors: EAGAIN; EDEADLK when its waiting would never end.
        """
        self._waits.pop(waiting, None)
        other = self.conflict(key, owner, wanted, exclusive)
        if other is not None:
            if not waiting:
                raise refuse(errno.EAGAIN)
            if owner[0] == "process" and self._would_wait_for(other.owner, owner, set()):
                raise refuse(errno.EDEADLK)
            self._waits[waiting] = (key, owner, other)
            raise Wait
        self.release(key, owner, wanted)
        mine = Lock(*wanted, owner, exclusive)
        for lock in self._held.setdefault(key, []):
            if (
                lock.owner == owner
                and lock.exclusive == exclusive
                and (lock.end == mine.start or lock.start == mine.end)
            ):  # neighbours become one
                mine = Lock(min(lock.start, mine.start), max(lock.end, mine.end), owner, exclusive)
        kept = [k for k in self._held[key] if not (k.owner == owner and k.meets(Range(*mine[:2])))]
        self._held[key] = [*kept, mine]

    def _would_wait_for(self, who: Owner, asker: Owner, seen: set[Owner]) -> bool:
        """Whether `who` waits, perhaps through others, for a lock of `asker`."""
        if who in seen or who[0] != "process":
            return False
        seen.add(who)
        for key, owner, other in list(self._waits.values()):
            still = other in self._held.get(key, ())
            if (
                owner == who
                and still
                and (other.owner == asker or self._would_wait_for(other.owner, asker, seen))
            ):
                return True
        return False

    def waits_no_more(self, thread: int) -> None:
        """It has got what it waited for, or has given up."""
        self._waits.pop(thread, None)

    def release(self, key: Hashable, owner: Owner, wanted: Range) -> None:
        """Give up what the owner has there."""
        left: list[Lock] = []
        for lock in self._held.get(key, ()):
            if lock.owner != owner or not lock.meets(wanted):
                left.append(lock)
                continue
            if lock.start < wanted.start:
                left.append(lock._replace(end=wanted.start))
            if lock.end > wanted.end:
                left.append(lock._replace(start=wanted.end))
        if left:
            self._held[key] = left
        else:
            self._held.pop(key, None)

    def mode(self, key: Hashable, owner: Owner) -> bool | None:
        """Whether the owner's first lock is an exclusive one; None when it has none."""
        return next((k.exclusive for k in self._held.get(key, ()) if k.owner == owner), None)

    def has(self, owner: Owner) -> bool:
        """Whether the owner has locked anything."""
        return any(lock.owner == owner for locks in self._held.values() for lock in locks)

    def forget(self, owner: Owner) -> list[Hashable]:
        """The owner has gone; the keys of what it had locked."""
        keys = [key for key, locks in self._held.items() if any(k.owner == owner for k in locks)]
        for key in keys:
            self.release(key, owner, EVERYTHING)
        return keys


LOCKS = Locks()
