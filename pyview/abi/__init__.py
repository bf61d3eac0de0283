# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts of the kernel's structures, both ways.  Pure: no I/O."""
