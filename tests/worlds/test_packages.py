# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages installed by a view's root over the host's own /, in views that come and go.

The oracle is root without a view: tests/data/packages.txt (tests/guests/packages.sh says how).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds.world import World

SCRIPT = Path(__file__).parent.parent / "guests" / "packages.sh"
SAID = Path(__file__).parent.parent / "data" / "packages.txt"
STEPS = ("install", "change", "upgrade", "remove", "purge")


@pytest.fixture
def as_root(worlds: dict[str, World], tmp_path: Path) -> Callable[[str], str]:
    """as_root(LINE): run it as root of a new view over /; what was changed before is still so."""
    (tmp_path / "up").mkdir()

    def run(line: str) -> str:
        (tmp_path / "line").write_text(f"{line}\n")
        mount = f"mount -t viewfs -o mincow,vstat {tmp_path}/up / || exit 99"
        root = f"{mount}; . {tmp_path}/line"
        done = worlds["view"].run(["sh", "-c", "vu_insmod viewfs; viewsu -c \"$0\"", root],
                                  cwd=tmp_path, timeout=150)  # fmt: skip
        return done.stdout + done.stderr

    return run


@pytest.mark.needs("dpkg-deb", "useradd")
def test_what_packages_do_is_what_they_do_to_root(as_root, tmp_path):
    """Maintainer scripts, conffiles, diversions, overrides, an upgrade; a view for each step."""
    shutil.copy(SCRIPT, tmp_path / "packages.sh")
    subprocess.run(["sh", "packages.sh", tmp_path, "build"], cwd=tmp_path, check=True)
    said = [as_root(f"sh packages.sh {tmp_path} {step} 2>&1") for step in STEPS]
    assert "".join(said).splitlines() == SAID.read_text().splitlines()
    assert not any(os.path.exists(name) for name in ("/opt/vpk", "/etc/vpk.conf", "/etc/vpk.d"))
    assert not (tmp_path / "adm/info/vpk.list").exists()


@pytest.mark.needs("pip3")
def test_a_wheel_is_installed_for_all_and_removed(as_root, tmp_path):
    wheel = tmp_path / "vwheel-1-py3-none-any.whl"
    files = {
        "vwheel.py": "def main():\n    print('a wheel runs')\n",
        "vwheel-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: vwheel\nVersion: 1\n",
        "vwheel-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        "vwheel-1.dist-info/entry_points.txt": "[console_scripts]\nvwheel = vwheel:main\n",
    }
    record = "".join(f"{name},,\n" for name in files) + "vwheel-1.dist-info/RECORD,,\n"
    with zipfile.ZipFile(wheel, "w") as made:
        for name, text in (files | {"vwheel-1.dist-info/RECORD": record}).items():
            made.writestr(name, text)
    pip = "/usr/bin/python3 -m pip -q --no-cache-dir --disable-pip-version-check"
    options = "--break-system-packages --root-user-action=ignore"
    as_root(f"{pip} install --no-index {options} {wheel}")
    assert as_root("cd /; vwheel; stat -c %U $(command -v vwheel)") == "a wheel runs\nroot\n"
    as_root(f"{pip} uninstall -y {options} vwheel")
    assert as_root("cd /; command -v vwheel || echo gone") == "gone\n"
    assert shutil.which("vwheel") is None


def test_what_else_root_does_to_a_system(as_root, tmp_path):
    (tmp_path / "Makefile").write_text(
        "install:\n\tinstall -D -o games -g mail -m 4751 Makefile $(PREFIX)/lib/vmade/made\n"
        "\tln -sf ../lib/vmade/made $(PREFIX)/bin/vmade\n"
    )
    as_root("make -s install PREFIX=/usr/local && sed -i 's/localhost/& v-host/' /etc/hosts")
    as_root("useradd -m vpu && groupadd vpg && usermod -aG vpg vpu && su vpu -c 'touch ~/x'")
    said = as_root("""
        stat -L -c '%U:%G %a' /usr/local/bin/vmade; grep -c v-host /etc/hosts
        getent group vpg | cut -d: -f 4; stat -c '%U:%G' /home/vpu/x; stat -c %a /etc/hosts
        userdel -r vpu 2>/dev/null; ls /home | grep -c vpu || true""")
    mode = f"{os.stat('/etc/hosts').st_mode & 0o7777:o}"
    lines = "games:mail 4751", said.splitlines()[1], "vpu", "vpu:vpu", mode, "0"
    assert tuple(said.splitlines()) == lines
    assert int(lines[1]) > 0
    assert not os.path.lexists("/usr/local/bin/vmade")
    assert not [file for file in (tmp_path / "up").rglob("*.pyc") if "/pyview/" in str(file)]
    assert "v-host" not in Path("/etc/hosts").read_text()
