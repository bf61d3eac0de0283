# SPDX-License-Identifier: GPL-2.0-or-later
"""links.py SEED STEPS [apart|closed]: directories and links come, go, move; where do names lead?

A line for each change and each look, the same wherever it runs.  Names are looked at again and
again, so that who remembers where they led is told from who looks.  `apart`: no link has an
absolute target, for what is made is to be copied.  `closed`: directories may also be searched
no more.
"""

import os
import random
import stat
import sys

NAMES = "a", "b", "c", "d"
os.makedirs("w/w/w/w/w", exist_ok=True)  # whose ".." stays in what is compared
os.chdir("w/w/w/w/w")
HERE = os.getcwd()
chance = random.Random(int(sys.argv[1]))


def name(deepest):
    return "/".join(chance.choice(NAMES) for _ in range(chance.randint(1, deepest)))


def looked(path):
    """A name to look by: absolute, or from here; with dots, slashes and detours."""
    if chance.random() < 0.2:
        parts = path.split("/")
        parts.insert(chance.randrange(len(parts) + 1), chance.choice((".", "..", "", "a/..")))
        path = "/".join(parts).lstrip("/") or "."
    path += chance.choice(("", "", "", "/", "/."))
    return f"{HERE}/{path}" if chance.random() < 0.5 else path


def target():
    kind = chance.random()
    if kind < 0.2 and sys.argv[3:] != ["apart"]:
        return f"{HERE}/{name(2)}"
    return name(2) if kind < 0.6 else "../" * chance.randint(1, 2) + name(2)


def write(path):
    with open(path, chance.choice(("w", "a", "x"))) as file:
        file.write(path[-1])


def read(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            return sorted(os.listdir(fd))
        return os.read(fd, 99)
    finally:
        os.close(fd)


def told(path, follow):
    st = os.stat(path, follow_symlinks=follow)
    return stat.S_IFMT(st.st_mode), st.st_size if stat.S_ISREG(st.st_mode) else 0


CHANGES = (
    (os.mkdir, lambda: (name(3),)), (os.mkdir, lambda: (name(3),)),
    (os.symlink, lambda: (target(), name(3))), (os.symlink, lambda: (target(), name(3))),
    (os.rename, lambda: (name(3), name(3))), (os.rename, lambda: (name(2), name(3))),
    (os.rename, lambda: (name(1), name(1))), (os.unlink, lambda: (looked(name(3)),)),
    (os.rmdir, lambda: (looked(name(3)),)), (write, lambda: (looked(name(4)),)),
)  # fmt: skip
if sys.argv[3:] == ["closed"]:
    CHANGES += ((os.chmod, lambda: (name(2), chance.choice((0o700, 0o755, 0o600, 0o400, 0)))),)
LOOKS = (
    lambda path: told(path, True), lambda path: told(path, False), read,
    lambda path: os.access(path, os.R_OK), lambda path: os.readlink(path).replace(HERE, "HERE"),
)  # fmt: skip


def said(what, *arguments):
    try:
        return what(*arguments)
    except OSError as error:
        return error.strerror


for at in range(int(sys.argv[2])):
    change, arguments = chance.choice(CHANGES)
    given = arguments()
    line = f"{at} {change.__name__} {given} {said(change, *given)}"
    print(line.replace(HERE, "HERE"))
    for _ in range(8):
        path, how = looked(name(4)), chance.randrange(len(LOOKS))
        print("  ", how, path.replace(HERE, "HERE"), said(LOOKS[how], path))
for where, directories, _ in os.walk("."):  # for who cleans up
    for directory in directories:
        if not os.path.islink(os.path.join(where, directory)):
            os.chmod(os.path.join(where, directory), 0o755)
