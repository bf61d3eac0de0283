# SPDX-License-Identifier: GPL-2.0-or-later
"""viewfs: who may do what in a copy: access lists, real and effective ids.

`native` is the oracle where an ordinary user can ask it; for root's affairs acl(5) and access(2).
"""

from __future__ import annotations

import subprocess

import pytest

LISTS = """
umask 077; echo x >d/f; mkdir d/s; echo y >d/s/g; mkfifo d/p; touch e/f; mkdir e/s e/s/t
umask 002; touch d/h e/h; install -m 755 /bin/true d/t; cp d/f d/u
python3 -c "
import os
fd = os.open('d', os.O_TMPFILE | os.O_RDWR, 0o666)
os.link(f'/proc/self/fd/{fd}', 'd/tmp', src_dir_fd=fd, follow_symlinks=True)"
mkdir new; setfacl -d -m u:nobody:rw new; touch new/f; mkdir new/s; setfacl -k new; touch new/g
find . | sort | xargs getfacl
"""


@pytest.mark.needs("setfacl")
def test_default_access_lists_are_handed_on(worlds, native, tmp_path):
    (tmp_path / "up").mkdir()
    native.run(
        """mkdir -p low/d low/e; setfacl -d -m u:nobody:rwx,g::rx,o::- low/d
        setfacl -d -m u::rwx,g::rx,o::rx low/e; cp -a low copy""",
        cwd=tmp_path,
    )
    mount = f"vu_insmod viewfs && mount -t viewfs -o cow {tmp_path}/up {tmp_path}/low || exit 99\n"
    done = worlds["view"].run(f"{mount} cd {tmp_path}/low\n{LISTS}", cwd=tmp_path, timeout=90)
    expected = native.run(LISTS, cwd=tmp_path / "copy", timeout=90)
    assert done.stdout == expected.stdout
    assert (
        subprocess.run(["find", tmp_path / "low", "-type", "f"], capture_output=True).stdout == b""
    )


ACCESS = """
import os
os.chown("a", 0, 0); os.chmod("d", 0o700); os.chown("d", 0, 0); os.chown("b", 1234, 0)
open("d/x", "w").close()
os.setresgid(1234, 0, 0)
for ids in (1234, 0, 0), (0, 1234, 0):
    os.setresuid(*ids)
    for name in ("a", "b", "d/x"):
        print(ids[0], name, os.access(name, os.R_OK), os.access(name, os.R_OK, effective_ids=True))
"""


def test_access_is_about_the_real_ids(worlds, tmp_path):
    """On the way to a name, too."""
    for name in ("up", "low/d"):
        (tmp_path / name).mkdir(parents=True)
    for name, mode in (("a", 0o600), ("b", 0o644)):
        (tmp_path / "low" / name).write_text("")
        (tmp_path / "low" / name).chmod(mode)
    (tmp_path / "script").write_text(ACCESS)
    done = worlds["view"].run(
        f"""vu_insmod viewfs vuid && mount -t viewfs -o cow {tmp_path}/up {tmp_path}/low
        cd {tmp_path}/low; viewsu -c 'python3 ../script'""",
        timeout=90,
    )
    assert done.stdout.splitlines() == [
        *("1234 a False True", "1234 b True True", "1234 d/x False True"),
        *("0 a True False", "0 b True True", "0 d/x True False"),
    ]
