# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolution of names: the oracle is the kernel, which resolves the same names without a view."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

import pytest
from forest import KernelEyes, Name, Node, Planted, paths, planted, trees
from hypothesis import assume, given
from hypothesis import strategies as st

from pyview.api import Device, Tree, attributes, refuse
from pyview.paths import Found, cover_of, real_of, resolve
from pyview.syscalls import BY_NAME
from pyview.view import Past, View

PREFIXES = ("", "/unreal", "/unreal/unreal")
LINKS = 40  # path_resolution(7); one more is ELOOP
CALLS: dict[str, Callable[..., os.stat_result]] = {"stat": os.stat, "lstat": os.lstat}


def unreal():
    view = View()
    view.mount("/unreal", view.now())
    view.mount("/unreal", view.now())
    return view


def number_at(view, prefix):
    """The domain whose root is called `prefix`."""
    return cover_of(view, prefix or "/").number


def outcome(tree: Planted, call: str, name: str, start: str = "") -> object:
    """The file that a call finds, or its errno; a relative name is looked up from `start`."""
    directory = os.open(start, os.O_PATH) if start else None
    try:
        return tree.identity(CALLS[call](name, dir_fd=directory))
    except OSError as error:
        return error.errno
    finally:
        if directory is not None:
            os.close(directory)


def through(view: View, base: str, name: str, call: str) -> Found | int | None:
    """What a call's name leads to, or the errno of that."""
    try:
        return resolve(view, KernelEyes(), base, name, follow=call == "stat")
    except OSError as error:
        return error.errno


# -- the kernel agrees ---------------------------------------------------------------------------


@given(trees(), paths(), st.integers(0, 9), st.sampled_from(sorted(CALLS)))
def test_a_view_of_nothing_but_the_kernel_finds_what_the_kernel_finds(nodes, name, number, call):
    with planted(nodes) as tree:
        base, words = tree.base(number), name.text(tree.top)
        expected = outcome(tree, call, words, base)
        found = through(View(), base, words, call)
        if isinstance(found, Found):
            assert found.real is not None
            assert (found.number, found.same) == (0, True)
            assert outcome(tree, call, found.real) == expected
        else:
            assert found == expected


@given(
    trees(*PREFIXES),
    paths(*PREFIXES),
    st.integers(0, 9),
    st.sampled_from(PREFIXES),
    st.sampled_from(sorted(CALLS)),
)
def test_a_name_in_unreal_finds_what_it_would_find_without(nodes, name, number, prefix, call):
    with planted(nodes, plain=True) as known, planted(nodes) as tree:
        expected = outcome(known, call, name.text(known.top, plain=True), known.base(number))
        words = name.text(tree.top)
        found = through(unreal(), prefix + tree.base(number), words, call)
        if not isinstance(found, Found):
            assert found == expected
            return
        assert found.real is not None
        assert outcome(tree, call, found.real) == expected
        if found.same:  # the kernel runs the call as it stands
            assert outcome(tree, call, words, tree.base(number)) == expected
        if found.clean and call == "stat":  # C takes the prefix off, and lets the kernel run it
            letters = name.text(tree.top, plain=True)
            assert outcome(tree, call, letters, tree.base(number)) == expected
            assert found.number == number_at(unreal(), name.where if name.absolute else prefix)


@given(trees(*PREFIXES), paths(*PREFIXES), st.integers(0, 9), st.sampled_from(PREFIXES))
def test_the_name_found_is_canonical_and_leads_to_itself(nodes, name, number, prefix):
    with planted(nodes) as tree:
        view = unreal()
        found = through(view, prefix + tree.base(number), name.text(tree.top), "stat")
        if not isinstance(found, Found) or isinstance(outcome(tree, "stat", found.real), int):
            return
        assert found.name == os.path.normpath(found.name)
        again = resolve(view, KernelEyes(), "/", found.name)
        assert again.name == found.name
        assert again.number == found.number
        assert outcome(tree, "stat", again.real) == outcome(tree, "stat", found.real)
        assert os.path.realpath(real_of(found.cover, found.name)) == real_of(
            found.cover, found.name
        )


