# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for every test: an alarm, nothing left behind, and no silent skip in CI."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator, Iterator
from types import FrameType

import pytest
from needs import lacks
from reaper import Deadline, descendants, gone, kill, split

pytest_plugins = ["pytester"]

LIMIT = 50  # seconds for each phase of a test, unless it is marked limit(seconds)
GRACE = 10  # seconds after the alarm until the reaper ends the run
LEAVING = 2  # seconds in which the processes of a test that is over must have left

deadline_key = pytest.StashKey[Deadline]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skip",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="a skipped test is a failed test (the default when CI=true)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Run below a reaper from here on.  Output is not captured yet: its messages are seen."""
    config.stash[deadline_key] = split()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A thread that a test left running keeps Python from ending: that is a hang, too."""
    session.config.stash[deadline_key].set(GRACE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only root can try: the suite is an ordinary user's, CI's too."""
    if os.geteuid() == 0:
        return
    roots = [i for i in items if any("root" in m.args for m in i.iter_markers("needs"))]
    if roots:
        config.hook.pytest_deselected(items=roots)
        items[:] = [item for item in items if item not in set(roots)]


def pytest_collection_finish() -> None:
    """What is there before the first test need not be looked at after each of them."""
    gc.collect()
    gc.freeze()


# -- the alarm ---------------------------------------------------------------------------------


def _within_limit(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the phase that this wraps when it takes longer than the item's limit."""
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else LIMIT

    def ring(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"still running after {seconds} s")

    deadline = item.config.stash[deadline_key]
    before = signal.signal(signal.SIGALRM, ring)
    deadline.set(seconds + GRACE)
    # It rings again, in case the first exception was swallowed.
    signal.setitimer(signal.ITIMER_REAL, seconds, GRACE / 3)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        deadline.set(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    for mark in item.iter_markers("needs"):
        reasons = [reason for thing in mark.args if (reason := lacks(thing))]
        if reasons:
            pytest.skip(", ".join(reasons))
    return (yield from _within_limit(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _within_limit(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _within_limit(item))


# -- nothing left behind -----------------------------------------------------------------------


def _descriptors() -> set[tuple[int, str]]:
    """The open descriptors of this process and what each is open on."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:
            continue  # the one that listdir itself had
    return found


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a process or a descriptor; end the process.

    What fixtures of a wider scope started before the test is not its own.
    """
    reaper = os.getppid()
    processes, files = descendants(reaper), _descriptors()
    yield
    gc.collect()
    started = {pid: name for pid, name in descendants(reaper).items() if pid not in processes}
    left = gone(started, LEAVING)
    kill(left)
    opened = _descriptors() - files
    assert not left, f"processes left behind: {left}"
    assert not opened, f"descriptors left open: {sorted(opened)}"


# -- no silent skip ----------------------------------------------------------------------------


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"not allowed here (--no-skip, or CI=true): {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--no-skip"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--no-skip"):
        _refuse_skip(report)
    return report
