# SPDX-License-Identifier: GPL-2.0-or-later
"""execve, clone, unshare: the oracle of scripts is the kernel, which runs the same ones."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playbook import Nobody, play

from pyview.api import Shown, Tree, attributes
from pyview.credentials import Program
from pyview.handlers.caller import AT_FDCWD
from pyview.handlers.directories import VIRTUAL
from pyview.handlers.programs import HEAD, _script_line
from pyview.paths import Found
from pyview.verdicts import Block, Done, Real, Redirect, Renamed
from pyview.view import Past, View

NEWNS, NEWUSER, FS, UNTRACED = 0x20000, 0x10000000, 0x200, 0x00800000
EMPTY_PATH = 0x1000


def refused(caller, *results):
    with pytest.raises(OSError) as raised:
        play(caller, *results)
    return raised.value.errno


def vector(caller, *words):
    """argv in the memory of the caller; its address, and the words' addresses."""
    addresses = [caller.puts(word + b"\0") for word in words]
    data = b"".join(address.to_bytes(8, "little") for address in addresses)
    return caller.puts(data + bytes(8)), addresses


# -- programs ------------------------------------------------------------------------------------


def test_a_program_of_the_kernels_runs_as_it_stands(caller):
    assert play(caller.calls("execve", "/etc/passwd", 0, 0)) == (Real(True), [])
    assert caller.notes == [("executes", 0)]


def test_a_program_in_unreal_is_called_by_a_name_that_is_as_long(caller, number):
    verdict, asked = play(caller.calls("execve", "/unreal/etc/passwd", 0, 0), 0)
    assert verdict == Done()
    given = b"///////etc/passwd"[-18:].rjust(18, b"/")
    assert asked == [Redirect({0: given + b"\0"}), Renamed(given, b"/unreal/etc/passwd")]
    assert len(given) == len(b"/unreal/etc/passwd")
    assert caller.notes == [("executes", number)]


def test_a_program_that_could_not_be_executed_is_not_renamed(caller):
    verdict, asked = play(caller.calls("execve", "/unreal/etc/passwd", 0, 0), -errno.EACCES)
    assert (verdict, len(asked)) == (Done(), 1)


def test_a_name_that_is_longer_than_the_views_is_given_as_it_is(caller, tmp_path):
    (tmp_path / "x").symlink_to("/unreal/etc/passwd")
    os.chdir("/")
    _, asked = play(caller.calls("execve", "x", 0, 0), 0)
    assert asked == [Redirect({0: b"/etc/passwd\0"}), Renamed(b"/etc/passwd", b"x", b"x")]


def test_a_program_in_a_virtual_tree_is_executed_as_a_copy(emulated, top):
    (top / "program").write_bytes(b"\x7fELF")
    (top / "program").chmod(0o755)
    verdict, asked = play(emulated.calls("execve", "/e/program", 0, 0), 0)
    assert verdict == Done()
    given = b"//its/copy"
    assert asked == [
        Redirect({0: b"//" + given[2:] + b"\0"}),
        Renamed(given.rjust(len("/e/program"), b"/"), b"/e/program", b"program"),
    ]
    assert emulated.notes[-2:] == [
        ("program", "/e/program"), ("executes", VIRTUAL, "/e/program"),
    ]  # fmt: skip


def test_a_program_in_a_virtual_tree_that_cannot_be_executed(emulated, top):
    """cf. execve(2): only ELOOP is for links that need not be followed."""
    (top / "dangling").symlink_to("none")
    (top / "busy").write_bytes(b"")
    (top / "busy").chmod(0o755)
    emulated.writing.add("/e/busy")
    for name, number in (
        ("/v/x", errno.ENOSYS),
        ("/e/none", errno.ENOENT),
        ("/e/dangling", errno.ENOENT),
        ("/e/file/x", errno.ENOTDIR),
        ("/e/file/", errno.ENOTDIR),
        ("/e/sub", errno.EACCES),
        ("/e/file", errno.EACCES),
        ("/e/busy", errno.ETXTBSY),
    ):
        assert refused(emulated.calls("execve", name, 0, 0)) == number, name
    nofollow = (AT_FDCWD, "/e/link", 0, 0, 0x100)
    assert refused(emulated.calls("execveat", *nofollow)) == errno.ELOOP
    assert all(what != "program" for what, *_ in emulated.notes)


