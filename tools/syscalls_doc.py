# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/syscalls.md from the table of calls; with --check say if it is stale (exit 1)."""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/syscalls.md"
sys.path.insert(0, str(ROOT))

from pyview.syscalls import CALLS, Call, Route, Stop  # noqa: E402

HEAD = """\
<!-- Written by tools/syscalls_doc.py from pyview/syscalls.py: change the table, not this page. -->
# System calls

Every call of Linux 6.18 on x86-64 ({count}), who may answer it in a view, and what the filter
of the path tier does with it. Calls that the table does not know, x32 and i386 calls are ENOSYS.

| route | who answers |
|---|---|
| neutral | nobody: no view can change it |
| path | the tree mounted over the path |
| fd | the module that opened the descriptor |
| socket | the stack chosen by address family |
| call | the module that claimed the call by name |
| core | pyview itself |
| refuse | nobody: ENOSYS, and programs fall back to an older call |

| stop | seccomp | |
|---|---|---|
| - | `ALLOW` | runs at full speed |
| listener | `USER_NOTIF` | the core answers, or lets it continue |
| tracer | `TRACE` | the caller is stopped before the call runs |
| refuse | `ERRNO` | ENOSYS |

A condition after the stop means: only then, else the call runs at full speed.
"""


def condition(row: Call) -> str:
    """When a row stops, in words."""
    words = []
    for w in row.when:
        name = row.args[w.arg].name
        values = ", ".join(f"{v:#x}" if w.kind == "bits" else str(v) for v in w.values)
        test = {"nonzero": "not 0", "eq": f"one of {values}", "bits": f"with {values}"}[w.kind]
        words.append(f"`{name}` {test}")
    return f" ({' or '.join(words)})" if words else ""


def line(row: Call) -> str:
    """A row of the page."""
    args = ", ".join(a.name for a in row.args)
    op = "" if row.op == row.name else row.op
    stop = "-" if row.stop is Stop.NONE else row.stop.name.lower() + condition(row)
    return f"| `{row.name}({args})` | {op} | {stop} | {row.note} |"


def page() -> Iterator[str]:
    """The lines of the page."""
    yield HEAD.format(count=len(CALLS))
    yield "## Known limits\n"
    notes: dict[str, list[str]] = {}
    for row in CALLS:
        if row.note:
            notes.setdefault(row.note, []).append(f"`{row.name}`")
    yield from (f"- {', '.join(names)}: {note}." for note, names in notes.items())
    for route in Route:
        rows = sorted((c for c in CALLS if c.route is route), key=lambda c: c.name)
        yield f"\n## Route {route.name.lower()} ({len(rows)})\n"
        yield "| call | operation | stop | limit |"
        yield "|---|---|---|---|"
        yield from map(line, rows)


def main(args: list[str]) -> int:
    """Write the page, or compare it."""
    text = "\n".join(page()) + "\n"
    if "--check" not in args:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"{PAGE.relative_to(ROOT)} is stale: run tools/syscalls_doc.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
