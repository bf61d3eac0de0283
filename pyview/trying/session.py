# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command in a view whose `/` is copied to a directory when it is written to."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from pyview.commands import Failure, canonical, request, warn
from pyview.control import NotInView, ask
from pyview.settings import Settings
from pyview.trying.state import Directory

TYPE_CHECKING = False  # typing's own costs 5 ms
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: Meant for the command, which has the terminal with us; we only wait for it.
COMMANDS_OWN = (signal.SIGINT, signal.SIGQUIT)
PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def run(program: str, directory: Directory, argv: list[str]) -> int:
    """Run it, and wait for its end; its exit status as a shell has it.

    The command is in our process group: ^C and ^Z are for it as well as for us, and terminals,
    pipes and the working directory are what they would be without us.
    """
    sys.stdout.flush()
    settings = settings_for(directory, argv)
    heard, told = os.pipe()
    child, early = 0, list[int]()

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if child:
            os.kill(child, number)
        else:
            early.append(number)

    # What comes before the child has its own handlers again waits there; we have ours before.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*COMMANDS_OWN, *PASSED_ON})
    before = {number: signal.signal(number, signal.SIG_IGN) for number in COMMANDS_OWN}
    before |= {number: signal.signal(number, pass_on) for number in PASSED_ON}
    child = os.fork()
    if child == 0:
        _become(program, settings, told, before, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number in early:
        os.kill(child, number)
    os.close(told)
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        core_settles()
        refused = os.read(heard, 4096)
    finally:
        os.close(heard)
        for number, handler in before.items():
            signal.signal(number, handler)
    if refused:
        raise Failure(status, os.fsdecode(refused))
    return status if status >= 0 else 128 - status


def core_settles() -> None:
    """A core that was there before us, for we are in a view, forgets those that nobody is in."""
    try:
        ask("info")
    except NotInView:
        pass


def kept_by_view(name: str) -> str:
    """Of a directory of the view that we are in: what keeps its changes, "" when they are real."""
    try:
        return request("kept", canonical(name))
    except NotInView:
        return ""


def _become(
    program: str, settings: Settings, told: int, handlers: dict[signal.Signals, Any], mask: set[int]
) -> NoReturn:
    """In the child: a view, and the command in it, which has the signals as they were."""
    from pyview.commands.pyview import start

    status = 1
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        start(settings)
    except Failure as failure:
        status = failure.status
        os.write(told, os.fsencode(failure.text)[:4096])
    except BaseException as error:  # whatever it is, it must not go on in the child
        warn(program, str(error) or type(error).__name__)
    finally:
        os._exit(status)


def settings_for(directory: Directory, argv: list[str]) -> Settings:
    """The layers, the oldest first, then the directory over them."""
    settings = Settings(argv)
    settings.needs = ["viewfs"]
    root = directory.about["root"]
    for layer in directory.about["layers"]:
        settings.mounts.append(("", "viewfs", "merge", layer, root))
    settings.mounts.append(("", "viewfs", "cow", directory.name, root))
    settings.norc = True  # what an rc file mounts would lie over it
    return settings
