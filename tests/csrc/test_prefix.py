# SPDX-License-Identifier: GPL-2.0-or-later
"""csrc/prefix.c and clean.c against pyview/paths.py: what C calls plain, Python finds there too.

PV_PLAIN is a promise that the kernel, given the words, gets where the view leads.  No process is
traced: the task that C looks at is this one.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from cffi import FFI
from forest import KernelEyes, Name, Node, paths, planted, trees
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pyview.paths import cover_of, resolve
from pyview.view import _NUMBERS, Past, View

HEADER = (Path(__file__).resolve().parents[2] / "csrc" / "pyview.h").read_text(encoding="utf-8")
PLAIN, SLOW = 0, 1
AT_FDCWD = -100
serials = itertools.count(1)


def bare(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


ffi = FFI()
ffi.cdef(bare(HEADER.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]))
ffi.cdef(bare(re.search(r"struct pv_where \{.*?\n\};", HEADER, re.DOTALL)[0])
         .replace("2 * PV_PATH_MAX", "8192"))  # fmt: skip
for name in ("pv_where", "pv_where_done", "pv_where_base", "pv_is_clean", "pv_key",
             "pv_names_mount", "pv_is_parent"):  # fmt: skip
    line = re.search(rf"^[^\n]*\b{name}\([^;]*;", HEADER, re.MULTILINE)[0]
    ffi.cdef(line.replace("enum pv_verdict", "int"))
lib = ffi.dlopen(find_spec("pyview._core").origin)


class Looker:
    """This process as a task of a view."""

    def __init__(self, view):
        self.view = view
        self.picture = lib.pv_view_new()
        self.fs = ffi.new("struct pv_fs *", {"refs": 1, "fd": -1, "serial": next(serials)})
        self.mm = ffi.new("struct pv_mm *", {"refs": 1})
        self.task = ffi.new("struct pv_task *", {
            "tid": os.getpid(), "pidfd": -1, "view": self.picture, "fs": self.fs, "mm": self.mm,
        })  # fmt: skip
        self.describe()

    def describe(self):
        """As pyview/tracer.py tells C."""
        lib.pv_view_clear(self.picture)
        names = set(self.view.names())
        for cover in self.view.covers():
            prefix, root = os.fsencode(cover.prefix), os.fsencode(cover.root)
            assert lib.pv_view_cover(self.picture, prefix, cover.number, root) == 0
            names.add(cover.prefix.rpartition("/")[0].rpartition("/")[2])
        for name in names - {""}:
            assert lib.pv_view_name(self.picture, os.fsencode(name)) == 0
        lib.pv_forget()

    def chdir(self, name):
        """Be in a directory that the view calls `name`."""
        found = resolve(self.view, KernelEyes(), "/", name)
        os.chdir(found.real)
        self.fs.domain = found.number
        self.fs.serial = next(serials)
        self._leave()
        self.at = name

    def _leave(self):
        if self.fs.fd >= 0:
            os.close(self.fs.fd)
            self.fs.fd = -1

    def where(self, words, *, follow, dirfd=AT_FDCWD):
        """(verdict, domain, the name the kernel will get, whether it is relative, key)."""
        out, key = ffi.new("struct pv_where *"), ffi.new("uint64_t *")
        text = ffi.new("char[]", os.fsencode(words))
        verdict = lib.pv_where(self.task, dirfd, text, not follow, out, key)
        name = os.fsdecode(ffi.string(out.path))
        lib.pv_where_done(out)
        return verdict, out.domain, name, bool(out.relative), key[0]

    def close(self):
        self._leave()
        if self.task.pidfd >= 0:
            os.close(self.task.pidfd)
        lib.pv_view_free(self.picture)


@pytest.fixture(autouse=True)
def _back():
    before = os.getcwd()
    lib.pv_use_domains()
    yield
    os.chdir(before)


def unreal(top):
    """A view with unreal; and `top` bound to a place that is one deeper."""
    _NUMBERS.clear()  # as in a core that has just started
    _NUMBERS["", ""] = 0
    view = View()
    view.mount("/unreal", view.now())
    view.mount("/unreal", view.now())
    view.mount(BOUND + top, Past(view, 0, top))
    return view


BOUND = f"{tempfile.gettempdir()}/bound-{os.getpid()}"
PREFIXES = ("", "/unreal", "/unreal/unreal", BOUND)


@pytest.fixture(autouse=True, scope="module")
def _place():
    """A mount point has a directory that it is in."""
    os.makedirs(BOUND + tempfile.gettempdir())
    yield
    shutil.rmtree(BOUND)


def outcome(tree, name, follow, dirfd=None):
    try:
        found = os.stat(name, dir_fd=dirfd, follow_symlinks=follow)
        return tree.identity(found)
    except OSError as error:
        return error.errno


def expected(tree, looker, base, words, follow):
    """What Python says: (where it leads or an errno, the domain or None, for the cache)."""
    try:
        found = resolve(looker.view, KernelEyes(), base, words, follow=follow)
    except OSError as error:
        return error.errno, None, False
    end = outcome(tree, found.real, follow)
    return end, None if isinstance(end, int) else found.number, found.same and found.clean


questions = st.lists(
    st.tuples(paths(*PREFIXES), st.booleans(), st.booleans()), min_size=1, max_size=8
)


@settings(deadline=None)
@given(trees(*PREFIXES), questions, st.integers(0, 9), st.sampled_from(PREFIXES))
def test_what_C_calls_plain_is_where_Python_finds_it(nodes, asked, number, prefix):
    """Several names one after the other, as the cache of clean names remembers the first ones."""
    with planted(nodes) as tree:
        looker = Looker(unreal(tree.top))
        looker.chdir(prefix + tree.base(number))
        try:
            for name, follow, again in asked:
                words = name.text(tree.top)
                verdict, domain, path, relative, key = looker.where(words, follow=follow)
                end, shown, clean = expected(tree, looker, looker.at, words, follow)
                event("plain" if verdict == PLAIN else "slow")
                if verdict == PLAIN:
                    assert relative == (not words.startswith("/"))
                    assert outcome(tree, path, follow) == end
                    assert shown is None or domain == shown
                elif clean and again:
                    lib.pv_clean(key)  # as the tracer does after a handler's Real(clean)
        finally:
            looker.close()


@settings(deadline=None)
@given(trees(*PREFIXES), paths(*PREFIXES), st.integers(0, 9), st.sampled_from(PREFIXES),
       st.booleans())  # fmt: skip
def test_the_same_from_a_descriptor(nodes, name, number, prefix, follow):
    with planted(nodes) as tree:
        looker = Looker(unreal(tree.top))
        base = prefix + tree.base(number)
        found = resolve(looker.view, KernelEyes(), "/", base)
        fd = os.open(found.real, os.O_RDONLY | os.O_DIRECTORY)
        try:
            lib.pv_mark(fd, found.number)
            words = name.text(tree.top)
            verdict, domain, path, _, _ = looker.where(words, follow=follow, dirfd=fd)
            if verdict == PLAIN:
                end, shown, _ = expected(tree, looker, base, words, follow)
                assert outcome(tree, path, follow, fd) == end
                assert shown is None or domain == shown
        finally:
            os.close(fd)
            looker.close()


@pytest.fixture
def looker(tmp_path):
    one = Looker(unreal(str(tmp_path)))
    one.chdir("/")
    yield one
    one.close()


# -- what shall need no Python -------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES[:3])
@pytest.mark.parametrize("words", ["/etc/passwd", "/etc", "/etc/", "/missing", "/etc/passwd/x"])
def test_ordinary_names_are_plain(looker, prefix, words):
    number = cover_of(looker.view, prefix or "/").number
    verdict, domain, path, relative, _ = looker.where(prefix + words, follow=True)
    assert (verdict, domain, path, relative) == (PLAIN, number, words, False)


def test_the_root_of_a_domain_is_plain(looker):
    for prefix in PREFIXES[1:3]:
        verdict, domain, path, _, _ = looker.where(prefix, follow=True)
        number = cover_of(looker.view, prefix).number
        assert (verdict, domain, path) == (PLAIN, number, "/")


def test_a_bound_name_is_the_kernels_name_of_it(looker, tmp_path):
    (tmp_path / "file").write_text("")
    verdict, domain, path, _, _ = looker.where(f"{BOUND}{tmp_path}/file", follow=True)
    assert (verdict, path) == (PLAIN, f"{tmp_path}/file")
    assert domain == cover_of(looker.view, f"{BOUND}{tmp_path}").number


@pytest.mark.parametrize("words", ["passwd", "./passwd", ".", "../etc/passwd", "missing"])
@pytest.mark.parametrize("prefix", PREFIXES[:3])
def test_relative_names_are_plain(looker, prefix, words):
    looker.chdir(prefix + "/etc")
    verdict, domain, path, relative, _ = looker.where(words, follow=True)
    assert (verdict, domain) == (PLAIN, cover_of(looker.view, prefix or "/").number)
    assert (path, relative) == (words, True)


@pytest.mark.parametrize(
    "words",
    [
        "/unreal/../etc",
        "//unreal/etc",
        "/unreal//unreal/etc",
        "/./unreal",
        "/etc/../unreal/etc",
        "unreal/etc",
        "/unreal/unreal/../etc",
        "/unreal/proc/self",
        "/proc/self/mounts",
        "/proc/mounts",
        "/proc/self/fd/0",
        "/proc/1/cwd/x",
    ],
)
def test_these_names_are_for_python(looker, words):
    assert looker.where(words, follow=True)[0] == SLOW


def test_above_the_root_of_a_domain_is_for_python(looker):
    looker.chdir("/unreal/etc")
    assert looker.where("..", follow=True)[0] == PLAIN
    assert looker.where("../..", follow=True)[0] == SLOW
    assert looker.where("x/../../..", follow=True)[0] == SLOW


def test_a_link_is_for_python_until_it_is_known_to_be_clean(looker, tmp_path):
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_text("")
    words = f"{tmp_path}/link"
    verdict, _, _, _, key = looker.where(words, follow=True)
    assert verdict == SLOW
    assert looker.where(words, follow=False)[0] == PLAIN
    lib.pv_clean(key)
    assert looker.where(words, follow=True)[0] == PLAIN
    lib.pv_forget()
    assert looker.where(words, follow=True)[0] == SLOW


def test_what_is_clean_in_one_domain_is_not_in_another(looker, tmp_path):
    """A bound directory has its own "..": the same link leads elsewhere through it."""
    (tmp_path.parent / "etc").mkdir(exist_ok=True)
    (tmp_path / "link").symlink_to("../etc")
    words = f"{tmp_path}/link"
    _, _, _, _, key = looker.where(words, follow=True)
    assert resolve(looker.view, KernelEyes(), "/", words).clean
    lib.pv_clean(key)
    bound = f"{BOUND}{words}"
    assert resolve(looker.view, KernelEyes(), "/", bound).name != f"{tmp_path.parent}/etc"
    assert looker.where(bound, follow=True)[0] == SLOW
    (tmp_path / "absolute").symlink_to("/etc")
    _, _, _, _, key = looker.where(f"{tmp_path}/absolute", follow=True)
    lib.pv_clean(key)
    assert looker.where(f"/unreal{tmp_path}/absolute", follow=True)[0] == SLOW


@pytest.mark.parametrize("number", [1, 63, 64, 65, 1000])
def test_a_descriptor_remembers_its_domain_whatever_its_number(looker, tmp_path, number):
    """Numbers are never reused: a core that has seen many mounts has large ones."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lib.pv_mark(fd, number)
        assert lib.pv_mark_of(looker.task, fd) == number
    finally:
        os.close(fd)


