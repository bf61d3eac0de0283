# SPDX-License-Identifier: GPL-2.0-or-later
"""Describe the extension module pyview._core to cffi.  Runs only at build time.

The extension is every csrc/*.c plus one generated text: the table of calls, read off
pyview/syscalls.py.  What Python may call is what stands between the two markers of
csrc/pyview.h; cffi and the C compiler read the same lines.
"""

import re
import runpy
from enum import IntEnum
from pathlib import Path
from typing import Any

from cffi import FFI

CSRC = Path(__file__).resolve().parent
ROOT = CSRC.parent
BEGIN, END = "/* cffi: begin */", "/* cffi: end */"

# cffi's own functions, which follow the table in the same file, convert freely.
CFFI_QUIET = """
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
"""


def declarations() -> str:
    """The part of csrc/pyview.h that is for Python, without its comments."""
    header = (CSRC / "pyview.h").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", header.split(BEGIN)[1].split(END)[0], flags=re.DOTALL)


def same_values(enum: type[IntEnum]) -> list[str]:
    """C assertions that `enum pv_role` (or _route, _stop) has the values of Role (Route, Stop)."""
    kind = enum.__name__
    return [
        f'_Static_assert(PV_{kind.upper()}_{member.name} == {member:d}, "{kind}.{member.name}");'
        for member in enum
    ]


def argument(arg: Any, lookups: Any) -> str:
    """One `struct pv_arg` as C text; `lookups` is the table's LOOKUPS."""
    bits = lookups[arg.lookup]
    flags = 255 if arg.flags is None else arg.flags
    # Flags behind a pointer (openat2's struct open_how) are for those who read memory.
    exact = arg.lookup.name != "HOW"
    return (
        f"{{ {arg.role:d}, {flags}, {arg.follow:d}, {exact:d}, "
        f"{bits.nofollow:#x}, {bits.exclusive:#x}, {bits.follow:#x} }}"
    )


def row(call: Any, lookups: Any) -> str:
    """One `struct pv_call` as C text.

    The number is the compiler's; a row of the table carries one only when the call is newer
    than the oldest headers pyview builds with, and then both must agree.
    """
    known = -1 if call.nr is None else call.nr
    args = ", ".join(argument(arg, lookups) for arg in call.args) or "{ 0 }"
    rest = f"{call.route:d}, {call.stop:d}, {len(call.args)}, {{ {args} }} }},"
    return (
        f"#ifdef __NR_{call.name}\n"
        f'\t{{ "{call.name}", __NR_{call.name}, {rest}\n'
        f"#else\n"
        f'\t{{ "{call.name}", {known}, {rest}\n'
        f"#endif"
    )


def same_number(call: Any) -> str:
    """A C assertion that the table's number of a call is the kernel headers', if they have it."""
    return (
        f"#ifdef __NR_{call.name}\n"
        f'_Static_assert(__NR_{call.name} == {call.nr}, "{call.name}");\n'
        f"#endif"
    )


def table() -> str:
    """The C definition of pv_calls[] and pv_ncalls, and the proof that both sides agree."""
    syscalls = runpy.run_path(str(ROOT / "pyview" / "syscalls.py"), run_name="pyview.syscalls")
    calls, lookups = syscalls["CALLS"], syscalls["LOOKUPS"]
    lines = ['#include "pyview.h"', "#include <asm/unistd.h>"]
    for kind in ("Role", "Route", "Stop"):
        lines += same_values(syscalls[kind])
    lines += [same_number(call) for call in calls if call.nr is not None]
    lines += ["const struct pv_call pv_calls[] = {", *(row(call, lookups) for call in calls)]
    lines += ["};", "const size_t pv_ncalls = sizeof pv_calls / sizeof *pv_calls;"]
    return "\n".join(lines) + CFFI_QUIET


ffi = FFI()
ffi.cdef(declarations())
ffi.set_source(
    "pyview._core",
    table(),
    sources=[f"csrc/{source.name}" for source in sorted(CSRC.glob("*.c"))],
    include_dirs=["csrc"],
    depends=["csrc/pyview.h", "csrc/build_core.py", "pyview/syscalls.py"],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion"],
    extra_link_args=["-Wl,-e,pv_window_start"],  # it is executed, too: csrc/window.c
)
