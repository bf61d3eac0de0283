# SPDX-License-Identifier: GPL-2.0-or-later
"""The modules that come with pyview.  Each imports pyview.api and pyview.abi only."""
