# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of what was asked of `pyview`."""

from __future__ import annotations

import pytest

from pyview.settings import Settings


def test_nothing_is_asked_by_default():
    settings = Settings(["true"])
    assert settings.argv == ["true"]
    assert not any(getattr(settings, name) for name in Settings.__slots__ if name != "argv")


def test_what_is_not_a_setting_cannot_be_set():
    with pytest.raises(AttributeError):
        Settings(["true"]).preloads = []
