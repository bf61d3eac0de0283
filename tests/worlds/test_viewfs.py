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
from worlds.world import World, marked, status_of

GUEST = Path(__file__).parent.parent / "guests" / "cow_moves.py"
LINKS = GUEST.parent / "links.py"
NIGHTLY = bool(os.environ.get("PYVIEW_NIGHTLY"))


@pytest.fixture
def view(worlds) -> World:
    """A view with nothing loaded."""
    return worlds["view"]


@pytest.fixture
def room(tmp_path):
    """An upper directory `up`, and `low` with a few files."""
    for name in ("up", "low/d", "low/e/f"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "low/a").write_text("A\n")
    (tmp_path / "low/d/x").write_text("X\n")
    (tmp_path / "low/e/f/y").write_text("Y\n")
    return tmp_path


def seen(directory: Path) -> dict[str, object]:
    """What the host has in a directory."""
    found: dict[str, object] = {}
    for where, directories, files in os.walk(directory):
        for name in directories + files:
            path = Path(where, name)
            st = path.lstat()
            content = path.read_bytes() if name in files and not path.is_symlink() else None
            found[str(path)] = (st.st_mode, st.st_ino, st.st_nlink, st.st_mtime_ns, content)
    return found


def inside(view: World, room: Path, script: str, how: str = "cow", target: str = "", **more):
    """Run a script where `room/up` is mounted over `room/low`, or over `target`."""
    target = target or f"{room}/low"
    mount = f"vu_insmod viewfs && mount -t viewfs -o {how} {room}/up {target} || exit 99\n"
    return view.run(mount + f"cd {target}\n" + script, cwd=room, timeout=120, **more)


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


# -- over anything ---------------------------------------------------------------------------------


def test_layers_over_layers(view, room):
    (room / "up2").mkdir()
    done = view.run(f"""
        vu_insmod viewfs unreal
        mount -t viewfs -o cow {room}/up {room}/low; cd {room}/low; echo one >>a; rm d/x; mkdir n
        mount -t viewfs -o cow {room}/up2 {room}/low; cd {room}/low
        echo two >>a; cat a; ls d n; echo 2 >n/two; echo 3 >d/x; rm -r e; ls
        umount {room}/low; cd {room}/low; echo --; cat a; ls . d n
        """, cwd=room)  # fmt: skip
    assert done.stdout.split() == [
        *("A", "one", "two", "d:", "n:", "a", "d", "n", "--", "A", "one"),
        *(".:", "a", "d", "e", "n", "d:", "n:"),
    ]
    assert (room / "low/a").read_text() == "A\n"


def test_unreal_over_it_and_it_over_unreal(view, room):
    done = view.run(f"""
        vu_insmod viewfs
        mount -t viewfs -o cow {room}/up {room}/low; echo one >>{room}/low/a
        vu_insmod unreal; cd /unreal{room}/low; cat a; echo two >>a; mkdir m; ls; cat {room}/low/a
        """, cwd=room)  # fmt: skip
    assert done.stdout.split() == ["A", "one", "a", "d", "e", "m", "A", "one", "two"]
    (room / "up2").mkdir()
    done = view.run(f"""
        vu_insmod unreal viewfs
        mount -t viewfs -o cow {room}/up2 /unreal{room}/low; cd /unreal{room}/low
        echo one >>a; cat a; pwd; cat {room}/low/a; rm d/x; ls d {room}/low/d
        """, cwd=room)  # fmt: skip
    low = f"{room}/low"
    assert done.stdout.split() == [
        *("A", "one", f"/unreal{low}", "A", f"{low}/d:", "x", "d:"),
    ]
    assert (room / "low/a").read_text() == "A\n"


def test_a_child_view_has_its_parents_and_its_own(view, room):
    (room / "up2").mkdir()
    done = inside(view, room, f"""
        echo one >>a
        pyview -N sh -c 'cat a; mount -t viewfs -o cow {room}/up2 {room}/low; cd {room}/low
            echo two >>a; cat a'
        cat a
        """)  # fmt: skip
    assert done.stdout.split() == ["A", "one", "A", "one", "two", "A", "one"]


