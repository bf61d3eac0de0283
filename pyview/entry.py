# SPDX-License-Identifier: GPL-2.0-or-later
"""The last steps into a view, taken by the process that becomes the command.

It runs in the view already: what it preloads and mounts it asks of the core like any vu_* command.
"""

from __future__ import annotations

import errno
import os
import sys

from pyview.commands import USAGE, Failure, canonical, request

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from typing import NoReturn

    from pyview.settings import Settings

ALIASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "aliases")
COERCED = ("C.UTF-8", "C.utf8", "UTF-8")  # what LC_CTYPE is then
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
RC_FILES = ("/etc/pyviewrc", "~/.pyviewrc")
#: Mount options whose value names a file, of whatever type of mount.
FILE_OPTIONS = frozenset({"cow"})
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as shells have it


def enter(settings: Settings, *, child: bool = False) -> NoReturn:
    """Preload, mount, run the rc files, become the command.

    Raises Failure, with nothing started, when one of them fails; status 127 or 126 when the command
    is not found or not executable.  A child view runs no rc file but one given by -f: what the
    usual ones do it has from its parent.
    """
    if settings.needs:
        request("insmod", "missing", *settings.needs)
    if settings.preload:
        request("insmod", "", *settings.preload)
    for spec in settings.mounts:
        request("mount", *(mount_words(spec) if isinstance(spec, str) else spec))
    environment = surroundings(dict(os.environ))
    if not settings.norc:
        for path in rc_files(settings.rc, child):
            run_rc(path, environment)
    become(settings.argv, environment)


def mount_words(spec: str) -> tuple[str, str, str, str, str]:
    """The words of a mount request for "TYPE:SRC:TARGET[:OPTS]".

    TYPE is a mount type or "bind".  A colon before "//" belongs to an address, as in vde:///run/sw.
    """
    parts = spec.replace("://", "\0//").split(":", 3)
    kind, source, target, options = (part.replace("\0", ":") for part in [*parts, "", "", ""][:4])
    if not (kind and source and target):
        raise Failure(USAGE, f"{spec}: not of the form TYPE:SRC:TARGET[:OPTS]")
    how = "bind" if kind == "bind" else ""
    named = ",".join(option_named(option) for option in options.split(","))
    return how, kind, named, source_name(source), canonical(target)


def source_name(source: str) -> str:
    """A mount's source, made canonical when it is the name of something that is there.

    Of "my.cow,root_fs", as UML has it, both are, when the second is there.
    """
    if os.path.lexists(source):
        return canonical(source)
    first, comma, second = source.rpartition(",")
    if first and os.path.lexists(second):
        return canonical(first) + comma + canonical(second)
    return source


def option_named(option: str) -> str:
    """A mount option; a value that names a file made canonical, for the core stands elsewhere."""
    key, _, value = option.partition("=")
    return f"{key}={canonical(value)}" if key in FILE_OPTIONS and value else option


def surroundings(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a program in a view: our commands come first in PATH."""
    path = environment.get("PATH", DEFAULT_PATH)
    if path.partition(":")[0] != ALIASES:
        environment["PATH"] = f"{ALIASES}:{path}"
    if sys.executable:
        environment["PYVIEW_PYTHON"] = sys.executable  # what the scripts in ALIASES start
    return environment


def rc_files(given: str | None, child: bool) -> list[str]:
    """The rc files to run: the one given, or those of the usual ones that are there."""
    if given is not None:
        return [given]
    if child:
        return []
    return [path for name in RC_FILES if os.path.lexists(path := os.path.expanduser(name))]


def run_rc(path: str, environment: dict[str, str]) -> None:
    """Run one rc file by /bin/sh, unless it is empty.  Raises Failure when it fails."""
    try:
        with open(path, "rb", 0) as file:
            if not file.read(1):
                return
    except OSError as error:
        raise Failure(1, f"{path}: {error.strerror}") from None
    status = run_and_wait("/bin/sh", ["sh", path], environment)
    if status:
        why = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
        raise Failure(1, f"{path}: {why}")


def run_and_wait(file: str, argv: list[str], environment: dict[str, str]) -> int:
    """Run a program; its exit status, or minus the signal that killed it."""
    pid = os.posix_spawn(file, argv, without_pythons(environment), setsigdef=pythons_signals())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def pythons_signals() -> tuple[int, ...]:
    """The signals that Python ignores for itself; a program gets them as they are by default."""
    import _signal as signal  # type: ignore[import-not-found]  # signal brings enum, 4 ms

    return signal.SIGPIPE, signal.SIGXFSZ


def without_pythons(environment: dict[str, str]) -> dict[str, str]:
    """What is not Python's own: in the C locale it sets LC_CTYPE, for itself and its children.

    cf. PEP 538.  What it was started with is in /proc/self/environ.
    """
    if environment.get("LC_CTYPE") not in COERCED:
        return environment
    with open("/proc/self/environ", "rb", 0) as file:
        if any(line.startswith(b"LC_CTYPE=") for line in file.readall().split(b"\0")):
            return environment
    return {name: value for name, value in environment.items() if name != "LC_CTYPE"}


def become(argv: list[str], environment: dict[str, str], file: str = "") -> NoReturn:
    """Exec a command as a shell would find it.  Raises Failure(127) or Failure(126).

    `file` is what to look for, when it is called otherwise.
    """
    import _signal as signal  # signal brings enum, 4 ms

    for number in pythons_signals():
        signal.signal(number, signal.SIG_DFL)
    environment = without_pythons(environment)
    name = file or argv[0]
    if not name:
        raise Failure(NOT_FOUND, "'': command not found")
    denied: OSError | None = None
    for candidate in _candidates(name, environment.get("PATH", DEFAULT_PATH)):
        try:
            _execute(candidate, argv, environment)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and _is_seen(candidate, name):
                denied = denied or error
                if error.errno != errno.EACCES:
                    break
    if denied is not None:
        raise Failure(NOT_EXECUTABLE, f"{name}: {denied.strerror}")
    missing = os.strerror(errno.ENOENT) if "/" in name else "command not found"
    raise Failure(NOT_FOUND, f"{name}: {missing}")


def _candidates(name: str, path: str) -> list[str]:
    if "/" in name:
        return [name]
    return [os.path.join(directory or ".", name) for directory in path.split(":")]


def _is_seen(candidate: str, name: str) -> bool:
    """False for a file of PATH in a directory that may not be searched: not there, to shells."""
    return candidate == name or os.path.lexists(candidate)


def _execute(file: str, argv: list[str], environment: dict[str, str]) -> NoReturn:
    """execve(2), and as execvp(3) does, a text without "#!" by the shell."""
    try:
        os.execve(file, argv, environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    os.execve("/bin/sh", ["/bin/sh", file, *argv[1:]], environment)
