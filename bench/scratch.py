# SPDX-License-Identifier: GPL-2.0-or-later
"""The user who runs the benchmark's commands, and the directory with what they work on."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATH = "/usr/local/bin:/usr/bin:/bin"
GIT_DIRECTORIES = 100
BLOCKS = 256  # of 4 KiB, in the file that is read


class UserError(Exception):
    """No ordinary user to run as; the text is one line that says why."""


def ordinary_user(asked: str | None) -> pwd.struct_passwd:
    """Who runs the commands: whoever we are, or as root `asked`, pyview-test, SUDO_USER or nobody.

    Errors: UserError when `asked` is not there or is not who we are and cannot become.
    """
    myself = os.getuid()
    candidates = [asked] if asked else ["pyview-test", os.environ.get("SUDO_USER"), "nobody"]
    if myself != 0 and not asked:
        return pwd.getpwuid(myself)
    for name in candidates:
        try:
            user = pwd.getpwnam(name) if name else None
        except KeyError:
            continue
        if user and user.pw_uid != 0 and myself in (0, user.pw_uid):
            return user
    raise UserError(
        f"cannot run as {asked or 'an ordinary user'}: no such user, root, or not allowed"
    )


class Scratch:
    """A directory in the temporary directory with the programs and files that rows use.

    Everything in it belongs to the ordinary user.  Also a context manager that removes it.
    """

    def __init__(self, user: pwd.struct_passwd) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pyview-bench-"))
        self.python = shutil.which("python3", path=PATH) or "/usr/bin/python3"
        self.identity: dict[str, Any] = {}
        self._logs = 0
        self._loops: list[str] = []
        for name in ("agent.py", "calls.c", "twostops.c"):
            shutil.copyfile(HERE / name, self.root / name)
            (self.root / name).chmod(0o644)
        if os.getuid() == 0:
            os.chown(self.root, user.pw_uid, user.pw_gid)
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        for device in self._loops:
            os.chown(device, 0, 0)
            subprocess.run(["losetup", "-d", device], check=False)
        shutil.rmtree(self.root)

    def attach(self, image: Path, name: Path) -> None:
        """Make a loop device of an image, of which `name` is a link; only root can.

        Errors: subprocess.CalledProcessError, OSError.
        """
        command = ["losetup", "-f", "--show", str(image)]
        device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self._loops.append(device)
        os.chown(device, self.identity.get("user", -1), self.identity.get("group", -1))
        name.symlink_to(device)

    def environment(self, prefix: str = "") -> dict[str, str]:
        """The environment of every command; programs are found under `prefix`."""
        return {
            "PATH": ":".join(prefix + directory for directory in PATH.split(":")),
            "HOME": str(self.root),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_OPTIONAL_LOCKS": "0",  # `git status` must not write the index: all rounds alike
        }

    def log(self) -> Path:
        """A new empty file for a world's standard error."""
        self._logs += 1
        path = self.root / f"log{self._logs}"
        path.touch()
        return path

    def command(self, *argv: str) -> None:
        """Run a command natively, as the user, in the directory.

        Errors: subprocess.CalledProcessError, OSError.
        """
        subprocess.run(argv, check=True, cwd=self.root, env=self.environment(), **self.identity)

    def build(self) -> None:
        """Compile calls and twostops, and make the file that is read, and viewfs' directory."""
        self.command("mkdir", "-p", "upper")
        for name in ("calls", "twostops"):
            self.command("cc", "-O2", "-Wall", "-o", name, f"{name}.c")
        self._write("data", "x" * (BLOCKS * 4096))
        self._give("data")

    def make_git(self, files: int) -> None:
        """A repository with `files` committed files in git/, none changed since."""
        for number in range(files):
            self._write(f"git/d{number % GIT_DIRECTORIES:02}/file{number}", f"{number}\n" * 20)
        for path in (self.root / "git").rglob("file*"):
            os.utime(path, (1e9, 1e9))  # long ago, or git reads them again for fear of a race
        self._give("git")
        git = ("git", "-C", "git", "-c", "user.name=b", "-c", "user.email=b@localhost")
        self.command(*git, "init", "-q")
        self.command(*git, "add", ".")
        self.command(*git, "commit", "-q", "-m", "files")

    def make_project(self, files: int) -> None:
        """A C program of `files` source files in project/, built by its Makefile."""
        names = [f"part{number}" for number in range(files - 1)]
        for number, name in enumerate(names):
            self._write(
                f"project/{name}.c",
                "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
                "#include <unistd.h>\n#include <sys/stat.h>\n"
                f'int {name}(void) {{ struct stat st; return stat("/", &st) + {number}; }}\n',
            )
        declared = "".join(f"int {name}(void);\n" for name in names)
        called = " + ".join(f"{name}()" for name in names)
        self._write("project/main.c", f"{declared}int main(void) {{ return {called}; }}\n")
        objects = " ".join(f"{name}.o" for name in (*names, "main"))
        self._write("project/Makefile", f"CC = gcc\nall: {objects}\n\tgcc -o all {objects}\n")
        self._give("project")

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _give(self, name: str) -> None:
        """Hand over what we, perhaps root, made."""
        if self.identity:
            top = self.root / name
            for path in (top, *top.rglob("*")):
                os.chown(path, self.identity["user"], self.identity["group"])
