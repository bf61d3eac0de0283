# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes as the upper keeps them, and as they are shown."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pyview.modules.viewfs.labels import Kernels, names_in, value_in
from pyview.modules.viewfs.sidecar import Sidecar


@pytest.fixture(params=["the file system", "a log"])
def labels(request, tmp_path):
    """Two ways, which nobody can tell apart."""
    made = (
        Kernels() if request.param == "the file system" else Sidecar(str(tmp_path), read_only=False)
    )
    yield made
    made.close()


def test_the_two_ways_are_alike(labels, tmp_path):
    place = str(tmp_path / "file")
    with open(place, "w"):
        labels.born(place)
    labels.set(place, "user.a", b"one\n\0")
    labels.set(place, "user.view", b"f 644 0 0 0 0")
    labels.set(place, "user.view.x.security.b", b"")
    os.rename(place, place := place + "2")
    os.link(place, place + "3")
    fd = os.open(place + "3", os.O_RDONLY)
    assert labels.get(fd, "user.a") == labels.get(place, "user.a", follow=False) == b"one\n\0"
    assert names_in(labels, fd, stat.S_IFREG) == ["user.a", "security.b"]
    assert names_in(labels, fd, stat.S_IFSOCK) == []
    assert value_in(labels, place, stat.S_IFREG, "security.b") == b""
    for name in ("user.view", "user.none"):
        with pytest.raises(OSError) as caught:
            value_in(labels, place, stat.S_IFREG, name)
        assert caught.value.errno == errno.ENODATA
    for flags, name, number in ((1, "user.a", errno.EEXIST), (2, "user.c", errno.ENODATA)):
        with pytest.raises(OSError) as caught:
            labels.set(place, name, b"", flags)
        assert caught.value.errno == number
    labels.remove(fd, "user.a")
    with pytest.raises(OSError) as caught:
        labels.remove(fd, "user.a")
    assert caught.value.errno == errno.ENODATA
    os.close(fd)