def test_vuns_prints_what_makes_it_again(view, room):
    """Layers, and a child view's, by the commands that another view types."""
    for name in ("up2", "up three"):
        (room / name).mkdir()
    mounts = [
        f"vumount -t viewfs -o cow {room}/up {room}/low",
        f"vumount -t viewfs -o mincow,except={room}/low/e {room}/up2 {room}/low",
        f"vumount -B {room}/low {room}/here",
        f"vumount -t viewfs -o cow '{room}/up three' /unreal{room}/low",
    ]
    (room / "here").mkdir()
    done = view.run(f"""
        vuname outer; vu_insmod viewfs; {mounts[0]}; echo one >>{room}/low/a
        {mounts[1]}; vu_insmod unreal; {mounts[2]}
        pyview -N -V inner sh -c "{mounts[3]}; echo two >>/unreal{room}/low/d/x; vuns; vuns $$"
        """, cwd=room)  # fmt: skip
    outer = ["vuname outer", "vu_insmod viewfs", *mounts[:2], "vu_insmod unreal", mounts[2]]
    assert done.stdout.splitlines() == ["vuname inner", *outer[1:], mounts[3], *outer]
    again = "\n".join(done.stdout.splitlines()[: len(outer) + 1])
    done = view.run(f"{again}\ncat {room}/here/a /unreal{room}/low/d/x; vuname -V", cwd=room)
    assert done.stdout.split() == ["A", "one", "X", "two", "inner"]


def test_an_upper_in_its_lower_is_no_part_of_it(view, room):
    (room / "low/inner").mkdir()
    done = view.run(f"""
        vu_insmod viewfs && mount -t viewfs -o cow {room}/low/inner {room}/low && cd {room}/low
        echo one >b; rm a; echo two >>d/x; ls; ls inner; ls -d a
        """, cwd=room, check=False)  # fmt: skip
    assert done.stdout.split() == ["b", "d", "e", "inner", "a", "b", "d"]
    assert sorted(os.listdir(room / "low")) == ["a", "d", "e", "inner"]
    assert (room / "low/d/x").read_text() == "X\n"


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


# -- what programs can tell ------------------------------------------------------------------------


def test_names_in_proc_are_the_views(view, room):
    done = inside(view, room, f"""
        echo new >n; exec 3<n 4<d/x; readlink /proc/self/fd/3 /proc/$$/fd/4; mkdir m; cd m; pwd -P
        readlink /proc/self/cwd; cp /bin/sleep s; ./s 5 &
        until readlink /proc/$!/exe | grep -v dash; do :; done; kill $!
        grep -c {room}/low /proc/mounts
        """)  # fmt: skip
    low = f"{room}/low"
    assert done.stdout.split() == [
        f"{low}/n", f"{low}/d/x", f"{low}/m", f"{low}/m", f"{low}/m/s", "1",
    ]  # fmt: skip


def test_scripts_and_programs_that_were_installed_run(view, room):
    done = inside(view, room, """
        printf '#!/bin/sh\\necho "script $0 $1"\\n' >s; chmod 755 s; ./s one
        $PWD/s two | sed s,$PWD,P,
        cp /bin/echo e2; printf '#!%s/e2 hello\\n' $PWD >t; chmod +x t; ./t | sed s,$PWD,P,
        chmod -x s; ./s; echo $?; PATH=$PWD:$PATH; e2 by path
        """)  # fmt: skip
    assert done.stdout.splitlines() == [
        "script ./s one", "script P/s two", "hello ./t", "126", "by path",
    ]  # fmt: skip


def test_a_socket_and_a_watch(view, room):
    done = inside(view, room, """
        python3 - <<'P'
import os, socket, stat
one, two = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
one.bind(os.getcwd() + "/sock")
one.listen(1)
print(one.getsockname() == os.getcwd() + "/sock", stat.S_ISSOCK(os.stat("sock").st_mode))
two.connect("sock")
print(two.getpeername() in ("sock", os.getcwd() + "/sock"), os.listdir("."))
P
        rm sock; ls
        """)  # fmt: skip
    assert done.stdout.splitlines()[0] == "True True"
    assert done.stdout.splitlines()[1].startswith("True")
    assert "sock" not in done.stdout.splitlines()[2:]


