# SPDX-License-Identifier: GPL-2.0-or-later
"""viewsudo: run one command as another user of the view; no password is asked for."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, parser
from pyview.commands.viewsu import change, path, user
from pyview.entry import become, surroundings

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace

ABOUT = "Run a command as another user (default: root) in the view, as sudo(8); no password."


def main(program: str, arguments: list[str]) -> int:
    given = parse(program, arguments)
    uid, gid, name, home, shell = _who(given.user)
    gid = gid if given.group is None else group(given.group)
    argv = given.argv
    if given.login or given.shell:
        shell = shell if given.login else os.environ.get("SHELL") or shell
        argv = [shell, *(["-c", " ".join(map(_quoted, argv))] if argv else [])]
    old = {"SUDO_UID": os.getuid(), "SUDO_GID": os.getgid(), "SUDO_COMMAND": " ".join(argv)}
    environment = dict(os.environ) | {key: str(old[key]) for key in old}
    environment = surroundings(environment | {"PATH": path(environment, uid)})
    if name:
        environment |= {"USER": name, "LOGNAME": name, "HOME": home}
    environment |= given.assigned
    change(uid, gid, name)
    if given.login:
        os.chdir(home if os.access(home, os.X_OK) else "/")
        become([f"-{os.path.basename(shell)}", *argv[1:]], environment, file=shell)
    become(argv, environment)


def parse(program: str, arguments: list[str]) -> Namespace:
    """What is asked for: some of sudo(8)'s options, VAR=value, the command."""
    from argparse import REMAINDER, SUPPRESS

    made = parser(program, ABOUT, "[-u USER] [-g GROUP] [-i|-s] [VAR=VALUE...] cmd [arg...]")
    add = made.add_argument
    add("-u", "--user", default="root", metavar="USER", help="a name, #N or a number")
    add("-g", "--group", metavar="GROUP", help="its group: a name, #N or a number")
    add("-i", "--login", action="store_true", help="by its login shell, in its directory")
    add("-s", "--shell", action="store_true", help="by the shell that $SHELL names")
    for letter, word in (("E", "preserve-env"), ("H", "set-home"), ("n", "non-interactive")):
        add(f"-{letter}", f"--{word}", action="store_true", help="as it is done anyhow")
    add("argv", nargs=REMAINDER, help=SUPPRESS)
    given = made.parse_args(arguments)
    argv = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
    given.assigned = {}
    while argv and argv[0].partition("=")[0].isidentifier() and "=" in argv[0]:
        name, _, value = argv.pop(0).partition("=")
        given.assigned[name] = value
    if not argv and not (given.login or given.shell):
        raise Failure(USAGE, f"which command?  ({program} -h)")
    given.argv = argv
    return given


def _quoted(word: str) -> str:
    """A word as the shell reads it back: sudo(8) escapes all but letters, digits, _, - and $."""
    return "".join(c if c.isalnum() or c in "_-$" else "\\" + c for c in word)


def _who(text: str) -> tuple[int, int, str, str, str]:
    """A user: number, group, name, home, shell; a number that nobody has is a user, too."""
    number = text.removeprefix("#")
    try:
        found = user(number)
    except Failure:
        if not number.isdecimal() or int(number) > 0xFFFFFFFE:
            raise Failure(1, f"{text}: no such user") from None
        return int(number), os.getgid(), "", "/", "/bin/sh"
    return found.pw_uid, found.pw_gid, found.pw_name, found.pw_dir, found.pw_shell or "/bin/sh"


def group(text: str) -> int:
    """A group's number, by its name or by itself."""
    import grp

    number = text.removeprefix("#")
    if number.isdecimal() and int(number) <= 0xFFFFFFFE:
        return int(number)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise Failure(1, f"{text}: no such group") from None
