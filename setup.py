# SPDX-License-Identifier: GPL-2.0-or-later
"""Only what pyproject.toml cannot say: where the C extension is described."""

from setuptools import setup

setup(cffi_modules=["csrc/build_core.py:ffi"])
