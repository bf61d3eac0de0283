# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/plan.py and bench/disks.py: what is measured where, and on which disks."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    """The module bench/run.py, which has imported the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        yield importlib.import_module("run")
    for path in BENCH.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def tables(run) -> list[Any]:
    scratch = SimpleNamespace(
        root=Path("/scratch"), python="/usr/bin/python3", identity={"user": 1, "group": 2}
    )
    rows, columns = run.plan.rows(scratch, run.plan.QUICK, 50), run.plan.columns(scratch)
    here = run.plan.Table(run.plan.TITLE, rows, columns)
    layers = run.layers.table(scratch, run.plan.QUICK, here)
    return [here, layers, run.disks.table(scratch, 50, here)]


def asked(tables, rows, columns) -> list[tuple[list[str], list[str]]]:
    """Keys of rows and columns of each table."""
    kept = [one.asked(rows.split(","), columns.split(",")) for one in tables]
    return [([r.key for r in one.rows], [c.key for c in one.columns]) for one in kept]


def test_the_options_know_every_row_and_column(run, tables) -> None:
    rows = dict.fromkeys(row.key for one in tables for row in one.rows)
    columns = dict.fromkeys(column.key for one in tables for column in one.columns)
    assert sorted(run.ROWS.split(",")) == sorted([*rows, "start"])
    assert ",".join(columns) == run.COLUMNS


def test_every_row_is_measured_in_columns_of_its_table(tables) -> None:
    for one in tables:
        keys = [column.key for column in one.columns]
        for row in one.rows:
            assert row.columns[0] == keys[0] == "native"
            assert len(set(keys).intersection(row.columns)) > 1
            assert one is tables[0] or set(keys).intersection(row.columns) - {"native", "mincow"}


def test_every_limit_is_of_something_measured(run, tables) -> None:
    cells = {(c, r.key) for one in tables for r in one.rows for c in r.columns}
    no_such = {("qcow2", key) for key in ("pwrite4k", "ddwrite", "mkfs")}  # it is read only
    for column, limits in run.plan.LIMITS.items():
        if column != "start":
            assert {(column, row) for row in limits} - no_such <= cells
    for pair, limits in run.plan.RELATIVE.items():
        assert {(column, row) for column in pair for row in limits} <= cells


def test_every_column_has_its_own_disks(tables) -> None:
    rows = {row.key: row for row in tables[2].rows}
    columns = {column.key: column for column in tables[2].columns}
    shown = {key: rows["mkfs"].argv(column)[1:] for key, column in columns.items()}
    assert shown == {
        "native": ["-F", "/scratch/native/c"],
        "loop": ["-F", "/scratch/loop/c"],
        "raw": ["-F", "/dev/hdc"],
        "mbr": ["-F", "/dev/hdc1"],
        "cow": ["-F", "/dev/hdc"],
        "qcow2": ["-F", "/dev/hdc"],
        "mounted": ["-F", "/scratch/mounted/c"],
    }
    assert rows["pread64k"].argv(columns["mbr"])[1:] == ["pread", "/dev/hda1", "50", "65536"]


def test_a_row_and_a_column_that_would_be_empty_are_left_out(tables) -> None:
    assert asked(tables, "stat,read,mkfs", "native,raw,qcow2") == [
        ([], []),
        ([], []),
        (["mkfs"], ["native", "raw"]),
    ]
    assert asked(tables, "stat,read,mkfs", "pyview,mounted") == [
        (["stat", "read"], ["pyview"]),
        ([], []),
        (["mkfs", "read"], ["mounted"]),
    ]
    assert asked(tables, "stat,first", "native,cowfs") == [
        ([], []),
        (["stat", "first"], ["native", "cowfs"]),
        ([], []),
    ]


def test_native_alone_is_shown_when_nothing_else_is_asked_for(tables) -> None:
    assert asked(tables, "read", "native") == [(["read"], ["native"])] * 3


def test_each_first_write_has_a_file_of_its_own(run, tables, monkeypatch, tmp_path) -> None:
    first = {row.key: row for row in tables[1].rows}["first"]
    columns = {column.key: column for column in tables[1].columns}
    for rounds in range(1, 12):
        times = sum(number % first.every == 0 for number in range(rounds))
        assert run.layers.large_files(rounds) == times
    assert first.argv(columns["native"])[1:] == ["copy", "/scratch/large"]
    assert first.argv(columns["overlay"])[1:] == ["first", "/scratch/large"]


@pytest.mark.needs("cc")
def test_a_first_write_is_one_byte_of_the_next_file(tmp_path) -> None:
    calls, large = tmp_path / "calls", tmp_path / "large"
    subprocess.run(["cc", "-o", calls, BENCH / "calls.c"], check=True)
    large.mkdir()
    for number in range(2):
        (large / str(number)).write_bytes(b"abc")
    for done in (1, 2):
        for row in ("copy", "first"):
            said = subprocess.run([calls, row, large], capture_output=True, check=True)
            assert float(said.stdout) > 0
        contents = [(large / str(number)).read_bytes() for number in range(2)]
        assert contents == [b"xbc"] * done + [b"abc"] * (2 - done)
    assert subprocess.run([calls, "first", large], capture_output=True).returncode == 1


@pytest.mark.needs("mkfs.ext4", "sfdisk", "qemu-img")
def test_the_disks_have_equal_content(run, monkeypatch) -> None:
    disks = run.disks

    def said(name: str, *arguments: object) -> str:
        argv = [run.plan.found(name), *map(str, arguments)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    monkeypatch.setattr(disks, "IMAGES", dict.fromkeys(disks.IMAGES, 4))
    with run.Scratch(run.ordinary_user(None)) as scratch:
        disks.make(scratch, ["native", "mbr", "cow", "qcow2", "mounted"], "/usr/include/linux/can")
        for letter in disks.IMAGES:
            image = (scratch.root / "images" / letter).read_bytes()
            assert len(image) == 4 << 20
            for key in ("native", "cow", "mounted"):
                assert (scratch.root / key / letter).read_bytes() == image
            disk = scratch.root / "mbr" / letter
            assert disk.read_bytes()[1 << 20 :] == image
            assert f"{disk}1 : start=        2048, size=        8192" in said("sfdisk", "-d", disk)
            said(
                "qemu-img",
                "compare",
                scratch.root / "images" / letter,
                scratch.root / "qcow2" / letter,
            )
        assert (scratch.root / "mounted" / disks.BESIDE).stat().st_size == 4 << 20
        checked = said("fsck.ext4", "-fn", scratch.root / "native" / disks.CHECKED)
        assert ": 11/" not in checked  # more files than an empty file system has
