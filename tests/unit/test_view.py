# SPDX-License-Identifier: GPL-2.0-or-later
"""Views: whatever is mounted and unmounted, they say what a plain scan of the list says."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pyview.api import Tree
from pyview.paths import cover_of, real_of
from pyview.view import Domain, Kernel, Mount, Past, View, covers

SHORT = ("/a", "/b", "/a/b", "/b/a", "/a/b/a", "/ab")
PATHS = ("/", *SHORT, "/a/b/a/b", "/a/x", "/abc", "/x")
targets = st.sampled_from(("/", *SHORT))
starts = st.sampled_from(PATHS)


class Renamer(Tree):
    """The kernel's tree under another name."""

    def __init__(self, root: str) -> None:
        self.root = root

    def real(self, path: str) -> str:
        return self.root + path if path != "/" else self.root or "/"


class Virtual(Tree):
    """A tree of its own."""


# The model: what is mounted is a list of (target, tree), oldest first; a tree is the kernel's
# name of its root, None for a virtual one, or a list of the same kind with a place in it.


def below(path, prefix):
    return path == prefix or prefix == "/" or path.startswith(prefix + "/")


def glued(prefix, rest):
    return (prefix.rstrip("/") + rest.rstrip("/")) or "/"


def scan(mounts, path):
    """The kernel's name of `path`, None when a virtual tree must be asked."""
    for target, tree in reversed(mounts):
        if below(path, target):
            rest = path if target == "/" else path[len(target) :] or "/"
            if isinstance(tree, tuple):
                inner, start = tree
                return scan(inner, glued(start, rest))
            return None if tree is None else glued(tree, rest)
    raise AssertionError(path)


class Sequences(RuleBasedStateMachine):
    """Mounts and unmounts in any order, in a view and its child."""

    def __init__(self) -> None:
        super().__init__()
        self.views: list[tuple[View, list]] = [(View(), [("/", "/")])]
        self.mounted: list[list[Mount]] = [[]]
        self.pasts: list[tuple[Past, list, str]] = []
        self.numbers: dict[tuple[str, str], int] = {}

    def _few(self, which):
        """Each past that is mounted doubles what there is to look through."""
        return sum(isinstance(mount.tree, Past) for mount in self.mounted[which]) < 5

    def _mount(self, which, target, tree, model):
        view, mounts = self.views[which % len(self.views)]
        before = view.epoch
        mount = view.mount(target, tree)
        assert mount.epoch == view.epoch == before + 1
        mounts.append((target, model))
        self.mounted[which % len(self.views)].append(mount)

    @rule(which=st.integers(0, 3), where=targets, root=st.sampled_from(("/", "/r", "/a")))
    def mount_a_renaming_tree(self, which, where, root):
        self._mount(which, where, Renamer(root.rstrip("/")), root)

    @rule(which=st.integers(0, 3), where=targets)
    def mount_a_virtual_tree(self, which, where):
        self._mount(which, where, Virtual(), None)

    @rule(which=st.integers(0, 3), where=targets)
    def mount_the_view_itself(self, which, where):
        view, mounts = self.views[which % len(self.views)]
        if self._few(which % len(self.views)):
            self._mount(which, where, view.now(), (list(mounts), "/"))

    @rule(which=st.integers(0, 3), where=targets, start=starts)
    def bind(self, which, where, start):
        view, mounts = self.views[which % len(self.views)]
        if self._few(which % len(self.views)):
            self._mount(which, where, Past(view, view.epoch, start), (list(mounts), start))

    @rule(which=st.integers(0, 3), start=starts)
    def remember(self, which, start):
        view, mounts = self.views[which % len(self.views)]
        self.pasts.append((Past(view, view.epoch, start), list(mounts), start))

    @rule(which=st.integers(0, 3), number=st.integers(0, 20))
    def umount(self, which, number):
        view, mounts = self.views[which % len(self.views)]
        mounted = self.mounted[which % len(self.views)]
        if mounted:
            at = number % len(mounted)
            view.umount(mounted.pop(at))
            del mounts[at + 1]

    @rule(which=st.integers(0, 3))
    def make_a_child(self, which):
        if len(self.views) < 3:
            view, mounts = self.views[which % len(self.views)]
            self.views.append((View(len(self.views) + 1, "child", view), list(mounts)))
            self.mounted.append(list(self.mounted[which % len(self.views[:-1])]))

    @invariant()
    def every_name_leads_where_the_scan_says(self):
        for view, mounts in self.views:
            for path in PATHS:
                expected = scan(mounts, path)
                assert view.real(path) == expected
                cover = cover_of(view, path)
                assert (cover.number < 0) == (expected is None)
                if expected is not None:
                    assert real_of(cover, path) == expected

    @invariant()
    def a_past_does_not_change(self):
        for past, mounts, start in self.pasts:
            for path in PATHS:
                assert past.real(path) == scan(mounts, glued(start, path))

    @invariant()
    def a_place_keeps_its_number(self):
        for view, _ in self.views:
            seen = set()
            for cover in view.covers():
                if cover.number < 0:
                    continue
                place = cover.prefix, cover.root
                assert self.numbers.setdefault(place, cover.number) == cover.number
                seen.add(cover.number)
                domain = view.domain(cover.number)
                assert domain is not None
                assert (domain.prefix, domain.root) == place
            assert len(seen) == sum(cover.number >= 0 for cover in view.covers())
        assert len(set(self.numbers.values())) == len(self.numbers)

    @invariant()
    def no_cover_is_hidden_by_an_earlier_one(self):
        for view, _ in self.views:
            prefixes = [cover.prefix for cover in view.covers()]
            for i, prefix in enumerate(prefixes):
                assert not any(covers(earlier, prefix) for earlier in prefixes[:i])
            assert view.names() == {p.rpartition("/")[2] for p in prefixes if p}

    @invariant()
    def the_top_is_the_newest(self):
        for (view, _), mounted in zip(self.views, self.mounted, strict=True):
            for target in ("/", *SHORT):
                here = [m for m in mounted if (m.target or "/") == target]
                assert view.top(target) is (here[-1] if here else None)


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


