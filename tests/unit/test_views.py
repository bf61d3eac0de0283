# SPDX-License-Identifier: GPL-2.0-or-later
"""The views of a core: who is in them, what C is shown of them, who uses their mounts."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from pyview import core
from pyview.api import Tree
from pyview.view import View

TID = 0x7FFFFFF0  # the task of the world's stops


def test_a_child_view_has_the_whole_process(world):
    for tid in (41, 42, 51):
        world.records[tid] = world.task(tid)
    child = world.tracer.child(42, "inner")
    joined = [args[0].tid for name, *args in world.said if name == "join"]
    assert sorted(joined) == [41, 42]
    assert (child.number, child.name, child.parent) == (2, "inner", world.view)
    assert world.tracer.views() == [world.view, child]


def test_a_stranger_gets_no_child(world):
    assert world.tracer.view_of(1) is None
    with pytest.raises(OSError) as raised:
        world.tracer.child(1, "x")
    assert raised.value.errno == errno.EINVAL


def test_what_close_would_report_is_a_line_and_a_modules_mistake_a_traceback(world, monkeypatch):
    lines = []
    monkeypatch.setattr(world.tracer.reports, "write", lines.append)

    def fails(error):
        raise error

    world.tracer.farewell("/dev/ubda", lambda: fails(OSError(errno.ENOSPC, "No space left")))
    assert lines == ["pyview: /dev/ubda may not be written whole: No space left\n"]
    world.tracer.farewell("/dev/ubda", lambda: fails(TypeError("no")))
    assert "may not be written whole:\nTraceback" in lines[1]


def test_a_view_without_tasks_is_forgotten(world):
    first = world.tracer.child(TID, "one")  # joined only in name: its picture has no task
    world.tracer.child(TID, "two")
    assert first not in world.tracer.views()
    assert len([one for one in world.said if one[0] == "free_view"]) == 1


def test_a_mount_is_busy_while_something_of_it_is_used(world):
    mount = world.view.mount("/unreal", world.view.now(), kind="unreal")
    number = next(c.number for c in world.view.covers() if c.mount is mount)
    record = world.records[os.getpid()] = world.task(os.getpid())

    def busy():
        return world.tracer.busy(world.view, mount)

    assert not busy()
    record.fs.domain = number
    assert busy()
    record.fs.domain, record.mm.domain = 0, number
    assert busy()
    record.mm.domain = 0
    record.marks[0] = number
    assert busy()
    assert not world.tracer.busy(View(9), mount)
    root = world.view.mounts[0]
    assert not world.tracer.busy(world.view, root)  # of domain 0 everything is


def test_a_change_without_mounts_needs_no_filter(world, monkeypatch):
    told, asked = [], []
    monkeypatch.setattr(
        world.tracer._installer,
        "install_in",
        lambda picture, then, *what: asked.append((picture, *what)),
    )
    world.tracer.changed(world.view, told.append)
    assert (told, asked) == ([""], [])
    world.view.mount("/unreal", world.view.now())
    world.tracer.changed(world.view, told.append)
    assert asked == [(world.picture, False, False, False)]
    world.view.mount("/v", Tree())
    world.tracer.changed(world.view, told.append)
    assert asked[1:] == [(world.picture, True, False, False)]


def test_identities_of_a_view_need_filters_and_go_with_their_claim(world, monkeypatch):
    asked, given = [], []
    monkeypatch.setattr(
        world.tracer._installer, "install_in", lambda picture, then, *what: asked.append(what)
    )
    monkeypatch.setattr(core, "assume_none", given.append)
    world.view.claim("identity")
    world.tracer.changed(world.view, print)
    assert (asked, given) == ([(False, True, False)], [])
    world.record.identity = SimpleNamespace(uid=[os.getuid()] * 4)
    assert world.tracer.others(world.view) == 0
    world.record.identity.uid[3] += 1
    assert world.tracer.others(world.view) == 1
    world.view.claims.clear()
    world.tracer.changed(world.view, lambda why: None)
    assert given == [world.record]


def test_another_root_is_a_view_of_its_own(world, tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    moved = []
    monkeypatch.setattr(core, "moved", lambda record, domain: moved.append(domain))
    monkeypatch.setattr(os, "readlink", lambda link: f"{tmp_path}/inside")
    child = world.records[41] = world.task(41)
    child.fs = world.record.fs
    other = world.records[42] = world.task(42)
    other.fs.place = 1  # so that it is not equal
    world.tracer.enters_root(world.record, str(tmp_path))
    made = world.tracer.views()[1]
    joined = [args[0] for name, *args in world.said if name == "join"]
    assert joined == [world.record, child]
    assert other not in joined
    assert made.real("/inside") == f"{tmp_path}/inside"
    assert made.real("/etc") == f"{tmp_path}/etc"
    assert moved == [made.covers()[-1].number]


def test_C_is_shown_the_mounts(world, monkeypatch):
    shown = []
    monkeypatch.setattr(core, "describe", lambda *args: shown.append(args[1:]))
    world.view.mount("/etc/unreal", world.view.now())
    world.view.mount("/no/such/place", world.view.now())
    world.tracer.changed(world.view, lambda why: None)
    covers, names, parents = shown[0]
    assert [prefix for prefix, *_ in covers] == [
        "/no/such/place/etc/unreal", "/no/such/place", "/etc/unreal", "",
    ]  # fmt: skip
    assert covers[-1] == ("", 0, "", [], None)
    assert names == sorted({"unreal", "place", "etc", "such"})
    found = os.stat("/etc")
    assert (found.st_dev, found.st_ino) in parents
