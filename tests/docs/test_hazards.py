# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/hazards.md: every hazard is there, and what is to show it exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DOCS = TESTS.parent / "docs"
ROW = re.compile(r"^\| H(\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
HAZARDS = ROW.findall((DOCS / "hazards.md").read_text())


def anchors(page: str) -> set[str]:
    """What a link may lead to, as forges make it of headings."""
    titles = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_104_and_each_is_shown_or_limited():
    assert [int(number) for number, _, _ in HAZARDS] == list(range(1, 105))
    for number, _, shown in HAZARDS:
        assert "`" in shown or "limits.md#" in shown, number


def test_the_tests_exist():
    named = [name for _, _, shown in HAZARDS for name in re.findall(r"`([\w/.:]+)`", shown)]
    assert len(named) > 150
    for name in named:
        path, _, function = name.partition("::")
        if "/" not in path:
            continue  # a module that is not there yet
        assert (TESTS / path).is_file(), name
        if function:
            assert f"def {function}(" in (TESTS / path).read_text(), name


def test_the_limits_exist():
    known = anchors("limits.md")
    for number, _, shown in HAZARDS:
        for anchor in re.findall(r"\(limits\.md#([\w-]+)\)", shown):
            assert anchor in known, number
