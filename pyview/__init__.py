# SPDX-License-Identifier: GPL-2.0-or-later
"""pyview: partial virtual machines.  A module's author imports pyview.api; nothing is here.

It stays empty of imports: every command starts by importing it.
"""

__version__ = "0.1.0"
