# SPDX-License-Identifier: GPL-2.0-or-later
"""Directory entries: what is packed is unpacked, and the kernel's own are read."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview import core
from pyview.abi import dirent

names = st.binary(min_size=1, max_size=255).map(lambda name: name.replace(b"\0", b"0"))
entries = st.lists(
    st.builds(
        dirent.Entry,
        names,
        st.integers(0, 2**64 - 1),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 255),
    ),
    max_size=5,
)


@given(entries)
def test_what_is_packed_is_unpacked(some):
    assert list(dirent.unpack(dirent.pack(some))) == some


@given(entries)
def test_the_old_form_has_the_same_in_it(some):
    old = list(dirent.unpack_old(dirent.pack_old(some)))
    assert [e._replace(offset=e.offset % 2**64) for e in some] == old


@given(names)
def test_every_entry_is_of_whole_words_and_ends_in_a_NUL(name):
    one = dirent.Entry(name, 1, 2, dirent.DT_DIR)
    for data, head in ((dirent.pack([one]), 19), (dirent.pack_old([one]), 18)):
        assert len(data) % 8 == 0
        assert data[head : head + len(name) + 1] == name + b"\0"
        assert int.from_bytes(data[16:18], "little") == len(data)
    assert dirent.pack_old([one])[-1] == dirent.DT_DIR


def test_the_kernels_own_entries_are_read_and_written(tmp_path):
    for name in ("file", "n" * 255, "\udcff"):
        (tmp_path / name).write_text("")
    (tmp_path / "sub").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        data = core.directory_entries(fd, 4096)
    finally:
        os.close(fd)
    found = {e.name: e for e in dirent.unpack(data)}
    assert set(found) == {b".", b"..", *map(os.fsencode, os.listdir(tmp_path))}
    assert found[b"sub"].inode == os.stat(tmp_path / "sub").st_ino
    assert found[b"sub"].kind in (dirent.DT_DIR, dirent.DT_UNKNOWN)
    again = dirent.pack(dirent.unpack(data))
    assert list(dirent.unpack(again)) == list(dirent.unpack(data))
    assert len(again) == len(data)


@pytest.mark.parametrize("unpack", [dirent.unpack, dirent.unpack_old])
def test_an_empty_buffer_has_no_entries(unpack):
    assert list(unpack(b"")) == []
