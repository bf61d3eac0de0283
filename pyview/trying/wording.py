# SPDX-License-Identifier: GPL-2.0-or-later
"""How names, sizes and colours look to people.  Nothing here can move a terminal's cursor."""

from __future__ import annotations

import os

#: What a change is called by a letter, and its colour (ECMA-48 SGR).
COLOURS = {
    "added": "32", "modified": "33", "deleted": "31", "metadata": "36", "renamed": "35",
    "conflict": "1;31", "title": "1", "dim": "2",
}  # fmt: skip
LETTERS = {"added": "A", "modified": "M", "deleted": "D", "metadata": "m", "renamed": "R"}
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
KINDS = {
    "f": "file", "d": "directory", "l": "link", "c": "character device", "b": "block device",
    "p": "fifo", "s": "socket",
}  # fmt: skip


def name(path: bytes) -> str:
    """A name on one line: as it is when it is harmless, else as a shell would read it, $'...'."""
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    parts = []
    for byte in os.fsencode(text) if not _decodes(path) else text:
        char = chr(byte) if isinstance(byte, int) and byte < 128 else byte
        if isinstance(char, int):
            parts.append(f"\\x{char:02x}")
        elif char in "\\'":
            parts.append("\\" + char)
        elif char == "\n":
            parts.append("\\n")
        elif char == "\t":
            parts.append("\\t")
        elif char.isprintable():
            parts.append(char)
        else:
            parts.append("".join(f"\\x{b:02x}" for b in char.encode()))
    return "$'" + "".join(parts) + "'"


def _decodes(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def size(count: int) -> str:
    """A number of bytes: "1.2 KiB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{count} B" if not unit else f"{value:.3g} {UNITS[unit]}"


def count(number: int, thing: str) -> str:
    """ "1 file", "1,234 files" """
    many = {"directory": "directories", "entry": "entries"}.get(thing, thing + "s")
    return f"{number:,} {thing if number == 1 else many}"


class Paint:
    """Colours, when there are to be any."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, what: str) -> str:
        return f"\x1b[{COLOURS[what]}m{text}\x1b[m" if self.on and text else text


def wants_colour(fd: int) -> bool:
    """A terminal, of a user who has not set NO_COLOR (no-color.org)."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def harmless(line: bytes) -> bytes:
    """A line of a file, for a terminal: control characters shown as less(1) shows them."""
    if not any(byte < 32 or byte == 127 for byte in line.replace(b"\t", b"").rstrip(b"\n")):
        return line
    out = bytearray()
    for byte in line:
        if (byte < 32 and byte not in b"\t\n") or byte == 127:
            out += b"^" + bytes((byte ^ 64,))
        else:
            out.append(byte)
    return bytes(out)
