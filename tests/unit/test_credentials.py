# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of credentials(7), against what the kernel did: tests/guests/credentials.c, by root."""

from __future__ import annotations

import errno
import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import differences

from pyview.credentials import EVERY, NOBODY, Credentials, Program, root

TOLD = Path(__file__).parents[1] / "data" / "credentials.txt.gz"
SOMEBODY = Credentials(7, 7, 7, 7, 8, 8, 8, 8, (8, 9), 0, 0, 0, EVERY, 0)
ROOT = root(SOMEBODY)
IDS = st.sampled_from((0, 1, 7, NOBODY))


def test_what_Linux_did_is_what_the_rules_say():
    """Recorded natively, on Linux 6.18: 54 tasks, 24 calls each; set-id programs among them."""
    told = gzip.decompress(TOLD.read_bytes()).decode()
    assert told.count("\n") > 1300
    assert list(differences(told)) == []


def test_the_comparison_sees_a_difference():
    told = gzip.decompress(TOLD.read_bytes()).decode().splitlines()
    at = next(i for i, line in enumerate(told) if line.startswith("setuid") and " = 0 " in line)
    told[at] = told[at].replace(" = 0 ", " = 1 ")
    assert len(list(differences("\n".join(told)))) == 1


def test_who_is_root_has_everything():
    assert ROOT.users == ROOT.own_groups == (0, 0, 0, 0)
    assert ROOT.sets == (0, EVERY, EVERY, EVERY, 0)
    assert ROOT.can(21)
    assert not SOMEBODY.can(21)


@given(st.lists(st.tuples(st.sampled_from(("setuid", "setgid")), IDS), max_size=6))
def test_nobody_gets_ids_that_were_not_his(calls):
    who = SOMEBODY
    for name, number in calls:
        with suppress(PermissionError) if number != NOBODY else pytest.raises(OSError):
            who = getattr(who, name)(number)
    assert (who.users, who.own_groups, who.permitted) == ((7,) * 4, (8,) * 4, 0)


@given(st.lists(st.tuples(IDS, IDS, IDS), max_size=6))
def test_capabilities_stay_within_their_bounds(calls):
    who = ROOT
    for ids in calls:
        with suppress(PermissionError):
            who = who.setresuid(*ids)
        assert not who.effective & ~who.permitted
        assert not who.permitted & ~EVERY
        assert who.fsuid == who.euid


def test_groups_are_sorted_and_need_a_capability():
    assert ROOT.setgroups((5, 3, 4, 3)).groups == (3, 3, 4, 5)
    for groups, number in (((NOBODY,), errno.EINVAL), (tuple(range(65537)), errno.EINVAL)):
        with pytest.raises(OSError) as raised:
            ROOT.setgroups(groups)
        assert raised.value.errno == number
    with pytest.raises(OSError) as raised:
        SOMEBODY.setgroups(())
    assert raised.value.errno == errno.EPERM


def test_a_set_user_id_program_is_its_owners():
    new, secure = SOMEBODY.executes(Program(0o4755, 0, 0))
    assert (new.users, new.permitted, new.effective, secure) == ((7, 0, 0, 0), EVERY, EVERY, True)
    new, secure = SOMEBODY.executes(Program(0o2755, 0, 42))
    assert (new.users, new.own_groups, secure) == ((7,) * 4, (8, 42, 42, 42), True)
    assert SOMEBODY.executes(Program(0o2745, 0, 42)) == (SOMEBODY, False)  # mandatory locking
    bound = SOMEBODY._replace(no_new_privs=True)
    assert bound.executes(Program(0o6755, 0, 0)) == (bound, False)


@pytest.mark.parametrize(
    ("attribute", "permitted", "effective"),
    [
        ("0100000200200000" + "00" * 12, 0x2000, 0x2000),
        ("0000000200200000" + "00" * 12, 0x2000, 0),
        ("0100000300200000" + "00" * 16, 0x2000, 0x2000),
        ("0100000100200000" + "00" * 4, 0x2000, 0x2000),
        ("0100000900200000" + "00" * 12, 0, 0),  # a revision that nobody knows
        ("0100", 0, 0),
    ],
)
def test_capabilities_of_a_file(attribute, permitted, effective):
    new, secure = SOMEBODY.executes(Program(0o755, 0, 0, bytes.fromhex(attribute)))
    assert (new.permitted, new.effective) == (permitted, effective)
    assert secure is bool(permitted)


def test_a_file_that_gets_less_than_it_demands():
    poor = SOMEBODY._replace(bounding=0)
    with pytest.raises(OSError) as raised:
        poor.executes(Program(0o755, 0, 0, bytes.fromhex("0100000200200000" + "00" * 12)))
    assert raised.value.errno == errno.EPERM
