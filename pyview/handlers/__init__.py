# SPDX-License-Identifier: GPL-2.0-or-later
"""What one call means: pure generators.  Which handler answers which call is in table.py."""