@pytest.mark.parametrize("words", ["a/..", "a/../b", "a/.", "a/x", "a"])
def test_who_may_not_enter_a_directory_does_not_get_out_of_it(words):
    """For an ordinary user "locked/.." is EACCES; root may enter anything."""
    nothing = Name(("x",), False, "", False)
    with planted([Node("locked", 0, "a", nothing), Node("file", 0, "b", nothing)]) as tree:
        expected = outcome(tree, "stat", words, tree.top)
        found = through(unreal(), "/unreal" + tree.top, words, "stat")
        assert isinstance(found, Found)
        assert outcome(tree, "stat", found.real) == expected


def change(tree: Planted, call: str, name: str, start: str) -> object:
    """What a call that changes something answers, and how the tree looks afterwards."""
    directory = os.open(start, os.O_PATH)
    try:
        if call == "open":
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=directory))
        elif call == "creat_new":
            os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory))
        elif call == "symlink":
            os.symlink("x", name, dir_fd=directory)
        elif call == "rename":
            os.rename(name, tree.top + "/renamed", src_dir_fd=directory)
        else:
            getattr(os, call)(name, dir_fd=directory)
        answer = 0
    except OSError as error:
        answer = error.errno or -1
    finally:
        os.close(directory)
    left = [
        (os.path.relpath(os.path.join(where, name), tree.top), name in files)
        for where, directories, files in os.walk(tree.top)
        for name in (*directories, *files)
        if not os.path.islink(os.path.join(where, name))
    ]
    links = [name for name in tree.inodes.values() if os.path.islink(f"{tree.top}/{name}")]
    return answer, sorted(left), sorted(links)


def inside(top: str, name: str) -> bool:
    """Whether a name leads to a place in the tree."""
    return (os.path.realpath(name) + "/").startswith(top + "/")


def directory_of(name: str) -> str:
    return os.path.dirname(name.rstrip("/"))


FOLLOWS = {
    "mkdir": BY_NAME["mkdir"].args[0].follows(),
    "rmdir": BY_NAME["rmdir"].args[0].follows(),
    "unlink": BY_NAME["unlink"].args[0].follows(),
    "rename": BY_NAME["rename"].args[0].follows(),
    "symlink": BY_NAME["symlink"].args[1].follows(),
    "open": BY_NAME["open"].args[0].follows(os.O_CREAT | os.O_WRONLY),
    "creat_new": BY_NAME["open"].args[0].follows(os.O_CREAT | os.O_EXCL),
}


def how(call):
    """What handlers/names.py:find says of a call's name."""
    makes = call in ("open", "creat_new")
    entry = not makes and BY_NAME[call].args[call == "symlink"].entry
    return {"follow": FOLLOWS[call], "entry": entry, "makes": makes}


@given(trees(*PREFIXES), paths(*PREFIXES), st.integers(0, 9), st.sampled_from(sorted(FOLLOWS)))
def test_a_call_that_changes_files_does_the_same_to_the_same(nodes, name, number, call):
    nodes = [node for node in nodes if node.kind != "locked"]
    with planted(nodes, plain=True) as known, planted(nodes) as tree:
        there = name.text(known.top, plain=True)
        full = os.path.join(known.base(number), there)
        assume(inside(known.top, full) and inside(known.top, directory_of(full)))
        expected = change(known, call, there, known.base(number))
        base, words = tree.base(number), name.text(tree.top)
        try:
            found = resolve(unreal(), KernelEyes(), "/unreal" + base, words, **how(call))
        except OSError as error:
            assert error.errno == expected[0]  # noqa: PT017 - it need not be raised
            return
        directory = directory_of(found.real)
        if os.path.exists(directory):
            assert inside(tree.top, directory) or inside(tree.top, found.real)
        assert change(tree, call, found.real, base) == expected


