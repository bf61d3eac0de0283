# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure pyview against native and against others' tools; print the tables for the README.

Every round runs every row in every column, one after the other and starting each time with another
column, so that whatever else the machine does hits all alike.  Each world is entered once; what is
timed is the command inside.  By default everything stays on one CPU: with two, a tracer that does
not follow its tracee pays the wake-up of the other CPU at each stop, or does not, by luck.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import disks
import layers
import plan
import table
from measure import Bench
from report import Report
from scratch import Scratch, UserError, ordinary_user

ROOT = Path(__file__).parent.parent
ROWS = "stat,open,read,write,getpid,fork,python,tar,git,find,findsize,make,start"
ROWS += ",pread4k,pread64k,pread1m,pwrite4k,ddread,ddwrite,mkfs,fsck,first"
COLUMNS = "native,pyview,unreal,through,mincow,proot,strace,bwrap,twostops"
COLUMNS += ",cowfs,overlay,fuse,loop,raw,mbr,cow,qcow2,mounted"


def main() -> int:
    """0; 1 when --check finds a ratio above its limit; 2 for wrong use."""
    options = parse()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})  # inherited by every world
    try:
        user = ordinary_user(options.user)
        readme = options.write.read_text() if options.write else ""
        if options.write:
            table.replace_block(readme, "")  # before the minutes of measuring, not after
    except (UserError, OSError, ValueError) as error:
        print(f"bench: {options.write or 'user'}: {error}", file=sys.stderr)
        return 2

    with Scratch(user) as scratch, ExitStack() as stack:
        report = measure(options, scratch, stack)
    print(report.markdown())
    for note in report.bench.notes.values():
        print(f"bench: {note}", file=sys.stderr)
    over = report.over_limits()
    for line in over:
        print(f"bench: over its limit: {line}", file=sys.stderr)
    if options.json:
        options.json.write_text(report.as_json())
    if options.write:
        options.write.write_text(table.replace_block(readme, report.markdown()))
    return 1 if over and options.check else 0


def measure(options: argparse.Namespace, scratch: Scratch, stack: ExitStack) -> Report:
    """Make what the rows need, run the rounds, and report."""
    size = plan.QUICK if options.quick else plan.FULL
    milliseconds = 50 if options.quick else 100
    here = plan.Table(plan.TITLE, plan.rows(scratch, size, milliseconds), plan.columns(scratch))
    every = [
        here,
        layers.table(scratch, size, here),
        disks.table(scratch, milliseconds, here),
    ]
    tables = [one for table in every if (one := table.asked(options.rows, options.columns)).rows]
    starts = plan.starts(scratch, here.columns) if "start" in options.rows else []
    needed = {"native", *(start.inside for start in starts)}
    columns = {column.key: column for column in here.columns if column.key in needed}
    columns |= {column.key: column for one in tables for column in one.columns}
    rows = {row.key: row for one in tables for row in one.rows}

    scratch.build()
    # As it is installed: the ordinary user may not write the bytecode of another's checkout.
    compileall.compile_dir(ROOT / "pyview", quiet=1)
    if "git" in rows:
        scratch.make_git(size.git_files)
    if "make" in rows:
        scratch.make_project(size.make_files)
    large = layers.large_files(options.rounds) if "first" in rows else 0
    layers.make(scratch, list(columns), size, large)
    if any(one.title == disks.TITLE for one in tables):
        disks.make(scratch, [key for key, column in columns.items() if column.disk], size.includes)
    bench = Bench(scratch, list(columns.values()), stack)
    bench.run(list(rows.values()), starts, options.rounds)
    return Report(bench, tables, starts, options.median, about(options))


def about(options: argparse.Namespace) -> str:
    """The sentence under the tables: how, where and when."""
    how = "median of the rounds' ratios of medians" if options.median else "ratio of the minima"
    cpus = "everything on one CPU" if options.cpu is not None else "on any CPU"
    return (
        f"Lower is better; {how} of {options.rounds} interleaved rounds (fewer of the slow rows), "
        f"{cpus}, as an ordinary user; Linux {platform.release()}, {cpu_name()}, "
        f"{os.cpu_count()} CPUs, {time.strftime('%Y-%m-%d')}."
    )


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="pyview's speed in ratios to native")
    add = parser.add_argument
    add("--rows", type=some_of(ROWS), default=ROWS, help=f"some of {ROWS}")
    add("--columns", type=some_of(COLUMNS), default=COLUMNS, help=f"some of {COLUMNS}")
    add("--rounds", type=int, help="interleaved rounds (9; with --quick 7)")
    add("--quick", action="store_true", help="smaller inputs and fewer rounds: a minute or two")
    add("--median", action="store_true", help="ratios of medians (else of minima)")
    add("--cpu", type=one_cpu, default="last", help="a number, last (default), or any: not pinned")
    add("--user", help="as root: run commands as this user (pyview-test, SUDO_USER or nobody)")
    add("--json", type=Path, metavar="FILE", help="also write everything that was measured")
    add("--write", type=Path, metavar="README", help=f"replace what is after {table.BEGIN}")
    add("--check", action="store_true", help="exit status 1 when a ratio is above its limit")
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 7 if options.quick else 9
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def some_of(known: str) -> Callable[[str], list[str]]:
    """A parser for a list such as `stat,open`, of keys that are in the list `known`."""

    def split(text: str) -> list[str]:
        keys = text.split(",")
        if unknown := [key for key in keys if key not in known.split(",")]:
            raise argparse.ArgumentTypeError(f"{unknown[0]}: not one of {known}")
        return keys

    return split


def one_cpu(text: str) -> int | None:
    mine = os.sched_getaffinity(0)
    if text == "any":
        return None
    if text == "last":
        return max(mine)
    if not text.isdecimal() or int(text) not in mine:
        raise argparse.ArgumentTypeError(f"{text}: not last, any or one of {sorted(mine)}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