def test_a_null_name_is_the_kernels_affair(caller):
    assert play(caller.calls("execve", 0, 0, 0)) == (Real(), [])
    assert play(caller.calls("execveat", AT_FDCWD, "", 0, 0, EMPTY_PATH)) == (Real(), [])


# -- scripts -------------------------------------------------------------------------------------


def test_the_interpreter_of_a_script_is_found_in_the_view(caller, number):
    caller.heads["/etc/passwd"] = b"#!/unreal/bin/sh -e\necho\n"
    argv, addresses = vector(caller, b"zero", b"one", b"two")
    verdict, asked = play(caller.calls("execve", "/etc/passwd", argv, 0), 0)
    assert verdict == Done()
    shell = os.fsencode(os.path.realpath("/bin/sh"))
    left = b"".join(address.to_bytes(8, "little") for address in addresses[1:])
    block = Block(
        bytes(24) + left + bytes(8),
        ((0, b"/unreal/bin/sh\0"), (8, b"-e\0"), (16, b"/etc/passwd\0")),
    )
    assert asked[0] == Redirect({0: shell + b"\0", 1: block})


def test_a_script_gets_the_views_name_of_itself(caller):
    caller.heads["/etc/passwd"] = b"#!/unreal/bin/sh\n"
    _, asked = play(caller.calls("execve", "/unreal/etc/passwd", 0, 0), 0)
    assert asked[0].changes[1] == Block(
        bytes(24), ((0, b"/unreal/bin/sh\0"), (8, b"/unreal/etc/passwd\0"))
    )


def test_a_script_with_a_plain_interpreter_is_the_kernels(caller):
    caller.heads["/etc/passwd"] = b"#!/bin/sh\n"
    assert play(caller.calls("execve", "/etc/passwd", 0, 0)) == (Real(True), [])


def test_the_interpreter_of_an_interpreter(caller, tmp_path):
    for name in ("outer", "inner"):
        (tmp_path / name).write_text("")
    caller.heads[f"{tmp_path}/outer"] = f"#!{tmp_path}/inner a\n".encode()
    caller.heads[f"{tmp_path}/inner"] = b"#!/unreal/etc/passwd b\n"
    _, asked = play(caller.calls("execve", f"{tmp_path}/outer", 0, 0), 0)
    words = [word for _, word in asked[0].changes[1].pointers]
    assert words == [
        b"/unreal/etc/passwd\0",
        b"b\0",
        f"{tmp_path}/inner\0".encode(),
        b"a\0",
        f"{tmp_path}/outer\0".encode(),
    ]


@pytest.fixture
def shell(emulated, top):
    (top / "sh").write_bytes(b"")
    (top / "sh").chmod(0o755)
    return emulated


def test_an_interpreter_in_a_virtual_tree_is_executed_as_a_copy(shell):
    shell.heads["/etc/passwd"] = b"#!/e/sh -e\n"
    _, asked = play(shell.calls("execve", "/etc/passwd", 0, 0), 0)
    words = Block(bytes(32), ((0, b"/e/sh\0"), (8, b"-e\0"), (16, b"/etc/passwd\0")))
    assert asked[0] == Redirect({0: b"///its/copy\0", 1: words})
    assert asked[1] == Renamed(asked[0].changes[0][:-1], b"/etc/passwd", b"passwd")
    assert shell.notes[-1] == ("executes", VIRTUAL, "/e/sh")