def test_rmdir_of_dot_dot_is_ENOTEMPTY_and_rmdir_of_dot_is_EINVAL():
    with planted([Node("dir", 0, "a", Name(("x",), False, "", False))]) as tree:
        for words in ("..", "."):
            expected = change(tree, "rmdir", words, tree.base(1))
            found = resolve(unreal(), KernelEyes(), "/unreal" + tree.base(1), words, **how("rmdir"))
            assert change(tree, "rmdir", found.real, tree.base(1)) == expected


@pytest.mark.parametrize("call", sorted(FOLLOWS))
@pytest.mark.parametrize("to", ["directory", "file", "missing", "loop"])
def test_a_slash_after_a_link_means_to_a_call_what_it_means_to_the_kernel(call, to):
    """stat("link/") follows the link; rmdir("link/") does not, nor does any call on an entry."""
    nodes = [
        Node("dir", 0, "a", Name(("x",), False, "", False)),
        Node("file", 0, "b", Name(("x",), False, "", False)),
        Node("link", 0, "d", Name(("d",), False, "", False)),
        Node("link", 0, "c", Name((TARGETS[to],), False, "", False)),
    ]
    with planted(nodes, plain=True) as known, planted(nodes) as tree:
        expected = change(known, call, "c/", known.top)
        try:
            real = resolve(unreal(), KernelEyes(), "/unreal" + tree.top, "c/", **how(call)).real
        except OSError as error:
            assert error.errno == expected[0]  # noqa: PT017 - it need not be raised
            return
        assert change(tree, call, real, tree.top) == expected


TARGETS = {"directory": "a", "file": "b", "missing": "x", "loop": "d"}


@pytest.mark.parametrize("call", ["stat", "open"])
@pytest.mark.parametrize("to", sorted(TARGETS))
def test_a_slash_at_the_end_of_a_links_target_asks_for_a_directory(call, to):
    """A link to "file/" is ENOTDIR, and no file is made through one to "missing/": EISDIR."""
    nodes = [
        Node("dir", 0, "a", Name(("x",), False, "", False)),
        Node("file", 0, "b", Name(("x",), False, "", False)),
        Node("link", 0, "d", Name(("d",), False, "", True)),
        Node("link", 0, "c", Name((TARGETS[to],), False, "", True)),
    ]
    with planted(nodes, plain=True) as known, planted(nodes) as tree:

        def done(where, name):
            if call == "stat":
                return outcome(where, "stat", name, where.top)
            return change(where, "open", name, where.top)

        expected = done(known, "c")
        try:
            found = resolve(
                unreal(), KernelEyes(), "/unreal" + tree.top, "c", follow=True, makes=call == "open"
            )
        except OSError as error:
            assert error.errno == (expected[0] if call == "open" else expected)  # noqa: PT017 - it need not be raised
            return
        assert done(tree, found.real) == expected


# -- symbolic links ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("absolute", [False, True])
def test_40_links_are_followed_and_41_are_ELOOP(tmp_path, prefix, absolute):
    start = prefix + str(tmp_path) + "/" if absolute else ""
    (tmp_path / "0").write_text("")
    for n in range(1, LINKS + 2):
        (tmp_path / str(n)).symlink_to(f"{start}{n - 1}")
    base = prefix + str(tmp_path)
    found = resolve(unreal(), KernelEyes(), base, str(LINKS))
    assert found.real == str(tmp_path / "0")
    with pytest.raises(OSError) as raised:
        resolve(unreal(), KernelEyes(), base, str(LINKS + 1))
    assert raised.value.errno == errno.ELOOP
    kept = resolve(unreal(), KernelEyes(), base, str(LINKS + 1), follow=False)
    assert kept.real == str(tmp_path / str(LINKS + 1))


