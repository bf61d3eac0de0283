# SPDX-License-Identifier: GPL-2.0-or-later
"""vuumount."""

from __future__ import annotations

import pytest

from pyview.cli import main


@pytest.fixture
def bound(inside, core):
    assert main(["vumount", "-B", "/usr", "/u"]) == 0


def test_unmount(bound, core):
    assert main(["viewumount", "/u/."]) == 0
    assert core.view.top("/u") is None


def test_busy_lazy_missing(bound, core, capfd):
    core.busy_targets.add("/u")
    assert main(["vuumount", "/u"]) == 1
    assert main(["vuumount", "/nosuch"]) == 1
    assert main(["vuumount"]) == 2
    busy, missing, usage = capfd.readouterr().err.splitlines()
    assert busy == "vuumount: /u: Device or resource busy"
    assert missing == "vuumount: /nosuch: not mounted"
    assert usage.startswith("vuumount: unmount what?")
    assert main(["vuumount", "-lf", "/u"]) == 0
