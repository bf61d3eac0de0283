# SPDX-License-Identifier: GPL-2.0-or-later
"""One `main` for all commands: chooses by the name it was called by, and turns failures into lines.

Imports next to nothing: every vu_* command starts here.
"""

from __future__ import annotations

import os
import sys

from pyview.commands import Failure, warn
from pyview.control import NotInView

#: name typed -> file in pyview/commands.  view-os' names, VUOS' names, and ours.
COMMANDS = {
    "pyview": "pyview",
    "vu_insmod": "vu_insmod",
    "um_add_service": "vu_insmod",
    "vu_rmmod": "vu_rmmod",
    "um_del_service": "vu_rmmod",
    "vu_lsmod": "vu_lsmod",
    "um_ls_service": "vu_lsmod",
    "vumount": "vumount",
    "viewmount": "vumount",
    "mount": "mount",
    "vuumount": "vuumount",
    "viewumount": "vuumount",
    "umount": "umount",
    "vuname": "vuname",
    "vuns": "vuns",
    "viewname": "vuname",
    "vudebug": "vudebug",
    "viewsu": "viewsu",
    "vusu": "viewsu",
    "viewsudo": "viewsudo",
    "sudo": "sudo",
    "vu_mkcow": "vu_mkcow",
    "vu_moo": "vu_moo",
    "vutry": "vutry",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command that argv[0] names (else `pyview`); its exit status."""
    argv = sys.argv if argv is None else argv
    program = os.path.basename(argv[0])
    if program not in COMMANDS:
        program = "pyview"
    module = __import__(f"pyview.commands.{COMMANDS[program]}", fromlist=["main"])
    try:
        status: int = module.main(program, argv[1:])
    except Failure as failure:
        warn(program, failure.text)
        return failure.status
    except NotInView:
        warn(program, "not in a view (start one with: pyview)")
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        name = error.filename
        name = os.fsdecode(name) if isinstance(name, str | bytes) else None
        warn(program, ": ".join(filter(None, (name, error.strerror or str(error)))))
        return 1
    return status
