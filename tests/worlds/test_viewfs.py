# SPDX-License-Identifier: GPL-2.0-or-later
"""viewfs: the whole system changed by programs of a view, and the host as it was.

The oracle is a copy: what programs do in `cow` and in a private copy of the lower tree has the
same results.  A longer random run is tried with PYVIEW_NIGHTLY=1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds.overlaid import inside, seen
from worlds.world import World, marked, status_of

GUEST = Path(__file__).parent.parent / "guests" / "cow_moves.py"
NIGHTLY = bool(os.environ.get("PYVIEW_NIGHTLY"))


# -- the whole system ------------------------------------------------------------------------------


def test_the_system_is_changed_and_nothing_changed(view, room):
    """What the issue's user types, as an ordinary user."""
    before = [os.stat(path) for path in ("/etc", "/etc/services", "/usr/local/lib")]
    how = f"mincow,except={Path(room).parent},vstat"
    done = inside(view, room, """
        touch /etc/x && echo y >>/etc/services && rm /etc/hosts && mkdir /usr/local/lib/z &&
        mv /usr/local/lib/z /usr/local/lib/zz && mv /etc/default /etc/other || exit 1
        stat -c %U:%s /etc/x; tail -n 1 /etc/services; ls -d /etc/hosts /etc/default 2>&1
        ls /usr/local/lib | grep z; ls /etc | grep -x -e x -e hosts -e other; cat /etc/other/useradd
        """, how, "/")  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0].endswith(":0")
    assert lines[1] == "y"
    assert [line.split(":")[1].split()[-1] for line in lines[2:4]] == [
        "'/etc/hosts'",
        "'/etc/default'",
    ]
    assert lines[4:7] == ["zz", "other", "x"]
    assert done.stdout.endswith(Path("/etc/default/useradd").read_text())
    assert not os.path.exists("/etc/x")
    after = [os.stat(path) for path in ("/etc", "/etc/services", "/usr/local/lib")]
    assert [st.st_mtime_ns for st in after] == [st.st_mtime_ns for st in before]
    again = inside(view, room, "cat /etc/x; ls -d /usr/local/lib/zz /etc/hosts; true", how, "/")
    assert again.stdout == "/usr/local/lib/zz\n"


def test_what_is_excepted_is_listed_once(view, room):
    """/proc and /sys are the kernel's, and names in a merged directory."""
    names = sorted(os.listdir("/"))
    done = inside(view, room, "touch /new; ls -A /; ls -A / | sort -u | wc -l", "cow", "/")
    assert sorted(done.stdout.split()) == sorted([*names, "new", str(len(names) + 1)])


def test_programs_of_every_day(view, room, native):
    script = """
        set -e
        git init -q p; cd p; git config user.email a@b; git config user.name n
        for i in 1 2 3; do echo $i >f$i; done; git add .; git commit -qm one; echo x >>f1
        git status --short; git commit -qam two; git log --oneline | wc -l; git gc -q; git fsck 2>&1
        cd ..; git clone -q p q; ls q
        tar cf - -C p . | (mkdir t; tar xf - -C t); diff -r p t && echo same
        sed -i s/Y/Z/ e/f/y; cat e/f/y; cp -a e g; mv g/f g/h; rm -r e; find . -name y
        printf 'all: b\\nb: a\\n\\tcp a b\\n' >Makefile; make -s; make
        python3 - <<'P'
import sqlite3
one, two = sqlite3.connect("t.db"), sqlite3.connect("t.db")
print(one.execute("pragma journal_mode=wal").fetchone())
one.execute("create table t (a)")
one.executemany("insert into t values (?)", [(i,) for i in range(500)])
one.commit()
print(two.execute("select sum(a) from t").fetchone())
P
        ln a l1; ln -s l1 l2; echo more >>l2; cat a; stat -c %h a
        mkfifo pipe; cat pipe & echo p >pipe; wait
        """  # fmt: skip
    before = seen(room / "low")
    copy = room / "copy"
    subprocess.run(["cp", "-a", room / "low", copy], check=True)
    expected = native.run(script, cwd=copy, timeout=120)
    done = inside(view, room, script)
    assert done.stdout == expected.stdout
    assert seen(room / "low") == before


