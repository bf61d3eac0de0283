# SPDX-License-Identifier: GPL-2.0-or-later
"""A module is loaded while everybody is busy: the filter comes to each, and nobody notices."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

GUEST = Path(__file__).parents[1] / "guests" / "loading.py"


@pytest.mark.parametrize("attempt", range(3))
def test_who_sleeps_spins_forks_or_is_stopped_goes_on_and_sees_the_module(worlds, attempt):
    done = worlds["view"].run([sys.executable, str(GUEST)], timeout=40)
    assert done.stdout == "wrong:\n"


def test_who_sleeps_without_an_end_is_not_woken(worlds, guest, tmp_path):
    """A module is loaded while a call sleeps that the kernel does not take up again by itself."""
    script = """
        printf '#!/bin/sh\nvu_lsmod | grep -q unreal || exec vu_insmod unreal\n' >load
        chmod 755 load; exec "$1" ./load
    """
    worlds["view"].run(["sh", "-c", script, "sh", guest("undisturbed")], cwd=tmp_path)