@pytest.mark.parametrize(("name", "number"), [("file", errno.EACCES), ("none", errno.ENOENT)])
def test_an_interpreter_in_a_virtual_tree_that_cannot_be_executed(shell, name, number):
    shell.heads["/etc/passwd"] = f"#!/e/{name}\n".encode()
    assert refused(shell.calls("execve", "/etc/passwd", 0, 0)) == number


def test_a_script_in_a_virtual_tree_is_read_by_its_interpreter(shell, top):
    """The kernel could not open it by the name that it is told."""
    (top / "script").write_bytes(b"")
    (top / "script").chmod(0o755)
    for interpreter in ("/bin/sh", "/e/sh"):
        shell.heads["/e/script"] = f"#!{interpreter}\n".encode()
        _, asked = play(shell.calls("execve", "/e/script", 0, 0), 0)
        words = ((0, f"{interpreter}\0".encode()), (8, b"/e/script\0"))
        real = os.path.realpath("/bin/sh") if interpreter == "/bin/sh" else "/its/copy"
        assert asked[0] == Redirect({0: os.fsencode(real) + b"\0", 1: Block(bytes(24), words)})


def test_an_interpreter_that_loops_is_ELOOP(caller, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    caller.heads["/etc/passwd"] = f"#!{tmp_path}/loop\n".encode()
    assert refused(caller.calls("execve", "/etc/passwd", 0, 0)) == errno.ELOOP


def errno_of_running(name):
    """What the kernel says of executing a file: 0 or an errno."""
    try:
        return subprocess.run([name], check=False, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        return error.errno


@pytest.mark.parametrize("depth", range(1, 8))
def test_scripts_nest_as_deep_as_the_kernel_lets_them(caller, tmp_path, depth):
    """`depth` scripts, each the interpreter of the one before; the last one's is a program."""
    before = "/bin/true"
    for i in range(depth):
        script = tmp_path / str(i)
        head = f"#!{before}\n"
        script.write_text(head)
        script.chmod(0o755)
        caller.heads[str(script)] = head.encode()
        before = str(script)
    expected = errno_of_running(before)
    assert expected in (0, errno.ELOOP)
    try:
        verdict, _ = play(caller.calls("execve", before, 0, 0))
    except OSError as error:
        assert error.errno == expected  # noqa: PT017 - it need not be raised
    else:
        assert verdict == Real(True)
        assert expected == 0


LINES = [
    b"/bin/echo",
    b" \t /bin/echo",
    b"/bin/echo one two",
    b"/bin/echo\tone",
    b"/bin/echo \t one \t",
    b"/bin/echo one\ttwo",
    b"/bin/echo one\ttwo\tthree",
    b"/bin/echo\tone\ttwo",
    b"/bin/echo\t\tone",
    b"/bin/echo " + b"x" * 300,
    b"/bin/echo\t" + b"x" * 300,
    b"/bin/echo " + b"x" * (HEAD - 13),
    b"/bin/echo " + b"x" * (HEAD - 12),
    b"/bin/echo\0 one",
    b"/bin/echo one\0two",
]


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("line", LINES)
def test_the_first_line_is_read_as_the_kernel_reads_it(tmp_path, line, end):
    script = tmp_path / "script"
    script.write_bytes(b"#!" + line + end)
    script.chmod(0o755)
    printed = subprocess.run([script], check=True, capture_output=True).stdout
    interpreter, option = kernels(script.read_bytes()[:HEAD])
    shown = ([option] if option else []) + [os.fsencode(script)]
    assert (interpreter, printed) == (b"/bin/echo", b" ".join(shown) + b"\n")
    assert _script_line(script.read_bytes()[:HEAD]) == (interpreter, option)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"#",
        b"\x7fELF",
        b"# !/bin/sh\n",
        b"#!\n/bin/sh",
        b"#! \t \n",
        b"#!/" + b"x" * 300,
        b"#!" + b" " * 300,
    ],
)
def test_what_is_no_script(tmp_path, head):
    script = tmp_path / "script"
    script.write_bytes(head)
    script.chmod(0o755)
    assert errno_of_running(script) == errno.ENOEXEC
    assert _script_line(head[:HEAD]) is None


