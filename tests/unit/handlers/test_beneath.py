# SPDX-License-Identifier: GPL-2.0-or-later
"""openat2 with limits to its resolution: from a virtual directory the oracle is the kernel."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from playbook import play
from twins import Fd

from pyview.handlers.beneath import BENEATH, IN_ROOT, NO_SYMLINKS, NO_XDEV
from pyview.handlers.caller import AT_FDCWD
from pyview.verdicts import Done, Opened, Real, Redirect

NO_MAGICLINKS = 0x02
MAKES = os.O_CREAT | os.O_WRONLY


def how(flags=0, mode=0, resolve=0):
    return struct.pack("=QQQ", flags, mode, resolve)


@pytest.fixture
def twins(twins):
    twins.plant(
        {
            "file": b"0123456789", "dir": None, "dir/inner": b"inner", "dir/deep": None,
            "link": "file", "dir/up": "../file", "dir/out": "../../file", "dirs": "dir",
            "root": "/file", "loop": "loop", "none": "nothing", "slash": "dir/", "dir/top": "/",
        }
    )  # fmt: skip
    twins.open("@", os.O_RDONLY | os.O_DIRECTORY)
    twins.open("@/dir", os.O_RDONLY | os.O_DIRECTORY)
    return twins


def same(twins, fd, name, flags=0, resolve=0):
    """The same error in both, or none."""
    given = how(flags, 0o600 if flags & os.O_CREAT else 0, resolve)
    arguments = ("openat2", fd, name, bytearray(given), len(given))
    theirs = twins.kernel(*arguments).value
    if theirs >= 0:
        os.close(theirs)
    ours = twins.view_of(*arguments).value
    assert ours == min(0, theirs), (name, oct(flags), resolve)


NAMES = (
    "file", "dir", "dir/inner", "dir/../file", "dir/../../file", "../plain/file", "..", ".", "link",
    "dirs/inner", "dirs/up", "dir/up", "dir/out", "root", "loop", "loop/x", "none", "nothing",
    "file/", "dir/", "link/", "dirs/", "file/x", "nothing/x", "slash", "slash/inner",
    "dir/deep/../../file", "dir/top/file", "./dir/./inner", "dir//inner", "dir/.", "dir/..", "",
    "/file",
)  # fmt: skip


@pytest.mark.parametrize(
    "resolve", [BENEATH, IN_ROOT, NO_SYMLINKS | BENEATH, NO_SYMLINKS | IN_ROOT]
)
@pytest.mark.parametrize("fd", [Fd(0), Fd(1)])
def test_from_a_directory(twins, fd, resolve):
    for name in NAMES[: -1 if resolve & BENEATH else None]:
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY):
            same(twins, fd, name, flags, resolve)


@pytest.mark.parametrize("resolve", [BENEATH, IN_ROOT, BENEATH | NO_SYMLINKS])
@pytest.mark.parametrize(
    "name",
    ["new", "dir/new", "new/", "link", "none", "dir/../new", "../new", "dir/", "./", "loop/", "."],
)
@pytest.mark.parametrize("flags", [MAKES, MAKES | os.O_EXCL])
def test_what_is_made(twins, name, flags, resolve):
    if resolve == IN_ROOT and name == "../new":
        name = "../../new2"
    same(twins, Fd(0), name, flags, resolve)
    twins.look_alike()


@pytest.mark.parametrize("resolve", [NO_XDEV, NO_MAGICLINKS])
def test_without_links_names_may_lead_up(twins, resolve):
    for name in ("file", "dir/up", "dir/../file", "loop", "nothing"):
        same(twins, Fd(0), name, 0, resolve)
    for name in ("dir/../file", "file", "link", "dirs/inner"):
        same(twins, Fd(0), name, 0, NO_SYMLINKS)


def test_an_absolute_name_is_behind_its_mount(caller, number, tmp_path):
    (tmp_path / "link").symlink_to("file")
    words = f"/unreal/.{tmp_path}//link"
    call = ("openat2", AT_FDCWD, words, how(0, 0, NO_SYMLINKS), 24)
    verdict, asked = play(caller.calls(*call), 8)
    rest = words.removeprefix("/unreal/./")
    assert (verdict, asked) == (Done(), [Redirect({1: f"/{rest}\0".encode()})])
    assert caller.notes == [("mark", 8, number)]
    assert play(caller.calls("openat2", AT_FDCWD, "/etc", how(0, 0, NO_SYMLINKS), 24)) == (
        Real(), [],
    )  # fmt: skip


def test_an_absolute_name_is_not_beneath(caller):
    assert play(caller.calls("openat2", 5, "/unreal/etc", how(0, 0, BENEATH), 24)) == (Real(), [])


def test_an_absolute_name_in_a_virtual_tree(emulated):
    def opens(name, resolve):
        verdict, _ = play(emulated.calls("openat2", AT_FDCWD, name, how(0, 0, resolve), 24))
        assert isinstance(verdict, Opened)
        verdict.object.file.close()
        return verdict.object.rest

    assert opens("/e/file", NO_SYMLINKS) == "/file"
    with pytest.raises(OSError) as raised:
        opens("/e/link", NO_SYMLINKS)
    assert raised.value.errno == errno.ELOOP
    assert opens("/e/link", NO_XDEV) == "/file"
