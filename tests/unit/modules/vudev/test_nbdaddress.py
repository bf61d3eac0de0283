# SPDX-License-Identifier: GPL-2.0-or-later
"""What users write for an NBD server, and getting there."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from pyview.api import Tree
from pyview.kernel import Kernel
from pyview.modules.vudev.nbdaddress import Address, address, connect


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("nbd://host", ("host", 10809, "", "")),
        ("nbd://host/", ("host", 10809, "", "")),
        ("nbd://host:1234/disk", ("host", 1234, "", "disk")),
        ("nbd://user@host//disk", ("host", 10809, "", "/disk")),
        ("nbd://[::1]/a%20b", ("::1", 10809, "", "a b")),
        ("nbd://[::1]:99/%ff", ("::1", 99, "", "\udcff")),
        ("nbd+unix:///disk?socket=/run/s", ("", 0, "/run/s", "disk")),
        ("nbd+unix:///?a=b&socket=/run/a+b%20c", ("", 0, "/run/a+b c", "")),
        ("nbd+unix:///?socket=%00name", ("", 0, "\0name", "")),
        ("unix:/run/../run/s", ("", 0, "/run/s", "")),
        ("/run/s", ("", 0, "/run/s", "")),
        ("host:1", ("host", 1, "", "")),
        ("127.0.0.1:65535", ("127.0.0.1", 65535, "", "")),
        ("[::1]", ("::1", 10809, "", "")),
        ("[fe80::1]:5", ("fe80::1", 5, "", "")),
    ],
)
def test_addresses(source, found):
    assert address(source) == Address(*found)


@pytest.mark.parametrize(
    "source",
    ["none", "", "host", "host:", ":1", "host:0", "host:65536", "host:-1", "host:x", "unix:s",
     "nbd+unix:///disk", "nbd+unix:///?socket=s", "nbd://", "nbd://:1", "http://host/", "://",
     "nbd://[::1/", "unix://s", "[]"],
)  # fmt: skip
def test_what_is_no_address(source):
    with pytest.raises(OSError) as caught:
        address(source)
    assert caught.value.errno == errno.EINVAL
    assert caught.value.filename.startswith(source)


@pytest.mark.parametrize("source", ["nbds://host/", "nbds+unix:///?socket=/s"])
def test_there_is_no_TLS(source):
    with pytest.raises(OSError) as caught:
        address(source)
    assert (caught.value.errno, caught.value.filename) == (errno.EOPNOTSUPP, f"{source}: TLS")


def fails(source, below=None):
    with pytest.raises(OSError) as caught:
        connect(below or Kernel(), address(source), 5)
    return caught.value.errno, caught.value.filename


def test_what_stands_in_the_way_is_named(tmp_path):
    assert fails(f"{tmp_path}/s") == (errno.ENOENT, f"{tmp_path}/s")
    (tmp_path / "s").touch()
    assert fails(f"unix:{tmp_path}/s") == (errno.ECONNREFUSED, f"{tmp_path}/s")
    long = "/" + "x" * 120
    assert fails(long) == (errno.ENAMETOOLONG, long)
    assert fails("nbd://a.invalid./")[0] == errno.EHOSTUNREACH
    assert fails(f"nbd://{'a' * 80}/")[0] == errno.EHOSTUNREACH
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert fails(f"127.0.0.1:{port}") == (errno.ECONNREFUSED, f"127.0.0.1:{port}")


def test_the_name_of_a_socket_is_that_below_the_mount(tmp_path):
    class Moved(Tree):
        def real(self, path):
            return str(tmp_path) + path if path != "/virtual" else None

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        connect(Moved(), address("unix:/s"), 5).close()
    assert fails("/virtual", Moved()) == (errno.ENXIO, "/virtual")


def test_the_abstract_name_space():
    name = f"\0pyview-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        connect(Kernel(), address(f"nbd+unix:///?socket=%00{name[1:]}"), 5).close()


def test_TCP():
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = connect(Kernel(), address(f"127.0.0.1:{server.getsockname()[1]}"), 5)
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        link.close()