@pytest.mark.limit(900 if NIGHTLY else 120)
@pytest.mark.parametrize("seed", range(30) if NIGHTLY else (1, 2))
def test_random_moves_are_those_of_a_copy(view, native, tmp_path, seed):
    count, rounds = (334, 3) if NIGHTLY else (120, 2)
    for name in ("up", "low"):
        (tmp_path / name).mkdir()
    native.run([sys.executable, GUEST, "make", tmp_path / "low", str(seed)])
    subprocess.run(["cp", "-a", tmp_path / "low", tmp_path / "plain"], check=True)
    before = seen(tmp_path / "low")
    for turn in range(rounds):
        moves = f"{sys.executable} {GUEST} {tmp_path}/plain {tmp_path}/low {seed}.{turn} {count}"
        done = inside(view, tmp_path, moves, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert seen(tmp_path / "low") == before


# -- its options -----------------------------------------------------------------------------------


def test_one_at_a_time_and_the_other_is_told_who(view, room):
    mount = f"vu_insmod viewfs; mount -t viewfs -o cow {room}/up {room}/low"
    with view.start(f"{mount} && echo ready && read x") as first:
        assert first.stdout.readline() == "ready\n"
        done = view.run(mount, check=False)
        assert done.returncode == 1
        core = status_of(first.pid)["TracerPid"]
        busy = f"mount: {room}/up: Device or resource busy: in use by the view of process {core}\n"
        assert done.stderr == busy
        first.stdin.write("\n")
        first.stdin.close()
        first.wait()
    view.run(mount)


def test_a_view_that_was_killed_leaves_an_upper_to_go_on_with(view, room):
    mount = f"vu_insmod viewfs; mount -t viewfs -o cow {room}/up {room}/low"
    mark = view.mark()
    with view.start(
        f"{mount} && echo new >{room}/low/new && echo ready && read x", mark=mark
    ) as one:
        assert one.stdout.readline() == "ready\n"
        os.kill(int(status_of(one.pid)["TracerPid"]), 9)
        one.wait()
    assert not marked(mark)
    assert inside(view, room, "cat new").stdout == "new\n"


def test_except_is_native_and_another_file_system(view, room):
    done = inside(view, room, """
        echo real >>d/x; echo virtual >>a; cat d/x a
        ln a d/link 2>&1; mv a d/a && cat d/a; ls
        """, f"cow,except={room}/low/d")  # fmt: skip
    assert done.stdout.splitlines()[:4] == ["X", "real", "A", "virtual"]
    assert "Invalid cross-device link" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["d", "e"]
    assert (room / "low/d/x").read_text() == "X\nreal\n"
    assert (room / "low/d/a").read_text() == "A\nvirtual\n"
    assert (room / "low/a").read_text() == "A\n"


def test_move_shows_the_source_alone(view, room):
    (room / "up/u").write_text("")
    assert inside(view, room, "ls; touch v", "move").stdout == "u\n"
    assert (room / "up/v").exists()


def test_merge_shows_both_and_changes_only_the_lower(view, room):
    (room / "up/d").mkdir()
    (room / "up/d/u").write_text("U\n")
    done = inside(view, room, """
        ls d; cat d/u; echo more >>d/x; sh -c 'echo no >>d/u'; rm d/u; touch d/new; ls d
        """, "merge", check=False)  # fmt: skip
    assert done.stdout.split() == ["u", "x", "U", "new", "u", "x"]
    assert done.stderr.count("Read-only file system") == 2
    assert (room / "low/d/x").read_text() == "X\nmore\n"
    assert sorted(os.listdir(room / "low/d")) == ["new", "x"]


def test_ro_refuses_all_changes(view, room):
    done = inside(view, room, "touch n; rm a; echo >>a; chmod 0 a; ls", "cow,ro", check=False)
    assert done.stderr.count("Read-only file system") == 4
    assert done.stdout.split() == ["a", "d", "e"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("cow,merge", "only one of move, merge, cow and mincow"),
        ("cow,unreadable=never", "unreadable=never: neither empty nor error"),
        ("cow,size=3", "unknown option: size"),
        ("cow,except=/", "except=/: nothing would be left"),
    ],
)
def test_wrong_options_are_one_line(view, room, how, why):
    done = inside(view, room, "", how, check=False)
    assert done.returncode == 99
    assert done.stderr.count("\n") == 1
    assert why in done.stderr


def test_an_upper_that_cannot_be_used(view, room):
    (room / "up").chmod(0o500)
    done = inside(view, room, "", check=False)
    assert done.returncode == 99
    assert "Permission denied" in done.stderr
    (room / "up").chmod(0o700)
    (room / "up/b").write_text("")
    os.setxattr(room / "up/b", "user.view", b"nonsense")
    done = inside(view, room, "", check=False)
    assert done.returncode == 99
    assert "damaged attribute" in done.stderr


def without_attributes(view: World, room: Path) -> World:
    """A view in whose mount name space `room/up` is a ramfs: it has no extended attributes."""
    user = 'unshare -U --map-user=1000 --map-group=1000 "$@"'  # root no more
    script = f"mount -t ramfs none {room}/up && exec {user}"
    launcher = ("unshare", "-rm", "sh", "-c", script, "sh")
    return World("ramfs", launcher, home=view.home)


