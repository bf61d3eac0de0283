# SPDX-License-Identifier: GPL-2.0-or-later
"""A lower tree, its copy and an upper, for every test of this directory."""

from __future__ import annotations

import pytest
from stage import Stage, furnish


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path)
    furnish(made.host)
    made.start()
    return made
