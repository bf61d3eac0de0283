# SPDX-License-Identifier: GPL-2.0-or-later
"""Direct descriptors: of a whole block device, the kernel's own open file of the image.

What is read, mapped or synchronized then costs what it costs on the image itself.  What could tell
the difference, or write past the device's end, stops as on any other emulated descriptor.

The core keeps no copy, so it hears nothing of the last close.  A lock on a byte that no file has
tells whether the open file is still there: it goes with it (fcntl(2), F_OFD_SETLK).
"""

from __future__ import annotations

import fcntl
import os
import random
import stat
import struct

from pyview.api import File, Linear
from pyview.kernel import BEYOND

_FLOCK = struct.Struct("=hh4xqqi4x")
_SYNC = os.O_SYNC | os.O_DSYNC


def whole(file: File) -> Linear | None:
    """Where a device's bytes are, when they are all that a regular file has; else None."""
    found = None if file.slow else file.linear()
    if found is None or found.of is not None or found.start != 0 or found.size < 0:
        return None
    st = os.fstat(found.fd)
    return found if stat.S_ISREG(st.st_mode) and st.st_size == found.size else None


def reopened(found: Linear, flags: int) -> tuple[int, int]:
    """The file once more, as `flags` (O_*) want it: a descriptor of the core, the byte it locks.

    Errors: those of open(2); EAGAIN, EINVAL and ENOLCK of file systems without such locks.
    """
    access = flags & os.O_ACCMODE
    fd = os.open(f"/proc/self/fd/{found.fd}", access | flags & _SYNC | os.O_CLOEXEC)
    try:
        byte = BEYOND + random.getrandbits(61)
        kind = fcntl.F_WRLCK if access == os.O_WRONLY else fcntl.F_RDLCK
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    except BaseException:
        os.close(fd)
        raise
    return fd, byte


def is_open(fd: int, byte: int) -> bool:
    """Whether some open file of what the core's `fd` is open for has this byte locked."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
    except OSError:
        return False  # the image is closed
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
