# SPDX-License-Identifier: GPL-2.0-or-later
"""The layers' table: viewfs beside others that keep changes apart, each over the whole system.

The kernel's overlayfs and fuse-overlayfs are root's to mount: in a mount name space of their own,
entered with chroot(8) by the ordinary user.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from plan import LAYERS, Column, Row, Size, Table, enter, tool
from scratch import Scratch

TITLE = "layers: times native"
KEEPERS = ("cowfs", "overlay", "fuse")  # they copy what is written, whoever may write it
EVERY = 2  # rounds
#: $1 is the directory of this layer, $2 and $3 the user and group, the rest is the command.
WHERE = '-o "lowerdir=/,upperdir=$1/upper,workdir=$1/work{}" "$1/m"'
MOUNT = {
    "overlay": f"mount -t overlay overlay {WHERE.format('')}",
    "fuse": f"""fuse-overlayfs -f {WHERE.format(",allow_other")} &
until mountpoint -q "$1/m"; do kill -0 $! || exit 1; sleep .05; done""",
}
INSIDE = """set -e
{mount}
for name in proc dev sys; do mount --rbind "/$name" "$1/m/$name"; done
at=$1 user=$2:$3; shift 3
PATH=$PATH:/usr/sbin:/sbin
chroot --groups= --userspec="$user" "$at/m" "$@" || status=$?
umount -l "$at/m"
exit ${{status:-0}}
"""


def table(scratch: Scratch, size: Size, here: Table) -> Table:
    """The layers' table; from the main one, `here`, it has native, mincow and the rows for all."""
    shared = [row for row in here.rows if set(KEEPERS) & set(row.columns)]
    known = {column.key: column for column in here.columns}
    columns = [known["native"], known["mincow"], *layers(scratch)]
    return Table(TITLE, [*shared, first_write(scratch, size)], columns)


def first_write(scratch: Scratch, size: Size) -> Row:
    """One byte written to a file that is still the lower's, next to a plain copy of it."""
    home = str(scratch.root)

    def argv(column: Column) -> list[str]:
        return [f"{home}/calls", "copy" if column.key == "native" else "first", f"{home}/large"]

    label = f"first write, {size.large} MiB, times `cp`"
    return Row("first", label, argv, home, None, every=EVERY, columns=("native", *KEEPERS))


def large_files(rounds: int) -> int:
    """How many files are written to for the first time in so many rounds."""
    return (rounds + EVERY - 1) // EVERY


def layers(scratch: Scratch) -> list[Column]:
    """The columns that are this table's alone."""
    upper = f"{scratch.root}/cowfs"
    cow = enter(tool("pyview"), "-N", "-p", "viewfs", "-m", f"viewfs:{upper}:/:cow", "--")
    return [
        Column("cowfs", "viewfs, cow over /", cow),
        Column("overlay", "overlayfs (root)", _mounted(scratch, "overlay", "unshare"), root=True),
        Column(
            "fuse", "fuse-overlayfs (root)", _mounted(scratch, "fuse", "fuse-overlayfs"), root=True
        ),
    ]


def _mounted(scratch: Scratch, key: str, program: str) -> list[str] | None:
    """Into a mount of that kind; None when we may not or it is not here."""
    if os.geteuid() or not tool(program):
        return None
    script = INSIDE.format(mount=MOUNT[key])
    who = [str(scratch.identity["user"]), str(scratch.identity["group"])]
    return ["unshare", "--mount", "sh", "-c", script, "sh", f"{scratch.root}/{key}", *who]


def make(scratch: Scratch, keys: Sequence[str], size: Size, files: int) -> None:
    """The directories of the columns `keys`, and the files that are written to.

    Errors: subprocess.CalledProcessError, OSError.
    """
    for key in keys:
        if key in LAYERS:
            for name in ("upper", "work", "m"):
                scratch.command("mkdir", "-p", f"{key}/{name}" if key != "cowfs" else key)
    scratch.command("mkdir", "large")
    for number in range(files):
        scratch.command(
            *("dd", "if=/dev/urandom", f"of=large/{number}", "bs=1M", f"count={size.large}"),
            *("iflag=fullblock", "status=none"),
        )
    scratch.command("sync")
