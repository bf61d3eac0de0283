# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: the rows, the columns, the start-ups, and the limits they must keep.

The disks' rows and columns are in disks.py.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scratch import PATH, Scratch

# GNU tar does not read files when its archive is /dev/null; /dev/zero swallows data as well.
SWALLOWS = "/dev/zero"
PROGRAMS = f"{PATH}:/usr/sbin:/sbin"  # where a row's program may be

TITLE = "times native"

# Keys of columns.
ELSEWHERE = (
    *("native", "pyview", "unreal", "through", "mincow", "proot", "strace", "bwrap", "twostops"),
)
LAYERS = ("cowfs", "overlay", "fuse")  # of the layers' table (layers.py)
LOOP = "loop"  # what root has; a device, which is asked for more than a file
MOUNTED = "mounted"  # a disk is mounted, but what is measured holds no descriptor of it


@dataclass(frozen=True, slots=True)
class Size:
    """How much the big rows work on."""

    includes: str
    usr: str
    git_files: int
    make_files: int
    large: int  # MiB


FULL = Size("/usr/include", "/usr", 10_000, 10, 256)
QUICK = Size("/usr/include/linux", "/usr/include", 2_000, 3, 32)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `argv(column)` is the command as typed in that column; its argv[0] is a path.  `seconds`:
    in each round it runs again and again for so long, at least once.  `every`: only each so
    many rounds, because one run takes long.  `columns`: the keys of those it is measured in.
    """

    key: str
    label: str
    argv: Callable[[Column], list[str]]
    cwd: str
    stdout: str | None = "/dev/null"
    seconds: float = 0.0
    every: int = 1
    columns: tuple[str, ...] = ELSEWHERE


@dataclass(frozen=True, slots=True)
class Column:
    """One way to run a command; `enter` is the command line that leads into it, None: not here.

    Its files are under `prefix`; its disks are `disk` with a letter for the braces.  `root`: it
    is entered by root, and becomes the ordinary user itself.
    """

    key: str
    label: str
    enter: list[str] | None
    prefix: str = ""
    disk: str = ""
    root: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """One line of the start-up table: `argv` timed in column `inside`.

    `fresh`: in a world of its own each time, entered before the clock starts.
    """

    key: str
    label: str
    argv: list[str] | None
    inside: str = "native"
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by columns, native first; `title` is the head of the first column."""

    title: str
    rows: list[Row]
    columns: list[Column]

    def asked(self, rows: Sequence[str], columns: Sequence[str]) -> Table:
        """What is left with these keys, without a row or a column that would be empty.

        Native alone fills no row, unless nothing else was asked for.
        """
        some = [column for column in self.columns if column.key in columns]
        keys = {column.key for column in some} & (set(columns) - {"native"} or {"native"})
        kept = [row for row in self.rows if row.key in rows and keys.intersection(row.columns)]
        filled = {key for row in kept for key in row.columns}
        return Table(self.title, kept, [column for column in some if column.key in filled])


# Times native, from the issues.  "write" stands under "read and write", writing 4k under "4k".
DEVICE: dict[str, float] = {
    **{"pread4k": 20, "pwrite4k": 20, "pread64k": 6},
    **{"pread1m": 3, "ddread": 3, "ddwrite": 3, "mkfs": 3},
}
LIMITS: dict[str, dict[str, float]] = {
    "pyview": {
        **dict.fromkeys(("stat", "open", "read", "write", "getpid"), 1.05),
        **dict.fromkeys(("tar", "git", "find", "findsize", "make"), 1.05),
        **dict.fromkeys(("fork", "python"), 1.25),
    },
    "unreal": {
        **{"stat": 9, "open": 5, "tar": 5, "git": 5, "findsize": 7, "make": 2, "python": 1.4},
        **{"read": 1.1, "write": 1.1, "getpid": 1.4},
    },
    # What nobody has touched: stat and open a fifth above unreal's limits.
    "mincow": {
        **{"stat": 10.8, "open": 6, "tar": 7, "git": 6, "findsize": 8.4, "make": 2.2},
        **{"python": 1.7, "read": 1.1, "write": 1.1, "getpid": 1.4},
    },
    "cowfs": {"git": 6, "make": 2.2, "read": 1.1, "write": 1.1, "first": 1.2},
    "through": {"stat": 14, "open": 9, "read": 1.05, "write": 1.05},
    **dict.fromkeys(("raw", "mbr", "cow", "qcow2"), DEVICE),
    MOUNTED: {"read": 1.05, "write": 1.05},
    "start": {"pyview": 3, "lsmod": 2, "insmod": 3},
}
# Rows whose programs ask a block device for what they don't ask a file: of the disks' table they
# are compared with a loop device, where there is one.
OF_DEVICES = ("mkfs", "fsck")
# Of one column in times another: what nobody has touched costs no more than through unreal.
RELATIVE: dict[tuple[str, str], dict[str, float]] = {
    ("mincow", "unreal"): {"stat": 1.2, "open": 1.2},
}


