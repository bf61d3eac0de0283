# SPDX-License-Identifier: GPL-2.0-or-later
"""Users, groups and capabilities of a view's own, as an ordinary user has them there."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from replay import differences
from worlds.world import World

VUID = {
    "vuid": (("-p", "vuid"), ""),
    "unreal": (("-p", "unreal", "-p", "vuid"), "/unreal"),
    "later": (("-p", "vuid", "-p", "unreal"), "/unreal"),
}
ROOT = "uid=0(root) gid=0(root) groups=0(root)\n"
ME = pwd.getpwuid(os.getuid())
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(params=[*VUID, "child"])
def view(request: pytest.FixtureRequest, worlds: dict[str, World]) -> World:
    """A view that has vuid: alone, with unreal, in a child view."""
    plain = worlds["view"]
    options, prefix = VUID.get(request.param, VUID["vuid"])
    launcher = (plain.launcher[0], "-N", *options, "--")
    if request.param == "child":
        launcher = plain.launcher + launcher
    return replace(plain, name=f"vuid-{request.param}", launcher=launcher, prefix=prefix)


@pytest.fixture
def as_root(view):
    """The same, for whoever is root in it."""
    return replace(view, launcher=(*view.launcher, "viewsudo"))


# -- commands --------------------------------------------------------------------------------------


def test_everybody_stays_who_he_is(view, native):
    assert view.run("id").stdout == native.run("id").stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("viewsu -c id", ROOT),
        ("vusu -s /bin/sh -c 'id -u; echo $HOME; echo $0'", f"0\n{pwd.getpwuid(0).pw_dir}\nsh\n"),
        ("viewsu -s /bin/sh -c id nobody", "uid={n.pw_uid}(nobody) gid={n.pw_gid}(nogroup) "
         "groups={n.pw_gid}(nogroup)\n"),
        ("viewsu nobody -s /bin/sh -c 'viewsu -c id'", ROOT),
        ("viewsudo id", ROOT),
        ("viewsudo -u daemon id -un", "daemon\n"),
        ("viewsudo -u daemon -g mail id -gn", "mail\n"),
        ("viewsudo -u '#77777' id -u", "77777\n"),
        ("viewsudo sh -c 'echo $SUDO_UID'", "{m.pw_uid}\n"),
        ("viewsu - -s /bin/sh -c 'echo $USER; echo $0'", "root\n-sh\n"),
        ("viewsudo sh -c 'viewsudo -u daemon id -un; id -un'", "daemon\nroot\n"),
    ],
)  # fmt: skip
def test_commands(view, command, said):
    assert view.run(command).stdout == said.format(n=NOBODY, m=ME)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("setpriv --reuid daemon --clear-groups id -un", "daemon\n"),
        ("setpriv --reuid 5 --regid 6 --groups 7,8 id -G", "6 7 8\n"),
        ("setpriv --no-new-privs grep NoNew /proc/self/status", "NoNewPrivs:\t1\n"),
        ("setpriv --bounding-set -all --inh-caps -all sh -c 'grep CapBnd /proc/self/status'",
         "CapBnd:\t0000000000000000\n"),
        ("su nobody -s /bin/sh -c 'id -un'", "nobody\n"),
        ("newgrp mail", "mail\n"),
        ("sg mail 'id -gn'", "mail\n"),
        ("chroot / id -un", "root\n"),
        ("stat -c '%U %G' /proc/self/ /proc/self/stat", "root root\nroot root\n"),
        ("ps -o user= -p $$", "root\n"),
        ("sh -c 'id -u; sleep 0 & wait; (id -u)'", "0\n0\n"),
    ],
)  # fmt: skip
def test_programs_of_the_system_as_root(as_root, command, said):
    done = as_root.run(["sh", "-c", command], input="id -gn\n")
    assert done.stdout == said


def test_outside_root_is_nobody_special(as_root):
    script = """
    for c in 'touch /etc/pyview-test' 'ls /root/.ssh' 'chown root {0}' 'kill -0 1' \
        'hostname pyview-test' 'mknod {0}/x c 1 3' 'cat /etc/shadow' 'chroot {0}/none true'; do
        sh -c "$c" 2>/dev/null && echo "it can: $c"
    done; true"""
    home = as_root.home
    assert as_root.run(["sh", "-c", script.replace("{0}", str(home))]).stdout == ""


def test_files_keep_their_real_owners(as_root, tmp_path):
    made = as_root.run("touch x && stat -c %U x && stat -c %U /etc/passwd", cwd=tmp_path)
    assert made.stdout == f"{ME.pw_name}\nroot\n"


def test_a_module_that_is_in_use_stays(view):
    said = view.run(
        "viewsudo vu_rmmod vuid; vu_rmmod vuid && id -u; vu_insmod vuid; viewsudo id -u"
    )
    assert said.stdout == f"{ME.pw_uid}\n0\n"
    assert "busy" in said.stderr


# -- programs --------------------------------------------------------------------------------------


ASKS = """
import subprocess
child = subprocess.Popen({command!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
said = b""
while b"assword" not in said:
    said += child.stdout.read(1) or exit(said.decode())
with open(f"/proc/{{child.pid}}/status") as status:
    print(*[line.split()[1:] for line in status if line.startswith("Uid")])
child.kill()
"""


@pytest.mark.parametrize("command", [["/bin/su", "root"], ["/usr/bin/chsh", "-s", "/bin/sh"]])
def test_a_set_user_id_program_runs_as_its_owner(view, command):
    command = [view.path(command[0]), *command[1:]]
    done = view.run(["python3", "-c", ASKS.format(command=command)])
    assert done.stdout == f"{[str(ME.pw_uid), '0', '0', '0']}\n"


def test_what_a_program_is_told(view, tmp_path):
    """A copy that is set-user-id and the caller's own changes nothing; AT_SECURE stays 0."""
    script = "cp /usr/bin/env e && chmod 4755 e && LD_SHOW_AUXV=1 ./e -i | grep -E 'UID|SECURE|GID'"
    told = view.run(script, cwd=tmp_path).stdout.split()
    ids = {"AT_UID:": ME.pw_uid, "AT_EUID:": ME.pw_uid, "AT_GID:": ME.pw_gid, "AT_EGID:": ME.pw_gid}
    assert dict(zip(told[::2], map(int, told[1::2]), strict=True)) == ids | {"AT_SECURE:": 0}
    as_root = view.run(["viewsudo", "sh", "-c", "LD_SHOW_AUXV=1 /usr/bin/env -i"]).stdout.split()
    for kind in (*ids, "AT_SECURE:"):
        assert as_root[as_root.index(kind) + 1] == "0"


# -- the rules -------------------------------------------------------------------------------------


def test_the_rules_are_the_kernels(view, native, guest):
    """An ordinary user's calls have the same end in a view as outside."""
    command = [guest("credentials"), "1", "8"]
    told = view.run(command).stdout
    assert told == native.run(command).stdout
    assert list(differences(told)) == []


def test_the_rules_are_those_of_the_kernels_root(as_root, guest):
    told = as_root.run([guest("credentials"), "31", "40"]).stdout
    assert told.count("\n") > 200
    assert list(differences(told)) == []


def test_threads_have_their_own_and_children_inherit(as_root, guest):
    as_root.run([guest("identities")])


# -- another root ----------------------------------------------------------------------------------


@pytest.fixture
def rootfs(tmp_path):
    """A tree that looks like a system: names of its own, and links that are absolute."""
    for name in ("etc", "tmp", "deep/er", "usr"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc" / "hostname").write_text("inner\n")
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "up").symlink_to("/../../../etc")
    return tmp_path


INSIDE = """
import os, sys
sys.stdout.reconfigure(line_buffering=True)  # a fork would say again what is buffered
os.chroot({root!r})
os.chdir("/deep/er")
print(os.getcwd(), open("/link").read().strip(), open("/up/hostname").read().strip())
os.chdir("../../../../..")
print(os.getcwd(), sorted(os.listdir("/")), os.path.exists("/proc"), os.readlink("/link"))
fd = os.open("/etc", os.O_RDONLY)
print(os.stat("hostname", dir_fd=fd).st_size, os.path.exists("/../../bin"))
os.fchdir(fd)
print(os.getcwd(), os.listdir("."))
open("/tmp/made", "w").close()
os.chroot("/deep")
print(os.path.exists("/er"), os.path.exists("/../etc"))
child = os.fork()
if not child:
    print(os.listdir("/"))
    os._exit(0)
os.waitpid(child, 0)
os.setuid(1)
try:
    os.chroot("/er")
except PermissionError as error:
    print(error.errno)
"""


def test_a_directory_becomes_the_root(as_root, rootfs):
    done = as_root.run(["python3", "-c", INSIDE.format(root=as_root.path(rootfs))])
    assert done.stdout.splitlines() == [
        "/deep/er inner inner",
        "/ ['deep', 'etc', 'link', 'tmp', 'up', 'usr'] False /etc/hostname",
        "6 False",
        "/etc ['hostname']",
        "True False",
        "['er']",
        "1",
    ]
    assert (rootfs / "tmp" / "made").exists()


@pytest.mark.needs("busybox", "ldd")
def test_programs_run_with_another_root(as_root, rootfs):
    needed = subprocess.run(["ldd", shutil.which("busybox")], capture_output=True, text=True)
    for name in (shutil.which("busybox"), *re.findall(r"/\S+", needed.stdout)):
        to = rootfs / name.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, to)
    (rootfs / "bin").mkdir(exist_ok=True)
    for name in ("sh", "ls", "cat"):
        (rootfs / "bin" / name).symlink_to(shutil.which("busybox"))
    (rootfs / "etc" / "script").write_text("#!/bin/sh\ncat /link; ls -d /*r*; pwd\n")
    (rootfs / "etc" / "script").chmod(0o755)
    done = as_root.run(["chroot", as_root.path(rootfs), "/etc/script"])
    assert done.stdout == "inner\n/usr\n/\n"


OWN_LOADER = """
__attribute__((force_align_arg_pointer)) void _start(void)
{
    static const char said[] = "started by its own\\n";
    long value;

    __asm__ volatile("syscall" : "=a"(value) : "0"(1L), "D"(1L), "S"(said), "d"(sizeof said - 1)
                     : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : : "a"(231L), "D"(0L));
}
"""


@pytest.mark.needs("cc")
def test_programs_are_started_by_what_the_root_has(as_root, rootfs):
    """An ELF interpreter of that name lies in the new root, and none, or another, in the old."""
    loader, program = rootfs / "loader.c", rootfs / "program.c"
    loader.write_text(OWN_LOADER)
    program.write_text("int main(void) { return 9; }\n")
    (rootfs / "lib").mkdir()
    cc = ["cc", "-O1", "-w"]
    flags = ["-nostdlib", "-shared", "-fPIC", "-Wl,-e,_start"]
    subprocess.run([*cc, *flags, "-o", rootfs / "lib" / "own.so", loader], check=True)
    for name, linker in (("a", "/lib/own.so"), ("b", "/lib64/ld-linux-x86-64.so.2")):
        path = rootfs / name
        subprocess.run([*cc, f"-Wl,--dynamic-linker={linker}", "-o", path, program], check=True)
    (rootfs / "lib64").mkdir()
    shutil.copy(rootfs / "lib" / "own.so", rootfs / "lib64" / "ld-linux-x86-64.so.2")
    (rootfs / "script").write_text("#!/a\n")
    (rootfs / "script").chmod(0o755)
    for command in ("/a", "./b", "/script", "./script"):
        done = as_root.run(["chroot", as_root.path(rootfs), command])
        assert done.stdout == "started by its own\n", command
    (rootfs / "a").chmod(0o644)
    done = as_root.run(["chroot", as_root.path(rootfs), "/a"], check=False)
    assert done.returncode == 126
    (rootfs / "lib64" / "ld-linux-x86-64.so.2").unlink()
    assert as_root.run(["chroot", as_root.path(rootfs), "/b"], check=False).returncode == 127


def test_another_root_needs_a_capability(view, tmp_path):
    script = "import os\ntry: os.chroot('/tmp')\nexcept OSError as e: print(e.errno)"
    assert view.run(["python3", "-c", script]).stdout == "1\n"


# -- name spaces -----------------------------------------------------------------------------------


@pytest.mark.needs("userns")
def test_in_a_user_name_space_the_kernel_says_who_it_is(view):
    done = view.run("unshare -Ur id -u; unshare -U id -u; id -u")
    assert done.stdout == f"0\n65534\n{ME.pw_uid}\n"


# -- with files of the view's own (viewfs) ---------------------------------------------------------


@pytest.fixture
def own_files(worlds, tmp_path):
    """Root of a view in which viewfs keeps what is changed, on the whole host."""
    plain = worlds["view"]
    mount = f"viewfs:{tmp_path}:/:mincow,vstat"
    launcher = (plain.launcher[0], "-N", "-p", "viewfs", "-p", "vuid", "-m", mount, "--")
    return replace(plain, name="vuid-viewfs", launcher=(*launcher, "viewsudo"))


AS_DAEMON = "su daemon -s /bin/sh -c"
ROOTS_OWN = {
    "owners": ("touch x; stat -c %U x; chown daemon:mail x; stat -c %U:%G x", "root daemon:mail"),
    "devices": ("mknod n c 1 3; stat -c '%t:%T %U' n", "1:3 root"),
    "others": (f"{AS_DAEMON} 'id -un; ls /root; cat /etc/shadow; touch /etc/y'", "daemon"),
    "unreadable": ("head -n 1 /etc/shadow | cut -c1-7; ls -A /root; echo 1 >/root/x; cat /root/x",
                   "root:*: 1"),
    "set-user-id": (f"cp /usr/bin/id i; chmod 4755 i; {AS_DAEMON} './i -un; $PWD/i -ru'",
                    f"root {pwd.getpwnam('daemon').pw_uid}"),
    "set-group-id": (f"cp /usr/bin/id i; chgrp mail i; chmod 2755 i; {AS_DAEMON} './i -gn'",
                     "mail"),
    "execute": (f"cp /usr/bin/id i; chmod 700 i; {AS_DAEMON} ./i; echo $?", "126"),
    "read": (f"umask 077; echo a >p; {AS_DAEMON} 'cat p || echo no'", "no"),
    "search": (f"umask 077; mkdir d; echo a >d/f; {AS_DAEMON} 'cat d/f || echo no'", "no"),
    "accounts": ("useradd -m pvt && su pvt -c 'touch ~/a; stat -c %U ~/a; id -un'", "pvt pvt"),
    "passwords": (f"echo root:pw | chpasswd; {AS_DAEMON} 'echo pw | su -c whoami'", "root"),
    "root": ("mkdir -p r/in; python3 -c 'import os; os.chroot(\"r\"); print(*os.listdir(\"/\"))'",
             "in"),
    "no root": ("mkdir -m 0700 r; P='import os; os.chroot(chr(114))'; export P;"
                f" {AS_DAEMON} 'python3 -c \"$P\"' 2>&1 | tail -n 1 | cut -c18-27",
                "[Errno 13]"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROOTS_OWN)
def test_in_a_copy_of_the_host_root_is_root(own_files, name):
    script, said = ROOTS_OWN[name]
    script = f"mkdir /srv/t && cd /srv/t && chmod 755 . && {{ {script}; }}; true"
    assert own_files.run(["sh", "-c", script]).stdout.split() == said.split()
