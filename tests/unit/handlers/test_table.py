# SPDX-License-Identifier: GPL-2.0-or-later
"""Every call that stops has a handler, and every handler is of a call that stops."""

from __future__ import annotations

import pytest

from pyview import syscalls
from pyview.filter import MESSAGES
from pyview.handlers import names, table
from pyview.syscalls import Stop
from pyview.verdicts import Real


def test_handlers_are_of_calls_that_stop():
    stopping = {call.name for call in syscalls.CALLS if call.stop in (Stop.LISTENER, Stop.TRACER)}
    assert set(table.BY_NAME) <= stopping | set(MESSAGES)


def test_a_call_that_names_files_is_answered_by_its_names():
    for call in syscalls.CALLS:
        if call.paths() and call.name not in table.BY_NAME:
            assert table.handler_of(call) is names.any_name


@pytest.mark.parametrize("name", ["prctl", "read", "clone3", "getpid"])
def test_any_other_call_is_the_kernels(name):
    assert table.handler_of(syscalls.BY_NAME[name])(None) == Real()


@pytest.mark.parametrize(
    ("plain", "at"),
    [("open", "openat"), ("readlink", "readlinkat"), ("execve", "execveat"),
     ("accept", "accept4"), ("getdents", "getdents64")],
)  # fmt: skip
def test_calls_that_differ_in_form_share_a_handler(plain, at):
    row = syscalls.BY_NAME
    assert table.handler_of(row[plain]) is table.handler_of(row[at]) is not names.any_name
