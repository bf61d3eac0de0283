# SPDX-License-Identifier: GPL-2.0-or-later
"""vudev: disks, partitions and other devices, made of files, memory and servers."""

from __future__ import annotations

from typing import Any, ClassVar

from pyview.api import Module
from pyview.modules.vudev.mbr import Mbr
from pyview.modules.vudev.nbd import Nbd
from pyview.modules.vudev.null import Null
from pyview.modules.vudev.qcow2 import Qcow2
from pyview.modules.vudev.ramdisk import RamDisk
from pyview.modules.vudev.ubd import Ubd


class Vudev(Module):
    types: ClassVar[dict[str, Any]] = {
        "vudevnull": Null,
        "vudevramdisk": RamDisk,
        "vudevmbr": Mbr,
        "vudevubd": Ubd,
        "vudevqcow2": Qcow2,
        "vudevnbd": Nbd,
    }