def rows(scratch: Scratch, size: Size, milliseconds: int) -> list[Row]:
    """Every row in the table's order.  `milliseconds`: for one round of one libc call."""
    home = str(scratch.root)

    def call(name: str, path: str) -> Callable[[Column], list[str]]:
        return lambda column: [
            f"{column.prefix}{home}/calls",
            name,
            column.prefix + path,
            str(milliseconds),
        ]

    def program(name: str, *arguments: str) -> Callable[[Column], list[str]]:
        path = found(name)
        return lambda column: [
            column.prefix + path,
            *(column.prefix + a if a[:1] == "/" else a for a in arguments),
        ]

    def written(column: Column) -> list[str]:
        """A layer would copy a file that others have written."""
        own = f"{home}/written" + (f"-{column.key}" if column.key in LAYERS else "")
        return call("write", own)(column)

    layers = (*ELSEWHERE, *LAYERS)
    plain = (*layers, MOUNTED)
    micro = [
        Row("stat", "stat", call("stat", f"{home}/data"), home, None, columns=layers),
        Row("open", "open+close", call("open", f"{home}/data"), home, None, columns=layers),
        Row("read", "read 4k", call("read", f"{home}/data"), home, None, columns=plain),
        Row("write", "write 4k", written, home, None, columns=plain),
        Row("getpid", "getpid", call("getpid", home), home, None),
        Row("fork", "fork+exec", call("fork", "/bin/true"), home, None),
    ]
    find = program("find", size.usr)
    find_sizes = program("find", size.usr, "-size", "+100000M")  # needs a stat of every file
    return [
        *micro,
        Row("python", "`python3 -c pass`", program("python3", "-c", "pass"), home, seconds=0.1),
        Row(
            "tar",
            f"`tar` of {size.includes}",
            program("tar", "cPf", "-", size.includes),
            home,
            SWALLOWS,
            seconds=0.3,
            every=2,
        ),
        Row(
            "git",
            f"`git status`, {size.git_files:,} files",
            program("git", "status"),
            f"{home}/git",
            seconds=0.3,
            columns=layers,
        ),
        Row("find", f"`find {size.usr}`", find, home, seconds=0.6, every=2),
        Row("findsize", f"`find {size.usr} -size`", find_sizes, home, seconds=1, every=3),
        Row(
            "make",
            f"`make` of {size.make_files} files",
            program("make", "-B", "-s"),
            f"{home}/project",
            seconds=0.8,
            columns=layers,
        ),
    ]


def columns(scratch: Scratch) -> list[Column]:
    """Every column in the table's order, native first."""
    pyview, proot, strace, bwrap = (tool(name) for name in ("pyview", "proot", "strace", "bwrap"))
    unreal = enter(pyview, "-N", "-p", "unreal", "--")
    upper = f"{scratch.root}/upper"
    mincow = enter(pyview, "-N", "-p", "viewfs", "-m", f"viewfs:{upper}:/:mincow", "--")
    return [
        Column("native", "native", [], disk=f"{scratch.root}/native/{{}}"),
        Column("pyview", "pyview, nothing loaded", enter(pyview, "-N", "--")),
        Column("unreal", "unreal loaded, real path", unreal),
        Column("through", "through /unreal", unreal, "/unreal"),
        Column("mincow", "viewfs, mincow over /", mincow),
        Column("proot", "PRoot", enter(proot)),
        Column(
            "strace",
            "strace --seccomp-bpf",
            enter(strace, "-f", "--seccomp-bpf", "-qq", "-e", "trace=reboot", "-o", "/dev/null"),
        ),
        Column("bwrap", "bwrap", enter(bwrap, "--dev-bind", "/", "/")),
        Column("twostops", "two stops a call", [str(scratch.root / "twostops")]),
    ]


def starts(scratch: Scratch, all_columns: list[Column]) -> list[Start]:
    """Every start-up in the table's order; the first is what the others are compared with."""
    true = shutil.which("true", path=PATH) or "/bin/true"
    plain = enter(tool("pyview"), true)
    foreign = [Start("pyview", "`pyview true`", plain)] + [
        Start(column.key, f"`{column.key} true`", [*column.enter, true] if column.enter else None)
        for column in all_columns
        if column.key in ("proot", "strace", "bwrap")
    ]
    lsmod, insmod = enter(_alias("vu_lsmod")), enter(_alias("vu_insmod"), "unreal")
    return [
        Start("python", "`python3 -c pass`", [scratch.python, "-c", "pass"]),
        *foreign[:1],
        Start("lsmod", "`vu_lsmod` in a view", lsmod, inside="unreal"),
        Start("insmod", "`vu_insmod unreal`", insmod, inside="pyview", fresh=True),
        *foreign[1:],
    ]


def found(name: str) -> str:
    """Where a row's program is; where it should be when it is not there."""
    return shutil.which(name, path=PROGRAMS) or f"/usr/bin/{name}"


def tool(name: str) -> str | None:
    """The program beside this Python (a virtual environment), else on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _alias(name: str) -> str | None:
    """What PATH gives inside a view: the package's own directory of commands."""
    import pyview

    found = Path(pyview.__file__).parent / "aliases" / name
    return str(found) if found.exists() else None


def enter(program: str | None, *options: str) -> list[str] | None:
    """The command line that leads into a world; None when the program is not here."""
    return [program, *options] if program else None
