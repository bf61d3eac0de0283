# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on names in a virtual tree: what the kernel answers for the same names is right."""

from __future__ import annotations

import errno
import os
import stat
import struct

import pytest
from playbook import NOW, play
from twins import Twins

from pyview.api import File, Tree, attributes
from pyview.api import refuse as error
from pyview.handlers.caller import AT_FDCWD, Ids
from pyview.openfile import O_PATH
from pyview.reach import NOTHING
from pyview.verdicts import At, Emulate, Opened, Ready

PLAN = {
    "file": b"0123456789",
    "other": b"x",
    "dir": None,
    "dir/inner": b"",
    "empty": None,
    "to_file": "file",
    "to_dir": "dir",
    "dangling": "none",
    "loop": "loop",
}
PLAIN = (
    "file",
    "dir",
    "empty",
    "to_file",
    "to_dir",
    "dangling",
    "loop",
    "none",
    "none/x",
    "file/x",
)
NAMES = (*PLAIN, *(f"{name}/" for name in PLAIN), "dir/.", "dir/..", "file/.", "empty/.",
         "empty/..", "none/.", "dir/../file", "to_dir/inner", ".", "..", "")  # fmt: skip
WORDS = [f"@/{name}" for name in NAMES]


@pytest.fixture
def twins(twins):
    twins.plant(PLAN)
    return twins


def each(tmp_path, calls):
    """Make every one of these calls on fresh twins; what was answered differently."""
    wrong, made = [], None
    for number, (call, *args) in enumerate(calls):
        if made is None:
            tops = [tmp_path / f"{side}{number}" for side in ("plain", "shown")]
            for top in tops:
                top.mkdir()
            made = Twins(*map(str, tops))
            made.plant(PLAN)
        value = 0
        try:
            value = made.open(*args) if call == "open" else made.alike(call, *args)
            made.look_alike()
        except AssertionError as differs:
            wrong.append(f"{call}{args}: {str(differs)[:300]}")
        if value >= 0:  # else they are as good as new
            made.close()
            made = None
    if made is not None:
        made.close()
    return wrong


# -- opening -------------------------------------------------------------------------------------

R, W, RW, C, X, T = (
    os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC,
)  # fmt: skip
D, N, P = os.O_DIRECTORY, os.O_NOFOLLOW, O_PATH
FLAGS = (
    R, W, RW, R | T, W | T, C | W, C | R, C | X | W, C | W | T, D, D | W, N, N | W, N | D, P, P | N,
    P | D, P | N | D, C | N | W, C | X | N, P | C, P | C | X, os.O_APPEND | W,
)  # fmt: skip


@pytest.mark.parametrize("flags", FLAGS, ids=oct)
def test_open(tmp_path, flags):
    assert "\n".join(each(tmp_path, [("open", words, flags, 0o666) for words in WORDS])) == ""


# -- one name ------------------------------------------------------------------------------------

AT_NOFOLLOW, AT_REMOVEDIR, AT_EACCESS = 0x100, 0x200, 0x200


def one_name(*calls):
    """Each call on every name: `...` is where the name goes."""
    return [
        tuple(words if arg is ... else arg for arg in call) for call in calls for words in WORDS
    ]


def memory(size=256):
    return bytearray(b"." * size)


