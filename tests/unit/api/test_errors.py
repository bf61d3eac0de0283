# SPDX-License-Identifier: GPL-2.0-or-later
"""How an operation fails."""

from __future__ import annotations

import errno

import pytest

from pyview import api


def test_refuse_makes_an_OSError_with_the_kernels_text():
    error = api.refuse(errno.EROFS, "/x", "ignored")
    assert (error.errno, error.strerror, error.filename) == (30, "Read-only file system", "/x")
    assert api.refuse(errno.EIO).filename is None


@pytest.mark.parametrize("error", [OSError(errno.EIO, "no"), SystemExit(1), None])
def test_what_is_to_be_done_if_it_fails_is_done_then_only(error):
    done, caught = [], None
    try:
        with api.if_it_fails(lambda: done.append("undone")):
            if error is not None:
                raise error
    except BaseException as raised:
        caught = raised
    assert caught is error
    assert done == ([] if error is None else ["undone"])
