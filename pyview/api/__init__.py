# SPDX-License-Identifier: GPL-2.0-or-later
"""What a module author subclasses: Module, Tree, File, Device, Stack, Socket.

Operations are shaped like the ones of `os`; an error is `OSError(errno.X)`; an operation left out
answers ENOSYS.  Any other exception is logged with its traceback, the caller gets EIO, and the
view lives on.  Nothing here imports anything else of pyview, nor what is slow to import.
"""

from pyview.api.errors import if_it_fails, refuse
from pyview.api.files import ALWAYS, NOWHERE, ZEROES, Extent, File, Known, Linear, places
from pyview.api.module import Module, View
from pyview.api.networks import Socket, Stack
from pyview.api.overlays import Looks, Named, Overlay, Shown, Touch, Who
from pyview.api.trees import Device, Tree, attributes

__all__ = [
    "Module", "View",
    "Tree", "attributes", "Named",
    "File", "Linear", "Extent", "ZEROES", "NOWHERE", "places", "Known", "ALWAYS",
    "Device", "Stack", "Socket",
    "Overlay", "Who", "Shown", "Touch", "Looks",
    "refuse", "if_it_fails",
]  # fmt: skip