ONE = {
    "stat": [("stat", ..., memory()), ("lstat", ..., memory()),
             ("newfstatat", AT_FDCWD, ..., memory(), AT_NOFOLLOW),
             ("statx", AT_FDCWD, ..., 0, 0x7FF, memory())],
    "access": [("access", ..., 0), ("access", ..., os.R_OK | os.W_OK), ("access", ..., os.X_OK),
               ("access", ..., 8), ("faccessat", AT_FDCWD, ..., os.R_OK),
               ("faccessat2", AT_FDCWD, ..., os.R_OK, AT_NOFOLLOW | AT_EACCESS),
               ("faccessat2", AT_FDCWD, ..., os.R_OK, 1)],
    "readlink": [("readlink", ..., memory(64), 64), ("readlink", ..., memory(64), 2),
                 ("readlink", ..., memory(64), 0), ("readlinkat", AT_FDCWD, ..., memory(64), -1)],
    "truncate": [("truncate", ..., 3), ("truncate", ..., 300), ("truncate", ..., -1)],
    "mkdir": [("mkdir", ..., 0o755), ("mkdir", ..., 0o7777), ("mkdirat", AT_FDCWD, ..., 0o700)],
    "rmdir": [("rmdir", ...), ("unlinkat", AT_FDCWD, ..., AT_REMOVEDIR)],
    "unlink": [("unlink", ...), ("unlinkat", AT_FDCWD, ..., 0), ("unlinkat", AT_FDCWD, ..., 1)],
    "symlink": [("symlink", "x", ...), ("symlinkat", "", AT_FDCWD, ...)],
    "mknod": [("mknod", ..., stat.S_IFREG | 0o644, 0), ("mknod", ..., 0o600, 0),
              ("mknod", ..., stat.S_IFIFO | 0o644, 0), ("mknod", ..., stat.S_IFDIR | 0o755, 0),
              ("mknodat", AT_FDCWD, ..., stat.S_IFLNK | 0o644, 0)],
    "chmod": [("chmod", ..., 0o700), ("chmod", ..., 0o7777), ("fchmodat", AT_FDCWD, ..., 0o751)],
    "chown": [("chown", ..., -1, -1), ("lchown", ..., os.getuid(), os.getgid()),
              ("fchownat", AT_FDCWD, ..., -1, -1, AT_NOFOLLOW),
              ("fchownat", AT_FDCWD, ..., -1, -1, 1)],
    "statfs": [("statfs", ..., memory())],
    "xattr": [("getxattr", ..., "user.none", memory(), 64), ("listxattr", ..., 0, 0),
              ("setxattr", ..., "user.x", b"value", 5, 0), ("setxattr", ..., "user.x", b"v", 1, 2),
              ("removexattr", ..., "user.none"), ("lgetxattr", ..., "user.none", memory(), 0)],
}  # fmt: skip


@pytest.mark.parametrize("operation", ONE)
def test_one_name(tmp_path, operation):
    calls = [
        tuple(bytearray(arg) if isinstance(arg, bytes | bytearray) else arg for arg in call)
        for call in one_name(*ONE[operation])
    ]
    assert "\n".join(each(tmp_path, calls)) == ""


def moments(a_seconds, a_ns, m_seconds, m_ns):
    return bytearray(struct.pack("=qqqq", a_seconds, a_ns, m_seconds, m_ns))


NOW_NS, OMIT = (1 << 30) - 1, (1 << 30) - 2


@pytest.mark.parametrize(
    "call",
    [
        ("utimensat", AT_FDCWD, ..., moments(5, 6, 7, 8), 0),
        ("utimensat", AT_FDCWD, ..., moments(5, 6, 7, 8), AT_NOFOLLOW),
        ("utimensat", AT_FDCWD, ..., moments(0, OMIT, 9, 10), 0),
        ("utimensat", AT_FDCWD, ..., moments(9, 10, 0, OMIT), 0),
        ("utimensat", AT_FDCWD, ..., moments(0, OMIT, 0, OMIT), 0),
        ("utimensat", AT_FDCWD, ..., moments(0, NOW_NS, 3, 4), 0),
        ("utimensat", AT_FDCWD, ..., moments(0, 10**9, 3, 4), 0),
        ("utimensat", AT_FDCWD, ..., moments(0, -1, 3, 4), 0),
        ("utimensat", AT_FDCWD, ..., moments(-5, 6, 3, 4), 0),
        ("utimensat", AT_FDCWD, ..., 0, 0),
        ("utimensat", AT_FDCWD, ..., 0, 1),
        ("utime", ..., bytearray(struct.pack("=qq", 5, 7))),
        ("utimes", ..., moments(5, 6, 7, 8)),
        ("utimes", ..., moments(5, 10**6, 7, 8)),
        ("futimesat", AT_FDCWD, ..., moments(5, 6, 7, 999999)),
    ],
    ids=lambda call: (
        f"{call[0]}-{call[-1] if isinstance(call[-1], int) else bytes(call[-1]).hex()}"
    ),
)
def test_times(tmp_path, call):
    names = ("file", "dir", "to_file", "dangling", "none", "file/", "to_dir/.", "")
    calls = [tuple(f"@/{name}" if arg is ... else arg for arg in call) for name in names]
    assert "\n".join(each(tmp_path, calls)) == ""


def test_now_is_what_the_clock_says(emulated, top):
    play(emulated.calls("utime", "/e/file", 0))
    assert os.stat(top / "file").st_mtime_ns == os.stat(top / "file").st_atime_ns == NOW


