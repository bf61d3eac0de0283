# SPDX-License-Identifier: GPL-2.0-or-later
"""Every call that stops has a handler, and every handler is of a call that stops."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playbook import Nobody, play

from pyview import syscalls
from pyview.api import Device
from pyview.filter import CLOSING, LIMITS, MAPPINGS, MESSAGES
from pyview.handlers import names, table
from pyview.openfile import OpenFile
from pyview.syscalls import Role, Stop
from pyview.verdicts import Real, Redirect
from pyview.view import Mount

# These refuse every descriptor of a file, and so they do the socket that it is made of.
REFUSED_ANYWAY = {"inotify_add_watch", "fanotify_mark", "setns"}


def test_handlers_are_of_calls_that_stop():
    stopping = {call.name for call in syscalls.CALLS if call.stop in (Stop.LISTENER, Stop.TRACER)}
    held = {call.name for call in syscalls.CALLS if call.held is not None}
    identity = {call.name for call in syscalls.CALLS if call.identity is not None}
    tiers = {*MESSAGES, *MAPPINGS, *CLOSING, *LIMITS}
    assert set(table.BY_NAME) <= stopping | held | identity | tiers
    in_c = {name for name in identity if name.startswith("get")}  # csrc/identity.c
    assert identity - in_c <= set(table.BY_NAME)
    operations = {call.op for call in syscalls.CALLS if call.name in held}
    assert set(table.BY_OPERATION) <= operations


def test_no_call_takes_an_emulated_descriptor_for_what_it_is_made_of():
    """Whatever its other arguments are: the kernel never runs it as it stands."""
    caller = Nobody()
    device = Device()
    mount = Mount("/dev/x", device, 1, "none", "", "")
    caller.objects[5] = OpenFile(device, mount, "/", "/dev/x", 2, device.lstat("/"))
    held = [call for call in syscalls.CALLS if call.held is not None]
    looked_at = 0
    for call in held:
        for at, arg in enumerate(call.args):
            if arg.role is not Role.FD or call.name in REFUSED_ANYWAY:
                continue
            looked_at += 1
            words = [0] * 6
            words[at] = 5
            said = first_word(caller.calls(call.name, *words))
            assert not isinstance(said, Real), (call.name, at)
            if isinstance(said, Redirect):
                assert said.call or at in said.changes, (call.name, at)
    assert looked_at > 80


def first_word(caller):
    """A verdict or a request; None for an error."""
    try:
        said = table.handler_of(caller.call)(caller)
        return next(said) if isinstance(said, Generator) else said
    except (OSError, StopIteration) as end:
        return getattr(end, "value", None)


def test_a_call_that_names_files_is_answered_by_its_names():
    for call in syscalls.CALLS:
        if call.paths() and call.name not in table.BY_NAME:
            assert table.handler_of(call) is names.any_name


@pytest.mark.parametrize("name", ["prctl", "read", "close", "clone3", "getpid"])
def test_any_other_call_is_the_kernels(name):
    assert play(Nobody().calls(name)) == (Real(), [])


@pytest.mark.parametrize(
    ("plain", "at"),
    [("open", "openat"), ("readlink", "readlinkat"), ("execve", "execveat"),
     ("accept", "accept4"), ("getdents", "getdents64")],
)  # fmt: skip
def test_calls_that_differ_in_form_share_a_handler(plain, at):
    row = syscalls.BY_NAME
    assert table.handler_of(row[plain]) is table.handler_of(row[at]) is not names.any_name
