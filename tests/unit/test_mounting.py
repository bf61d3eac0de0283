# SPDX-License-Identifier: GPL-2.0-or-later
"""The mount verbs, without a process."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _a_type_of_trees(ask, box):
    assert ask("insmod", "", box) == (0, "")


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


# -- devices, and what goes with them ------------------------------------------------------------

DISKS = '''"""disks - devices with partitions."""
from pyview.api import Device, Module, refuse

class Part(Device):
    gone = 0
    def unmounted(self):
        Part.gone += 1

class Disk(Device):
    def __init__(self, below, source, *, parts: int = 0, slow: bool = False):
        self.slow, self.parts, self.all = slow, parts, [Part() for _ in range(9)]
        self.fails = False
    def companions(self, target):
        if self.fails:
            raise RuntimeError("no partitions today")
        return {target + str(n + 1): self.all[n] for n in range(self.parts)}
    def unmounted(self):
        if self.fails:
            raise refuse(5, "/its/image")

class Disks(Module):
    types = {"vudisk": Disk}
'''


@pytest.fixture
def disks(ask, a_module):
    assert ask("insmod", "", a_module(DISKS, "disks")) == (0, "")
    return ask


def mounted(core):
    return [mount.target for mount in core.view.mounts if mount.epoch]


def test_a_disk_comes_with_its_partitions(core, disks):
    assert disks("mount", "", "vudisk", "parts=2", "none", "/dev/a") == (0, "")
    assert mounted(core) == ["/dev/a", "/dev/a1", "/dev/a2"]
    disk = core.view.top("/dev/a")
    assert [one.target for one in core.view.companions(disk)] == ["/dev/a1", "/dev/a2"]
    assert all(one.leader is disk for one in core.view.companions(disk))
    assert disks("mounts") == (0, "none on /dev/a type vudisk (parts=2)\n")
    assert disks("targets") == (0, "/dev/a\0/dev/a1\0/dev/a2\0")


def test_partitions_come_and_go(core, services, disks):
    disks("mount", "", "vudisk", "parts=2", "none", "/dev/a")
    disk = core.view.top("/dev/a")
    first, changes = core.view.top("/dev/a1"), core.changes
    services.refresh(core.view, disk)
    assert core.changes == changes
    disk.tree.parts = 3
    services.refresh(core.view, disk)
    assert mounted(core) == ["/dev/a", "/dev/a1", "/dev/a2", "/dev/a3"]
    assert core.view.top("/dev/a1") is first
    disk.tree.parts = 1
    services.refresh(core.view, disk)
    assert mounted(core) == ["/dev/a", "/dev/a1"]
    disk.tree.all[0] = type(first.tree)()
    services.refresh(core.view, disk)
    assert core.view.top("/dev/a1") is not first
    assert core.changes == changes + 3
    assert type(first.tree).gone == 3


def test_partitions_that_cannot_be_told_stay_as_they_are(core, services, disks):
    disks("mount", "", "vudisk", "parts=2", "none", "/dev/a")
    disk = core.view.top("/dev/a")
    disk.tree.fails = True
    services.refresh(core.view, disk)
    assert mounted(core) == ["/dev/a", "/dev/a1", "/dev/a2"]
    assert "no partitions today" in core.logged[-1]


def test_a_partition_is_not_unmounted_or_moved_by_itself(core, disks):
    disks("mount", "", "vudisk", "parts=1", "none", "/dev/a")
    assert disks("umount", "l", "/dev/a1") == (1, "/dev/a1: belongs to /dev/a")
    assert disks("mount", "move", "", "", "/dev/a1", "/x")[0] == 1
    assert disks("mount", "move", "", "", "/dev/a", "/x") == (1, "/dev/a: Device or resource busy")


def test_a_disk_whose_partition_is_in_use_is_busy(core, disks):
    disks("mount", "", "vudisk", "parts=2", "none", "/dev/a")
    part = core.view.top("/dev/a2").tree
    part.users = 1
    assert disks("umount", "", "/dev/a") == (1, "/dev/a2: Device or resource busy")
    part.users = 0
    core.busy_targets.add("/dev/a1")
    assert disks("umount", "f", "/dev/a") == (1, "/dev/a1: Device or resource busy")
    core.busy_targets.clear()
    assert disks("umount", "", "/dev/a") == (0, "")
    assert mounted(core) == []
    assert type(part).gone == 2


def test_a_child_view_has_the_partitions_of_its_own_disk(core, services, disks):
    disks("mount", "", "vudisk", "parts=1", "none", "/dev/a")
    parent, disk = core.view, core.view.top("/dev/a")
    disks("child", "")
    assert mounted(core) == ["/dev/a", "/dev/a1"]
    disk.tree.parts = 2
    services.refresh(core.view, disk)
    assert mounted(core) == ["/dev/a", "/dev/a1", "/dev/a2"]
    assert [mount.target for mount in parent.mounts if mount.epoch] == ["/dev/a", "/dev/a1"]
    assert disks("umount", "", "/dev/a") == (0, "")
    assert mounted(core) == []
    assert [mount.target for mount in parent.mounts if mount.epoch] == ["/dev/a", "/dev/a1"]


def test_a_slow_disk_is_unmounted_in_its_own_thread(core, disks):
    disks("mount", "", "vudisk", "slow", "none", "/dev/a")
    disk = core.view.top("/dev/a").tree
    assert disks("umount", "", "/dev/a") == (0, "")
    assert disk in core.apart_for


def test_a_disk_that_cannot_be_flushed_says_so(core, disks):
    disks("mount", "", "vudisk", "", "none", "/dev/a")
    core.view.top("/dev/a").tree.fails = True
    status, said = disks("umount", "", "/dev/a")
    assert status == 1
    assert "/its/image: Input/output error" in said
    assert mounted(core) == []


def test_a_virtual_file_is_bound_elsewhere(core, disks):
    disks("mount", "", "vudisk", "", "none", "/dev/a")
    assert disks("mount", "bind", "", "", "/dev/a", "/dev/b") == (0, "")
    assert core.view.top("/dev/b").tree.lstat("/") == core.view.top("/dev/a").tree.lstat("/")
    assert disks("mount", "bind", "", "", "/dev/a/x", "/dev/c")[0] == 1