@pytest.mark.parametrize("seed", range(8 if NIGHTLY else 2))
@pytest.mark.parametrize(
    ("who", "kind"),
    [("", "closed"), ("viewsudo", "open"), ('viewsudo -u "$(id -un)"', "closed")],
    ids=["owner", "root", "oneself"],
)
def test_names_lead_through_links_as_in_a_copy(view, native, tmp_path, who, kind, seed):
    """What was there before lies below, what comes lies in the upper; names cross both."""
    for name in ("up", "low"):
        (tmp_path / name).mkdir()
    native.run(["python3", LINKS, str(seed), "60", "apart"], cwd=tmp_path / "low")
    subprocess.run(["cp", "-a", "low", "copy"], cwd=tmp_path, check=True)
    before = seen(tmp_path / "low")
    more = ["python3", str(LINKS), str(seed + 100), "250", kind]
    plain = native.run(more, cwd=tmp_path / "copy")
    done = inside(view, tmp_path, f"{who} {' '.join(more)}")
    assert done.stdout.splitlines() == plain.stdout.splitlines()
    assert seen(tmp_path / "low") == before


@pytest.mark.needs("userns", "bwrap")
@pytest.mark.parametrize("name", ["attributes_at", "exec_forms", "nameless_files", "symlinks"])
def test_a_guest_finds_in_a_copy_what_it_finds_outside(view, native, guest, room, name):
    program, plain = guest(name), room / "plain"
    plain.mkdir()
    outside = native.run([program], cwd=plain).stdout
    done = inside(view, room, f"mkdir new && cd new && {program}")
    assert done.stdout == outside.replace(str(plain), f"{room}/low/new")


def test_a_directory_that_was_renamed_is_worked_in_under_its_name(view, room):
    done = inside(
        view,
        room,
        """
        mv e E; cd E/f; pwd -P; readlink /proc/self/cwd; exec 3<y; readlink /proc/self/fd/3
        cd ..; pwd -P; mv ../E ../G; /bin/pwd; python3 -c 'import os; print(os.getcwd())'
    """,
    )
    low = f"{room}/low"
    assert done.stdout.split() == [
        *(f"{low}/E/f", f"{low}/E/f", f"{low}/E/f/y", f"{low}/E", f"{low}/G", f"{low}/G")
    ]


def test_a_directory_renamed_below_another_overlay_is_listed(view, room):
    inside(view, room, "mv e E; echo n >E/n; mv d E/d")
    (room / "top").mkdir()
    done = inside(view, room, f"""
        mount -t viewfs -o cow {room}/top {room}/low; cd {room}/low
        ls -x E; ls E/d; (cd E/f && pwd -P); mv E/d D; mv E F; echo t >F/t; ls -x . F D
        cd F/f; pwd -P; cat y ../../D/x
    """, how="merge")  # fmt: skip
    low = f"{room}/low"
    assert done.stdout.split() == [
        *("d", "f", "n", "x", f"{low}/E/f"),
        *(".:", "D", "F", "a", "D:", "x", "F:", "f", "n", "t", f"{low}/F/f", "Y", "X"),
    ]


def test_links_of_an_upper_lead_out_of_it(view, room):
    """The kernel does not know them, wherever they lead."""
    done = inside(view, room, """
        mkdir new; cd new; echo here >mark
        ln -s / root; ln -s ../.. out; ln -s ../../low/d in; ln -s /proc/self/cwd back
        for link in root out in back; do
            stat -L -c %F $link; (cd $link && pwd -P); cat $link/mark 2>/dev/null
        done
        cat in/x out/low/d/x; echo through >out/told; cat root$PWD/out/told
    """)  # fmt: skip
    low = f"{room}/low"
    assert done.stdout.splitlines() == [
        *("directory", "/", "directory", str(room), "directory", f"{low}/d"),
        *("directory", f"{low}/new", "here", "X", "X", "through"),
    ]
    assert (room / "told").read_text() == "through\n"


def test_nobody_leaves_for_the_lower(view, room):
    """In mounts or a root of its own a program would change what lies below: it is EPERM there."""
    before = seen(room / "low")
    done = inside(view, room, """
        bwrap --dev-bind / / rm a; unshare -rm rm a; unshare -r chroot . /bin/rm a
        python3 -c "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(435, (ctypes.c_ulong * 8)(0x10020000, 0, 0, 0, 17), 64), ctypes.get_errno())"
        unshare -r id -u; ls""", check=False)  # fmt: skip
    assert seen(room / "low") == before
    assert done.stdout.split() == ["-1", "38", "0", "a", "d", "e"], done.stderr
    assert done.stderr.count("Operation not permitted") == 2
    assert "bwrap: " in done.stderr


