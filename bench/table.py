# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic and the Markdown of the benchmark.  Pure: no process, no file, no clock.

A *cell* is what was measured for one row in one column: a list of rounds, each a list of
nanoseconds.  Rounds are interleaved, so round n of one column stands beside round n of the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Cell = Sequence[Sequence[float]]

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"


def fastest(cell: Cell) -> float:
    """The smallest time of all rounds, in ns.  Precondition: no round is empty."""
    return min(min(one_round) for one_round in cell)


def ratio_of_minima(cell: Cell, native: Cell) -> float:
    """How many times `native` the fastest time is; hardly moved by other load on the machine."""
    return fastest(cell) / fastest(native)


def median_ratio(cell: Cell, native: Cell) -> float:
    """The median over rounds of (median of this round / median of native's same round).

    Precondition: both were measured in the same number of rounds.
    """
    pairs = zip(cell, native, strict=True)
    return statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs)


def show_time(ns: float) -> str:
    """Three significant digits with a unit: 115 ns, 1.09 µs, 14.3 ms, 2.50 s."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size * 0.9995:  # 999.6 ns rounds to 1.00 µs, not to 1000 ns
            return f"{_three_digits(ns / size)} {unit}"
    return f"{ns:.0f} ns"


def show_ratio(ratio: float) -> str:
    """Two decimals near native, where 0.05 matters; fewer where it does not: 1.04, 5.2, 24."""
    if ratio < 2.995:
        return f"{ratio:.2f}"
    return f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first line is its header, the first column is left-aligned."""
    header, *body = lines
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(t.rjust(w) for t, w in zip(line[1:], widths[1:], strict=True))]
        for line in (header, *body)
    ]
    padded.insert(1, rule)
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)


def replace_block(text: str, block: str) -> str:
    """`text` with what stands between the lines BEGIN and END replaced by `block`.

    Errors: ValueError unless each of the two marks is there once, in this order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"needs one {BEGIN} and after it one {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{block.strip()}\n{END}{after}"


def _three_digits(number: float) -> str:
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"
