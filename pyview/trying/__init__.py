# SPDX-License-Identifier: GPL-2.0-or-later
"""What a view changed: read out of its upper directory, shown, compared and brought to the host.

Needs no view and no core; pyview/commands/vutry.py is its only user.
"""