def kernels(head):
    """What Linux makes of the first bytes of a file, in other words: binfmt_script.c."""
    page = head.ljust(HEAD, b"\0")
    if page[:2] != b"#!":
        return None
    line, newline, _ = page.partition(b"\n")
    if not newline:
        line = page[: HEAD - 1]
        words = line[2:].lstrip(b" \t")
        if not any(blank in words for blank in (b" ", b"\t", b"\0")):
            return None
    line = line[2:].strip(b" \t")
    at = min((line.find(c) for c in (b" ", b"\t", b"\0") if c in line), default=len(line))
    name = line[:at]
    if not name:
        return None  # ENOEXEC or ENOENT: in any case its own to say
    option = line[at:].lstrip(b" \t") if line[at : at + 1] != b"\0" else b""
    return name, option.split(b"\0")[0]


@given(
    st.lists(st.sampled_from([b"a", b"/b", b" ", b"\t", b"\n", b"x" * 120]), max_size=12),
    st.sampled_from([b"", b"\n"]),
)
def test_any_first_line_is_read_as_the_kernel_reads_it(words, end):
    head = (b"#!" + b"".join(words) + end)[:HEAD]
    assert _script_line(head) == kernels(head)


# -- by descriptor -------------------------------------------------------------------------------


def test_a_program_is_looked_up_from_its_directory(caller, number):
    caller.fds[5] = "/unreal/etc"
    verdict, asked = play(caller.calls("execveat", 5, "passwd", 0, 0, 0))
    assert (verdict, asked) == (Real(True), [])
    assert caller.notes == [("executes", number)]


@pytest.fixture
def script(caller, tmp_path):
    (tmp_path / "script").write_text("")
    caller.heads[f"{tmp_path}/script"] = b"#!/unreal/bin/sh\n"
    caller.fds[5] = str(tmp_path)
    return caller


def test_a_script_by_descriptor_is_told_a_name_in_dev_fd(script):
    argv, _ = vector(script, b"zero")
    _, asked = play(script.calls("execveat", 5, "script", argv, 0, 0), 0)
    changes = asked[0].changes
    assert changes[2].pointers[-1][1] == b"/dev/fd/5/script\0"
    assert (changes[0], changes[4]) == (AT_FDCWD, 0)
    assert changes[1].lstrip(b"/") == os.fsencode(os.path.realpath("/bin/sh"))[1:] + b"\0"


def test_a_script_whose_descriptor_closes_at_exec_is_ENOENT(script):
    script.inheritable = False
    assert refused(script.calls("execveat", 5, "script", 0, 0, 0)) == errno.ENOENT
    _, asked = play(script.calls("execveat", AT_FDCWD, "script", 0, 0, 0), 0)
    assert asked[0].changes[2].pointers[-1][1] == b"script\0"


def test_a_program_that_is_a_descriptor(view, tmp_path):
    (tmp_path / "program").write_text("")
    caller = Nobody(view)
    caller.tid = os.getpid()
    fd = os.open(tmp_path / "program", os.O_PATH)
    try:
        verdict, asked = play(caller.calls("execveat", fd, "", 0, 0, EMPTY_PATH))
    finally:
        os.close(fd)
    assert isinstance(verdict, Real)
    assert asked == []


# -- clone and unshare ---------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, 17, FS, 0x3D0F00])
def test_an_ordinary_child_is_the_kernels(caller, flags):
    assert play(caller.calls("clone", flags)) == (Real(), [])
    assert caller.notes == []


def test_no_child_escapes(caller):
    verdict, asked = play(caller.calls("clone", UNTRACED | 17), 1234)
    assert (verdict, asked) == (Done(), [Redirect({0: 17})])


@pytest.mark.parametrize("flags", [NEWNS, NEWUSER, NEWNS | NEWUSER | 17])
def test_a_child_in_name_spaces_of_its_own_is_foreign(caller, flags):
    assert play(caller.calls("clone", flags)) == (Real(), [])
    users = [("child leaves users",)] if flags & NEWUSER else []
    assert caller.notes == [("child is foreign",), *users]


