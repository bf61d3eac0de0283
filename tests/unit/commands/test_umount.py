# SPDX-License-Identifier: GPL-2.0-or-later
"""umount in a view: ours, or the system's."""

from __future__ import annotations

import pytest

from pyview.cli import main


def test_ours_and_the_systems_in_one_line(inside, core, became):
    assert main(["mount", "--bind", "/usr", "/u"]) == 0
    with pytest.raises(became) as caught:
        main(["umount", "-l", "/u", "/nosuch"])
    assert caught.value.argv[1:] == ["-l", "/nosuch"]
    assert core.view.top("/u") is None


def test_ours_alone(inside, core):
    main(["mount", "--bind", "/usr", "/u"])
    assert main(["umount", "/u"]) == 0


@pytest.mark.parametrize("arguments", [[], ["-a"], ["/nosuch"], ["-h"]])
def test_the_systems_alone(inside, became, arguments):
    with pytest.raises(became) as caught:
        main(["umount", *arguments])
    assert caught.value.argv[1:] == arguments


def test_outside_a_view_it_is_the_systems(became):
    with pytest.raises(became):
        main(["umount", "/u"])
