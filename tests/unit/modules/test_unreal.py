# SPDX-License-Identifier: GPL-2.0-or-later
"""unreal: twice the whole tree, and not a third time."""

from __future__ import annotations

import errno
import os

import pytest

from pyview.api import Tree
from pyview.modules.unreal import Emulated, Unreal
from pyview.view import View


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/etc/passwd", "/etc/passwd"),
        ("/unreal/etc/passwd", "/etc/passwd"),
        ("/unreal/unreal/etc/passwd", "/etc/passwd"),
        ("/unreal", "/"),
        ("/unreal/unreal", "/"),
        ("/unreal/unreal/unreal", "/unreal"),  # which the kernel does not have: ENOENT
        ("/unrealistic", "/unrealistic"),
    ],
)
def test_names(path, real):
    view = View()
    Unreal().load(view)
    assert view.real(path) == real


# -- emulated ------------------------------------------------------------------------------------


@pytest.fixture
def emulated():
    view = View()
    Unreal(emulate=True).load(view)
    return view


def test_what_is_emulated_is_asked_of_the_tree(emulated, tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    for top in ("/unreal", "/unreal/unreal"):
        for name in ("", "/file", "/link", "/none", "/none/x", "/file/x"):
            assert emulated.real(f"{top}{tmp_path}{name}") is None
        mount, rest = emulated.find(f"{top}{tmp_path}/link")
        assert mount.tree.readlink(rest) == "file"
        mount, rest = emulated.find(f"{top}{tmp_path}/file")
        file = mount.tree.open(rest, os.O_RDONLY)
        assert file.pread(9, 0) == b"text"
        file.close()
    assert emulated.real("/unreal") is None
    assert emulated.real(str(tmp_path)) == str(tmp_path)


def test_what_only_the_kernel_can_be_stays_the_kernels(emulated, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in (f"{tmp_path}/pipe", "/proc", "/proc/self/maps", "/dev/null", "/sys"):
        assert emulated.real(f"/unreal{name}") == name
        assert emulated.real(f"/unreal/unreal{name}") == name
    assert emulated.real("/unreal/process") is None


def test_a_socket_is_where_it_really_is(emulated):
    mount, rest = emulated.find("/unreal/run/socket")
    assert mount.tree.socket(rest) == "/run/socket"


def test_every_operation_is_that_of_the_tree_below():
    class Below(Tree):
        def statvfs(self, path):
            return path

    made = Emulated(Below())
    assert made.statvfs("/x") == "/x"
    assert made.busy() is False
    assert made.unmounted() is None
    with pytest.raises(OSError) as raised:
        made.mkdir("/x", 0o700)
    assert raised.value.errno == errno.ENOSYS
