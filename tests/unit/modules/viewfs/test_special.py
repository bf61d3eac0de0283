# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices and FIFOs of the kernel's that stand for those of the upper."""

from __future__ import annotations

import os
import stat

from pyview.kernel import Kernel
from pyview.modules.viewfs.special import device_for, pipe_for
from pyview.modules.viewfs.upper import Inode, Upper


def test_a_device_is_the_kernels_with_its_numbers():
    null = Inode(stat.S_IFCHR | 0o600, 0, 0, os.makedev(1, 3))
    assert device_for(Kernel(), null) == "/dev/null"
    assert device_for(Kernel(), Inode(stat.S_IFBLK | 0o600, 0, 0, os.makedev(1, 3))) is None


def test_a_fifo_is_always_the_same(tmp_path):
    upper = Upper(Kernel().at(str(tmp_path)), str(tmp_path), "me")
    inode = Inode(stat.S_IFIFO | 0o600, 0, 0)
    inode.key = (1, 77)
    name = pipe_for(upper, inode)
    assert stat.S_ISFIFO(os.stat(name).st_mode)
    assert pipe_for(upper, inode) == name
    upper.close()