@pytest.mark.parametrize(
    ("call", "args", "notes"),
    [
        ("unshare", (FS,), [("unshared",)]),
        ("unshare", (NEWNS,), [("unshared",), ("foreign",)]),
        ("unshare", (NEWUSER,), [("unshared",), ("foreign", "rights"), ("leaves users",)]),
        ("unshare", (0x400,), []),  # CLONE_FILES
        ("setns", (3, 0), [("unshared",), ("foreign",)]),
        ("setns", (3, NEWNS), [("unshared",), ("foreign",)]),
    ],
)
def test_what_a_task_shares_no_more(caller, call, args, notes):
    assert play(caller.calls(call, *args), 0) == (Done(), [Redirect({})])
    assert caller.notes == notes
    caller.notes.clear()
    play(caller.calls(call, *args), -errno.EPERM)
    assert caller.notes == []


# -- another root --------------------------------------------------------------------------------


def headed(name, size=64):
    """The beginning of an ELF program with one segment: its interpreter's name."""
    start = (2, 62, 1, 0, size, 0, 0, 64, 56, 1, 0, 0, 0)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", *start)
    return header + struct.pack("<IIQQQQQQ", 3, 4, size + 56, 0, 0, len(name), len(name), 1) + name


@pytest.fixture
def elsewhere(tmp_path):
    """A caller whose root is a directory."""
    (tmp_path / "lib").mkdir()
    for name in ("lib/ld.so", "program", "plain"):
        (tmp_path / name).touch()
    view = View()
    view.mount("/", Past(view, view.epoch, str(tmp_path)))
    caller = Nobody(view)
    caller.heads[f"{tmp_path}/program"] = headed(b"/lib/ld.so\0")
    caller.domain = view.covers()[-1].number
    return caller


def test_a_program_of_another_root_is_started_by_its_interpreter(elsewhere, tmp_path):
    verdict, asked = play(elsewhere.calls("execve", "/program", 0, 0), 0)
    assert verdict == Done()
    assert asked[0] == Redirect({0: b"/its/copy\0"})
    assert ("program", "/program", f"{tmp_path}/lib/ld.so") in elsewhere.notes
    assert ("executes", -1, "/program") in elsewhere.notes


def test_what_names_none_is_the_kernels_file(elsewhere, tmp_path):
    _, asked = play(elsewhere.calls("execve", "/plain", 0, 0), 0)
    assert asked[0] == Redirect({0: f"{tmp_path}/plain".encode() + b"\0"})


def test_an_overlay_says_whose_program_it_is_and_who_may_run_it(caller, tmp_path, monkeypatch):
    class Told(Tree):
        mode = 0o4755

        def lstat(self, path):
            return attributes(stat.S_IFREG | self.mode, uid=3, gid=4, size=1)

    (tmp_path / "program").touch()
    real = str(tmp_path / "program")
    tree = Told()
    mount = SimpleNamespace(tree=tree, epoch=1)
    layers = (SimpleNamespace(overlay=tree),)
    cover = SimpleNamespace(number=0, kept=9, prefix="", root="", mount=mount, layers=layers)
    caller.view._covers, caller.view._by_prefix = (cover,), {cover.prefix: cover}

    def resolve(*_words, **_how):
        return Found(
            "/program", cover, real, "/program", True, False, shown=Shown(real, True, True)
        )

    monkeypatch.setattr(caller, "resolve", resolve)
    verdict, asked = play(caller.calls("execve", "/program", 0, 0), 0)
    assert verdict == Done()
    assert isinstance(asked[0], Redirect)
    assert ("executes as", Program(0o4755, 3, 4)) in caller.notes
    tree.mode = 0o644
    with pytest.raises(PermissionError):
        play(caller.calls("execve", "/program", 0, 0))
