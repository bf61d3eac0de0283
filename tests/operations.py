# SPDX-License-Identifier: GPL-2.0-or-later
"""What a class of pyview.api offers: its operations, called with whatever they take."""

from __future__ import annotations

import inspect


def operations(kind):
    return [name for name, f in vars(kind).items() if inspect.isfunction(f) and name[0] != "_"]


def call(thing, name):
    function = getattr(thing, name)
    return function(*("/x" for _ in inspect.signature(function).parameters))


def undocumented(kind):
    return [name for name in operations(kind) if not getattr(kind, name).__doc__]