# -- with users of the view's own ------------------------------------------------------------------


def test_what_only_root_may_read_is_written_over_or_on(view, room):
    """A backup is made anew, a log goes on from here: what they had can't be known."""
    files = [room / "low" / name for name in ("backup", "log", "secret")]
    for file in files:
        file.write_text(file.name)
        file.chmod(0)
    before = [file.stat() for file in files]
    (room / "script").write_text(f"""cd {room}/low
        cat log; true <>secret; printf on >>log; printf new >backup; cat log backup secret
        stat -c '%a %s' log backup secret""")
    mount = f"vu_insmod viewfs vuid; mount -t viewfs -o cow {room}/up {room}/low || exit 99"
    done = view.run(f"{mount}; viewsudo sh {room}/script", check=False)
    assert done.stdout.splitlines() == ["onnew0 2", "0 3", "0 6"]
    assert done.stderr.count("Permission denied") == 3
    assert [file.stat() for file in files] == before


@pytest.mark.needs("dpkg-deb", "useradd")
def test_a_package_is_installed_used_and_removed(view, room):
    """The lecture's headline, with a package of our own: the host knows nothing of it."""
    tree = room / "deb"
    for name, text, mode in (
        ("DEBIAN/control", "Package: vtest\nVersion: 1\nArchitecture: all\nMaintainer: m <m@x>\n"
         "Description: x\n", 0o644),
        ("DEBIAN/conffiles", "/etc/vtest.conf\n", 0o644),
        ("DEBIAN/postinst", "#!/bin/sh\nset -e\nuseradd -r vtest\nchown vtest /etc/vtest.conf\n",
         0o755),
        ("usr/bin/vtest", "#!/bin/sh\necho vtest runs\n", 0o4755),
        ("etc/vtest.conf", "x\n", 0o640),
    ):  # fmt: skip
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    pack = ["dpkg-deb", "--root-owner-group", "-b", tree, room / "vtest.deb"]
    subprocess.run(pack, check=True, capture_output=True)
    mount = f"mount -t viewfs -o mincow,except={room} {room}/up / || exit 99"
    first = f"""{mount}
        dpkg -i {room}/vtest.deb >/dev/null && vtest
        stat -c '%U %a' /etc/vtest.conf /usr/bin/vtest
        head -n 1 /etc/shadow; ls -A /root"""
    second = f"""{mount}
        vtest; dpkg --audit; dpkg --purge vtest >/dev/null; ls /etc/vtest.conf /usr/bin/vtest
        ls -A /root"""
    (room / "first").write_text(first)
    (room / "second").write_text(second)
    done = view.run(f"vu_insmod viewfs; viewsu -c 'sh {room}/first'", timeout=90)
    assert done.stdout.splitlines() == [
        "vtest runs",
        "vtest 640",
        "root 4755",
        done.stdout.splitlines()[3],
    ]
    assert done.stdout.splitlines()[3].startswith("root:*:")
    done = view.run(f"vu_insmod viewfs; viewsu -c 'sh {room}/second'", timeout=90, check=False)
    assert done.stdout == "vtest runs\n"
    assert done.stderr.count("No such file or directory") == 2
    assert not os.path.exists("/usr/bin/vtest")


def test_a_directory_of_its_owner_alone_is_searched_by_nobody_else(view, room):
    (room / "low/d").chmod(0o700)
    script = """
        echo n > d/new && cat d/x d/new; ls d; cd d && cat x ../d/new; cd ..
        viewsudo -u nobody cat d/x d/new d/none; viewsudo -u nobody ls d; viewsudo cat d/new
        chmod 755 d; viewsudo -u nobody cat d/x d/new; chmod 600 d; cat d/new"""
    done = inside(view, room, script, check=False)
    assert done.stdout.split() == [*"X n new x X n n X n".split()]
    assert done.stderr.count("Permission denied") == 5
