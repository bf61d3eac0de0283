# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/table.py: the ratios and the Markdown that end in the README."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "bench" / "table.py"
spec = importlib.util.spec_from_file_location("bench_table", SOURCE)
assert spec is not None
assert spec.loader is not None
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)


def test_the_ratio_of_minima_ignores_slow_outliers() -> None:
    native = [[100.0, 900.0], [120.0]]
    assert table.ratio_of_minima([[5000.0], [210.0, 200.0]], native) == 2.0


def test_the_median_ratio_compares_within_each_round() -> None:
    native = [[10.0], [20.0], [1000.0]]  # the machine was busy in the third round
    cell = [[20.0], [40.0, 42.0, 38.0], [2000.0]]
    assert table.median_ratio(cell, native) == 2.0


def test_the_median_ratio_refuses_unequal_rounds() -> None:
    with pytest.raises(ValueError, match="longer"):
        table.median_ratio([[1.0]], [[1.0], [1.0]])


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (115.4, "115 ns"),
        (999.4, "999 ns"),
        (999.6, "1.00 µs"),
        (1090, "1.09 µs"),
        (14_300_000, "14.3 ms"),
        (999_600_000, "1.00 s"),
        (114_000_000, "114 ms"),
        (2.5e9, "2.50 s"),
    ],
)
def test_a_time_has_three_digits_and_a_unit(ns: float, shown: str) -> None:
    assert table.show_time(ns) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(1.0, "1.00"), (1.049, "1.05"), (2.996, "3.0"), (5.21, "5.2"), (9.96, "10"), (110.2, "110")],
)
def test_a_ratio_has_more_decimals_near_native(ratio: float, shown: str) -> None:
    assert table.show_ratio(ratio) == shown


def test_a_table_is_aligned_and_its_numbers_are_to_the_right() -> None:
    assert table.markdown([["row", "native"], ["open+close", "1.9 µs"], ["a", "-"]]) == (
        "| row        | native |\n"
        "| ---------- | -----: |\n"
        "| open+close | 1.9 µs |\n"
        "| a          |      - |\n"
    )


def test_only_what_is_between_the_marks_is_replaced() -> None:
    text = f"# A\n{table.BEGIN}\nold\n{table.END}\nB\n"
    once = table.replace_block(text, "\nnew\n")
    assert once == f"# A\n{table.BEGIN}\nnew\n{table.END}\nB\n"
    assert table.replace_block(once, "new") == once


@pytest.mark.parametrize(
    "text", ["", table.BEGIN, f"{table.END}{table.BEGIN}", f"{table.BEGIN}{table.BEGIN}{table.END}"]
)
def test_a_file_without_the_two_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="needs one"):
        table.replace_block(text, "new")
