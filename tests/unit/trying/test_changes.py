# SPDX-License-Identifier: GPL-2.0-or-later
"""What is found to be different, and what it is called."""

from __future__ import annotations

import os

import pytest

from pyview.trying import changes
from pyview.trying.changes import Change, chosen, compared, same_bytes, scan


def found(stage) -> dict[str, str]:
    return {os.fsdecode(c.path): c.kind for c in stage.changes()}


CASES = {
    "nothing": ([], {}),
    "written": ([("append", "/f", b"x")], {"f": "modified"}),
    "written as it was": ([("write", "/f", b"0\n")], {"f": "metadata"}),
    "new": ([("write", "/a/new", b"x"), ("mkdir", "/n")], {"a/new": "added", "n": "added"}),
    "gone": ([("unlink", "/f")], {"f": "deleted"}),
    "a tree gone": ([("rmtree", "/a")], {"a": "deleted"}),
    "made and gone again": ([("write", "/x", b""), ("unlink", "/x")], {}),
    "renamed": ([("rename", "/f", "/x")], {"x": "renamed"}),
    "renamed and back": ([("rename", "/f", "/x"), ("rename", "/x", "/f")], {}),
    "renamed over": ([("rename", "/f", "/g")], {"g": "renamed"}),
    "written and renamed": ([("append", "/f", b"x"), ("rename", "/f", "/x")], {"x": "renamed"}),
    "a tree renamed": ([("rename", "/a", "/x"), ("unlink", "/x/f")],
                       {"x": "renamed", "x/f": "deleted"}),
    "out of a tree that went": ([("rename", "/a/d", "/d"), ("rmtree", "/a")],
                                {"d": "renamed", "a": "deleted"}),
    "exchanged": ([("rename", "/f", "/t"), ("rename", "/g", "/f"), ("rename", "/t", "/g")],
                  {"f": "renamed", "g": "renamed"}),
    "permissions": ([("chmod", "/a/d", 0o700), ("chmod", "/f", 0o600)],
                    {"a/d": "metadata", "f": "metadata"}),
    "times": ([("utime", "/f", 5)], {"f": "metadata"}),
    "attributes": ([("setxattr", "/f", "user.mine", b"2")], {"f": "metadata"}),
    "a further name": ([("link", "/f", "/x")], {"x": "added"}),
    "one name of two written": ([("append", "/b/f", b"x")], {"b/f": "modified"}),
    "one name of two written and gone": ([("append", "/b/f", b"x"), ("unlink", "/b/f")], None),
    "file for directory": ([("rmtree", "/a"), ("write", "/a", b"x")], {"a": "modified"}),
    "directory for file": ([("unlink", "/f"), ("mkdir", "/f"), ("write", "/f/x", b"")],
                           {"f": "modified", "f/x": "added"}),
    "link for file": ([("unlink", "/f"), ("symlink", "g", "/f")], {"f": "modified"}),
    "link for directory": ([("rmtree", "/a"), ("symlink", "b", "/a")], {"a": "modified"}),
    "file for link": ([("unlink", "/l"), ("write", "/l", b"0\n")], {"l": "modified"}),
    "directory for link": ([("unlink", "/l"), ("mkdir", "/l")], {"l": "modified"}),
    "another link": ([("unlink", "/l"), ("symlink", "g", "/l")], {"l": "modified"}),
    "a directory anew": ([("rmtree", "/b/c"), ("mkdir", "/b/c")], {"b/c/y": "deleted"}),
    "odd names": ([("write", "/a\nb\udcff", b"")], {"a\nb\udcff": "added"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_kinds(stage, name):
    calls, expected = CASES[name]
    for call in calls:
        assert stage.both(*call), call
    if expected is None:
        kinds = [(c.kind, c.index is not None) for c in stage.changes()]
        assert kinds == [("deleted", False), ("modified", True)]
    else:
        assert found(stage) == expected
    assert stage.commit().done
    assert stage.alike()


def test_where_a_rename_came_from_and_whether_the_bytes_differ(stage):
    stage.both("rename", "/f", "/x")
    assert stage.change("x").origin == b"f"
    assert not stage.change("x").data
    stage.both("append", "/x", b"y")
    assert stage.change("x").data


def test_how_much_went_with_a_directory(stage):
    stage.both("rmtree", "/a")
    assert stage.change("a").inside == (7, 4 + 6 + 8 + 10)


def test_one_type_for_another(stage):
    stage.both("rmtree", "/a")
    stage.both("write", "/a", b"")
    assert stage.change("a").retyped


def test_what_lost_its_lower_file_is_known(stage):
    stage.model.append("/f", b"x")
    stage.model.chmod("/g", 0o600)
    os.unlink(stage.host / "f")
    os.unlink(stage.host / "g")
    view = stage.view()
    assert scan(view.top, view.lower).orphans() == {b"f", b"g"}


def test_a_directory_that_is_none(tmp_path):
    from pyview.trying.trees import Plain, Upper

    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        scan(Upper(os.fsencode(tmp_path / "file")), Plain(b"/"))


def test_times_of_directories(stage):
    """Newer: something was made in it.  Older: set, or the host's has changed since."""
    stage.model.chmod("/a", 0o755)
    stage.model.utime("/b", 5 * 10**17)
    view = stage.view()

    def told(since: int) -> list[tuple[bytes, bool]]:
        return [(c.path, c.quiet) for c in scan(view.top, view.lower, since).changes]

    assert told(0) == []
    assert told(stage.directory.about["stamp"]) == [(b"b", False)]
    os.utime(stage.host / "a", (1, 1))
    assert told(0) == [(b"a", True)]
    view.close()


def test_what_the_view_made_up_and_nobody_changed_is_no_change(stage):
    """Reading /etc/shadow in a view leaves a copy of it that has no passwords."""
    etc = stage.host / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (etc / "shadow").write_text("root:$6$secret:19000:0:99999:7:::\n")
    stage.model.copy_up("/etc/shadow")
    os.truncate(stage.upper / "etc/shadow", 0)
    (stage.upper / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    os.utime(stage.upper / "etc/shadow", ns=(0, (etc / "shadow").stat().st_mtime_ns))
    assert [change.path for change in stage.changes()] == []
    stage.model.append("/etc/shadow", b"nine:!:19000::::::\n")
    assert [change.path for change in stage.changes()] == [b"etc/shadow"]


def change(path: bytes, kind: str = "added", origin: bytes | None = None, stage=None) -> Change:
    return Change(path, kind, path, None, None, origin=origin)


def test_chosen_paths():
    changes = [change(b"a"), change(b"a/b"), change(b"ab"), change(b"c", "renamed", b"old/c")]
    paths = [c.path for c in chosen(changes, [b"a"])]
    assert paths == [b"a", b"a/b"]
    assert [c.path for c in chosen(changes, [b"old"])] == [b"c"]
    assert chosen(changes, []) == changes
    assert not chosen(changes, [b"nothing"])


def test_a_chosen_name_brings_the_new_directories_above_it(stage):
    for call in [("mkdir", "/n"), ("mkdir", "/n/m"), ("write", "/n/m/x", b""), ("mkdir", "/o")]:
        stage.both(*call)
    taken = chosen(stage.changes(), [b"n/m/x"])
    assert [c.path for c in taken] == [b"n", b"n/m", b"n/m/x"]


def test_bytes_are_compared_to_the_end(tmp_path):
    a, b = os.fsencode(tmp_path / "a"), os.fsencode(tmp_path / "b")
    (tmp_path / "a").write_bytes(bytes(3 << 20) + b"1")
    (tmp_path / "b").write_bytes(bytes(3 << 20) + b"2")
    assert same_bytes(a, a)
    assert not same_bytes(a, b)


def test_only_the_attributes_of_users_are_compared():
    have = {"user.a": b"1", "security.selinux": b"2", "system.posix_acl_access": b"3"}
    assert sorted(compared(have)) == ["system.posix_acl_access", "user.a"]


def test_a_directory_that_stays_is_not_searched_for_names_of_one_file(stage, monkeypatch):
    for call in (("append", "/b/f", b"x"), ("unlink", "/b/f"), ("chmod", "/a", 0o711)):
        stage.both(*call)
    walked, real = [], changes.walk

    def walk(tree, path):
        walked.append(path)
        return real(tree, path)

    monkeypatch.setattr(changes, "walk", walk)
    assert found(stage)["a"] == "metadata"
    assert walked
    assert b"a" not in walked
