# SPDX-License-Identifier: GPL-2.0-or-later
"""What is left out of a tree, a file, a stack or a socket answers as documented."""

from __future__ import annotations

import errno
import inspect
import subprocess
import sys

import pytest

from pyview import api

SHAPED_LIKE_OS = ("lstat", "readlink", "listdir", "unlink", "mkdir", "rmdir", "symlink", "rename")
QUIET = {"real", "busy", "unmounted", "fsync", "close"}  # have an answer of their own


def operations(kind):
    return [name for name, f in vars(kind).items() if inspect.isfunction(f) and name[0] != "_"]


def call(thing, name):
    function = getattr(thing, name)
    return function(*("/x" for _ in inspect.signature(function).parameters))


@pytest.mark.parametrize("name", [n for n in operations(api.Tree) if n not in QUIET])
def test_an_operation_left_out_of_a_tree_is_refused_with_an_errno(name):
    with pytest.raises(OSError) as caught:
        call(api.Tree(), name)
    assert caught.value.errno == (errno.EINVAL if name == "readlink" else errno.ENOSYS)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in (api.File, api.Socket, api.Stack) for name in operations(kind)],
)
def test_an_operation_left_out_of_the_others_is_refused_or_does_nothing(kind, name):
    if name in QUIET:
        assert call(kind(), name) is None
    else:
        with pytest.raises(OSError):
            call(kind(), name)


def test_a_plain_tree_renames_nothing_and_is_never_busy():
    tree = api.Tree()
    assert tree.real("/x") is None
    assert tree.busy() is False
    assert tree.unmounted() is None


@pytest.mark.parametrize("name", SHAPED_LIKE_OS)
def test_operations_are_named_as_in_os(name):
    assert name in operations(api.Tree)
    assert hasattr(__import__("os"), name)


@pytest.mark.parametrize("kind", [api.Tree, api.File, api.Stack, api.Module, api.View])
def test_every_operation_says_what_it_is(kind):
    for name in operations(kind):
        assert getattr(kind, name).__doc__, name


def test_refuse_makes_an_OSError_with_the_kernels_text():
    error = api.refuse(errno.EROFS, "/x", "ignored")
    assert (error.errno, error.strerror, error.filename) == (30, "Read-only file system", "/x")
    assert api.refuse(errno.EIO).filename is None


def test_a_module_does_nothing_by_itself():
    module = api.Module()
    assert module.types == {}
    assert module.load(None) is None
    assert module.unload(None) is None


def test_the_api_imports_nothing_of_pyview():
    code = "import sys; import pyview.api; print(*[m for m in sys.modules if 'pyview' in m])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split() == ["pyview", "pyview.api"]
