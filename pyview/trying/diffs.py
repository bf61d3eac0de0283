# SPDX-License-Identifier: GPL-2.0-or-later
"""What was changed, line by line: patches that patch(1) and git-apply(1) read, where it is text.

What is no text is told by size and hash.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator

from pyview.trying.changes import ADDED, DELETED, MODIFIED, RENAMED, Change, walk
from pyview.trying.summary import describe, filemode
from pyview.trying.trees import Merged, Node, Tree
from pyview.trying.wording import COLOURS, harmless, name

TEXT_LIMIT = 4 << 20  # bytes; of larger ones only hashes are told: a diff would take minutes
LINES_LIMIT = 50_000
NONE = b"/dev/null"


def differences(changes: list[Change], view: Merged, lower: Tree) -> Iterator[bytes]:
    """The lines, without colour, each with its end."""
    for change in changes:
        yield from difference(change, view, lower)


def difference(change: Change, view: Merged, lower: Tree) -> Iterator[bytes]:
    """One change's."""
    yield from _head(change)
    before = change.origin if change.kind == RENAMED else change.host
    old = change.source if change.kind == RENAMED else change.old
    if change.kind == DELETED and old is not None and old.is_dir and before is not None:
        yield from _deleted_tree(lower, before)
        return
    if change.retyped and old is not None and old.is_dir and before is not None:
        yield from _deleted_tree(lower, before)
        old = None
    if change.kind == RENAMED and not change.data:
        return
    if change.kind in (ADDED, MODIFIED, DELETED, RENAMED):
        yield from _content(change, old, before, view, lower)


def _quoted(side: bytes, path: bytes) -> bytes:
    """A name in a patch: git's way for those with unusual characters."""
    full = side + path
    if all(32 < byte < 127 and byte not in b'"\\' for byte in full):
        return full
    if all(byte >= 32 and byte != 127 and byte not in b'"\\' for byte in full) and b" " in full:
        return full + b"\t" if b" " in full else full
    out = b'"'
    for byte in full:
        if byte in b'"\\':
            out += b"\\" + bytes((byte,))
        elif 32 <= byte < 127:
            out += bytes((byte,))
        else:
            out += b"\\%03o" % byte
    return out + b'"'


def _head(change: Change) -> Iterator[bytes]:
    before = change.origin if change.kind == RENAMED and change.origin is not None else change.path
    a, b = _quoted(b"a/", before).rstrip(b"\t"), _quoted(b"b/", change.path).rstrip(b"\t")
    yield b"diff --git %s %s\n" % (a, b)
    old = change.source if change.kind == RENAMED else change.old
    new = change.new
    if old is not None and new is not None:
        if filemode(old) != filemode(new):
            yield f"old mode {filemode(old)}\nnew mode {filemode(new)}\n".encode()
    elif new is not None:
        yield f"new file mode {filemode(new)}\n".encode()
    elif old is not None:
        yield f"deleted file mode {filemode(old)}\n".encode()
    if change.kind == RENAMED:
        yield b"rename from %s\n" % _quoted(b"", before).rstrip(b"\t")
        yield b"rename to %s\n" % _quoted(b"", change.path).rstrip(b"\t")
    note = describe(change)
    if note and change.kind not in (ADDED, DELETED, RENAMED):
        yield f"# {note}\n".encode(errors="surrogateescape")


def _deleted_tree(lower: Tree, path: bytes) -> Iterator[bytes]:
    for inner, node in walk(lower, path):
        if not node.is_dir:
            if inner != path:
                a, b = _quoted(b"a/", inner).rstrip(b"\t"), _quoted(b"b/", inner).rstrip(b"\t")
                yield b"diff --git %s %s\n" % (a, b)
                yield f"deleted file mode {filemode(node)}\n".encode()
            yield from _compare(_Side(lower, inner, node), None, inner, inner)


def _content(
    change: Change, old: Node | None, before: bytes | None, view: Merged, lower: Tree
) -> Iterator[bytes]:
    if change.index is not None:
        return  # the view has no name for it
    one = _Side(lower, before, old) if old is not None and before is not None else None
    other = _Side(view, change.path, change.new) if change.new is not None else None
    yield from _compare(one, other, before or change.path, change.path)


class _Side:
    """One of the two that are compared."""

    def __init__(self, tree: Tree, path: bytes, node: Node) -> None:
        self.tree, self.path, self.node = tree, path, node
        self.why = ""

    def lines(self) -> list[bytes] | None:
        """The lines of a text, a link's target for one; None for what is no text."""
        if self.node.kind == "l":
            return [self.tree.target(self.path)]
        if self.node.kind != "f" or self.node.size > TEXT_LIMIT:
            return None
        with open(self.tree.content(self.path), "rb") as file:
            data = file.read(TEXT_LIMIT + 1)
        if b"\0" in data or len(data) > TEXT_LIMIT:
            return None
        lines = data.splitlines(keepends=True) if b"\r" not in data else _lines(data)
        return lines if len(lines) <= LINES_LIMIT else None

    def summary(self) -> bytes:
        """Size and hash of what is no text."""
        if self.node.kind != "f":
            return filemode(self.node).encode()
        total = hashlib.sha256()
        with open(self.tree.content(self.path), "rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
        return f"{self.node.size:,} bytes, sha256 {total.hexdigest()}".encode()


def _lines(data: bytes) -> list[bytes]:
    """Cut at \\n only: bytes.splitlines cuts at \\r, too."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _compare(
    one: _Side | None, other: _Side | None, before: bytes, after: bytes
) -> Iterator[bytes]:
    sides = [side for side in (one, other) if side is not None]
    if any(side.node.kind not in "fl" for side in sides):
        return
    try:
        texts = [side.lines() for side in sides]
        a = _quoted(b"a/", before) if one is not None else NONE
        b = _quoted(b"b/", after) if other is not None else NONE
        if any(lines is None for lines in texts):
            yield b"Binary files %s and %s differ\n" % (a.rstrip(b"\t"), b.rstrip(b"\t"))
            for mark, side in ((b"-", one), (b"+", other)):
                if side is not None:
                    yield b"# %s %s\n" % (mark, side.summary())
            return
        old = texts[0] or [] if one is not None else []
        new = texts[-1] or [] if other is not None else []
        for line in difflib.diff_bytes(difflib.unified_diff, old, new, a, b, lineterm=b"\n"):
            yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
    except OSError as error:
        yield f"# {name(before)}: {error.strerror}\n".encode(errors="surrogateescape")


def painted(line: bytes) -> bytes:
    """A line for a terminal."""
    line = harmless(line)
    colour = None
    if line.startswith((b"diff ", b"--- ", b"+++ ", b"old mode", b"new ", b"deleted ", b"rename ")):
        colour = COLOURS["title"]
    elif line.startswith(b"@@"):
        colour = COLOURS["metadata"]
    elif line.startswith(b"+"):
        colour = COLOURS["added"]
    elif line.startswith(b"-"):
        colour = COLOURS["deleted"]
    elif line.startswith(b"#"):
        colour = COLOURS["dim"]
    if colour is None:
        return line
    return b"\x1b[%sm%s\x1b[m\n" % (colour.encode(), line.rstrip(b"\n"))
