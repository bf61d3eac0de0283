# SPDX-License-Identifier: GPL-2.0-or-later
# What cffi generates from csrc/.  Untyped, because only pyview/core.py sees it.
from typing import Any

ffi: Any
lib: Any
