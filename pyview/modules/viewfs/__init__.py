# SPDX-License-Identifier: GPL-2.0-or-later
"""viewfs: files changed for the programs of a view, and nowhere else."""

from __future__ import annotations

from typing import Any, ClassVar

from pyview.api import Module


class ViewFs(Module):
    types: ClassVar[dict[str, Any]] = {"viewfs": "pyview.modules.viewfs.mount:mount"}
