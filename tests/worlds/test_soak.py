# SPDX-License-Identifier: GPL-2.0-or-later
"""A short form of tests/soak.py: some busy rounds, and the core is as small as before them."""

from __future__ import annotations

import pytest
import soak
from worlds.world import pyview_command


@pytest.mark.limit(200)
def test_after_busy_rounds_the_core_is_as_small_as_before(tmp_path, worlds):
    assert worlds
    assert soak.soak([pyview_command()], tmp_path, seconds=0, processes=0, each=100) == ""