def test_links_before_the_last_name_count_too(tmp_path):
    (tmp_path / "here").symlink_to(".")
    view, eyes = View(), KernelEyes()
    assert resolve(view, eyes, str(tmp_path), "here/" * LINKS).name == str(tmp_path)
    with pytest.raises(OSError) as raised:
        resolve(view, eyes, str(tmp_path), "here/" * (LINKS + 1), follow=False)
    assert raised.value.errno == errno.ELOOP


def test_a_link_into_unreal_is_followed_there(tmp_path):
    (tmp_path / "link").symlink_to(f"/unreal{tmp_path}/file")
    (tmp_path / "file").write_text("")
    view = unreal()
    found = resolve(view, KernelEyes(), str(tmp_path), "link")
    assert found.name == f"/unreal{tmp_path}/file"
    assert found.real == str(tmp_path / "file")
    assert found.number == number_at(view, "/unreal") != 0
    assert not found.same
    assert not found.clean


def test_an_absolute_link_leaves_unreal(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text("")
    found = resolve(unreal(), KernelEyes(), f"/unreal{tmp_path}", "link")
    assert (found.name, found.number) == (str(tmp_path / "file"), 0)
    assert not found.same
    assert not found.clean


# -- mount points --------------------------------------------------------------------------------


def test_dot_dot_at_the_root_of_a_mount_is_the_directory_it_is_mounted_in():
    view = unreal()
    found = resolve(view, KernelEyes(), "/unreal/unreal", "../../etc")
    assert (found.name, found.real, found.number) == ("/etc", "/etc", 0)
    assert not found.same
    assert resolve(view, KernelEyes(), "/", "../..").name == "/"


def test_what_is_mounted_on_a_link_hides_the_link(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    view = View()
    view.mount(str(tmp_path / "link"), view.now())
    found = resolve(view, KernelEyes(), str(tmp_path), "link/etc")
    assert (found.name, found.real) == (f"{tmp_path}/link/etc", "/etc")
    assert not found.is_mount_point
    there = resolve(view, KernelEyes(), str(tmp_path), "link", follow=False)
    assert there.is_mount_point
    assert there.real == "/"


def test_the_root_is_no_mount_point():
    assert not resolve(View(), KernelEyes(), "/", "/").is_mount_point


def test_a_bound_directory_has_the_kernels_own_name_of_it(tmp_path):
    (tmp_path / "there" / "in").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "there" / "up").symlink_to("../beside")
    bound = View()
    bound.mount(str(tmp_path / "here"), Past(bound, 0, str(tmp_path / "there")))
    found = resolve(bound, KernelEyes(), str(tmp_path), "here/in")
    assert found.real == str(tmp_path / "there" / "in")
    assert not found.same
    up = resolve(bound, KernelEyes(), str(tmp_path), "here/up")
    assert up.name == str(tmp_path / "beside")  # not beside the directory that is bound


# -- virtual trees -------------------------------------------------------------------------------


class Links(Tree):
    """A tree of nothing but some links."""

    def __init__(self, links):
        self.links = links

    def lstat(self, path):
        return attributes(stat.S_IFREG if path == "/file" else stat.S_IFDIR)

    def readlink(self, path):
        if path == "/forbidden":
            raise refuse(errno.EACCES, path)
        if path not in self.links:
            raise refuse(errno.EINVAL, path)
        return self.links[path]


@pytest.fixture
def virtual():
    view = View()
    view.mount("/v", Links({"/in": "a/b", "/out": "/etc/passwd", "/up": "../usr"}))
    return view


@pytest.mark.parametrize(
    ("words", "name", "rest"),
    [
        ("/v", "/v", "/"),
        ("/v/", "/v", "/"),
        ("/v/x/./y", "/v/x/y", "/x/y"),
        ("/v/in", "/v/a/b", "/a/b"),
        ("/v/in/../c", "/v/a/c", "/a/c"),
        ("/v/forbidden", "/v/forbidden", "/forbidden"),
    ],
)
def test_a_name_in_a_virtual_tree(virtual, words, name, rest):
    found = resolve(virtual, KernelEyes(), "/", words)
    assert (found.name, found.rest, found.real) == (name, rest, None)
    assert (found.cover.prefix, found.cover.number, found.number) == ("/v", -1, 0)
    assert not found.same
    assert not found.clean


@pytest.mark.parametrize(
    ("words", "number"),
    [("/v/forbidden/x", errno.EACCES), ("/v/file/x", errno.ENOTDIR), ("/v/file/..", errno.ENOTDIR)],
)
def test_a_virtual_tree_says_itself_why_a_name_leads_nowhere(virtual, words, number):
    with pytest.raises(OSError) as caught:
        resolve(virtual, KernelEyes(), "/", words)
    assert caught.value.errno == number


@pytest.mark.parametrize(
    ("words", "real"), [("/v/out", "/etc/passwd"), ("/v/up/bin", "/usr/bin"), ("/v/../v/..", "/.")]
)
def test_a_name_that_leaves_a_virtual_tree(virtual, words, real):
    found = resolve(virtual, KernelEyes(), "/", words)
    assert found.real is not None
    assert os.path.realpath(found.real) == os.path.realpath(real)
    assert not found.same


# -- proc ----------------------------------------------------------------------------------------


class ProcEyes(KernelEyes):
    """Eyes that take some links for magic ones: name -> (domain, the view's name of its end)."""

    def __init__(self, magic):
        self.magic = magic

    def is_magic(self, real):
        return real in self.magic

    def domain_of(self, real):
        return self.magic[real][0]

    def jump(self, real):
        return self.magic[real][1]


def test_a_magic_link_on_the_way_leads_to_a_name_of_the_view(tmp_path):
    (tmp_path / "cwd").symlink_to("what the kernel says")
    view = unreal()
    eyes = ProcEyes({str(tmp_path / "cwd"): (number_at(view, "/unreal"), "/unreal/etc")})
    found = resolve(view, eyes, str(tmp_path), "cwd/passwd")
    assert (found.name, found.real) == ("/unreal/etc/passwd", "/etc/passwd")
    assert not found.same


def test_a_magic_link_at_the_end_is_left_to_the_kernel_and_its_file_keeps_its_domain(tmp_path):
    (tmp_path / "3").symlink_to("pipe:[1]")
    view = unreal()
    number = number_at(view, "/unreal")
    eyes = ProcEyes({str(tmp_path / "3"): (number, "")})
    found = resolve(view, eyes, str(tmp_path), "3")
    assert found.real == str(tmp_path / "3")
    assert found.number == number
    assert found.same
    assert not found.clean
    assert resolve(view, eyes, str(tmp_path), "3", follow=False).number == 0


def test_a_magic_link_of_a_domain_that_has_gone_is_the_kernels(tmp_path):
    (tmp_path / "3").symlink_to("pipe:[1]")
    eyes = ProcEyes({str(tmp_path / "3"): (12345, "")})
    found = resolve(View(), eyes, str(tmp_path), "3")
    assert (found.real, found.number) == (str(tmp_path / "3"), 0)


# -- what is no name -----------------------------------------------------------------------------


def test_an_empty_name_is_ENOENT():
    with pytest.raises(OSError) as raised:
        resolve(View(), KernelEyes(), "/", "")
    assert raised.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("words", "real"),
    [
        ("new", "new"),
        ("new/", "new/"),
        ("file/", "file/"),
        ("file/x", "file/x"),
        ("missing/../file", "missing/../file"),
        ("sub/.", "sub/."),
        ("sub/..", "."),
        ("/", "/"),
    ],
)
def test_what_cannot_be_looked_up_is_left_to_the_kernel(tmp_path, words, real):
    (tmp_path / "file").write_text("")
    (tmp_path / "sub").mkdir()
    found = resolve(unreal(), KernelEyes(), f"/unreal{tmp_path}", words)
    assert found.real == (real if real == "/" else f"{tmp_path}/{real}")


