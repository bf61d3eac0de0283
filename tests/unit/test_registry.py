# SPDX-License-Identifier: GPL-2.0-or-later
"""Finding and loading modules; every mistake is one clear line and leaves nothing."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections import OrderedDict

import pytest

from pyview import registry
from pyview.api import Device, Module
from pyview.registry import ModuleError, find, keywords, load
from pyview.view import View

MODULE = "from pyview.api import Module\nclass M(Module):\n"


@pytest.fixture
def view():
    return View()


@pytest.fixture
def log():
    return []


def failing(action):
    with pytest.raises(ModuleError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_unreal_is_found_by_its_short_name_and_by_its_dotted_one(view, log):
    loaded = load(view, "unreal", log.append)
    assert loaded.name == "unreal"
    assert loaded.line.startswith("the whole file tree again")
    assert [mount.target for mount in loaded.mounts] == ["/unreal", "/unreal"]
    assert all(mount.owner is loaded for mount in loaded.mounts)
    assert find("pyview.modules.unreal", log.append) is type(loaded.module)


def test_what_is_available_is_the_files_of_the_folder():
    assert "unreal" in registry.available()
    assert not [name for name in registry.available() if name.startswith("_")]


def test_an_old_name_means_the_present_one_once_there_is_such_a_module():
    known = ["unreal", "vudev", "vufuse", "viewfs"]
    now = {name: registry.current(name, known) for name in ("umdev", "fuse", "vufs", "umnet")}
    assert now == {"umdev": "vudev", "fuse": "vufuse", "vufs": "viewfs", "umnet": "umnet"}


@pytest.mark.parametrize("old", ["vudevpartx", "umdevpartx", "umdevmbr", "vudevmbr"])
def test_an_old_mount_type_means_the_present_one(old):
    assert registry.current(old, ["vudevmbr", "vudevnull"]) == "vudevmbr"
    assert registry.current(old, []) == old


def test_a_file_is_loaded_afresh_each_time_and_leaves_no_cache(a_module, view, log, tmp_path):
    path = a_module('"""thing: first"""\n' + MODULE + "    pass\n")
    assert load(view, path, log.append).line == "first"
    a_module('"""thing: second"""\n' + MODULE + "    pass\n")
    assert load(view, path, log.append).line == "second"
    assert os.listdir(tmp_path) == ["thing.py"]


@pytest.mark.parametrize("name", ["nosuch", "no.such", "pyview.modules.nosuch", "os..path", "-x"])
def test_an_unknown_module_is_named(name, log):
    text = failing(lambda: find(name, log.append))
    assert text.startswith(f"{name}: no such module")
    assert not log


def test_the_line_for_an_unknown_module_says_which_there_are(log):
    assert "unreal" in failing(lambda: find("nosuch", log.append))


def test_a_missing_file_is_named(log, tmp_path):
    text = failing(lambda: find(str(tmp_path / "x.py"), log.append))
    assert text == f"{tmp_path}/x.py: No such file or directory"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", "{}:1: invalid syntax"),
        ("\n\nx = (\n", "{}:3: '(' was never closed"),
        ("x = 1\n", "{}: no Module subclass in it"),
        ("from pyview.api import Module\n", "{}: no Module subclass in it"),
        ("import nosuchthing\n", "{}: ModuleNotFoundError: No module named 'nosuchthing'"),
        ("1/0\n", "{}: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)\n", "{}: SystemExit: 3"),
        ("x = '\\0'\n" * 2 + "\0", "{}: ValueError: source code string cannot contain null bytes"),
        (MODULE + "    pass\nclass N(Module): pass\n", "{}: more than one Module: M, N"),
        (MODULE + "    def __init__(self): raise KeyError('a\\nb')\n", "{}: KeyError: 'a\\nb'"),
        (MODULE + "    def load(self, view): 1/0\n", "{}: ZeroDivisionError: division by zero"),
        (MODULE + "    def load(self, view): open('/nosuch')\n",
         "{}: No such file or directory: /nosuch"),
    ],
)  # fmt: skip
def test_a_broken_module_gives_one_line_and_stays_out(source, said, a_module, view, log):
    path = a_module(source)
    text = failing(lambda: load(view, path, log.append))
    assert text == said.replace("{}", path)
    assert len(view.mounts) == 1


def test_of_a_class_and_its_subclass_the_subclass_is_the_module(a_module, log):
    path = a_module(MODULE + "    pass\nclass N(M): pass\n")
    assert find(path, log.append).__name__ == "N"


def test_the_log_has_the_traceback_from_the_modules_edge_on(a_module, view, log):
    path = a_module(MODULE + "    def load(self, view):\n        1/0\n")
    failing(lambda: load(view, path, log.append))
    (text,) = log
    assert f'File "{path}", line 4' in text
    assert "registry.py" not in text


def test_what_a_failing_load_mounted_goes_away(box, view, log):
    before = list(view.mounts)
    failing(lambda: load(view, box + ",word=fails", log.append))
    assert view.mounts == before


def test_a_failed_file_leaves_the_one_loaded_before_in_place(a_module, view, log):
    import sys

    path = a_module(MODULE + "    pass\n")
    module = type(load(view, path, log.append).module).__module__
    kept = sys.modules[module]
    a_module("1/0\n")
    failing(lambda: load(view, path, log.append))
    assert sys.modules[module] is kept


def test_an_entry_point_is_found(monkeypatch, log):
    class Point:
        name = "theirs"

        def load(self):
            return type("Theirs", (Module,), {})

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: [Point()])
    assert find("theirs", log.append).__name__ == "Theirs"


# -- options -------------------------------------------------------------------------------------


def target(below, source, *, size: int = 0, ro: bool = False, word: str = "", many: list[str] = ()):
    """Takes one option of each kind."""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {}),
        (["size=5"], {"size": 5}),
        (["size=0x10"], {"size": 16}),
        (["size=4K"], {"size": 4096}),
        (["size=1g"], {"size": 1 << 30}),
        (["ro"], {"ro": True}),
        (["ro=no"], {"ro": False}),
        (["ro=YES"], {"ro": True}),
        (["word=a=b"], {"word": "a=b"}),
        (["word="], {"word": ""}),
        (["many=a", "many=b"], {"many": ["a", "b"]}),
    ],
)
def test_options_become_what_the_annotations_say(options, expected):
    assert keywords(target, options, 2) == expected


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("nosuch", "unknown option: nosuch (it takes: size, ro, word, many)"),
        ("below=1", "unknown option: below (it takes: size, ro, word, many)"),
        ("size", "option size: needs a value (size=...)"),
        ("size=", "option size: not a number: "),
        ("size=five", "option size: not a number: five"),
        ("size=K", "option size: not a number: K"),
        ("ro=maybe", "option ro: neither yes nor no: maybe"),
    ],
)
def test_a_bad_option_is_one_line(option, said):
    assert failing(lambda: keywords(target, [option], 2)) == said


def test_annotations_may_be_objects_or_text_and_may_be_none():
    def plain(size, n: int | None = None, *, x: list[str] = ()):
        pass

    assert keywords(plain, ["size=1", "n=2", "x=3"], 0) == {"size": "1", "n": 2, "x": ["3"]}
    assert failing(lambda: keywords(plain, [], 0)) == "option missing: size="


def test_objects_as_annotations():
    namespace = {}
    exec("def f(*, a: int = 1, b: list[str] = (), c: int | None = None): pass", namespace)
    assert keywords(namespace["f"], ["a=1", "b=x", "c=3"], 0) == {"a": 1, "b": ["x"], "c": 3}


def test_keywords_of_any_name_are_taken_by_who_asks_for_them():
    def open_ended(self, **options):
        pass

    assert keywords(open_ended, ["a=1", "b=2"]) == {"a": "1", "b": "2"}
    assert failing(lambda: keywords(open_ended, ["flag"])).startswith("option flag: needs a value")


class Bottom:
    def __init__(self, below, *, ro: bool = False, mode: str = "", size: int):
        self.got = below, ro, mode, size


class Middle(Bottom):
    """Has no __init__ of its own."""


class Top(Middle):
    def __init__(self, below, source, *, size: int = 5, fast: bool = False, **more):
        super().__init__(below, size=size, **more)


def test_keywords_that_are_handed_on_are_those_of_the_next_init():
    assert keywords(Top, ["ro", "mode=0640", "size=1K"], 3) == {
        "ro": True, "mode": "0640", "size": 1024,
    }  # fmt: skip
    assert failing(lambda: keywords(Top, ["nosuch"], 3)) == (
        "unknown option: nosuch (it takes: size, fast, ro, mode)"
    )
    assert failing(lambda: keywords(Top, ["below=1"], 3)).startswith("unknown option: below")
    assert Top("b", "s", **keywords(Top, ["ro"], 3)).got == ("b", True, "", 5)


def test_what_is_handed_on_and_has_no_default_must_be_given():
    class Again(Bottom):
        def __init__(self, below, source, **more):
            super().__init__(below, **more)

    assert failing(lambda: keywords(Again, [], 3)) == "option missing: size="
    assert keywords(Again, ["size=1"], 3) == {"size": 1}


def test_keywords_that_nobody_names_in_the_end_may_be_any():
    class Open:
        def __init__(self, **more):
            pass

    class Still(Open):
        def __init__(self, *, n: int = 0, **more):
            super().__init__(**more)

    assert keywords(Still, ["n=1", "x=2"]) == {"n": 1, "x": "2"}


# -- mount types ---------------------------------------------------------------------------------


def test_a_mount_type_may_be_imported_when_it_is_wanted(log):
    assert registry.type_of("collections:OrderedDict", log.append) is OrderedDict
    assert registry.type_of(Bottom, log.append) is Bottom


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("no.such:Thing", "no.such: no such module"),
        ("collections", "collections: AttributeError: "),
        ("collections:Thing", "collections: AttributeError: module 'collections' has no"),
    ],
)
def test_a_mount_type_that_can_not_be_imported_is_one_line(where, said, log):
    assert failing(lambda: registry.type_of(where, log.append)).startswith(said)


def test_loading_vudev_imports_no_device(log):
    code = "import sys, pyview.modules.vudev as v; print([m for m in sys.modules if 'vudev.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    for make in find("vudev", log.append).types.values():
        assert issubclass(registry.type_of(make, log.append), Device)


def test_a_module_without_init_takes_no_option(view, log):
    text = failing(lambda: load(view, "unreal,emulated=1", log.append))
    assert text.startswith("unreal: unknown option: emulated")
    assert len(view.mounts) == 1


def test_options_reach_the_module(box, view, log):
    loaded = load(view, box + ",word=w,times=3,names=a,names=b", log.append, permanent=True)
    module = loaded.module
    assert (module.word, module.times, module.names) == ("w", 3, ["a", "b"])
    assert loaded.permanent
    assert loaded.name == "vuboxes"
    assert loaded.line == "box - a tree with one name in it"
