# SPDX-License-Identifier: GPL-2.0-or-later
"""What a finished run says: its Markdown tables, the limits that are exceeded, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import plan
import table
from measure import Bench


class Report:
    """The tables, the limits and the JSON of one finished run."""

    def __init__(
        self,
        bench: Bench,
        tables: Sequence[plan.Table],
        starts: Sequence[plan.Start],
        median: bool,
        about: str,
    ) -> None:
        """`tables`: what to show; the run may have needed more.  `median`: else of minima."""
        self.bench, self.tables, self.starts, self.about = bench, tables, starts, about
        self.ratio = table.median_ratio if median else table.ratio_of_minima

    def ratios(self) -> dict[str, dict[str, float]]:
        """{column: {row: times native}}, and {"start": {start-up: times python3}}."""
        found: dict[str, dict[str, float]] = {}
        for (row, column), cell in self.bench.cells.items():
            if native := self.bench.cells.get((row, "native")):
                found.setdefault(column, {})[row] = self.ratio(cell, native)
        if python := self.bench.starts.get("python"):
            found["start"] = {
                key: self.ratio(cell, python) for key, cell in self.bench.starts.items()
            }
        return found

    def markdown(self) -> str:
        ratios = self.ratios()
        parts = [self._table(one, ratios) for one in self.tables]
        if self.starts:
            lines = [["start-up", "time", "times `python3 -c pass`"]]
            for start in self.starts:
                cell = self.bench.starts.get(start.key)
                shown = [table.show_time(table.fastest(cell)) if cell else "-"]
                lines.append([start.label, *shown, _ratio(ratios.get("start", {}).get(start.key))])
            parts.append(table.markdown(lines))
        return "\n".join([*parts, f"{self.about}\n"])

    def _table(self, one: plan.Table, ratios: dict[str, dict[str, float]]) -> str:
        columns = [c for c in one.columns if c.key != "native"]
        lines = [[one.title, "native", *(column.label for column in columns)]]
        for row in one.rows:
            native = self.bench.cells.get((row.key, "native"))
            shown = [_ratio(ratios.get(column.key, {}).get(row.key)) for column in columns]
            lines.append(
                [row.label, table.show_time(table.fastest(native)) if native else "-", *shown]
            )
        return table.markdown(lines)

    def over_limits(self) -> list[str]:
        """One line for each ratio above its limit (plan.LIMITS)."""
        ratios = self.ratios()
        loops = ratios.get(plan.LOOP, {})
        over = []
        for column, limits in plan.LIMITS.items():
            for row, limit in limits.items():
                base = loops.get(row, 1.0) if row in plan.OF_DEVICES else 1.0
                times = ratios.get(column, {}).get(row, 0.0) / base
                if times > limit:
                    over.append(f"{column} {row}: {times:.2f}, limit {limit}")
        for (column, other), limits in plan.RELATIVE.items():
            for row, limit in limits.items():
                mine, theirs = (ratios.get(key, {}).get(row, 0.0) for key in (column, other))
                if theirs and mine / theirs > limit:
                    over.append(f"{column} {row}: {mine / theirs:.2f} times {other}, limit {limit}")
        return over

    def as_json(self) -> str:
        cells: dict[str, dict[str, list[list[float]]]] = {}
        for (row, column), cell in self.bench.cells.items():
            cells.setdefault(row, {})[column] = cell
        whole = {
            "about": self.about,
            "unit": "ns, rounds of repetitions",
            "cells": cells,
            "starts": self.bench.starts,
            "ratios": self.ratios(),
            "notes": list(self.bench.notes.values()),
        }
        return json.dumps(whole, indent=1) + "\n"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else table.show_ratio(ratio)
