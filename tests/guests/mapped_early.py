# SPDX-License-Identifier: GPL-2.0-or-later
"""mapped_early.py NAME OTHER: who opens what is mapped sees what is mapped of it later, too.

Who maps it has opened OTHER before; in a view both of its descriptors are of one kind then.
"""

import mmap
import os
import subprocess
import sys

PAGE = mmap.PAGESIZE
FIRST, LATER = 256 * PAGE, 258 * PAGE


def writes(name, other):
    """By a new mapping at each offset that is asked for."""
    other = os.open(other, os.O_RDONLY)
    fd = os.open(name, os.O_RDWR)
    for line in sys.stdin:
        page = mmap.mmap(fd, PAGE, offset=int(line))
        page[:5] = b"newer"
        KEPT.append(page)
        print(flush=True)


def reads(name):
    fd = os.open(name, os.O_RDONLY)
    for line in sys.stdin:
        print(os.pread(fd, 5, int(line)), flush=True)


def start(*args):
    command = [sys.executable, __file__, *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process, offset):
    print(offset, file=process.stdin, flush=True)
    return process.stdout.readline().strip()


def main(name, other):
    with start("writes", name, other) as writer:
        ask(writer, FIRST)
        with start("reads", name) as reader:
            print(ask(reader, FIRST), ask(reader, LATER))
            ask(writer, LATER)
            print(ask(reader, LATER))
            reader.stdin.close()
        writer.stdin.close()


KEPT = []
if __name__ == "__main__":
    role = {"writes": writes, "reads": reads}.get(sys.argv[1])
    role(*sys.argv[2:]) if role else main(*sys.argv[1:])
