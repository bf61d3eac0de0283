# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket addresses that name files; the oracle is a socket."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyview.abi.sockaddr import PATH_SIZE, unix_address, unix_name

names = st.binary(min_size=1, max_size=PATH_SIZE).map(lambda name: name.replace(b"\0", b"0"))


@given(names)
def test_an_address_names_its_file(name):
    data = unix_address(name)
    assert unix_name(data) == name
    assert len(data) == 2 + min(len(name) + 1, PATH_SIZE)


@given(names, st.binary(max_size=20))
def test_what_follows_the_NUL_does_not_matter(name, rest):
    data = unix_address(name)
    if data.endswith(b"\0"):
        assert unix_name(data + rest) == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        b"\1\0",
        b"\1\0\0",
        b"\1\0\0abstract",
        b"\2\0\0\x50\x7f\0\0\1" + bytes(8),
        b"\0\1/tmp/x",
    ],
)
def test_what_names_no_file(data):
    assert unix_name(data) is None


def test_a_socket_has_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s", "x" * 107):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(name)
            assert one.getsockname() == unix_name(unix_address(name.encode())).decode()
