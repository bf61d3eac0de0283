# SPDX-License-Identifier: GPL-2.0-or-later
"""Do the same random things to two directories, which must stay alike: a guest of test_viewfs.

cow_moves.py make DIR SEED        a tree to begin with
cow_moves.py PLAIN VIEW SEED N    N operations on both; the first difference is told, status 1
cow_moves.py same PLAIN VIEW      only compare
"""

import ctypes
import errno
import os
import random
import stat
import sys

NAMES = ("a", "b", "c", "d")
MODES = (0o644, 0o4755, 0o600, 0o2775, 0o1777, 0o444, 0o555)
RENAMEAT2 = 316
OPERATIONS = (
    *["make"] * 6, *["write"] * 3, *["append"] * 3, *["cut"] * 3, *["truncate"] * 2,
    *["unlink"] * 5, *["mkdir"] * 6, *["rmdir"] * 3, *["rename"] * 8, *["link"] * 3,
    *["symlink"] * 3, *["chmod"] * 3, *["chown"] * 3, *["utime"] * 2, *["setxattr"] * 2,
    "removexattr", *["mknod"] * 2, *["list"] * 2, *["read"] * 2, "readlink", *["stat"] * 2,
    "rmtree", "exchange", "noreplace", "access", "fchmod", "unnamed", "turned",
    *["hold"] * 3, *["held"] * 5,
)  # fmt: skip


OPEN = {}  # descriptors that stay open, by the directory


def a_path(chance):
    return "/".join(chance.choice(NAMES) for _ in range(chance.choice((1, 1, 2, 2, 3))))


def attributes(path):
    st = os.lstat(path)
    size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
    return st.st_mode, st.st_uid, st.st_gid, size


def renameat2(old, new, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(RENAMEAT2, -100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def unnamed(directory, name, data):
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o640)
    try:
        os.write(fd, data)
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=fd, follow_symlinks=True)
        return os.fstat(fd).st_nlink
    finally:
        os.close(fd)


def through_descriptor(path, number):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(fd, MODES[number % 5])
        os.utime(fd, ns=(number * 10**9, number * 10**9 + 7))
        return attributes(path) == (s := os.fstat(fd)).st_mode and s
    finally:
        os.close(fd)


def perform(base, what, one, other, number, data):
    """What an operation gives, or the name of its error."""
    p, q = f"{base}/{one}", f"{base}/{other}"
    special = os.path.exists(p) and not (os.path.isfile(p) or os.path.isdir(p))
    if what in ("read", "append", "write", "cut", "fchmod") and special:
        return "special"
    try:
        if what == "hold":
            return hold(base, p)
        if what == "held":
            return held(base, number)
        return _OPERATIONS[what](p, q, other, number, data)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def write(path, how, data, at=0):
    with open(path, how) as file:
        if at:
            file.seek(at)
        file.write(data + b".")  # of no bytes nobody would take the set-uid bit away


def read(path):
    with open(path, "rb") as file:
        return file.read()


def special(path, number):
    if os.geteuid():
        os.mknod(path, (stat.S_IFIFO | 0o640, stat.S_IFSOCK | 0o600)[number % 2])
        return
    kinds = stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK
    os.mknod(path, kinds[number % 4] | 0o640, os.makedev(number % 9 + 1, number))


