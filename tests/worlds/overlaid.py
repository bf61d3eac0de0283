# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts in a directory that viewfs is mounted over, and what the host then has there."""

from __future__ import annotations

import os
from pathlib import Path

from worlds.world import World


def seen(directory: Path) -> dict[str, object]:
    """What the host has in a directory."""
    found: dict[str, object] = {}
    for where, directories, files in os.walk(directory):
        for name in directories + files:
            path = Path(where, name)
            st = path.lstat()
            content = path.read_bytes() if name in files and not path.is_symlink() else None
            found[str(path)] = (st.st_mode, st.st_ino, st.st_nlink, st.st_mtime_ns, content)
    return found


def inside(view: World, room: Path, script: str, how: str = "cow", target: str = "", **more):
    """Run a script where `room/up` is mounted over `room/low`, or over `target`."""
    target = target or f"{room}/low"
    mount = f"vu_insmod viewfs && mount -t viewfs -o {how} {room}/up {target} || exit 99\n"
    return view.run(mount + f"cd {target}\n" + script, cwd=room, timeout=120, **more)