LOCKED = [  # what is done where one may not
    ("open", "@/file", R), ("open", "@/file", W), ("open", "@/file", P),
    ("stat", "@/file", memory()), ("open", "@/dir", R), ("open", "@/dir/new", C | W),
    ("open", "@/dir/inner", R),
    ("access", "@/file", os.R_OK), ("access", "@/file", 0), ("access", "@/dir", os.W_OK | os.X_OK),
    ("lstat", "@/dir/inner", memory()), ("stat", "@/dir/inner/x", memory()),
    ("mkdir", "@/dir/new", 0o755), ("unlink", "@/dir/inner"), ("rename", "@/dir/inner", "@/new"),
    ("rename", "@/other", "@/dir/new"), ("link", "@/other", "@/dir/new"), ("truncate", "@/file", 1),
    ("symlink", "x", "@/dir/new"), ("rmdir", "@/dir"), ("readlink", "@/dir/inner", memory(), 9),
    ("utime", "@/file", 0), ("chmod", "@/file", 0o644), ("statfs", "@/dir/inner", memory()),
]  # fmt: skip


@pytest.mark.parametrize("mode", [0, 0o100, 0o200, 0o400, 0o500, 0o600])
def test_rights(twins, mode):
    """Root has them all, but to execute; CI is an ordinary user."""
    for call, *args in LOCKED:
        for top in (twins.plain, twins.shown):
            os.chmod(f"{top}/dir", mode)
            os.chmod(f"{top}/file", mode)
        (twins.open if call == "open" else twins.alike)(*([] if call == "open" else [call]), *args)
        for top in (twins.plain, twins.shown):
            if os.path.lexists(f"{top}/dir"):
                os.chmod(f"{top}/dir", 0o700)
            else:
                os.mkdir(f"{top}/dir", 0o700)
            for name, data in (("file", PLAN["file"]), ("other", b"x"), ("dir/inner", b"")):
                if os.path.lexists(f"{top}/{name}"):
                    os.chmod(f"{top}/{name}", 0o600)
                with open(f"{top}/{name}", "wb") as file:
                    file.write(data)
            for name in ("dir/new", "new"):
                if os.path.isdir(f"{top}/{name}"):
                    os.rmdir(f"{top}/{name}")
                elif os.path.lexists(f"{top}/{name}"):
                    os.unlink(f"{top}/{name}")


# -- two names -----------------------------------------------------------------------------------

NOREPLACE, EXCHANGE = 1, 2
SHORT = ("file", "dir", "empty", "to_file", "to_dir", "dangling", "none", "file/", "dir/", "empty/",
         "to_dir/", "none/", "dangling/", "dir/.", "dir/..", "empty/.", ".", "none/x", "file/x",
         "dir/inner", "dir/new", "other", "empty/new/", "")  # fmt: skip
TWO = {
    "rename": ("rename", "@old", "@new"),
    "noreplace": ("renameat2", AT_FDCWD, "@old", AT_FDCWD, "@new", NOREPLACE),
    "link": ("link", "@old", "@new"),
    "followed link": ("linkat", AT_FDCWD, "@old", AT_FDCWD, "@new", 0x400),
}


@pytest.mark.parametrize("kind", TWO)
def test_two_names(tmp_path, kind):
    calls = [
        tuple({"@old": f"@/{first}", "@new": f"@/{second}"}.get(arg, arg) for arg in TWO[kind])
        for first in SHORT
        for second in SHORT
    ]
    assert "\n".join(each(tmp_path, calls)) == ""


@pytest.mark.parametrize("flags", [EXCHANGE, NOREPLACE | EXCHANGE, 4, 8, NOREPLACE | 4])
def test_flags_of_renameat2(tmp_path, flags):
    pairs = (("file", "other"), ("file", "dir"), ("file", "none"), ("none", "file"), ("dir", "."))
    calls = [("renameat2", AT_FDCWD, f"@/{old}", AT_FDCWD, f"@/{new}", flags) for old, new in pairs]
    assert "\n".join(each(tmp_path, calls)) == ""


# -- what only the caller can tell ---------------------------------------------------------------


def refused(caller):
    with pytest.raises(OSError) as raised:
        play(caller)
    return raised.value.errno


def test_what_is_opened_is_an_open_file(emulated, top):
    verdict, _ = play(emulated.calls("openat", AT_FDCWD, "/e/link", RW | os.O_CLOEXEC))
    assert isinstance(verdict, Opened)
    opened = emulated.objects[5] = verdict.object
    assert verdict.cloexec
    assert (opened.name, opened.rest, opened.flags) == ("/e/file", "/file", RW)
    assert (opened.tree, opened.offset, opened.kind) == (emulated.tree, 0, stat.S_IFREG)
    st = os.stat(top / "file")
    assert opened.key == (st.st_dev, st.st_ino)
    assert opened.pread(4, 2) == b"2345"


