# SPDX-License-Identifier: GPL-2.0-or-later
"""vudev: disks, partitions and other devices, made of files, memory and servers."""

from __future__ import annotations

from typing import Any, ClassVar

from pyview.api import Module


class Vudev(Module):
    types: ClassVar[dict[str, Any]] = {
        "vudevnull": "pyview.modules.vudev.null:Null",
        "vudevramdisk": "pyview.modules.vudev.ramdisk:RamDisk",
        "vudevmbr": "pyview.modules.vudev.mbr:Mbr",
        "vudevubd": "pyview.modules.vudev.ubd:Ubd",
        "vudevqcow2": "pyview.modules.vudev.qcow2:Qcow2",
        "vudevnbd": "pyview.modules.vudev.nbd:Nbd",
    }