# -- what is easier to read than to generate -----------------------------------------------------


@pytest.fixture
def unreal():
    view = View()
    view.mount("/unreal", view.now(), kind="unreal")
    view.mount("/unreal", view.now(), kind="unreal")
    return view


@pytest.mark.parametrize(
    ("target", "path", "yes"),
    [
        ("", "", True),
        ("", "/a", True),
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a", "", False),
        ("/a/b", "/a", False),
    ],
)
def test_covers(target, path, yes):
    assert covers(target, path) is yes


def test_unreal_has_three_domains_and_no_third_level(unreal):
    shown = [(cover.prefix, cover.root) for cover in unreal.covers()]
    assert shown == [("/unreal/unreal", ""), ("/unreal", ""), ("", "")]
    assert unreal.real("/unreal/unreal/unreal") == "/unreal"  # which the kernel does not have


def test_the_kernels_own_root_is_domain_0(unreal):
    assert [cover.number for cover in unreal.covers()][-1] == 0
    assert cover_of(View(), "/").number == 0


def test_a_domain_knows_what_is_mounted_inside_it(unreal):
    root = unreal.domain(0)
    once = unreal.domain(cover_of(unreal, "/unreal").number)
    twice = unreal.domain(cover_of(unreal, "/unreal/unreal").number)
    assert [d.inside for d in (root, once, twice)] == [
        ("/unreal/unreal", "/unreal"),
        ("/unreal",),
        (),
    ]


def test_a_domain_goes_with_its_mount_and_comes_back_with_its_number(unreal):
    number = cover_of(unreal, "/unreal/unreal").number
    top = unreal.top("/unreal")
    unreal.umount(top)
    assert unreal.domain(number) is None
    assert unreal.real("/unreal/unreal") == "/unreal"
    unreal.mount("/unreal", unreal.now())
    assert cover_of(unreal, "/unreal/unreal").number == number


def test_two_views_agree_on_the_number_of_a_place():
    first, second = View(1), View(2)
    for view in (first, second):
        view.mount("/place", Renamer("/elsewhere"))
    assert cover_of(first, "/place").number == cover_of(second, "/place").number > 0