def test_real_of_is_the_inverse_of_a_domains_name():
    view = unreal()
    for name in ("/", "/etc", "/unreal", "/unreal/etc", "/unreal/unreal/etc/x"):
        cover = cover_of(view, name)
        domain = view.domain(cover.number)
        assert domain is not None
        assert domain.name(real_of(cover, name)) == name


def test_names_and_nodes_are_as_random_as_they_should_be():
    """The oracle tests above mean something only if their trees have links that are followed."""
    nodes = [
        Node("dir", 0, "a", Name(("x",), False, "", False)),
        Node("link", 0, "b", Name(("a",), True, "/unreal", False)),
    ]
    with planted(nodes) as tree, planted(nodes, plain=True) as known:
        assert os.readlink(tree.top + "/b") == f"/unreal{tree.top}/a"
        assert os.readlink(known.top + "/b") == f"{known.top}/a"
        found = resolve(unreal(), KernelEyes(), tree.top, "b")
        assert outcome(tree, "stat", found.real) == "a" == outcome(known, "stat", known.top + "/b")


# -- another root --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "path", "name"),
    [
        ("/", "/file", "/file"),
        ("/", "../file", "/file"),
        ("/deep", "../../../file", "/file"),
        ("/deep", "/../file", "/file"),
        ("/deep", "up", "/file"),
        ("/deep", "link", "/file"),
    ],
)
def test_a_directory_on_the_root_is_not_left(tmp_path, base, path, name):
    (tmp_path / "deep").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "deep" / "link").symlink_to("/file")
    (tmp_path / "deep" / "up").symlink_to("../../../file")
    view = View()
    view.mount("/", Past(view, view.epoch, str(tmp_path)))
    found = resolve(view, KernelEyes(), base, path)
    # The kernel, given these words, would go to its own root.
    assert (found.name, found.real, found.same) == (name, str(tmp_path / "file"), False)
    assert resolve(view, KernelEyes(), "/", "deep").same


