# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs about modules and views, without a process."""

from __future__ import annotations

import sys

import pytest

from pyview.api import Overlay


def targets(core):
    return [mount.target for mount in core.view.mounts if mount.epoch]


def test_a_stranger_is_in_no_view(core, ask):
    core.view = None
    assert ask("lsmod") == (1, "not in a view")


@pytest.mark.parametrize("words", [("",), ("nosuch",), ("lsmod", "x"), ("mount", "a"), ("insmod",)])
def test_a_request_that_makes_no_sense_is_refused(ask, words):
    status, text = ask(*words)
    assert status == 2
    assert "\n" not in text


def test_load_list_unload(core, ask):
    assert ask("lsmod") == (0, "")
    assert ask("insmod", "", "unreal") == (0, "")
    assert targets(core) == ["/unreal", "/unreal"]
    assert ask("lsmod")[1].startswith("unreal  0  the whole file tree again")
    assert ask("rmmod", "unreal") == (0, "")
    assert targets(core) == []
    assert ask("rmmod", "unreal") == (1, "unreal: not loaded")
    assert core.changes == 2


def test_a_module_is_loaded_once(ask):
    ask("insmod", "", "unreal")
    assert ask("insmod", "", "unreal") == (1, "unreal: already loaded")
    assert ask("insmod", "", "pyview.modules.unreal")[0] == 1
    assert ask("lsmod")[1].count("\n") == 1


def test_a_module_that_must_be_there_is_loaded_when_it_is_not(core, ask):
    assert ask("insmod", "missing", "unreal") == (0, "")
    assert ask("insmod", "missing", "unreal") == (0, "")
    assert ask("lsmod")[1].count("\n") == 1


def test_where_changes_are_kept_is_told(core, ask):
    assert ask("kept", "/etc") == (0, "")
    overlay = Overlay()
    overlay.below, overlay.kept, overlay.excepted = core.view.now(), "/tmp/upper", ("/proc",)
    core.view.mount("/", overlay)
    assert ask("kept", "/etc") == (0, "/tmp/upper")
    assert ask("kept", "/proc/self") == (0, "")


def test_of_several_modules_all_are_loaded_or_none(core, ask, box):
    status, text = ask("insmod", "", "unreal", box + ",word=fails")
    assert (status, text) == (1, f"{box}: RuntimeError: it fails")
    assert ask("lsmod") == (0, "")
    assert targets(core) == []
    assert "RuntimeError" in core.logged[0]
    assert ask("insmod", "", "unreal", box + ",word=w") == (0, "")
    assert targets(core) == ["/unreal", "/unreal", "/w"]


def test_of_several_modules_none_goes_unless_all_can(ask, box):
    ask("insmod", "", "unreal", box)
    assert ask("rmmod", "unreal", "nosuch")[0] == 1
    assert ask("lsmod")[1].count("\n") == 2


def test_filters_that_cannot_be_had_undo_the_load(core, ask):
    core.refusal = "no filter for you"
    assert ask("insmod", "", "unreal") == (1, "no filter for you")
    assert targets(core) == []
    assert ask("lsmod") == (0, "")


def test_a_permanent_module_stays(ask):
    ask("insmod", "permanent", "unreal")
    assert ask("rmmod", "unreal") == (1, "unreal: loaded permanently")


def test_a_module_in_use_is_busy(core, ask, box):
    ask("insmod", "", "unreal", box)
    core.busy_targets.add("/unreal")
    assert ask("rmmod", "unreal") == (1, "unreal: Device or resource busy")
    assert ask("mount", "", "vubox", "", "none", "/b") == (0, "")
    assert ask("rmmod", "vuboxes") == (1, "vuboxes: Device or resource busy")
    assert "vuboxes  1  " in ask("lsmod")[1]
    core.busy_targets.clear()
    assert ask("rmmod", "unreal") == (0, "")
    assert ask("umount", "", "/b") == (0, "")
    assert ask("rmmod", "vuboxes") == (0, "")


def test_a_path_is_the_kernels_only_after_the_view_has_said_so(ask, box):
    ask("insmod", "", "unreal")
    assert ask("insmod", "", "/unreal/unreal" + box) == (0, "")
    assert ask("insmod", "", "x/y.py") == (1, "x/y.py: not an absolute path")


def test_a_child_view_sees_what_its_parent_has_and_keeps_its_own(core, services, ask, box):
    ask("insmod", "", "unreal")
    parent = core.view
    assert ask("child", "inner") == (0, "2")
    child = core.view
    assert child is not parent
    assert ask("info")[1].split("\n")[0] == "2"
    assert ask("lsmod")[1].startswith("unreal")
    assert ask("insmod", "", box) == (0, "")
    assert ask("rmmod", "unreal") == (0, "")
    assert targets(core) == []
    core.view = parent
    assert ask("lsmod")[1].startswith("unreal")
    assert "vuboxes" not in ask("lsmod")[1]
    assert targets(core) == ["/unreal", "/unreal"]


def test_a_module_is_told_to_go_when_the_last_view_has_let_it_go(core, services, ask, box):
    ask("insmod", "", box)
    kind = type(services.modules(core.view)[0].module)
    parent = core.view
    ask("child", "")
    ask("rmmod", "vuboxes")
    assert kind.unloaded == 0
    core.view = parent
    services.forget(core.all_views[1])
    assert kind.unloaded == 0
    services.forget(parent)
    assert kind.unloaded == 1
    assert len(parent.mounts) == 1
    assert kind.__module__ in sys.modules


def test_a_child_that_cannot_be_had(core, ask):
    assert ask("child", "none") == (1, "none: Resource temporarily unavailable")


@pytest.mark.parametrize("name", ["a\nb", "x" * 65, "\x1b[0m"])
def test_a_name_that_is_none(core, ask, name):
    assert ask("setname", name)[0] == 1
    assert ask("child", name)[0] == 1
    assert core.view.name == "outer"


def test_the_name_is_set(core, ask):
    assert ask("setname", "été 2") == (0, "")
    assert ask("info")[1].split("\n")[3] == "été 2"


def test_debug_tags(core, ask):
    assert ask("debug", "view", "+sp") == (0, "")
    assert ask("debug", "task", "-s", "c") == (0, "")
    assert core.debugged == [(1, False, "ps"), (1, True, "cp")]
    status, text = ask("debug", "view")
    assert status == 0
    assert [line[:2] for line in text.splitlines() if line[0] == "+"] == ["+p", "+s"]
    assert ask("debug", "view", "+zz")[0] == 1
    assert len(core.debugged) == 2


def test_a_farewell_that_fails_is_logged_only(core, ask, a_module):
    path = a_module(
        "from pyview.api import Module\nclass M(Module):\n    def unload(self, view): 1/0\n"
    )
    ask("insmod", "", path)
    assert ask("rmmod", "thing") == (0, "")
    assert "ZeroDivisionError" in core.logged[0]