@pytest.mark.parametrize(
    ("prefix", "root", "real", "name"),
    [
        ("", "", "/", "/"),
        ("", "", "/etc", "/etc"),
        ("/unreal", "", "/", "/unreal"),
        ("/unreal", "", "/etc", "/unreal/etc"),
        ("/here", "/there", "/there", "/here"),
        ("/here", "/there", "/there/x", "/here/x"),
        ("", "/there", "/there", "/"),
        ("/here", "/there", "/therefore", None),
        ("/here", "/there", "/", None),
    ],
)
def test_the_views_name_of_a_kernels_name(prefix, root, real, name):
    assert Domain(1, prefix, root, ()).name(real) == name


def test_a_child_sees_its_parents_mounts_and_goes_its_own_way(unreal):
    child = View(2, "child", parent=unreal)
    assert child.real("/unreal/etc") == "/etc"
    assert child.parent is unreal
    child.umount(child.top("/unreal"))
    child.umount(child.top("/unreal"))
    unreal.mount("/more", unreal.now())
    assert child.real("/unreal/etc") == "/unreal/etc"
    assert unreal.real("/unreal/etc") == "/etc"
    assert child.real("/more") == "/more"


@pytest.mark.parametrize("target", ["a", "", "a/b", "/a/"])
def test_a_target_that_is_not_canonical_is_EINVAL(target):
    view = View()
    if target == "":
        view.mount(target, Renamer("/r"))  # the root's other name
        assert view.real("/x") == "/r/x"
        return
    with pytest.raises(OSError) as raised:
        view.mount(target, Renamer("/r"))
    assert raised.value.errno == errno.EINVAL
    assert view.epoch == 0


def test_what_is_not_mounted_cannot_be_unmounted(unreal):
    mount = unreal.top("/unreal")
    unreal.umount(mount)
    for wrong in (mount, unreal.mounts[0]):
        with pytest.raises(OSError) as raised:
            unreal.umount(wrong)
        assert raised.value.errno == errno.EINVAL
    assert unreal.top("/") is None


def test_a_mount_over_the_root_hides_all_that_is_older(unreal):
    unreal.mount("/", Renamer("/r"))
    assert [cover.prefix for cover in unreal.covers()] == [""]
    assert unreal.real("/unreal/etc") == "/r/unreal/etc"
    assert unreal.top("/").epoch == 3


def test_the_names_of_a_view_are_the_last_of_its_mount_points(unreal):
    unreal.mount("/srv/data", Virtual())
    assert unreal.names() == {"unreal", "data"}
    assert View().names() == frozenset()


def test_a_mount_says_where_its_root_is_when_it_only_renames():
    view = View()
    assert view.mounts[0].root == ""
    assert view.mount("/a", Renamer("/r")).root == "/r"
    assert view.mount("/b", Virtual()).root is None
    assert view.mount("/c", view.now()).root is None  # it may be many places


@pytest.mark.limit(10)
def test_fifty_bind_mounts_are_no_work():
    """Each sees those before it: to look through all of them for each would take 2**50 steps."""
    view = View()
    for number in range(50):
        view.mount(f"/m{number}", Past(view, view.epoch, "/data"))
    assert [cover.root for cover in view.covers()] == ["/data"] * 50 + [""]


# -- what a module asks of below -----------------------------------------------------------------


class Known(Tree):
    """Says what it was asked."""

    def lstat(self, path):
        return ("lstat", path)

    def readlink(self, path):
        return "readlink " + path

    def listdir(self, path):
        return ["listdir", path]

    def open(self, path, flags, mode=0o777):
        return ("open", path, flags, mode)


def test_a_past_asks_the_tree_that_was_there():
    view = View()
    view.mount("/k", Known())
    past = Past(view, view.epoch)
    view.mount("/k", Virtual())
    assert past.lstat("/k/x") == ("lstat", "/x")
    assert past.readlink("/k/x") == "readlink /x"
    assert past.listdir("/k") == ["listdir", "/"]
    assert past.open("/k/x", os.O_RDWR, 0o600) == ("open", "/x", os.O_RDWR, 0o600)
    assert Past(view, 1, "/k/in").readlink("/") == "readlink /in"
    with pytest.raises(OSError) as raised:
        view.now().lstat("/k/x")
    assert raised.value.errno == errno.ENOSYS


