# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that name files: what the kernel is asked instead."""

from __future__ import annotations

import errno
import os

import pytest
from playbook import play

from pyview.abi.stat import pack_stat
from pyview.handlers.caller import AT_FDCWD
from pyview.verdicts import At, Done, Emulate, Give, Ready, Real, Redirect

AT_NOFOLLOW, AT_FOLLOW, AT_EMPTY = 0x100, 0x400, 0x1000
BENEATH, IN_ROOT = 0x08, 0x10


def refused(caller):
    with pytest.raises(OSError) as raised:
        play(caller)
    return raised.value.errno


def how(flags, mode=0, resolve=0):
    return b"".join(word.to_bytes(8, "little") for word in (flags, mode, resolve))


# -- one name ------------------------------------------------------------------------------------


def test_a_name_of_the_kernels_runs_as_it_stands(caller):
    assert play(caller.calls("stat", "/etc/passwd")) == (Real(True), [])


def test_a_name_in_unreal_runs_on_the_kernels_name(caller, number):
    verdict, asked = play(caller.calls("stat", "/unreal/etc/passwd"))
    assert verdict == At("/etc/passwd", number, {0: b"/etc/passwd\0"})
    assert asked == []


def test_a_name_that_a_tree_must_be_asked_about_is_the_trees(emulated, top):
    """That of a tree which has no answer is ENOSYS: api.Tree."""
    for words in ("/v", "/v/x"):
        assert refused(emulated.calls("stat", words)) == errno.ENOSYS
    verdict, _ = play(emulated.calls("stat", "/e/file", 0x5000))
    assert verdict == Emulate(0, ((0x5000, pack_stat(os.stat(top / "file"))),))
    assert refused(emulated.calls("stat", "/e/none", 0x5000)) == errno.ENOENT


@pytest.mark.parametrize("words", [None, ""])
def test_no_name_is_the_kernels_affair(caller, words):
    assert play(caller.calls("stat", 0 if words is None else words))[0] == Real(True)
    assert play(caller.calls("newfstatat", 3, words or "", 0, AT_EMPTY))[0] == Real(True)


def test_a_name_is_looked_up_from_its_directory(caller, number):
    caller.fds[5] = "/unreal/etc"
    verdict, _ = play(caller.calls("unlinkat", 5, "../etc/passwd", 0))
    assert verdict == Real(True)  # the descriptor is the kernel's /etc, and so is its parent
    verdict, _ = play(caller.calls("unlinkat", 5, "../../etc/passwd", 0))
    assert verdict == At("/etc/passwd", 0, {1: b"/etc/passwd\0"})
    assert refused(caller.calls("unlinkat", 6, "x", 0)) == errno.EBADF
    assert play(caller.calls("unlinkat", 6, "/etc/x", 0))[0] == Real(True)


def test_only_32_bits_of_a_descriptor_count(caller, tmp_path):
    (tmp_path / "x").write_text("")
    assert play(caller.calls("unlinkat", 0xFFFFFFFF & AT_FDCWD, "x", 0))[0] == Real(True)


LINKED = [  # what is done with a last link: call, the arguments around the name, followed
    ("stat", (), (), True),
    ("lstat", (), (), False),
    ("newfstatat", (AT_FDCWD,), (0, 0), True),
    ("newfstatat", (AT_FDCWD,), (0, AT_NOFOLLOW), False),
    ("linkat", (AT_FDCWD,), (AT_FDCWD, "/unreal/tmp/new", 0), False),
    ("linkat", (AT_FDCWD,), (AT_FDCWD, "/unreal/tmp/new", AT_FOLLOW), True),
    ("chown", (), (), True),
    ("lchown", (), (), False),
    ("fchownat", (AT_FDCWD,), (0, 0, AT_NOFOLLOW), False),
    ("fchownat", (AT_FDCWD,), (0, 0, AT_NOFOLLOW | AT_EMPTY), False),
    ("unlink", (), (), False),
    ("statx", (AT_FDCWD,), (AT_NOFOLLOW, 0), False),
    ("statx", (AT_FDCWD,), (0, 0), True),
    ("open", (), (os.O_RDONLY,), True),
    ("open", (), (os.O_NOFOLLOW,), False),
    ("open", (), (os.O_CREAT | os.O_EXCL,), False),
    ("open", (), (os.O_CREAT,), True),
    ("openat", (AT_FDCWD,), (os.O_EXCL,), True),
]


