# SPDX-License-Identifier: GPL-2.0-or-later
"""The house stays in order: a test for every file, a licence line, names that say something."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "tests" / "unit"
SOURCES = sorted(
    file for file in (ROOT / "pyview").rglob("*.py") if file.stem not in ("__init__", "__main__")
)
CODE = sorted(
    file
    for folder in ("pyview", "csrc", "tests", "examples", "tools", "bench")
    for pattern in ("*.py", "*.c", "*.h", "*.sh")
    for file in (ROOT / folder).rglob(pattern)
)
# Files whose behaviour is that of real processes: where the tests that show it are.
ELSEWHERE: dict[str, str] = {}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"


def test_of(source: Path) -> Path:
    """Where the unit tests of one file of pyview/ are."""
    inside = source.relative_to(ROOT / "pyview")
    return UNIT / inside.with_name(f"test_{inside.name}")


test_of.__test__ = False  # pytest: it only looks like a test


def does_something(source: Path) -> bool:
    """False for a file of records and protocols: no function in it but __init__ has a body."""
    functions = [
        node
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name != "__init__"
    ]
    return any(
        not isinstance(step, ast.Expr | ast.Pass)
        for function in functions
        for step in function.body
    )


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("source", [*filter(does_something, SOURCES)], ids=named)
def test_every_file_has_its_unit_tests(source):
    other = ELSEWHERE.get(named(source))
    tests = ROOT / other if other else test_of(source)
    assert tests.is_file(), f"write {named(tests)}"


def test_unit_tests_are_of_files_that_exist():
    known = {test_of(source) for source in SOURCES} | {Path(__file__).resolve()}
    strays = set(UNIT.rglob("test_*.py")) - known
    assert not strays, f"of no file of pyview/: {sorted(map(named, strays))}"


@pytest.mark.parametrize("file", CODE, ids=named)
def test_a_file_names_its_licence_first_and_says_something_by_its_name(file):
    first_lines = file.read_text(encoding="utf-8").splitlines()[:2]
    if file.stat().st_size:
        assert any(SPDX in line for line in first_lines)
    assert file.stem not in NAMELESS


def test_one_door_to_C():
    """import-linter does not see an extension module, so this rule is here."""
    entering = re.compile(r"^\s*(from|import)\b.*\b_core\b", re.MULTILINE)
    doors = [file for file in SOURCES if entering.search(file.read_text(encoding="utf-8"))]
    assert doors == [ROOT / "pyview" / "core.py"]


def test_every_package_is_installed():
    with open(ROOT / "pyproject.toml", "rb") as file:
        told = tomllib.load(file)["tool"]["setuptools"]["packages"]
    inits = (ROOT / "pyview").rglob("__init__.py")
    assert sorted(told) == sorted(".".join(i.parent.relative_to(ROOT).parts) for i in inits)
