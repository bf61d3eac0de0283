# SPDX-License-Identifier: GPL-2.0-or-later
"""viewfs: who has a file open while it is changed sees what happens, as in a copy of one's own.

What is done in a plain directory and in a view is the same script; `native` is the oracle.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from worlds.world import World

TWO_OPEN = """
import fcntl, os, signal, socket
one = os.open("a", os.O_RDONLY | os.O_CLOEXEC)
same, other = os.dup(one), os.open("a", os.O_RDONLY | os.O_NONBLOCK)
late, locked = os.open("b", os.O_RDONLY), os.open("c", os.O_RDONLY)
fcntl.flock(locked, fcntl.LOCK_SH)
fcntl.lockf(other, fcntl.LOCK_SH, 3, 1)
os.read(one, 1)
child = os.fork()
if not child:
    signal.sigwait([signal.SIGUSR1])
    print("child", os.read(same, 3), os.pread(late, 9, 0), flush=True)
    os._exit(0)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
with open("a", "a") as file:
    file.write("more")
os.truncate("b", 2)
mine = os.open("c", os.O_WRONLY | os.O_TRUNC)
print(os.read(same, 2), os.lseek(one, 0, 1), os.pread(other, 99, 0), os.pread(late, 9, 0))
print(os.get_inheritable(one), os.get_inheritable(same), os.O_NONBLOCK & fcntl.fcntl(other, 3))
print(os.pread(locked, 9, 0), os.readlink(f"/proc/self/fd/{one}").rpartition("/")[2])
for lock in (fcntl.LOCK_EX, fcntl.LOCK_SH):
    try:
        print(fcntl.flock(mine, lock | fcntl.LOCK_NB))
    except OSError as error:
        print(error.strerror)
os.kill(child, signal.SIGUSR1)
os.waitpid(child, 0)
if not os.fork():
    with open("a", "r+") as file:
        try:
            print(fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 9, 0))
        except OSError as error:
            print(error.strerror)
        print(fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 9, 20), flush=True)
    os._exit(0)
os.wait()
print(os.read(one, 99), os.fstat(one).st_size)
""".replace("child = os.fork()", "signal.pthread_sigmask(0, [signal.SIGUSR1])\nchild = os.fork()")

REMOVED = """
import os
kept = []
os.chmod("b", 0o640)
os.link("c", "c2")
for name in ("a", "b", "c"):
    fd = os.open(name, os.O_RDONLY)
    os.unlink(name)
    kept.append(fd)
    os.fchmod(fd, 0o711)
    os.utime(fd, ns=(1, 2))
    os.setxattr(fd, "user.a", b"1")
    os.fchown(fd, -1, os.getgid())
    print(oct(os.fstat(fd).st_mode), os.pread(fd, 9, 0))
print(oct(os.stat("c2").st_mode), os.listxattr("c2"))
"""

TAIL = r"""
said() { for n in $(seq 200); do grep -q "$1" ../said && return; sleep 0.05; done; }
tail -n +1 -f a >../said & said A
echo two >>a; said two
python3 -c "open('a', 'a').write('three\n')"; said three
kill $!; wait $! 2>/dev/null; cat ../said
"""

ASLEEP = """
import ctypes, os, select, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
fd, events = os.open("a", os.O_RDONLY), ctypes.create_string_buffer(64)
epoll, (reads, writes) = select.epoll(), os.pipe()
signal.alarm(20)
print("ready", flush=True)
what = sys.argv[1]
if what == "epoll_wait":
    print(libc.epoll_wait(epoll.fileno(), events, 4, 700))
elif what == "sigtimedwait":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    print(libc.sigtimedwait((ctypes.c_ulong * 16)(1 << 9), None, (ctypes.c_long * 2)(0, 700000000)))
elif what == "nanosleep":
    print(libc.nanosleep((ctypes.c_long * 2)(0, 700000000), None))
