# SPDX-License-Identifier: GPL-2.0-or-later
"""The mount verbs, without a process."""

from __future__ import annotations

import pytest

from pyview.control import Later


@pytest.fixture
def ask(services, box):
    def do(*words):
        answer = services.dispatch(100, 0, words)
        if isinstance(answer, Later):
            got = []
            answer.then(got.append)
            (answer,) = got
        return answer

    assert do("insmod", "", box) == (0, "")
    return do


def tree_class(services, core):
    return services.modules(core.view)[0].module.types["vubox"]


def test_a_type_of_a_module_is_mounted_and_listed(core, ask):
    assert ask("mount", "", "vubox", "size=2K,ro,noatime", "/img", "/b") == (0, "")
    mount = core.view.top("/b")
    assert (mount.tree.size, mount.tree.ro, mount.tree.source) == (2048, True, "/img")
    assert ask("mounts") == (0, "/img on /b type vubox (size=2K,ro,noatime)\n")
    assert ask("mounts", "ext4") == (0, "")
    assert ask("targets") == (0, "/b\0")


def test_an_old_name_of_a_type_will_do(ask):
    assert ask("mount", "", "umbox", "", "none", "/b") == (0, "")
    assert ask("types", "umbox") == (0, "")
    assert ask("types", "ext4") == (1, "")
    assert ask("types") == (0, "vubox\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("", "nosuch", "", "none", "/b"), "/b: unknown file system type 'nosuch'"),
        (("", "vubox", "size=x", "none", "/b"), "/b: option size: not a number: x"),
        (("", "vubox", "tall", "none", "/b"), "/b: unknown option: tall (it takes: size, ro)"),
        (("", "vubox", "", "broken", "/b"), "/b: Input/output error"),
        (("", "vubox", "remount", "none", "/b"), "/b: remount is not supported"),
        (("", "vubox", "", "none", "b"), "b: Invalid argument"),
        (("", "vubox", "", "none", "/a/../b"), "/a/../b: Invalid argument"),
        (("", "vubox", "", "none", "//b"), "//b: Invalid argument"),
        (("bind", "", "", "/nosuch/x", "/b"), "/nosuch/x: No such file or directory"),
        (("bind", "", "ro", "/etc", "/b"), "/b: a bind mount has no option ro"),
        (("move", "", "", "/x", "/b"), "/x: not mounted"),
    ],
)
def test_a_mount_that_fails_says_why_and_changes_nothing(core, ask, words, said):
    assert ask("mount", *words) == (1, said)
    assert len(core.view.mounts) == 1


def test_a_type_may_be_imported_when_it_is_mounted(services, core, ask):
    types = type(services.modules(core.view)[0].module).types
    types["vunull"], types["vuno"] = "pyview.modules.vudev.null:Null", "no.such:Thing"
    assert ask("mount", "", "vunull", "mode=0600,noatime", "none", "/n") == (0, "")
    assert core.view.top("/n").tree.mode == 0o600
    assert ask("mount", "", "vunull", "tall", "none", "/m")[1].startswith(
        "/m: unknown option: tall"
    )
    assert ask("mount", "", "vuno", "", "none", "/m") == (1, "/m: no.such: no such module")


def test_bind_shows_what_was_there(core, ask):
    assert ask("mount", "bind", "", "", "/usr/share", "/b") == (0, "")
    assert core.view.real("/b/doc") == "/usr/share/doc"
    assert ask("mount", "", "vubox", "", "none", "/usr/share/x") == (0, "")
    assert core.view.real("/b/x/y") == "/usr/share/x/y"
    assert ask("mounts")[1].splitlines()[0] == "/usr/share on /b type none (bind)"


def test_move(core, ask):
    ask("mount", "", "vubox", "", "none", "/b")
    tree = core.view.top("/b").tree
    assert ask("mount", "move", "", "", "/b", "/b/c")[0] == 1
    assert ask("mount", "move", "", "", "/b", "/c") == (0, "")
    assert core.view.top("/b") is None
    assert core.view.top("/c").tree is tree
    core.refusal = "no"
    assert ask("mount", "move", "", "", "/c", "/d") == (1, "no")
    assert core.view.top("/c").tree is tree
    assert core.view.top("/d") is None


def test_the_newest_mount_is_unmounted_first(core, ask):
    ask("mount", "", "vubox", "", "one", "/b")
    ask("mount", "", "vubox", "", "two", "/b")
    assert ask("umount", "", "/b") == (0, "")
    assert core.view.top("/b").source == "one"
    assert ask("umount", "", "/b") == (0, "")
    assert ask("umount", "", "/b") == (1, "/b: not mounted")
    assert ask("umount", "", "/") == (1, "/: not mounted")


def test_of_several_targets_all_are_unmounted_or_none(core, ask):
    ask("mount", "", "vubox", "", "one", "/b")
    assert ask("umount", "", "/b", "/c")[0] == 1
    assert core.view.top("/b")


def test_busy_is_busy_unless_lazy(core, ask):
    ask("mount", "", "vubox", "", "none", "/b")
    core.busy_targets.add("/b")
    assert ask("umount", "", "/b") == (1, "/b: Device or resource busy")
    assert ask("umount", "f", "/b") == (1, "/b: Device or resource busy")
    assert ask("umount", "l", "/b") == (0, "")
    ask("mount", "", "vubox", "", "busy", "/c")
    assert ask("umount", "", "/c") == (1, "/c: Device or resource busy")
    assert ask("umount", "f", "/c") == (0, "")


def test_what_a_module_mounted_itself_goes_with_it_only(core, ask):
    ask("insmod", "", "unreal")
    assert ask("umount", "l", "/unreal") == (1, "/unreal: belongs to the module unreal")


def test_a_permanent_mount_stays(core, ask):
    ask("mount", "", "vubox", "permanent", "none", "/b")
    assert ask("umount", "l", "/b") == (1, "/b: Operation not permitted")


def test_filters_that_cannot_be_had_undo_the_mount(core, services, ask):
    core.refusal = "no"
    assert ask("mount", "", "vubox", "", "none", "/b") == (1, "no")
    assert len(core.view.mounts) == 1
    assert tree_class(services, core).gone == 1


def test_a_tree_hears_when_no_view_shows_it_any_more(core, services, ask):
    kind = tree_class(services, core)
    ask("mount", "", "vubox", "", "none", "/b")
    parent = core.view
    ask("child", "")
    ask("umount", "", "/b")
    assert kind.gone == 0
    core.view = parent
    ask("insmod", "", "unreal")
    ask("umount", "", "/b")
    assert kind.gone == 0, "it is still seen as /unreal/b"
    ask("rmmod", "unreal")
    assert kind.gone <= 1
