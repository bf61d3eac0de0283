# SPDX-License-Identifier: GPL-2.0-or-later
"""What a descriptor is given when the file behind it is copied.

tests/worlds/test_viewfs_held.py has it from a program's side.
"""

from __future__ import annotations

import fcntl
import os
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.api import Overlay
from pyview.readers import Readers, _below, _Opened, locks
from pyview.view import Layer

FDINFO = """pos:\t0
flags:\t0100000
lock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF
lock:\t2: POSIX  ADVISORY  READ 4711 fe:00:123 3 7
lock:\t3: OFDLCK ADVISORY  READ -1 fe:00:123 0 EOF
"""


def test_locks_as_proc_tells_of_them(tmp_path):
    (tmp_path / "fdinfo").write_text(FDINFO)
    assert list(locks(str(tmp_path / "fdinfo"))) == [
        ("FLOCK", False, 0, -1), ("POSIX", True, 3, 7), ("OFDLCK", True, 0, -1),
    ]  # fmt: skip
    assert list(locks("/nonexistent")) == []


def test_offset_and_locks_go_along(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).write_bytes(b"0123456789")
    old, new = (os.open(tmp_path / name, os.O_RDONLY) for name in ("old", "new"))
    os.lseek(old, 4, os.SEEK_SET)
    fcntl.flock(old, fcntl.LOCK_SH)
    opened = _Opened(os.dup(old), os.dup(new), 0)
    opened.wanted = 2
    opened.ready()
    opened.done()
    assert os.read(new, 2) == b"45"
    opened.ready()  # once is enough
    assert os.read(new, 2) == b"67"
    other = os.open(tmp_path / "new", os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    opened.done()
    for fd in (old, new, other):
        os.close(fd)


def test_what_lies_below_an_overlay():
    """The lower is below all layers; what one keeps is below those over it."""
    one, other = Overlay(), Overlay()
    cover = SimpleNamespace(
        number=3, deeper=((8, "/up"),), layers=(Layer(one, ""), Layer(other, ""))
    )
    assert _below(cover, one) == [3, 8]
    assert _below(cover, other) == [3]


def test_a_file_that_nobody_has_open_changes_nothing(tmp_path):
    loop = SimpleNamespace(numbers={}, awaited=set(), calling=0)
    readers = Readers(loop)
    readers.follow(Overlay(), (1, 2), str(tmp_path / "copy"))
    readers.stopping(1)
    readers.free(1)
    assert not list(core.tasks())