print(os.strerror(ctypes.get_errno()), os.pread(fd, 99, 0))
"""


@pytest.fixture
def room(tmp_path):
    """`up`, `low` with a few files, and `copy`, the same files again."""
    (tmp_path / "up").mkdir()
    (tmp_path / "low").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "low" / name).write_text(name.upper() + "xyz\n")
    subprocess.run(["cp", "-a", tmp_path / "low", tmp_path / "copy"], check=True)
    return tmp_path


def both(view: World, native: World, room: Path, command: str, files: dict[str, str]) -> str:
    """What a command says in a view of `low`, which is as in `copy`; the lower stays as it was."""
    for name, text in files.items():
        (room / name).write_text(text)
    before = {path.name: (path.stat(), path.read_bytes()) for path in (room / "low").iterdir()}
    mount = f"vu_insmod viewfs && mount -t viewfs -o cow {room}/up {room}/low || exit 99\n"
    done = view.run(mount + f"cd {room}/low; {command}", cwd=room, timeout=90)
    assert {path.name: (path.stat(), path.read_bytes()) for path in (room / "low").iterdir()} == {
        name: (st, data) for name, (st, data) in before.items()
    }
    expected = native.run(command, cwd=room / "copy", timeout=90)
    assert done.stdout == expected.stdout
    return done.stdout


def test_descriptors_opened_before_show_what_is_written(view, native, room):
    said = both(view, native, room, "python3 ../script", {"script": TWO_OPEN})
    assert "b'Axyz\\nmore'" in said
    assert "Resource temporarily unavailable" in said


def test_a_follower_of_a_file_hears_of_who_starts_later(view, native, room):
    said = both(view, native, room, TAIL, {})
    assert said == "Axyz\ntwo\nthree\n"


def test_changes_by_descriptor_of_what_was_removed_reach_nobody(view, native, room):
    assert both(view, native, room, "python3 ../script", {"script": REMOVED})


@pytest.mark.parametrize("call", ["epoll_wait", "sigtimedwait", "nanosleep"])
def test_who_sleeps_goes_on_sleeping(view, native, room, call):
    command = f"""
        mkfifo ../ready; python3 ../script {call} >../out & read x <../ready; echo more >>a
        wait $!; cat ../out; rm ../ready
        """.replace(">../out", "| tee ../ready >../out")
    said = both(view, native, room, command, {"script": ASLEEP})
    assert "Interrupted" not in said
    assert "b'Axyz\\nmore\\n'" in said


def test_a_stopped_job_stays_stopped(view, native, room):
    command = """
        python3 -c "import os, signal; fd = os.open('a', 0); os.kill(os.getpid(), signal.SIGSTOP)
print(os.read(fd, 99))" >../out & while ! grep -q '^State:.T' /proc/$!/status; do sleep 0.02; done
        echo more >>a; grep -c '^State:.T' /proc/$!/status; kill -CONT $!; wait $!; cat ../out
        """
    assert both(view, native, room, command, {}) == "1\nb'Axyz\\nmore\\n'\n"


def test_only_who_sees_the_overlay_reads_its_copy(view, room):
    """The parent view's own descriptor is that of the lower."""
    done = view.run(f"""
        exec 5<{room}/low/a; vu_insmod viewfs
        pyview -N sh -c 'mount -t viewfs -o cow {room}/up {room}/low; exec 6<{room}/low/a
            echo more >>{room}/low/a; cat <&6; cat {room}/low/a'
        cat <&5
        """, cwd=room)  # fmt: skip
    assert done.stdout == "Axyz\nmore\nAxyz\nmore\nAxyz\n"


def test_a_directory_that_is_watched_tells_of_changes(view, native, room):
    script = """
import ctypes, os, struct
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(os.O_NONBLOCK)
libc.inotify_add_watch(fd, b".", 0x3C0)
open("new", "w").close(); os.rename("a", "moved"); os.unlink("b")
data, names = os.read(fd, 4096), []
while data:
    _, mask, _, size = struct.unpack_from("iIII", data)
    names.append((hex(mask), data[16:16 + size].rstrip(b"\\0")))
    data = data[16 + size:]
print(sorted(set(name for _, name in names if not name.startswith(b"tmp"))))
"""
    assert both(view, native, room, "python3 ../script", {"script": script})
    assert not os.path.exists(room / "low/new")


def test_flags_of_files_do_not_reach_the_lower(view, room):
    """chattr(1) needs only a descriptor for reading."""
    done = view.run(
        f"""vu_insmod viewfs && mount -t viewfs -o cow {room}/up {room}/low; cd {room}/low
        exec 5<c; rm c; echo more >>b; python3 -c "
import array, fcntl, os
for fd in (os.open('a', 0), os.open('b', 0), 5, os.open('.', 0), os.open('{room}', 0)):
    flags = array.array('l', [0])
    try:
        fcntl.ioctl(fd, 0x80086601, flags)
        flags[0] ^= 0x40  # no dumps
        fcntl.ioctl(fd, 0x40086602, flags)
        print('changed')
    except OSError as error:
        print(error.strerror)
" """,
        cwd=room,
    )
    assert done.stdout.splitlines() == ["Operation not supported"] * 4 + ["changed"]
