# SPDX-License-Identifier: GPL-2.0-or-later
"""Debuggers inside a view: ptrace(2) and wait(2) as the core answers them.

A task has one tracer, and in a view that is the core.  So a stop of the kernel's is held here and
shown to the debugger as a stop of its own; what the debugger asks of its tracee, the core does.
"""
