# SPDX-License-Identifier: GPL-2.0-or-later
"""viewsu (vusu): become another user in the view, with a shell; no password is asked for."""

from __future__ import annotations

import os

from pyview.commands import USAGE, Failure, parser, request
from pyview.entry import DEFAULT_PATH, become, surroundings

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from argparse import Namespace
    from pwd import struct_passwd

ABOUT = "Be another user (default: root) in the view, as su(1); no password is asked for."
ROOTS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
KEPT = ("TERM", "COLORTERM", "DISPLAY", "XAUTHORITY", "LANG", "PYVIEW_PYTHON")  # by a login


def main(program: str, arguments: list[str]) -> int:
    given = parse(program, arguments)
    who = user(given.user)
    environment = surroundings_of(who, given)
    shell = environment["SHELL"]
    name = os.path.basename(shell)
    argv = [shell, *(["-c", given.command] if given.command is not None else []), *given.rest]
    change(who.pw_uid, who.pw_gid, who.pw_name)
    if given.login:
        try:
            os.chdir(who.pw_dir)
        except OSError:
            os.chdir("/")
    argv[0] = f"-{name}" if given.login else name
    become(argv, environment, file=shell)


def user(name: str) -> struct_passwd:
    """A user by name or number."""
    import pwd

    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    try:
        return pwd.getpwuid(int(name))
    except (KeyError, ValueError, OverflowError):
        raise Failure(1, f"{name}: no such user") from None


def change(uid: int, gid: int, name: str = "") -> None:
    """Become a user, with the groups that the system gives it (none without a name)."""
    request("become")
    if name:
        os.initgroups(name, gid)
    else:
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def surroundings_of(who: struct_passwd, given: Namespace) -> dict[str, str]:
    """The environment of the new shell, as su(1) makes it."""
    old = dict(os.environ)
    shell = given.shell or who.pw_shell or "/bin/sh"
    if given.preserve and not given.login:
        old["SHELL"] = given.shell or old.get("SHELL") or shell
        return surroundings(old)
    if given.login:
        old = {key: old[key] for key in KEPT if key in old} | {"PATH": DEFAULT_PATH}
    new = old | {"HOME": who.pw_dir, "SHELL": shell, "PATH": path(old, who.pw_uid)}
    if given.login or who.pw_uid:
        new |= {"USER": who.pw_name, "LOGNAME": who.pw_name}
    return surroundings(new)


def path(environment: dict[str, str], uid: int) -> str:
    """PATH, in which root finds its programs: dpkg, for one, insists on that."""
    parts = environment.get("PATH", DEFAULT_PATH).split(":")
    if not uid:
        parts += [part for part in ROOTS if part not in parts]
    return ":".join(parts)


def parse(program: str, arguments: list[str]) -> Namespace:
    """What is asked for; a lone "-" stands before the user and means a login."""
    from argparse import SUPPRESS

    made = parser(program, ABOUT, "[-] [-c CMD] [-s SHELL] [-m] [user [arg...]]")
    add = made.add_argument
    add("-l", "--login", action="store_true", help="a login shell, in the user's directory; also -")
    add("-c", "--command", metavar="CMD", help="the shell is to run this")
    add("-s", "--shell", metavar="SHELL", help="this shell instead of the user's own")
    add("-m", "-p", "--preserve-environment", dest="preserve", action="store_true",
        help="leave HOME, SHELL, USER and LOGNAME as they are")  # fmt: skip
    add("words", nargs="*", help=SUPPRESS)
    given, unknown = made.parse_known_args(arguments)
    if unknown and unknown[0].startswith("-") and unknown[0] != "-":
        raise Failure(USAGE, f"unrecognized arguments: {' '.join(unknown)}")
    words = [*given.words, *unknown]
    if words[:1] == ["-"]:
        given.login, words = True, words[1:]
    given.user, given.rest = (words or ["root"])[0], words[1:]
    return given