@pytest.mark.needs("userns")
def test_an_upper_without_attributes_keeps_them_beside(view, room):
    """What is changed is there again, also after the core was killed in the middle of it."""
    os.link(room / "low/a", room / "low/a2")
    before = seen(room / "low")
    begin = f"vu_insmod viewfs && mount -t viewfs -o cow {room}/up {room}/low || exit 9\n"
    for name, script in {
        "change": """rm d/x; mv e g; chown 3:4 a; chmod 751 a; ln -s there l; mknod n c 1 3
            setfattr -n user.c -v "red blue" a
            mkdir d/new; rmdir d/new; mkdir d/new; mkfifo p; rm g/f/y""",
        "show": """ls -A . d g g/f; stat -c "%n %F %a %u %g %h" a a2 l n p d/new
            getfattr -d a2""",
        "die": """for i in $(seq 50); do echo $i >k$i; chmod 640 k$i; done
            kill -9 $(readlink /proc/self/pyview)""",
        "count": "ls | grep -c k; stat -c %a k* | sort | uniq -c",
    }.items():
        (room / name).write_text(f"{begin} cd {room}/low\n{script}\n")
    runs = "".join(f"{view.launcher[0]} -N -- sh {room}/{name} 2>/dev/null || true\n"
                   for name in ("change", "show", "show", "die", "count"))  # fmt: skip
    done = without_attributes(view, room).run(runs, cwd=room, timeout=100)
    lines = done.stdout.splitlines()
    assert seen(room / "low") == before
    half = lines.index("50") // 2
    assert lines[:half] == lines[half : 2 * half]
    for line in (
        "a regular file 751 3 4 2", "a2 regular file 751 3 4 2", "l symbolic link 777 1000 1000 1",
        "n character special file 644 1000 1000 1", "p fifo 644 1000 1000 1", 'user.c="red blue"',
    ):  # fmt: skip
        assert line in lines, done.stdout
    assert lines[2 * half :] == ["50", "     50 640"]


@pytest.mark.needs("userns")
def test_random_moves_without_attributes(view, native, tmp_path):
    for name in ("up", "low"):
        (tmp_path / name).mkdir()
    native.run([sys.executable, GUEST, "make", tmp_path / "low", "5"])
    subprocess.run(["cp", "-a", tmp_path / "low", tmp_path / "plain"], check=True)
    before = seen(tmp_path / "low")
    mount = f"vu_insmod viewfs && mount -t viewfs -o cow {tmp_path}/up {tmp_path}/low &&"
    moves = " && ".join(
        f"{view.launcher[0]} -N -- sh -c '{mount} cd {tmp_path} && {sys.executable} {GUEST} plain"
        f" low 5.{turn} 100'"
        for turn in range(3)
    )
    done = without_attributes(view, tmp_path).run(moves, cwd=tmp_path, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert seen(tmp_path / "low") == before


@pytest.mark.needs("userns")
def test_a_full_disk_says_so_and_loses_nothing(view, room):
    script = f"""
        mount -t tmpfs -o size=300k none {room}/up && exec "$@"
        """
    work = f"""vu_insmod viewfs && mount -t viewfs -o cow {room}/up {room}/low; cd {room}/low
        head -c 100000 /dev/zero >big; echo $?; head -c 900000 /dev/zero >more; echo $?
        cat a d/x; rm more; echo new >>a; cat a; ls"""
    launcher = ("unshare", "-rm", "sh", "-c", script, "sh", *view.launcher)
    full = World("full", launcher, home=view.home)
    done = full.run(work, check=False)
    assert done.stdout.split() == ["0", "1", "A", "X", "A", "new", "a", "big", "d", "e"]
    assert "No space left" in done.stderr


@pytest.mark.parametrize("how", ["empty", "error"])
def test_what_the_real_user_may_not_read(view, room, how):
    """For root of the view; `error` leaves it to the kernel."""
    for name in ("log", "full"):
        (room / "low" / name).write_text("old\n")
    (room / "low/lock").touch()
    (room / "low/private").mkdir()
    before = seen(room / "low")
    for name in ("log", "full", "lock", "private"):
        (room / "low" / name).chmod(0)
    script = """
        cat lock && echo lock; ls -A private && echo n >private/n && cat private/n
        echo more >>log; cat log; cat full; echo new >full; cat full; stat -c %a full lock"""
    done = inside(
        view, room, f"vu_insmod vuid; viewsu -c '{script}'", f"cow,unreadable={how}", check=False
    )
    for name, mode in (("log", 0o644), ("full", 0o644), ("lock", 0o644), ("private", 0o755)):
        (room / "low" / name).chmod(mode)
    assert {path: found[1:] for path, found in seen(room / "low").items()} == {
        path: found[1:] for path, found in before.items()
    }
    answers = {"empty": ["lock", "n", "more", "new", "0", "0"], "error": ["new", "0", "0"]}
    assert done.stdout.split() == answers[how], done.stderr
    assert done.stderr.count("Permission denied") == {"empty": 1, "error": 5}[how]


def test_options_of_old_are_taken_and_hold(view, room):
    """vstat, renew and nochcopy: they are always so."""
    (room / "up2").mkdir()
    mount = f"mount -t viewfs -o cow,renew,vstat,nochcopy {room}"
    done = view.run(f"""
        vu_insmod viewfs; {mount}/up {room}/low; chmod 604 {room}/low/a; chown 3:4 {room}/low/a
        {mount}/up2 {room}/low; stat -c '%a %u %g' {room}/low/a; echo x >{room}/low/b
        """, cwd=room)  # fmt: skip
    assert done.stdout.split() == ["604", "3", "4"]
    assert os.getxattr(room / "up/a", "user.view.m") == b"/a"
    assert (room / "up/a").stat().st_size == 0
    assert sorted(os.listdir(room / "up2")) == [".-", "b"]
