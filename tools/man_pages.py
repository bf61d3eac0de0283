# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the man pages from the manuals in docs/; with --check say which are stale (exit 1).

A manual begins with "# NAME: what it is", and its synopsis is the command's own usage.  Of Markdown
it has paragraphs, lists, tables of two columns, blocks of code, and `code`, **bold**, [links](to).
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "pyview/man/man1"
sys.path.insert(0, str(ROOT))

from pyview.commands import vutry  # noqa: E402

#: The manual, and the lines of the command's usage after its name.
MANUALS = {"vutry": vutry.USAGES}
SEE_ALSO = (
    "The manual as it is written, and those of the other commands, are in the directory docs."
)


def plain(text: str) -> str:
    """Characters that troff would take for its own."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return text.replace("^", "\\(ha").replace("~", "\\(ti").replace("`", "\\(ga")


def inline(text: str) -> str:
    """A line of Markdown's text."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(r"(`[^`]*`|\*\*[^*]*\*\*)", text)
    done = "".join(
        f"\\fB{plain(part[1:-1] if part[0] == '`' else part[2:-2])}\\fR" if at % 2 else plain(part)
        for at, part in enumerate(parts)
    )
    return f"\\&{done}" if done[:1] in (".", "\\") else done


def code(lines: list[str]) -> Iterator[str]:
    """A block that stays as it is."""
    yield ".PP\n.RS 4\n.nf"
    for line in lines:
        shown = plain(line)
        yield f"\\&{shown}" if shown[:1] in (".", "\\") else shown
    yield ".fi\n.RE"


def table(rows: list[str]) -> Iterator[str]:
    """A table of two columns is a list of terms; its heading is left out."""
    for row in rows[2:]:
        term, what = (
            cell.strip().replace("\\|", "|")
            for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"), maxsplit=1)
        )
        yield f".TP\n{inline(term)}\n{inline(what)}"


def body(text: str) -> Iterator[str]:
    """All but the title."""
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        block = [line]
        if line.startswith("```"):
            block = []
            while not (line := lines.pop(0)).startswith("```"):
                block.append(line)
            yield from code(block)
        elif line.startswith("|"):
            while lines and lines[0].startswith("|"):
                block.append(lines.pop(0))
            yield from table(block)
        elif line.startswith("## "):
            yield f".SH {plain(line[3:].upper())}"
        elif line:
            while lines and lines[0] and not lines[0].startswith(("- ", "|", "```", "## ")):
                block.append(lines.pop(0).strip())
            text = " ".join(block)
            start = ".IP \\(bu 2" if text.startswith("- ") else ".PP"
            yield f"{start}\n{inline(text.removeprefix('- '))}"


def page(name: str, usage: str) -> str:
    """A man page."""
    title, _, rest = (ROOT / f"docs/{name}.md").read_text().partition("\n")
    _, _, about = title.removeprefix("# ").partition(": ")
    lines = [
        f'.\\" Written by tools/man_pages.py from docs/{name}.md: change that.',
        f'.TH {name.upper()} 1 "" pyview "User Commands"',
        f".SH NAME\n{name} \\- {plain(about)}",
        ".SH SYNOPSIS",
    ]
    for line in usage.splitlines():
        words = plain(line.replace("%(prog)s", "").strip())
        lines.append(f".B {name}\n{words}\n.br")
    return "\n".join([*lines, ".SH DESCRIPTION", *body(rest), ".SH SEE ALSO", SEE_ALSO]) + "\n"


def main(args: list[str]) -> int:
    """Write the pages, or compare them."""
    stale = 0
    for name, usage in MANUALS.items():
        path, text = PAGES / f"{name}.1", page(name, usage)
        if "--check" not in args:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path.relative_to(ROOT)} is stale: run tools/man_pages.py", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
