# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on names in a virtual tree: what the kernel answers for the same names is right."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import struct

import pytest
from playbook import NOW, play
from twins import Fd, Twins

from pyview.api import Tree, attributes
from pyview.api import refuse as error
from pyview.handlers.caller import AT_FDCWD, Ids
from pyview.openfile import O_PATH
from pyview.verdicts import Emulate, Opened

PLAN = {
    "file": b"0123456789",
    "other": b"x",
    "dir": None,
    "dir/inner": b"",
    "empty": None,
    "to_file": "file",
    "to_dir": "dir",
    "dangling": "none",
    "loop": "loop",
}
PLAIN = ("file", "dir", "empty", "to_file", "to_dir", "dangling", "loop", "none", "none/x", "file/x")
NAMES = (*PLAIN, *(f"{name}/" for name in PLAIN), "dir/.", "dir/..", "file/.", "empty/.",
         "empty/..", "none/.", "dir/../file", "to_dir/inner", ".", "..", "")  # fmt: skip
WORDS = [f"@/{name}" for name in NAMES]


@pytest.fixture
def twins(tmp_path):
    for name in ("plain", "shown"):
        (tmp_path / name).mkdir()
    made = Twins(str(tmp_path / "plain"), str(tmp_path / "shown"))
    made.plant(PLAN)
    yield made
    made.close()


def each(tmp_path, calls):
    """Make every one of these calls on twins of its own; what was answered differently."""
    wrong = []
    for number, (call, *args) in enumerate(calls):
        tops = [tmp_path / f"{side}{number}" for side in ("plain", "shown")]
        for top in tops:
            top.mkdir()
        made = Twins(*map(str, tops))
        made.plant(PLAN)
        try:
            if call == "open":
                made.open(*args)
            else:
                made.alike(call, *args)
            made.look_alike()
        except AssertionError as differs:
            wrong.append(f"{call}{args}: {str(differs)[:300]}")
        finally:
            made.close()
    return wrong


# -- opening -------------------------------------------------------------------------------------

R, W, RW, C, X, T = (
    os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC,
)  # fmt: skip
D, N, P = os.O_DIRECTORY, os.O_NOFOLLOW, O_PATH
FLAGS = (
    R, W, RW, R | T, W | T, C | W, C | R, C | X | W, C | W | T, D, D | W, N, N | W, N | D, P, P | N,
    P | D, P | N | D, C | N | W, C | X | N, P | C, P | C | X, os.O_APPEND | W,
)  # fmt: skip


@pytest.mark.parametrize("flags", FLAGS, ids=oct)
def test_open(tmp_path, flags):
    assert "\n".join(each(tmp_path, [("open", words, flags, 0o666) for words in WORDS])) == ""