def test_a_directory_and_a_path_are_opened_by_nobody(emulated):
    """The tree's open() is not asked: api.Tree."""
    for name, flags in (("/e/sub", R | D), ("/e/file", O_PATH), ("/e/link", O_PATH | N)):
        opened = play(emulated.calls("open", name, flags))[0].object
        assert type(opened.file).__name__ == "Directory"
        assert opened.name == name


def test_who_can_hold_no_descriptor_yet_opens_nothing(emulated, top):
    emulated.holds = False
    assert play(emulated.calls("creat", "/e/new", 0o644)) == (Ready(NOTHING), [])
    assert not (top / "new").exists()


def test_flags_that_open_does_not_know_are_forgotten(emulated):
    """fs/open.c, build_open_how."""
    for flags in (R | 1 << 31, R | 1 << 24 | 1 << 35):
        opened = play(emulated.calls("open", "/e/file", flags))[0].object
        assert opened.flags == R
        opened.file.close()


def test_a_file_is_made_with_the_callers_umask(emulated, top):
    emulated.rights = Ids(0, 0, frozenset(), 0o027)
    before = os.umask(0)
    try:
        emulated.objects[5] = play(emulated.calls("creat", "/e/new", 0o7666))[0].object
        play(emulated.calls("mkdir", "/e/dir", 0o7777))
        play(emulated.calls("mknod", "/e/node", stat.S_IFREG | 0o666, 0))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(top / name).st_mode) for name in ("new", "dir", "node")]
    assert modes == [0o7640, 0o1750, 0o640]


def test_a_program_that_runs_is_not_written(emulated):
    emulated.running.add("/e/file")
    for flags in (W, RW):
        assert refused(emulated.calls("open", "/e/file", flags)) == errno.ETXTBSY
    emulated.objects[5] = play(emulated.calls("open", "/e/file", R))[0].object


def test_a_tree_is_told_who_asks(caller, view):
    asked = []

    class Picky(Tree):
        def lstat(self, path):
            return attributes(stat.S_IFDIR if path == "/" else stat.S_IFREG | 0o666)

        def access(self, path, mode, uid, groups):
            asked.append((path, mode, uid, groups))
            raise error(errno.EACCES, path)

    view.mount("/p", Picky())
    caller.rights = Ids(7, 8, frozenset((8, 9)), 0)
    for flags, mode in ((R, 4), (W, 2), (RW, 6), (R | T, 6), (3, 6)):
        assert refused(caller.calls("open", "/p/x", flags)) == errno.EACCES
        assert asked.pop() == ("/x", mode, 7, frozenset((8, 9)))
    assert refused(caller.calls("access", "/p/x", os.X_OK)) == errno.EACCES
    assert asked.pop() == ("/x", 1, 7, frozenset((8, 9)))
    assert play(caller.calls("access", "/p/x", 0))[0] == Emulate(0)
    assert play(caller.calls("open", "/p/x", O_PATH))[0].object.name == "/p/x"
    assert asked == []


def test_what_opens_without_attributes_is_closed_again(caller, view):
    closed = []

    class Thing(File):
        def close(self):
            closed.append(True)

    class Vague(Tree):
        def lstat(self, path):
            if path != "/":
                raise error(errno.ENOENT, path)
            return attributes(stat.S_IFDIR)

        def open(self, path, flags, mode=0o777):
            return Thing()

    view.mount("/p", Vague())
    assert refused(caller.calls("open", "/p/x", C | W, 0o600)) == errno.ENOENT
    assert closed == [True]


def test_pipes_of_a_tree_are_the_kernels_and_sockets_cannot_be_opened(caller, view):
    class Odd(Tree):
        def lstat(self, path):
            kinds = {"/": stat.S_IFDIR, "/pipe": stat.S_IFIFO, "/socket": stat.S_IFSOCK}
            return attributes(kinds[path] | 0o777)

    view.mount("/p", Odd())
    verdict, _ = play(caller.calls("open", "/p/pipe", R))
    assert verdict == At("/its/fifo", 0, {0: b"/its/fifo\0"})
    assert refused(caller.calls("open", "/p/socket", R)) == errno.ENXIO


