# SPDX-License-Identifier: GPL-2.0-or-later
"""proc's lists of mounts with a view's own."""

from __future__ import annotations

import os

import pytest

from pyview.api import Tree, attributes
from pyview.mountlist import told
from pyview.view import Past, View

KERNELS = """\
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
21 20 0:5 / /dev rw,nosuid - devtmpfs udev rw,size=4k
22 21 0:24 / /dev/shm rw - tmpfs tmpfs rw
30 20 8:2 /sub /tmp rw,noatime - xfs /dev/sdb\\0401 rw
31 20 8:2 / /tmp rw - xfs top rw
not a line
"""


class Odd(Tree):
    """A virtual tree."""

    def lstat(self, path):
        return attributes(0o40755)


class Gone(Tree):
    """One that can't be asked."""


@pytest.fixture
def view():
    view = View(3)
    view.mount("/unreal", view.now(), kind="unreal")
    view.mount("/srv a\\b", Odd(), source="x\ty", kind="odd", options="ro,size=4M")
    view.mount("/srv a\\b/c", Gone(), kind="gone")
    return view


def lines(view, kind="mountinfo"):
    return told("", view, kind, KERNELS).splitlines()


def test_a_views_mounts_stand_below_their_parents(view):
    device = os.stat("/").st_dev
    here = f"{os.major(device)}:{os.minor(device)}"
    assert lines(view) == [
        f"1000001 20 {here} / /unreal rw - unreal none rw",
        "1000002 20 0:262146 / /srv\\040a\\134b ro - odd x\\011y ro,size=4M",
        "1000003 1000002 0:0 / /srv\\040a\\134b/c rw - gone none rw",
    ]


def test_the_other_lists_say_the_same(view):
    assert lines(view, "mounts")[:2] == [
        "none /unreal unreal rw 0 0",
        "x\\011y /srv\\040a\\134b odd ro,size=4M 0 0",
    ]
    assert lines(view, "mountstats")[1:] == [
        "device x\\011y mounted on /srv\\040a\\134b with fstype odd",
        "device none mounted on /srv\\040a\\134b/c with fstype gone",
    ]


def test_the_kernels_lines_stay_as_they_are(view):
    assert told("theirs\n", View(), "mounts", KERNELS) == "theirs\n"
    assert told("theirs\n", view, "mounts").startswith("theirs\nnone /unreal")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("/", "/again", "20 {} / /again rw - ext4 /dev/sda1 rw,errors=remount-ro"),
        (
            "/usr",
            "/dev/shm/usr",
            "22 {} /usr /dev/shm/usr rw - ext4 /dev/sda1 rw,errors=remount-ro",
        ),
        ("/tmp", "/t", "20 {} / /t rw - xfs top rw"),
    ],
)
def test_a_bind_mount_shows_what_it_shows_again(source, target, said):
    view = View()
    view.mount(target, Past(view, 0, source), source=source, kind="none", options="bind")
    device = os.stat(source).st_dev
    shown = said.format(f"{os.major(device)}:{os.minor(device)}")
    assert lines(view) == [f"1000001 {shown}"]


def test_a_bind_mount_within_a_views_mount(view):
    view.mount("/m", view.now(), source="/unreal/etc", kind="none", options="bind")
    assert lines(view)[-1].endswith(" /etc /m rw - unreal none rw")


def test_one_mount_over_another_is_its_child():
    view = View()
    view.mount("/a", view.now(), kind="one")
    view.mount("/a", view.now(), kind="two")
    view.mount("/", view.now(), kind="three")
    parents = [line.split()[:2] for line in lines(view)]
    assert parents == [["1000001", "20"], ["1000002", "1000001"], ["1000003", "20"]]


def test_a_module_gives_its_mounts_their_type():
    view = View()
    view.mount("/a", view.now()).owner = type("Loaded", (), {"name": "mine"})()
    assert lines(view, "mounts") == ["none /a mine rw 0 0"]


def test_what_comes_with_a_mount_is_not_listed():
    view = View()
    first = view.mount("/a", Odd())
    view.mount("/b", Odd()).leader = first
    assert len(lines(view)) == 1
