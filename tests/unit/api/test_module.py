# SPDX-License-Identifier: GPL-2.0-or-later
"""A module, and what it imports with the api."""

from __future__ import annotations

import subprocess
import sys

import pytest
from operations import undocumented

from pyview import api


def test_a_module_does_nothing_by_itself():
    module = api.Module()
    assert module.types == {}
    assert module.load(None) is None
    assert module.unload(None) is None


def test_the_api_imports_nothing_else_of_pyview():
    code = "import sys; import pyview.api; print(*[m for m in sys.modules if 'pyview' in m])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = set(out.stdout.split())
    assert {"pyview", "pyview.api", "pyview.api.trees"} < names
    assert {name for name in names if not name.startswith("pyview.api")} == {"pyview"}


@pytest.mark.parametrize("kind", [api.Module, api.View])
def test_every_operation_says_what_it_is(kind):
    assert undocumented(kind) == []