# -- keys ----------------------------------------------------------------------------------------


def key_of(looker, words, *, relative=0, domain=0):
    return lib.pv_key(looker.task, relative, domain, ffi.new("char[]", words))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_two_names_have_two_keys(first, second):
    looker = Looker(View())
    first, second = first.replace(b"\0", b"x"), second.replace(b"\0", b"x")
    try:
        assert (key_of(looker, first) == key_of(looker, second)) == (first == second)
        assert key_of(looker, first) != 0
    finally:
        looker.close()


def test_a_key_is_of_one_way_to_look_in_one_place(looker):
    other = Looker(View())
    words = b"some/name/of/a/file"
    keys = [
        key_of(looker, words),
        key_of(looker, words, relative=1),
        key_of(looker, words, domain=1),
        key_of(other, words),
    ]
    looker.fs.serial = next(serials)
    keys.append(key_of(looker, words, relative=1))
    assert key_of(looker, words) == keys[0]
    lib.pv_forget()
    keys.append(key_of(looker, words))
    assert len(set(keys)) == len(keys)
    other.close()


def test_no_key_is_never_clean():
    lib.pv_clean(0)
    assert not lib.pv_is_clean(0)


# -- names of mounts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "yes"),
    [
        (b"unreal", True),
        (b"/x/unreal/y", True),
        (b"a//unreal", True),
        (b"unreally", False),
        (b"unrea", False),
        (b"/", False),
        (b"", False),
    ],
)
def test_names_that_meet_a_mount(looker, words, yes):
    assert bool(lib.pv_names_mount(looker.picture, ffi.new("char[]", words))) is yes


def test_directories_with_mount_points(looker):
    lib.pv_view_parent(looker.picture, 1, 2)
    lib.pv_view_parent(looker.picture, 3, 4)
    answers = [lib.pv_is_parent(looker.picture, *one) for one in ((1, 2), (3, 4), (1, 4), (0, 0))]
    assert list(map(bool, answers)) == [True, True, False, False]
    lib.pv_view_clear(looker.picture)
    assert not lib.pv_is_parent(looker.picture, 1, 2)


def test_the_forest_has_what_the_tests_need():
    nodes = [Node("link", 0, "a", Name(("..", "x"), False, "", False))]
    with planted(nodes) as tree:
        assert os.readlink(f"{tree.top}/a") == "../x"
