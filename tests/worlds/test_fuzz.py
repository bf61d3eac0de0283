# SPDX-License-Identifier: GPL-2.0-or-later
"""Random system calls: in every world the same answers, and a view that outlives them.

By hand: PYVIEW_FUZZ_SEED=7 PYVIEW_FUZZ_CALLS=100000 pytest tests/worlds/test_fuzz.py -k unreal2
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from worlds.world import World

SEED = int(os.environ.get("PYVIEW_FUZZ_SEED", "1"))
CALLS = int(os.environ.get("PYVIEW_FUZZ_CALLS", "3000"))
WILD = int(os.environ.get("PYVIEW_FUZZ_WILD", os.environ.get("PYVIEW_FUZZ_CALLS", "10000")))
ROUND = 200  # calls that have a directory and a process of their own: fuzz_calls.c
RUNS = 60  # of the fuzzer, at most, to find what a difference takes
SECONDS = 30 + max(CALLS, WILD) // 50

Lines = list[str]
#: fuzz(WORLD, FIRST, COUNT, INDEXES): what some calls answer there.
Fuzz = Callable[[World, int, int, Sequence[int]], Lines]


@pytest.fixture
def fuzz(guest, tmp_path, world) -> Fuzz:
    """What is random is the same in every world; for emulation, its known limits are left out."""
    rooms = itertools.count()

    def run(where: World, first: int, count: int, only: Sequence[int] = ()) -> Lines:
        room = tmp_path / str(next(rooms))
        room.mkdir()
        words = [str(word) for word in (SEED, first, count, *only)]
        done = where.run(
            [where.path(guest("fuzz_calls")), *words],
            cwd=room,
            timeout=SECONDS,
            env={"CAREFUL": "1" if world.emulated else ""},
        )
        assert not done.stderr, done.stderr
        return done.stdout.splitlines()

    return run


def index_of(line: str) -> int | None:
    """Which call a line tells of; None when it tells of a round's end."""
    match = re.match(r"(\d+) ", line)
    return int(match[1]) if match else None


def first_difference(left: Lines, right: Lines) -> int | None:
    """Where two outputs differ first; None when they do not."""
    pairs = enumerate(itertools.zip_longest(left, right))
    return next((at for at, (ours, theirs) in pairs if ours != theirs), None)


def needed(differs: Callable[[Sequence[int]], bool], calls: list[int], runs: int) -> list[int]:
    """Some of the calls that still make the difference; leaves out what it can in so many runs."""
    pieces = 2
    while len(calls) > 1 and runs > 0:
        size = -(-len(calls) // pieces)
        for at in range(0, len(calls), size):
            fewer = calls[:at] + calls[at + size :]
            runs -= 1
            if runs >= 0 and differs(fewer):
                calls, pieces = fewer, max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(calls), pieces * 2)
    return calls


def explained(fuzz: Fuzz, native: World, world: World, left: Lines, right: Lines) -> str:
    """A difference with the calls it takes, and how to see it again."""
    at = first_difference(left, right)
    assert at is not None
    before = [index for line in left[: at + 1] if (index := index_of(line)) is not None]
    last = index_of(left[at]) if at < len(left) else None
    start = (before[-1] if before else 0) // ROUND * ROUND

    def both(only: Sequence[int]) -> tuple[Lines, Lines]:
        return fuzz(native, start, ROUND, only), fuzz(world, start, ROUND, only)

    def differs(some: Sequence[int]) -> bool:
        ours, theirs = both(sorted({*some, *([last] if last is not None else [])}))
        found = first_difference(ours, theirs)
        if found is None or found >= len(ours):
            return False
        return index_of(ours[found]) == last

    calls = needed(differs, [index for index in before if index >= start], RUNS)
    ours, theirs = both(calls)
    found = first_difference(ours, theirs)
    if found is None:
        return f"once only, at line {at}:\n  {left[at : at + 1]}\n  {right[at : at + 1]}"
    again = f"fuzz_calls {SEED} {start} {ROUND} {' '.join(map(str, calls))}"
    shown = "\n".join(ours[max(0, found - 20) : found])
    return f"{shown}\nnatively: {ours[found]}\nhere:     {theirs[found : found + 1]}\n  {again}"


@pytest.mark.limit(SECONDS + 60)
@pytest.mark.parametrize(
    "world", ["view", "loaded", "unreal", "unreal2", "child", "emulated"], indirect=True
)
def test_random_calls_on_files_answer_as_they_do_natively(fuzz, native, world):
    left, right = fuzz(native, 0, CALLS), fuzz(world, 0, CALLS)
    assert sum(index_of(line) is not None for line in left) == CALLS
    if left != right:
        pytest.fail(explained(fuzz, native, world, left, right))


@pytest.mark.limit(SECONDS + 20)
def test_a_view_outlives_any_call_of_its_programs(world, guest, tmp_path):
    """One program makes calls of any number with any arguments; another waits and then works."""
    (tmp_path / "room").mkdir()
    os.mkfifo(tmp_path / "go")
    (tmp_path / "text").write_text("as before\n")
    wild = world.path(guest("fuzz_wild"))
    script = (
        f"(read x <go; cat text; cd room; pwd; sh -c 'echo child') & cd room"
        f" && {wild} {SEED} 0 {WILD} && echo x >../go; status=$?; wait; exit $status"
    )
    done = world.run(script, cwd=tmp_path, timeout=SECONDS)
    lines = done.stdout.splitlines()
    assert re.match(r"\d+ processes, ", lines[0])
    assert lines[1:] == ["as before", world.path(tmp_path / "room"), "child"]
    assert "Traceback" not in done.stderr, done.stderr


def test_what_a_difference_takes_is_found():
    """needed() keeps those that matter, whichever they are."""
    for matters in ({3}, {0, 99}, {10, 11, 50}):
        found = needed(lambda calls, m=matters: m <= {*calls}, list(range(100)), 200)
        assert set(found) == matters


def test_what_the_fuzzer_leaves_behind_is_nothing(fuzz, native, tmp_path):
    fuzz(native, 0, ROUND)
    assert [list(Path(room).iterdir()) for room in tmp_path.iterdir()] == [[]]


def test_what_a_signal_follows_is_not_done_twice(passes):
    """Found by seed 3: a transfer that ends in EPIPE was made until there were no descriptors."""
    passes("broken_pipe")


def test_a_transfer_that_a_signal_cuts_short_closes_nothing(passes):
    passes("transfer_interrupted")


def test_a_check_of_a_program_does_not_execute_it(passes):
    passes("exec_check")