# -- where the way is the same for everybody -------------------------------------------------------


class Texts(Tree):
    """A directory `d` with a file `f`, a link `l` to it and one, `out`, to a device."""

    texts = True

    def lstat(self, path):
        if path not in ("/", "/d", "/d/f"):
            raise refuse(errno.ENOENT, path)
        return attributes(stat.S_IFREG if path == "/d/f" else stat.S_IFDIR)

    def readlink(self, path):
        try:
            return {"/l": "d/f", "/out": "../../dev/x"}[path]
        except KeyError:
            raise refuse(errno.EINVAL, path) from None


class Changing(Texts):
    texts = False


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("/dev/x", True),
        ("/sys/t", True),
        ("/sys/t/d/f", True),
        ("/sys/t/l", True),
        ("/sys/t/out", True),
        ("/sys/t/none", True),
        ("/sys/../dev/x", True),
        ("/sys/other/d/f", False),  # its tree may change whenever it likes
        ("/home/x", False),  # who may enter there depends
        ("/home/../dev/x", False),
        ("/dev/none", False),  # the kernel knows
    ],
)
def test_names_of_devices_and_texts_are_fixed(name, fixed):
    class Eyes(KernelEyes):
        def readlink(self, real):
            raise refuse(errno.EINVAL, real)

        def is_directory(self, real):
            return True

        def is_plain(self, real):
            return real in ("/", "/dev", "/sys")

    view = View()
    for place, tree in (("/dev/x", Device()), ("/home/x", Device()), ("/sys/t", Texts())):
        view.mount(place, tree)
    view.mount("/sys/other", Changing())
    found = resolve(view, Eyes(), "/", name)
    assert found.fixed is fixed
    assert (found.real is None) is not name.endswith("dev/none")
    assert not resolve(view, Eyes(), "/", name.lstrip("/")).fixed