def chown(path, number):
    if os.geteuid():
        os.lchown(path, (-1, os.getuid())[number % 2], (-1, os.getgid())[number // 2 % 2])
    else:
        os.lchown(path, number % 4, number % 7)


def remove_all(path):
    """rm -r, always in the same order."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    for name in sorted(os.listdir(path)):
        remove_all(f"{path}/{name}")
    os.rmdir(path)


def turned(path, number):
    """Names while they are removed."""
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            found.append(entry.name)
            if number % 3 == 0 and entry.is_file(follow_symlinks=False):
                os.unlink(entry.path)
            if entry.inode() != os.lstat(path).st_ino and os.path.lexists(entry.path):
                assert entry.inode() == os.lstat(entry.path).st_ino, entry.path
    return sorted(found)


def hold(base, path):
    if stat.S_ISREG(os.stat(path).st_mode):
        OPEN.setdefault(base, []).append(os.open(path, os.O_RDONLY))


def held(base, number):
    """What a file shows that was opened some time ago, also after its name has gone."""
    if base not in OPEN:
        return None
    fd = OPEN[base][number % len(OPEN[base])]
    if number % 3 == 0:
        os.fchmod(fd, MODES[number % 5])
    st = os.fstat(fd)
    return os.pread(fd, 2000, 0), oct(st.st_mode), st.st_uid, st.st_gid, st.st_size


_OPERATIONS = {
    "make": lambda p, q, o, n, d: write(p, "xb", d),
    "write": lambda p, q, o, n, d: write(p, "r+b", d, n),
    "append": lambda p, q, o, n, d: write(p, "ab", d),
    "cut": lambda p, q, o, n, d: write(p, "wb", d),
    "truncate": lambda p, q, o, n, d: os.truncate(p, n),
    "unlink": lambda p, q, o, n, d: os.unlink(p),
    "mkdir": lambda p, q, o, n, d: os.mkdir(p, 0o750 if n & 1 else 0o755),
    "rmdir": lambda p, q, o, n, d: os.rmdir(p),
    "rename": lambda p, q, o, n, d: os.rename(p, q),
    "exchange": lambda p, q, o, n, d: renameat2(p, q, 2),
    "noreplace": lambda p, q, o, n, d: renameat2(p, q, 1),
    "link": lambda p, q, o, n, d: os.link(p, q, follow_symlinks=False),
    "symlink": lambda p, q, o, n, d: os.symlink(o, p),
    "chmod": lambda p, q, o, n, d: os.chmod(p, MODES[n % len(MODES)]),
    "chown": lambda p, q, o, n, d: chown(p, n),
    "utime": lambda p, q, o, n, d: os.utime(
        p, ns=(n * 10**9, n * 10**9 + 5), follow_symlinks=False
    ),
    "setxattr": lambda p, q, o, n, d: os.setxattr(p, f"user.x{n % 3}", d),
    "removexattr": lambda p, q, o, n, d: os.removexattr(p, f"user.x{n % 3}"),
    "mknod": lambda p, q, o, n, d: special(p, n),
    "list": lambda p, q, o, n, d: sorted(os.listdir(p)),
    "read": lambda p, q, o, n, d: read(p),
    "readlink": lambda p, q, o, n, d: os.readlink(p),
    "stat": lambda p, q, o, n, d: attributes(p),
    "access": lambda p, q, o, n, d: os.access(p, n % 8),
    "rmtree": lambda p, q, o, n, d: remove_all(p),
    "fchmod": lambda p, q, o, n, d: through_descriptor(p, n) and None,
    "unnamed": lambda p, q, o, n, d: unnamed(os.path.dirname(p), q, d),
    "turned": lambda p, q, o, n, d: turned(p, n),
}


def tree(base):
    """All that can be told of a tree."""
    found, groups = {}, {}
    for where, directories, files in os.walk(base):
        for name in directories + files:
            path = os.path.join(where, name)
            try:
                st = os.lstat(path)
            except PermissionError:  # in a directory that nobody may search
                found[os.path.relpath(path, base)] = ["?"]
                continue
            kind = stat.S_IFMT(st.st_mode)
            content = None
            if kind == stat.S_IFLNK:
                content = os.readlink(path)
            elif kind == stat.S_IFREG and st.st_mode & 0o400:
                content = read(path)
            plain = kind in (stat.S_IFREG, stat.S_IFDIR)
            labels = {a: os.getxattr(path, a) for a in os.listxattr(path)} if plain else {}
            relative = os.path.relpath(path, base)
            directory = kind == stat.S_IFDIR
            if not directory:
                groups.setdefault(st.st_ino, []).append(relative)
            found[relative] = [
                *(oct(st.st_mode), st.st_uid, st.st_gid, 0 if directory else st.st_nlink),
                *(0 if directory else st.st_size, st.st_rdev, content, labels),
                0 if directory or st.st_mtime > 10**6 else st.st_mtime_ns,
            ]
    for group in groups.values():
        for name in group:
            found[name].append(sorted(group))
    return found


def compare(plain, view, when):
    one, other = tree(plain), tree(view)
    if one != other:
        for name in sorted(set(one) | set(other)):
            if one.get(name) != other.get(name):
                print(f"{when}: {name}\n  plain {one.get(name)}\n  view  {other.get(name)}")
        sys.exit(1)


def main():
    os.umask(0o022)
    if sys.argv[1] == "make":
        chance = random.Random(int(sys.argv[3]))
        for _ in range(60):
            what = chance.choice(("make", "mkdir", "mkdir", "symlink", "link", "setxattr"))
            data = b"L" * chance.randrange(50)
            one, other = a_path(chance), a_path(chance)
            perform(sys.argv[2], what, one, other, chance.randrange(500) * 2, data)
        return
    if sys.argv[1] == "same":
        compare(sys.argv[2], sys.argv[3], "at the end")
        return
    plain, view, seed, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    chance, log = random.Random(seed), []
    compare(plain, view, "at the start")
    for at in range(count):
        what, one, other = chance.choice(OPERATIONS), a_path(chance), a_path(chance)
        number, data = chance.randrange(1000), bytes([65 + at % 26]) * chance.randrange(60)
        results = [perform(base, what, one, other, number, data) for base in (plain, view)]
        log.append((at, what, one, other, number, results[0]))
        if results[0] != results[1]:
            for line in log[-40:]:
                print("   ", *line)
            print(f"{what} {one} {other} {number}: plain {results[0]!r}, view {results[1]!r}")
            sys.exit(1)
        if at % 50 == 49:
            try:
                compare(plain, view, f"after {at}")
            except SystemExit:
                for line in log[-50:]:
                    print("   ", *line)
                raise


if __name__ == "__main__":
    main()
