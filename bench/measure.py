# SPDX-License-Identifier: GPL-2.0-or-later
"""The measuring: worlds entered once, rows and start-ups run in them by interleaved rounds."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TypeVar

import plan
from scratch import Scratch
from world import World, WorldError

FRESH_STARTS = 3  # a round
START_SECONDS = 0.1  # a round, for those that are not fresh
Thing = TypeVar("Thing")


class Bench:
    """One run: the worlds, what was measured so far, and why something could not be.

    `cells` maps (row, column) to rounds of ns; `starts` maps a start-up's key likewise.
    """

    def __init__(self, scratch: Scratch, columns: Sequence[plan.Column], stack: ExitStack) -> None:
        """Enter every column's world; `stack` ends them.  Precondition: native is a column."""
        self.scratch = scratch
        self.columns = {column.key: column for column in columns}
        self.cells: dict[tuple[str, str], list[list[float]]] = {}
        self.starts: dict[str, list[list[float]]] = {}
        self.notes: dict[object, str] = {}
        self._stack = stack
        self._worlds: dict[str, World] = {}
        self._expected: dict[str, tuple[int, int]] = {}
        for column in columns:
            if column.enter is None:
                self.notes[column.key] = f"{column.label}: not installed"
                continue
            try:
                self._worlds[column.key] = stack.enter_context(
                    World(column.enter, scratch, root=column.root)
                )
            except WorldError as error:
                self.notes[column.key] = f"{column.label}: {error}"

    def run(self, rows: Sequence[plan.Row], starts: Sequence[plan.Start], rounds: int) -> None:
        """Fill the cells, after a native round that only warms caches."""
        for row in rows:
            self._one_cell(row, "native", warm_up=True)
        for number in range(rounds):
            began = time.monotonic()
            for row in rows:
                if number % row.every == 0:
                    for key in _rotated(list(self.columns), number):
                        self._one_cell(row, key)
            for start in _rotated(starts, number):
                self._one_start(start)
            seconds = time.monotonic() - began
            print(f"bench: round {number + 1} of {rounds}: {seconds:.0f} s", file=sys.stderr)

    def _one_cell(self, row: plan.Row, key: str, *, warm_up: bool = False) -> None:
        """One round of one cell.  A cell that fails once is noted, emptied and not tried again.

        It fails unless it gives native's exit status and as many lines of complaint: a command
        that finds nothing to do would be fast.
        """
        if key not in self._worlds or key not in row.columns or (row.key, key) in self.notes:
            return
        column = self.columns[key]
        env = self.scratch.environment(column.prefix)
        try:
            times, status, errors = self._worlds[key].run(
                row.argv(column), column.prefix + row.cwd, env, row.stdout, row.seconds
            )
        except WorldError as error:
            self._give_up(column, f"{error} (at {row.label})")
            return
        if key == "native":
            self._expected[row.key] = (status, len(errors))
        if not times or (status, len(errors)) != self._expected.get(row.key):
            why = errors[-1] if errors else f"exit status {status}"
            self.notes[row.key, key] = f"{row.label}, {column.label}: {why}"
            self.cells.pop((row.key, key), None)
        elif not warm_up:
            self.cells.setdefault((row.key, key), []).append(times)

    def _give_up(self, column: plan.Column, why: str) -> None:
        """A world is gone: a column with half its rounds could not be compared, so drop it."""
        self.notes[column.key] = f"{column.label}: {why}"
        self._worlds.pop(column.key)
        for cell in [cell for cell in self.cells if cell[1] == column.key]:
            del self.cells[cell]

    def _one_start(self, start: plan.Start) -> None:
        """One round of one start-up; one that fails is noted, emptied and not tried again."""
        if start.argv is None or start.inside not in self._worlds or start.key in self.notes:
            return
        times: list[float] = []
        try:
            for _ in range(FRESH_STARTS if start.fresh else 1):
                times += self._time_start(start)
        except WorldError as error:
            self.notes[start.key] = f"{start.label}: {error}"
            self.starts.pop(start.key, None)
            return
        self.starts.setdefault(start.key, []).append(times)

    def _time_start(self, start: plan.Start) -> list[float]:
        """ns of each run; raises WorldError also when the command fails."""
        enter = self.columns[start.inside].enter
        assert start.argv is not None
        assert enter is not None
        seconds = 0.0 if start.fresh else START_SECONDS
        world = World(enter, self.scratch) if start.fresh else self._worlds[start.inside]
        try:
            times, status, errors = world.run(
                start.argv, self.scratch.root, self.scratch.environment(), "/dev/null", seconds
            )
        finally:
            if start.fresh:
                world.close()
        if status != 0:
            raise WorldError(errors[-1] if errors else f"exit status {status}")
        return times


def _rotated(things: Sequence[Thing], by: int) -> list[Thing]:
    by %= max(1, len(things))
    return [*things[by:], *things[:by]]