@pytest.mark.parametrize(("call", "before", "after", "followed"), LINKED)
def test_a_last_link_is_followed_as_the_call_says(caller, tmp_path, call, before, after, followed):
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_text("")
    verdict, _ = play(caller.calls(call, *before, f"/unreal{tmp_path}/link", *after))
    assert isinstance(verdict, At)
    assert verdict.real == str(tmp_path / ("file" if followed else "link"))


# -- two names -----------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path):
    (tmp_path / "old").write_text("")
    return str(tmp_path)


def test_both_names_of_a_rename_are_the_kernels(caller, two, number):
    verdict, _ = play(caller.calls("rename", f"/unreal{two}/old", f"/unreal{two}/new"))
    assert verdict.changes == {0: f"{two}/old\0".encode(), 1: f"{two}/new\0".encode()}
    assert verdict.domain == number


@pytest.mark.parametrize("call", ["rename", "link"])
def test_across_mounts_a_file_is_neither_renamed_nor_linked(caller, two, call):
    for old, new in ((two, "/unreal" + two), ("/unreal" + two, two)):
        assert refused(caller.calls(call, f"{old}/old", f"{new}/new")) == errno.EXDEV


def test_a_symlink_knows_no_mounts(caller, two):
    verdict, _ = play(caller.calls("symlink", f"{two}/old", f"/unreal{two}/new"))
    assert verdict.real == f"{two}/new"


@pytest.mark.parametrize("call", ["renameat2", "linkat"])
def test_what_is_missing_is_ENOENT_before_it_is_EXDEV(caller, two, call):
    def errno_of(old, new):
        return refused(caller.calls(call, AT_FDCWD, old, AT_FDCWD, new, 0))

    assert errno_of(f"{two}/none/old", f"/unreal{two}/new") == errno.ENOENT
    assert errno_of(f"{two}/old", f"/unreal{two}/none/new") == errno.ENOENT
    assert errno_of(f"{two}/old", f"/unreal{two}/old/new") == errno.ENOTDIR
    missing = errno_of(f"{two}/none", f"/unreal{two}/new")
    assert missing == (errno.ENOENT if call == "linkat" else errno.EXDEV)


@pytest.mark.parametrize(("old", "new"), [("/unreal", "/tmp/x"), ("/tmp", "/unreal")])
def test_a_mount_point_keeps_its_name(caller, old, new):
    assert refused(caller.calls("rename", old, new)) == errno.EBUSY


def test_what_is_not_there_is_ENOENT_before_a_mount_point_is_EBUSY(caller):
    assert refused(caller.calls("rename", "/tmp/there is no such file", "/unreal")) == errno.ENOENT


# -- open ----------------------------------------------------------------------------------------


def test_what_is_opened_through_a_domain_is_left_to_whoever_can_mark_it(caller, number):
    verdict, asked = play(caller.calls("open", "/unreal/etc/passwd", os.O_RDONLY))
    assert verdict == At("/etc/passwd", number, {0: b"/etc/passwd\0"})
    assert asked == []


def test_the_same_words_may_open_in_another_domain(caller, number, tmp_path):
    (tmp_path / "file").write_text("")
    caller.where = f"/unreal{tmp_path}"
    verdict, _ = play(caller.calls("open", "file", os.O_RDONLY))
    assert verdict == At(str(tmp_path / "file"), number, {})


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("creat", ("/unreal/etc/x", 0o600)),
        ("openat2", (AT_FDCWD, "/unreal/etc/x", how(os.O_RDONLY), 24)),
    ],
)
def test_every_call_that_opens_is_left_to_whoever_can_mark_it(caller, number, call, args):
    name_at = 0 if call == "creat" else 1
    verdict, asked = play(caller.calls(call, *args))
    assert (verdict, asked) == (At("/etc/x", number, {name_at: b"/etc/x\0"}), [])


def test_what_the_listener_cannot_open_is_opened_by_the_caller_and_marked(caller, number):
    words = (AT_FDCWD, "/unreal/etc/x", 0o10000000)  # O_PATH
    assert play(caller.calls("openat", *words), 7) == (Done(), [Redirect({1: b"/etc/x\0"})])
    assert caller.notes == [("mark", 7, number)]


def test_what_could_not_be_opened_is_not_marked(caller):
    words = (AT_FDCWD, "/unreal/etc/x/y", 0o10000000)  # O_PATH
    verdict, asked = play(caller.calls("openat", *words), -errno.ENOTDIR)
    assert (verdict, len(asked), caller.notes) == (Done(), 1, [])


