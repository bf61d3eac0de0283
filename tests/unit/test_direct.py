# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct descriptors: which files can have one, and how the core learns of the last close."""

from __future__ import annotations

import os

import pytest

from pyview import direct
from pyview.api import File, Linear
from pyview.kernel import Kernel


class Disk(File):
    def __init__(self, found, slow=False):
        self.found, self.slow = found, slow

    def linear(self):
        return self.found


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(4096))
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_the_whole_of_a_file_is_direct_and_nothing_else(image, tmp_path):
    whole = Linear(image, 0, 4096, True)
    assert direct.whole(Disk(whole)) == whole
    assert direct.whole(Disk(None)) is None
    assert direct.whole(Disk(whole, slow=True)) is None
    for other in (Linear(image, 512, 3584, True), Linear(image, 0, 2048, True),
                  Linear(image, 0, -1, True)):  # fmt: skip
        assert direct.whole(Disk(other)) is None
    pipe, end = os.pipe()
    assert direct.whole(Disk(Linear(pipe, 0, 0, True))) is None
    os.close(pipe)
    os.close(end)


@pytest.mark.parametrize("access", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_an_open_file_is_known_to_be_open_until_its_last_descriptor_goes(image, access):
    fd, byte = direct.reopened(f"/proc/self/fd/{image}", access | os.O_APPEND)
    assert not os.get_inheritable(fd)
    other, elsewhere = direct.reopened(f"/proc/self/fd/{image}", os.O_RDONLY)
    assert byte != elsewhere
    copy = os.dup(fd)
    os.close(fd)
    assert direct.is_open(image, byte)
    os.close(copy)
    assert not direct.is_open(image, byte)
    assert direct.is_open(image, elsewhere)
    os.close(other)
    assert not direct.is_open(image, elsewhere)


def test_the_lock_of_an_image_leaves_room(image, tmp_path):
    file = Kernel().open(str(tmp_path / "image"), os.O_RDWR)
    file.lock(True)
    found = file.linear()._replace(size=4096)
    fd, byte = direct.reopened(f"/proc/self/fd/{found.fd}", os.O_RDWR)
    assert direct.is_open(found.fd, byte)
    os.close(fd)
    file.close()


def test_nobody_can_write_a_text():
    fd = direct.text(b"a\n")
    assert os.pread(fd, 9, 0) == b"a\n"
    for change in (lambda: os.pwrite(fd, b"b", 0), lambda: os.ftruncate(fd, 1)):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)


def test_a_closed_image_has_nothing_open(image):
    copy = os.dup(image)
    fd, byte = direct.reopened(f"/proc/self/fd/{copy}", os.O_RDWR)
    os.close(copy)
    assert not direct.is_open(copy, byte)
    os.close(fd)
