# SPDX-License-Identifier: GPL-2.0-or-later
"""Record locks: whatever is locked and unlocked, each byte has the holders that a plain map has."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyview.locks import EVERYTHING, Locks, Range, Wait

BYTES = 12
END = 1 << 63
owners = st.sampled_from([("process", 1), ("process", 2), ("file", 1), ("file", 2)])
keys = st.sampled_from(["a", "b"])


def between(start, length):
    return Range(start, start + length if length else END)


def ranges():
    """Within the bytes of the model, or up to the end."""
    two = st.tuples(st.integers(0, BYTES - 1), st.integers(1, BYTES))
    return two.map(lambda at: Range(at[0], at[1] if at[1] > at[0] else END))


def covered(wanted):
    """The bytes of the model that a range covers; the last one stands for all that follow."""
    return [at for at in range(BYTES + 1) if wanted.start <= at < wanted.end]


class Sequences(RuleBasedStateMachine):
    """The model: (key, byte) -> owner -> whether it is exclusive."""

    def __init__(self):
        super().__init__()
        self.locks = Locks()
        self.bytes = {(key, at): {} for key in ("a", "b") for at in range(BYTES + 1)}

    def _others(self, key, owner, wanted, exclusive):
        return [
            (at, other)
            for at in covered(wanted)
            for other, held in self.bytes[key, at].items()
            if other != owner and (exclusive or held)
        ]

    @rule(key=keys, owner=owners, wanted=ranges(), exclusive=st.booleans())
    def take(self, key, owner, wanted, exclusive):
        others = self._others(key, owner, wanted, exclusive)
        try:
            self.locks.take(key, owner, wanted, exclusive, 0)
        except OSError as refused:
            assert refused.errno == errno.EAGAIN  # noqa: PT017 - it need not be raised
            assert others
        else:
            assert not others
            for at in covered(wanted):
                self.bytes[key, at][owner] = exclusive

    @rule(key=keys, owner=owners, wanted=ranges())
    def release(self, key, owner, wanted):
        self.locks.release(key, owner, wanted)
        for at in covered(wanted):
            self.bytes[key, at].pop(owner, None)

    @rule(owner=owners)
    def forget(self, owner):
        keys = {key for (key, _), holders in self.bytes.items() if owner in holders}
        assert set(self.locks.forget(owner)) == keys
        for holders in self.bytes.values():
            holders.pop(owner, None)

    @rule(key=keys, owner=owners, wanted=ranges(), exclusive=st.booleans())
    def ask(self, key, owner, wanted, exclusive):
        others = self._others(key, owner, wanted, exclusive)
        found = self.locks.conflict(key, owner, wanted, exclusive)
        assert (found is None) == (not others)
        if found is not None:
            assert any(found.start <= at < found.end and found.owner == o for at, o in others)

    @invariant()
    def every_byte_has_its_holders(self):
        for (key, at), holders in self.bytes.items():
            byte = Range(at, at + 1)
            for owner in (("process", 1), ("process", 2), ("file", 1), ("file", 2)):
                readers = {o for o in holders if o != owner and holders[o]}
                assert (self.locks.conflict(key, owner, byte, False) is None) == (not readers)
                writers = {o for o in holders if o != owner}
                assert (self.locks.conflict(key, owner, byte, True) is None) == (not writers)

    @invariant()
    def an_owners_locks_are_as_few_as_can_be(self):
        for key, held in self.locks._held.items():
            assert held, key
            for owner in {lock.owner for lock in held}:
                mine = sorted(lock for lock in held if lock.owner == owner)
                for one, other in pairwise(mine):
                    assert one.end < other.start or (
                        one.end == other.start and one.exclusive != other.exclusive
                    )
                assert all(lock.start < lock.end for lock in mine)

    @invariant()
    def who_has_any_is_known(self):
        for owner in (("process", 1), ("file", 2)):
            has = any(owner in holders for holders in self.bytes.values())
            assert self.locks.has(owner) == has


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


# -- the kernel's own, as an oracle --------------------------------------------------------------


def test_locks_split_and_merge_as_the_kernels_do(tmp_path):
    """What F_GETLK tells another open file of the first lock, after each step."""
    locks = Locks()
    one, other = (os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2))
    steps = [
        (fcntl.F_WRLCK, 0, 10), (fcntl.F_UNLCK, 3, 2), (fcntl.F_RDLCK, 7, 5), (fcntl.F_WRLCK, 3, 2),
        (fcntl.F_WRLCK, 100, 0), (fcntl.F_RDLCK, 150, 1), (fcntl.F_UNLCK, 0, 7),
        (fcntl.F_UNLCK, 120, 0), (fcntl.F_RDLCK, 12, 88), (fcntl.F_WRLCK, 0, 0),
    ]  # fmt: skip
    try:
        for kind, start, length in steps:
            lock = struct.pack("=hh4xqqi4x", kind, 0, start, length, 0)
            fcntl.fcntl(one, fcntl.F_OFD_SETLK, lock)
            if kind == fcntl.F_UNLCK:
                locks.release("k", ("file", 1), between(start, length))
            else:
                locks.take("k", ("file", 1), between(start, length), kind == fcntl.F_WRLCK, 0)
            for at in (*range(14), 99, 100, 119, 120, 149, 150, 151, 1000):
                asked = struct.pack("=hh4xqqi4x", fcntl.F_WRLCK, 0, at, 1, 0)
                answer = fcntl.fcntl(other, fcntl.F_OFD_GETLK, asked)
                found_kind, _, found_start, found_length, _ = struct.unpack("=hh4xqqi4x", answer)
                found = locks.conflict("k", ("file", 2), Range(at, at + 1), True)
                if found_kind == fcntl.F_UNLCK:
                    assert found is None
                else:
                    assert found is not None
                    assert found[:2] == between(found_start, found_length)
                    assert found.exclusive == (found_kind == fcntl.F_WRLCK)
    finally:
        os.close(one)
        os.close(other)


# -- waiting -------------------------------------------------------------------------------------

ME, YOU, THIRD = ("process", 1), ("process", 2), ("process", 3)
FIRST, SECOND, LAST = Range(0, 1), Range(1, 2), Range(2, 3)


def refused(locks, *args):
    with pytest.raises(OSError) as raised:
        locks.take(*args)
    return raised.value.errno


@pytest.fixture
def locks():
    made = Locks()
    made.take("k", ME, FIRST, True, 0)
    made.take("k", YOU, SECOND, True, 0)
    made.take("k", THIRD, LAST, True, 0)
    return made


def test_who_waits_is_told_to(locks):
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    assert refused(locks, "k", ME, SECOND, True, 0) == errno.EAGAIN
    locks.release("k", YOU, SECOND)
    locks.take("k", ME, SECOND, True, 11)
    assert locks.conflict("k", YOU, SECOND, False).owner == ME


def test_two_who_wait_for_each_other_are_EDEADLK(locks):
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    assert refused(locks, "k", YOU, FIRST, True, 22) == errno.EDEADLK
    assert refused(locks, "k", YOU, EVERYTHING, False, 22) == errno.EDEADLK


def test_so_are_three_in_a_ring(locks):
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    with pytest.raises(Wait):
        locks.take("k", YOU, LAST, True, 22)
    assert refused(locks, "k", THIRD, FIRST, True, 33) == errno.EDEADLK


def test_across_files_too(locks):
    locks.take("other", ME, FIRST, True, 0)
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    assert refused(locks, "other", YOU, FIRST, False, 22) == errno.EDEADLK


def test_who_has_given_up_waits_for_nobody(locks):
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    locks.waits_no_more(11)
    with pytest.raises(Wait):
        locks.take("k", YOU, FIRST, True, 22)


def test_who_has_got_it_waits_for_nobody(locks):
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    locks.release("k", YOU, EVERYTHING)
    locks.take("k", ME, SECOND, True, 11)
    locks.take("k", YOU, Range(50, 60), True, 0)
    with pytest.raises(Wait):
        locks.take("k", YOU, FIRST, True, 22)


def test_open_files_are_not_looked_at_for_deadlock():
    """fcntl(2): no deadlock detection is performed for open file description locks."""
    locks = Locks()
    mine, yours = ("file", 1), ("file", 2)
    locks.take("k", mine, FIRST, True, 0)
    locks.take("k", yours, SECOND, True, 0)
    locks.take("k", ME, LAST, True, 0)
    for owner, wanted, thread in ((mine, SECOND, 11), (yours, FIRST, 22), (ME, FIRST, 33),
                                  (mine, LAST, 11)):  # fmt: skip
        with pytest.raises(Wait):
            locks.take("k", owner, wanted, True, thread)


def test_readers_share_and_an_upgrade_waits_for_the_other():
    locks = Locks()
    locks.take("k", ME, FIRST, False, 0)
    locks.take("k", YOU, FIRST, False, 0)
    with pytest.raises(Wait):
        locks.take("k", ME, FIRST, True, 11)
    assert locks.mode("k", ME) is False  # it keeps what it has
    assert refused(locks, "k", YOU, FIRST, True, 22) == errno.EDEADLK
    locks.release("k", YOU, FIRST)
    locks.take("k", ME, FIRST, True, 11)
    assert locks.mode("k", ME) is True
    assert locks.mode("k", YOU) is None


def test_a_ring_of_others_is_not_mine(locks):
    """Who joins a queue behind two that wait for each other's past is no deadlock of his own."""
    with pytest.raises(Wait):
        locks.take("k", ME, SECOND, True, 11)
    with pytest.raises(Wait):
        locks.take("k", THIRD, FIRST, True, 33)
    assert locks._would_wait_for(ME, ("process", 9), set()) is False