CALLS = {
    "lstat": ("/k/x",), "readlink": ("/k/x",), "listdir": ("/k/x",), "entries": ("/k/x",),
    "access": ("/k/x", 4, 7, frozenset()), "open": ("/k/x", 2, 0o600), "unlink": ("/k/x",),
    "mkdir": ("/k/x", 0o700), "rmdir": ("/k/x",), "chmod": ("/k/x", 0o700),
    "chown": ("/k/x", 1, 2), "utime": ("/k/x", 3, None), "truncate": ("/k/x", 5),
    "mknod": ("/k/x", 0o100600, 0), "statvfs": ("/k/x",), "socket": ("/k/x",),
    "getxattr": ("/k/x", "user.x"), "setxattr": ("/k/x", "user.x", b"v", 1),
    "listxattr": ("/k/x",), "removexattr": ("/k/x", "user.x"), "backing": ("/k/x",),
    "tmpfile": ("/k/x", 2, 0o600), "link_file": ("/k/x", None), "masks": ("/k/x",),
}  # fmt: skip


class Told(Tree):
    """Writes down what it is asked."""

    def __init__(self):
        self.asked = []

    def __getattribute__(self, name):
        if name in CALLS or name in ("rename", "link", "symlink"):
            return lambda *args: self.asked.append((name, *args)) or name
        return super().__getattribute__(name)


@pytest.fixture
def told():
    """A view, a tree mounted at /k in it, and its past."""
    view = View()
    tree = Told()
    view.mount("/k", tree)
    view.mount("/other", Told())
    past = view.now()
    view.mount("/k", Virtual())
    return view, tree, past


@pytest.mark.parametrize("name", CALLS)
def test_a_past_hands_every_operation_down(told, name):
    _, tree, past = told
    path, *more = CALLS[name]
    assert getattr(past, name)(path, *more) == name
    assert tree.asked == [(name, "/x", *more)]


def test_no_operation_of_a_tree_is_forgotten_by_a_past():
    import inspect

    own = {"real", "busy", "unmounted", "contents"}
    every = {n for n, f in vars(Tree).items() if inspect.isfunction(f) and n[0] != "_"} - own
    assert every == CALLS.keys() | {"rename", "link", "symlink", "at"}
    assert all(name in vars(Past) for name in every)


def test_operations_with_two_names_stay_within_one_tree(told):
    _, tree, past = told
    past.rename("/k/a", "/k/b", 1)
    past.link("/k/a", "/k/b")
    past.symlink("../target", "/k/a")
    assert tree.asked == [
        ("rename", "/a", "/b", 1), ("link", "/a", "/b"), ("symlink", "../target", "/a"),
    ]  # fmt: skip
    for action in (lambda: past.rename("/k/a", "/other/b", 0), lambda: past.link("/k/a", "/b")):
        with pytest.raises(OSError) as raised:
            action()
        assert raised.value.errno == errno.EXDEV


def test_a_past_from_a_directory_of_it(told):
    view, tree, _ = told
    inside = Past(view, 1, "/k/dir")
    inside.lstat("/")
    inside.lstat("/x")
    inside.rename("/a", "/b", 0)
    assert tree.asked == [
        ("lstat", "/dir"), ("lstat", "/dir/x"), ("rename", "/dir/a", "/dir/b", 0),
    ]  # fmt: skip


def test_the_kernels_tree_is_the_kernels(tmp_path):
    (tmp_path / "link").symlink_to("file")
    kernel = Kernel()
    file = kernel.open(f"{tmp_path}/file", os.O_RDWR | os.O_CREAT, 0o600)
    assert not os.get_inheritable(file.fd)
    assert file.pwrite(b"0123", 2) == 4
    file.fsync()
    assert file.size() == 6
    assert file.pread(3, 1) == b"\x0001"
    assert kernel.lstat(f"{tmp_path}/file").st_size == 6
    assert kernel.readlink(f"{tmp_path}/link") == "file"
    assert sorted(kernel.listdir(str(tmp_path))) == ["file", "link"]
    file.close()
    with pytest.raises(OSError):
        os.fstat(file.fd)
    with pytest.raises(OSError) as raised:
        kernel.open(f"{tmp_path}/none", os.O_RDONLY)
    assert raised.value.errno == errno.ENOENT
