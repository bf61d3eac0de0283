# SPDX-License-Identifier: GPL-2.0-or-later
"""words: the words of a text as files, by their initials; each tells how often it comes.

    pyview -p ./examples/07_words.py sh -c 'mount -t words README.md /words &&
        ls /words/v && cat /words/v/view && grep -c . /words/[xyz]/*'

The seventh rung: a file system.  `real` is left out, so every name is asked for here: what it is
(lstat), what is in it (listdir), what it holds (open).  What is left out is ENOSYS; permissions,
links, working directories, `find`, mmap and exec of such files are the core's work.
"""

import errno
import os
import re
import stat
from collections import Counter
from typing import Any, ClassVar

from pyview.api import File, Module, Tree, attributes, refuse


class Word(File):
    def __init__(self, text: bytes) -> None:
        self.text = text

    def pread(self, size: int, offset: int) -> bytes:
        return self.text[offset : offset + size]

    def size(self) -> int:
        return len(self.text)


class Words(Tree):
    def __init__(self, below: Tree, source: str) -> None:
        file = below.open(source, os.O_RDONLY)
        text = file.pread(file.size(), 0).decode(errors="replace")
        file.close()
        self.counts = Counter(re.findall("[a-z]+", text.lower()))

    def found(self, path: str) -> bytes | None:
        """What a file holds, None for a directory."""
        initial, _, word = path[1:].partition("/")
        if word in self.counts and word[0] == initial:
            return b"%d\n" % self.counts[word]
        if word or (initial and initial not in self.listdir("/")):
            raise refuse(errno.ENOENT, path)
        return None

    def lstat(self, path: str) -> os.stat_result:
        text = self.found(path)
        if text is None:
            return attributes(stat.S_IFDIR | 0o555, nlink=2)
        return attributes(stat.S_IFREG | 0o444, size=len(text))

    def listdir(self, path: str) -> list[str]:
        if path == "/":
            return sorted({word[0] for word in self.counts})
        return sorted(word for word in self.counts if word[0] == path[1:])

    def open(self, path: str, flags: int, mode: int = 0o777) -> File:
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_CREAT:
            raise refuse(errno.EROFS, path)
        return Word(self.found(path) or b"")


class Texts(Module):
    types: ClassVar[dict[str, Any]] = {"words": Words}
