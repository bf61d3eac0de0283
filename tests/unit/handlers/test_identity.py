# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls about identity: their arguments, and what is the kernel's affair."""

from __future__ import annotations

import errno
import struct

import pytest
from playbook import Nobody, play

from pyview.credentials import EVERY, NOBODY, Credentials, root
from pyview.verdicts import Emulate, Real

WHO = Credentials(1, 2, 3, 4, 5, 6, 7, 8, (9, 10), 0x1, 0x7, 0x3, EVERY, 0)
CALLS = (*("setuid", "setresgid", "setfsgid", "setgroups", "capget", "capset", "prctl"),)
V3 = 0x20080522


@pytest.fixture
def caller():
    made = Nobody()
    made.who = WHO
    return made


def refused(caller, name, *args):
    with pytest.raises(OSError) as raised:
        play(caller.calls(name, *args))
    assert not caller.notes
    return raised.value.errno


@pytest.mark.parametrize("name", CALLS)
def test_without_an_identity_the_kernel_answers(name):
    assert play(Nobody().calls(name, 0, 0, 0)) == (Real(), [])


def test_what_may_be_becomes(caller):
    assert play(caller.calls("setreuid", NOBODY, 3))[0] == Emulate(0)
    assert caller.who.users == (1, 3, 3, 3)
    caller.notes.clear()
    assert refused(caller, "setuid", 99) == errno.EPERM
    assert play(caller.calls("setresuid", -1, -1, -1))[0] == Emulate(0)
    assert caller.notes == []  # nothing has changed


def test_setfsuid_tells_the_old_one(caller):
    assert play(caller.calls("setfsuid", 1))[0] == Emulate(4)
    assert play(caller.calls("setfsuid", 77))[0] == Emulate(1)
    assert caller.who.fsuid == 1


def test_setgroups_and_the_order_of_its_errors(caller):
    assert refused(caller, "setgroups", 70000, 0) == errno.EPERM
    caller.who = root(WHO)
    assert refused(caller, "setgroups", 70000, 0) == errno.EINVAL
    assert refused(caller, "setgroups", -1, 0) == errno.EINVAL
    assert refused(caller, "setgroups", 3, struct.pack("=2I", 1, 2)) == errno.EFAULT
    assert play(caller.calls("setgroups", 2, struct.pack("=2I", 4, 3)))[0] == Emulate(0)
    assert caller.who.groups == (3, 4)


def test_capget(caller):
    at = caller.puts(struct.pack("=Ii", V3, 0))
    data = struct.pack("=6I", 3, 7, 1, 0, 0, 0)
    assert play(caller.calls("capget", at, 512))[0] == Emulate(0, ((512, data),))
    assert play(caller.calls("capget", at, 0))[0] == Emulate(0)
    old = caller.puts(struct.pack("=Ii", 0x19980330, 0))
    assert play(caller.calls("capget", old, 512))[0] == Emulate(0, ((512, data[:12]),))
    caller.whos[200] = WHO._replace(effective=0, permitted=0, inheritable=0)
    other = caller.puts(struct.pack("=Ii", V3, 200))
    assert play(caller.calls("capget", other, 512))[0] == Emulate(0, ((512, bytes(24)),))
    stranger = caller.puts(struct.pack("=Ii", V3, 201))
    assert play(caller.calls("capget", stranger, 512))[0] == Real()
    assert refused(caller, "capget", struct.pack("=Ii", V3, -1), 512) == errno.EINVAL
    assert refused(caller, "capget", b"1234", 512) == errno.EFAULT


def test_a_version_of_capabilities_that_nobody_knows(caller):
    newest = struct.pack("=I", V3)
    at = caller.puts(struct.pack("=Ii", 1, 0))
    assert play(caller.calls("capget", at, 0))[0] == Emulate(0, ((at, newest),))
    assert play(caller.calls("capget", at, 512))[0] == Emulate(-errno.EINVAL, ((at, newest),))
    assert play(caller.calls("capset", at, 512))[0] == Emulate(-errno.EINVAL, ((at, newest),))


def test_capset(caller):
    head = struct.pack("=Ii", V3, 0)
    assert play(caller.calls("capset", head, struct.pack("=6I", 1, 3, 1, 0, 0, 0)))[0] == Emulate(0)
    assert (caller.who.effective, caller.who.permitted, caller.who.inheritable) == (1, 3, 1)
    caller.notes.clear()
    assert refused(caller, "capset", head, struct.pack("=6I", 0, 4, 0, 0, 0, 0)) == errno.EPERM
    assert refused(caller, "capset", struct.pack("=Ii", V3, 9), bytes(24)) == errno.EPERM
    assert refused(caller, "capset", head, bytes(23)) == errno.EFAULT


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ((7,), 0),  # PR_GET_KEEPCAPS
        ((23, 5), 1),  # PR_CAPBSET_READ
        ((23, 41), -errno.EINVAL),
        ((24, 5), -errno.EPERM),  # PR_CAPBSET_DROP
        ((27,), 0),  # PR_GET_SECUREBITS
        ((28, 1), -errno.EPERM),
        ((39,), 0),  # PR_GET_NO_NEW_PRIVS
        ((39, 0, 1), -errno.EINVAL),
        ((38, 0), -errno.EINVAL),
        ((47, 1, 0), 0),  # PR_CAP_AMBIENT_IS_SET
        ((47, 2, 1), -errno.EPERM),
        ((47, 4, 1), -errno.EINVAL),
        ((47, 9, 1), -errno.EINVAL),
        ((47, 1, 0, 1), -errno.EINVAL),
        ((8, 2), -errno.EINVAL),
        ((4, 1), Real()),  # PR_SET_DUMPABLE
    ],
)
def test_prctl(caller, args, value):
    if isinstance(value, int) and value < 0:
        assert refused(caller, "prctl", *args) == -value
    else:
        expected = value if isinstance(value, Real) else Emulate(value)
        assert play(caller.calls("prctl", *args))[0] == expected
    assert caller.notes == []


def test_prctl_changes_who_it_is(caller):
    for args in ((8, 1), (38, 1), (47, 2, 0)):
        assert play(caller.calls("prctl", *args))[0] == Emulate(0)
    assert caller.who.securebits == 0x10
    assert caller.who.no_new_privs
    assert caller.who.ambient == 1
    assert play(caller.calls("prctl", 47, 4))[0] == Emulate(0)
    assert not caller.who.ambient
