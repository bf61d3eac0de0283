# SPDX-License-Identifier: GPL-2.0-or-later
"""vumount: mount(8)'s syntax."""

from __future__ import annotations

import pytest

from pyview.cli import main
from pyview.commands.vumount import mount_words, parse


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-t T none /nosuch/t", ("", "T", "", "none", "/nosuch/t")),
        ("none -t T /nosuch/t -o a,b=1 -o c", ("", "T", "a,b=1,c", "none", "/nosuch/t")),
        ("-r -t T none /t", ("", "T", "ro", "none", "/t")),
        ("-t T -o ro,a none /t", ("", "T", "a,ro", "none", "/t")),
        ("-t T -o ro,rw none /t", ("", "T", "", "none", "/t")),
        ("-w -t T -o ro none /t", ("", "T", "", "none", "/t")),
        ("-B /etc /t", ("bind", "", "", "/etc", "/t")),
        ("--rbind /etc /t", ("bind", "", "", "/etc", "/t")),
        ("-o bind /etc/. /t/../u", ("bind", "", "", "/etc", "/u")),
        ("-M /t /u", ("move", "", "", "/t", "/u")),
        ("-o move /t /u", ("move", "", "", "/t", "/u")),
        ("-t T -o cow=/no/../c,x=./d none /t", ("", "T", "cow=/c,x=./d", "none", "/t")),
        ("-t T -o cow,cow= none /t", ("", "T", "cow,cow=", "none", "/t")),
        ("-t umfuseext2 -o rw+ /dev/null /mnt", ("", "umfuseext2", "rw+", "/dev/null", "/mnt")),
    ],
)
def test_words(arguments, expected):
    assert mount_words(parse("vumount", arguments.split())) == expected


def test_mount_and_list(inside, core, box, capfd):
    main(["vu_insmod", box])
    assert main(["vumount", "-t", "umbox", "-o", "size=3", "none", "/b"]) == 0
    assert main(["viewmount", "-B", "/usr", "/u"]) == 0
    assert main(["vumount", "-f", "-t", "vubox", "none", "/f"]) == 0
    assert capfd.readouterr().out == ""
    assert main(["vumount"]) == 0
    assert capfd.readouterr().out == "none on /b type vubox (size=3)\n/usr on /u type none (bind)\n"
    assert main(["vumount", "-l", "-t", "vubox,x"]) == 0
    assert capfd.readouterr().out == "none on /b type vubox (size=3)\n"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("-t nosuch none /x", 1),
        ("-B /nosuch/dir /x", 1),
        ("/x", 2),
        ("a b c", 2),
        ("a /x", 2),
        ("-t", 2),
    ],
)
def test_a_failure_is_not_zero_and_one_line(inside, core, capfd, arguments, status):
    assert main(["vumount", *arguments.split()]) == status
    assert capfd.readouterr().err.count("\n") == 1
    assert len(core.view.mounts) == 1
