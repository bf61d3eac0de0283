# SPDX-License-Identifier: GPL-2.0-or-later
"""viewfs: what programs can tell of a copy, and packages that are installed in one.

The oracle is a copy of the lower tree: the same is found there.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from worlds.overlaid import inside, seen

LINKS = Path(__file__).parent.parent / "guests" / "links.py"
NIGHTLY = bool(os.environ.get("PYVIEW_NIGHTLY"))


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