def test_a_mount_point_is_busy(emulated, view):
    view.mount("/e/sub", Tree())
    view.mount("/e/file", Tree())
    for call, *args in (
        ("rmdir", "/e/sub"), ("unlink", "/e/file"), ("unlinkat", AT_FDCWD, "/e/sub", AT_REMOVEDIR),
        ("rename", "/e/sub", "/e/x"), ("rename", "/e/link", "/e/sub"),
    ):  # fmt: skip
        assert refused(emulated.calls(call, *args)) in (errno.EBUSY, errno.ENOSYS), call


def test_open_files_hear_of_names_and_sizes(emulated):
    play(emulated.calls("rename", "/e/file", "/e/sub/new"))
    play(emulated.calls("truncate", "/e/sub/new", 4))
    settled = ("settle",)  # first of all what was closed is closed
    assert emulated.notes == [
        settled, ("renamed", "/e/file", "/e/sub/new"), settled, ("cut", "/e/sub/new", 4),
    ]  # fmt: skip


def test_what_is_exchanged_has_each_others_names(emulated, top):
    play(emulated.calls("renameat2", AT_FDCWD, "/e/file", AT_FDCWD, "/e/sub", EXCHANGE))
    assert emulated.notes == [
        ("settle",),
        ("renamed", "/e/file", "/e/file\0"),
        ("renamed", "/e/sub", "/e/file"),
        ("renamed", "/e/file\0", "/e/sub"),
    ]
    assert (top / "file").is_dir()


def test_between_two_trees_there_is_no_way(emulated, view, top):
    view.mount("/other", view.top("/e").tree)
    for call in ("rename", "link"):
        assert refused(emulated.calls(call, "/e/file", "/other/new")) == errno.EXDEV
        assert refused(emulated.calls(call, "/e/file", str(top / "new"))) == errno.EXDEV
        assert refused(emulated.calls(call, str(top / "file"), "/e/new")) == errno.EXDEV


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("mount", errno.EOPNOTSUPP),
        ("acct", errno.EPERM),
        ("swapon", errno.EPERM),
    ],
)
def test_what_no_tree_can_do_is_refused(emulated, call, number):
    row = emulated.calls(call).call
    words = ["/e/file" if at in [path for _, path in row.paths()] else 0 for at in range(6)]
    assert refused(emulated.calls(call, *words)) == number


@pytest.mark.parametrize("call", ["inotify_add_watch", "name_to_handle_at", "fanotify_mark"])
def test_the_kernel_watches_what_is_behind_a_tree(emulated, top, call):
    row = emulated.calls(call).call
    [(_, at)] = row.paths()

    def asks(name):
        return emulated.calls(call, *(name if i == at else 0 for i in range(6)))

    real = str(top / "file")
    assert play(asks("/e/file"))[0] == At(real, 0, {at: real.encode() + b"\0"})
    assert refused(asks("/e/nothing")) == errno.ENOENT
    assert refused(asks("/v/x")) == errno.ENOSYS  # its tree knows no file at all


def test_a_tree_without_real_files_has_none_to_watch(caller, view):
    class Bare(Tree):
        def lstat(self, path):
            return attributes(stat.S_IFDIR | 0o755)

    view.mount("/bare", Bare(), kind="bare")
    assert refused(caller.calls("inotify_add_watch", 0, "/bare", 2)) == errno.EOPNOTSUPP


def test_a_file_without_a_name_gets_one(emulated, top):
    words = AT_FDCWD, "/e/sub", os.O_TMPFILE | os.O_RDWR, 0o666
    verdict, _ = play(emulated.calls("openat", *words))
    made = verdict.object
    emulated.objects[9] = made
    assert made.nameless
    assert stat.S_IMODE(made.attributes().st_mode) == 0o644
    made.pwrite(b"new", 0)
    emulated.magic[f"/proc/{emulated.tid}/fd/9"] = made.name
    assert play(emulated.calls("linkat", AT_FDCWD, made.name, AT_FDCWD, "/e/sub/named", 0))
    assert (top / "sub" / "named").read_bytes() == b"new"
    assert made.attributes().st_nlink == 1
    assert refused(emulated.calls("open", "/e/file", os.O_TMPFILE | os.O_RDWR, 0)) == errno.ENOTDIR


def test_memory_that_is_not_there_is_EFAULT(emulated):
    for call in (
        ("utimensat", AT_FDCWD, "/e/file", 8, 0), ("utime", "/e/file", b"short"),
        ("setxattr", "/e/file", "user.x", b"v", 2, 0), ("symlink", 8, "/e/new"),
        ("getxattr", "/e/file", 8, 0, 0),
    ):  # fmt: skip
        assert refused(emulated.calls(*call)) == errno.EFAULT, call
