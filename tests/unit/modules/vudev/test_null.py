# SPDX-License-Identifier: GPL-2.0-or-later
"""vudevnull is /dev/null under another name."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from pyview.abi import ioctl
from pyview.kernel import Kernel
from pyview.modules.vudev.null import Null


def test_it_does_what_dev_null_does():
    null = Null(Kernel(), "none")
    file = null.open("/", os.O_RDWR)
    with open("/dev/null", "r+b", 0) as real:
        assert file.pread(10, 5) == os.pread(real.fileno(), 10, 5)
        assert file.pwrite(b"abc", 1 << 40) == os.pwrite(real.fileno(), b"abc", 1 << 40)
        assert file.seek(9, os.SEEK_DATA) == os.lseek(real.fileno(), 9, os.SEEK_DATA)
    assert file.size() == 0
    assert null.busy()
    file.close()
    assert not null.busy()


def test_everybody_may_use_it():
    null = Null(Kernel(), "none")
    st = null.open("/", os.O_RDONLY).stat()
    assert stat.S_ISCHR(st.st_mode)
    assert stat.S_IMODE(st.st_mode) == 0o666


def test_it_may_look_like_a_disk():
    assert stat.S_ISBLK(Null(Kernel(), "none", block=True).lstat("/").st_mode)


def test_it_knows_no_ioctl():
    with pytest.raises(OSError) as caught:
        Null(Kernel(), "none").open("/", os.O_RDONLY).ioctl(ioctl.BLKGETSIZE64, b"")
    assert caught.value.errno == errno.ENOTTY
