# SPDX-License-Identifier: GPL-2.0-or-later
"""What an upper over a lower shows is what a plain copy with the same changes is."""

from __future__ import annotations

import os
import stat

import pytest
from stage import Stage, furnish
from uppers import Model, Native

from pyview.abi import upper
from pyview.trying.changes import walk
from pyview.trying.trees import Merged, Plain, Tree, Upper


def shown(tree: Tree) -> dict[bytes, tuple[object, ...]]:
    """Everything that can be asked of a tree."""
    found: dict[bytes, tuple[object, ...]] = {}
    for path, node in walk(tree, b""):
        data: object = None
        if node.kind == "f":
            with open(tree.content(path), "rb") as file:
                data = file.read()
            assert len(data) == node.size
        elif node.kind == "l":
            data = tree.target(path)
        elif node.is_dir:
            data = tree.names(path)
        mode = node.mode if node.kind != "l" else None
        xattrs = tree.xattrs(path) if node.kind in "fd" else {}
        found[path] = (node.kind, mode, node.uid, node.gid, data, xattrs)
    return found


CALLS = [
    ("append", "/f", b"more"), ("chmod", "/a", 0o700), ("rename", "/a", "/b/moved"),
    ("unlink", "/b/moved/f"), ("rename", "/b/moved/d", "/d"), ("mkdir", "/a"),
    ("write", "/a/f", b"new"), ("rmtree", "/d/e"), ("mkdir", "/d/e"), ("append", "/b/h", b"!"),
    ("symlink", "x", "/link"), ("unlink", "/l"), ("mkdir", "/l"),
    ("setxattr", "/g", "user.a", b"b"),
    ("mkfifo", "/p"), ("rename", "/g", "/f"),
]  # fmt: skip


def test_an_upper_over_a_lower(stage):
    for call in CALLS:
        assert stage.both(*call), call
        view, copy = stage.view(), Plain(os.fsencode(stage.copy))
        assert shown(view) == shown(copy), call
        view.close()


def test_a_name_through_a_file_is_none(stage):
    view = stage.view()
    assert view.look(b"f/x") is None
    assert view.names(b"f") == []
    assert view.look(b"nowhere/x") is None
    with pytest.raises(FileNotFoundError):
        view.content(b"nowhere")


def test_an_upper_over_an_upper(stage, tmp_path):
    for call in CALLS:
        assert stage.both(*call)
    middle, second = tmp_path / "middle", tmp_path / "second"
    os.system(f"cp -a {stage.copy} {middle}")
    second.mkdir()
    native, model = Native(str(stage.copy)), Model(str(middle), str(second))
    for call in [("unlink", "/d/f"), ("rename", "/b/moved", "/again"), ("append", "/f", b"2")]:
        getattr(native, call[0])(*call[1:])
        getattr(model, call[0])(*call[1:])
    view = Merged(Upper(os.fsencode(second)), stage.view())
    assert shown(view) == shown(Plain(os.fsencode(stage.copy)))
    view.close()


def test_uppers_made_by_hand_without_attributes(stage):
    """Real links, devices and modes count where nothing is recorded."""
    os.symlink("there", stage.upper / "l")
    (stage.upper / "f").write_bytes(b"hand")
    os.mknod(stage.upper / "g", stat.S_IFCHR, 0)
    empty = stage.upper / "a"
    empty.write_bytes(b"")
    os.setxattr(empty, upper.WHITEOUT, b"")
    view = stage.view()
    assert view.target(b"l") == b"there"
    assert view.look(b"g") is None
    assert view.look(b"a") is None
    assert b"a" not in view.names(b"")
    view.close()


def test_a_damaged_record_is_an_error_that_names_the_file(stage):
    (stage.upper / "f").write_bytes(b"")
    os.setxattr(stage.upper / "f", upper.RECORD, b"nonsense")
    view = stage.view()
    with pytest.raises(OSError, match="damaged") as caught:
        view.look(b"f")
    assert caught.value.filename.endswith(b"/upper/f")


@pytest.mark.needs("user")
def test_what_we_may_not_look_into_shows_nothing(stage):
    os.chmod(stage.host / "a", 0)
    plain = Plain(os.fsencode(stage.host))
    assert plain.names(b"a") == []
    assert plain.look(b"a/f") is None
    os.chmod(stage.host / "a", 0o755)


def test_deeper_than_a_name_can_be(tmp_path):
    stage = Stage(tmp_path)
    furnish(stage.host)
    stage.start()
    here = os.open(stage.upper, os.O_RDONLY)
    for _ in range(60):
        os.mkdir(b"d" * 100, dir_fd=here)
        inner = os.open(b"d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open(b"leaf", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
    os.close(here)
    path = b"/".join([b"d" * 100] * 60) + b"/leaf"
    view = stage.view()
    assert view.look(path).kind == "f"
    view.close()
    assert stage.commit().done
    plain = Plain(os.fsencode(stage.host))
    assert plain.look(path).kind == "f"
    plain.close()
    os.system(f"rm -rf {stage.host}/ddd*")