def test_a_plain_creat_runs_as_it_stands(caller):
    assert play(caller.calls("creat", "/etc/passwd", 0o600)) == (Real(True), [])
    assert play(caller.calls("creat", "/etc/missing", 0o600)) == (Real(False), [])


@pytest.mark.parametrize("bits", [BENEATH, IN_ROOT])
def test_openat2_below_a_descriptor_is_the_kernels_and_marked(caller, number, bits):
    caller.fds[5], caller.domains[5] = "/unreal/etc", number
    call = ("openat2", 5, "passwd", how(os.O_RDONLY, 0, bits), 24)
    assert play(caller.calls(*call), 8) == (Done(), [Redirect({})])
    assert caller.notes == [("mark", 8, number)]
    caller.domains.clear()
    assert play(caller.calls(*call)) == (Real(), [])


def test_openat2_below_the_working_directory(caller, number):
    caller.domain = number
    verdict, _ = play(caller.calls("openat2", AT_FDCWD, "x", how(0, 0, BENEATH), 24), -2)
    assert (verdict, caller.notes) == (Done(), [])


def test_openat2_reads_its_flags_from_memory(caller, tmp_path):
    (tmp_path / "link").symlink_to("file")
    words = f"/unreal{tmp_path}/link"
    for flags, end in ((0, "file"), (os.O_NOFOLLOW, "link")):
        verdict, _ = play(caller.calls("openat2", AT_FDCWD, words, how(flags), 24))
        assert verdict.changes == {1: f"{tmp_path}/{end}\0".encode()}


def test_a_file_of_proc_may_say_something_else_in_a_view(caller):
    name = f"/proc/{os.getpid()}/mounts"
    assert isinstance(play(caller.calls("open", name, os.O_RDONLY))[0], Real)
    caller.texts[name] = b"text"
    verdict, _ = play(caller.calls("open", name, os.O_RDONLY | os.O_CLOEXEC))
    assert verdict == Give(77, True)
    assert caller.notes == [("file", b"text", name)]


def test_who_opens_a_list_of_mounts_may_watch_it(caller):
    name = f"/proc/{os.getpid()}/mountinfo"
    caller.texts[name] = b"text"
    assert play(caller.calls("open", name, os.O_RDONLY))[0] == Ready(watches=True)
    caller.watching = True
    assert play(caller.calls("open", name, os.O_RDONLY))[0] == Give(77, False)


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY, os.O_DIRECTORY, os.O_TRUNC])
def test_the_kernel_says_how_it_can_not_be_opened(caller, flags):
    name = f"/proc/{os.getpid()}/mounts"
    caller.texts[name] = b"text"
    assert isinstance(play(caller.calls("open", name, flags))[0], Real)


def test_a_link_of_proc_may_look_otherwise_in_a_view(caller):
    name = f"/proc/{os.getpid()}/fd/0"
    assert isinstance(play(caller.calls("lstat", name, 0x5000))[0], Real)
    st = caller.links[name] = os.lstat("/")
    assert play(caller.calls("lstat", name, 0x5000))[0] == Emulate(0, ((0x5000, pack_stat(st)),))


# -- readlink ------------------------------------------------------------------------------------


@pytest.fixture
def magic(caller, tmp_path):
    (tmp_path / "cwd").symlink_to("/etc")
    caller.magic[str(tmp_path / "cwd")] = "/unreal/etc"
    return str(tmp_path / "cwd")


@pytest.mark.parametrize(
    ("size", "data"), [(100, b"/unreal/etc"), (11, b"/unreal/etc"), (3, b"/un")]
)
def test_a_link_of_proc_tells_the_views_name(caller, magic, size, data):
    verdict, _ = play(caller.calls("readlink", magic, 0x5000, size))
    assert verdict == Emulate(len(data), ((0x5000, data),))
    verdict, _ = play(caller.calls("readlinkat", AT_FDCWD, magic, 0x5000, size))
    assert verdict == Emulate(len(data), ((0x5000, data),))


@pytest.mark.parametrize("size", [0, -1, 1 << 31])
def test_a_buffer_without_room_is_EINVAL(caller, magic, size):
    assert refused(caller.calls("readlink", magic, 0x5000, size)) == errno.EINVAL


def test_other_links_are_the_kernels(caller, number, tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    assert play(caller.calls("readlink", f"{tmp_path}/link", 0x5000, 9))[0] == Real(True)
    verdict, _ = play(caller.calls("readlink", f"/unreal{tmp_path}/link", 0x5000, 9))
    assert verdict == At(f"{tmp_path}/link", number, {0: f"{tmp_path}/link\0".encode()})
