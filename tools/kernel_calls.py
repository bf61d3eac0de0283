# SPDX-License-Identifier: GPL-2.0-or-later
"""Print what the running kernel says of its own system calls, as JSON.

As root, in a mount namespace of its own so that nothing stays mounted:

    unshare -m sh -c 'mount -t tracefs tracefs /sys/kernel/tracing &&
        python3 tools/kernel_calls.py > tests/data/kernel_calls.json'
"""

import json
import os
import re
from pathlib import Path

EVENTS = Path("/sys/kernel/tracing/events/syscalls")
FIELD = re.compile(r"field:(.*?)\s*(\w+);\s*offset:(\d+);")
FIRST = 16  # offset (bytes) of the first argument; before it lie the common fields and the number
# An event is named after the function, which is not always the call's name.
NAMES = {
    "newfstat": "fstat",
    "newlstat": "lstat",
    "newstat": "stat",
    "newuname": "uname",
    "sendfile64": "sendfile",
    "umount": "umount2",
}


def calls() -> dict[str, list[tuple[str, str]]]:
    """(type, name) of every argument of every call."""
    found = {}
    for event in EVENTS.glob("sys_enter_*"):
        name = event.name.removeprefix("sys_enter_")
        fields = FIELD.findall((event / "format").read_text())
        found[NAMES.get(name, name)] = [(t, n) for t, n, at in fields if int(at) >= FIRST]
    return found


def main() -> None:
    """One call a line, so that a newer kernel shows as a readable diff."""
    lines = (f"  {json.dumps(name)}: {json.dumps(args)}" for name, args in sorted(calls().items()))
    release = os.uname().release.split("-")[0]
    print(f'{{"release": "{release}", "calls": {{\n' + ",\n".join(lines) + "\n}}")


if __name__ == "__main__":
    main()
