# SPDX-License-Identifier: GPL-2.0-or-later
"""Slow work: in order for each file, beside that of others, and heard of in the loop's thread."""

from __future__ import annotations

import errno
import os
import select
import threading

import pytest
import threads

from pyview.workers import Workers

LONG = 20  # seconds: longer than any of this takes


@pytest.fixture
def workers():
    before, all_of_them = threading.active_count(), threads.count()
    made = Workers(lambda: None)
    yield made
    threads.close(made, all_of_them)
    assert threading.active_count() == before  # none that Python knows of


def finished(workers):
    """Wait for something and pass it on."""
    assert select.select([workers.fd], [], [], LONG)[0]
    workers.finish()


def test_what_was_done_is_told_in_the_loops_thread(workers):
    told = []

    def run():
        assert threading.get_ident() != here
        return 42

    here = threading.get_ident()
    workers.submit("file", run, lambda *said: told.append((*said, threading.get_ident())))
    finished(workers)
    assert told == [(42, None, here)]


@pytest.mark.parametrize("error", [OSError(5, "no"), ValueError("oops"), SystemExit(1)])
def test_an_error_is_the_askers_and_the_thread_lives(workers, error):
    told = []

    def fails():
        raise error

    workers.submit("file", fails, lambda *said: told.append(said))
    workers.submit("file", lambda: "well", lambda *said: told.append(said))
    while len(told) < 2:
        finished(workers)
    assert told == [(None, error), ("well", None)]


def test_a_file_is_asked_one_thing_at_a_time_and_in_order(workers):
    order, told = [], []
    for number in range(50):
        workers.submit("file", lambda n=number: order.append(n), lambda *_: told.append(True))
    workers.finish_all()
    assert order == list(range(50))
    assert len(told) == 50


def test_files_do_not_wait_for_each_other(workers):
    go, told = threading.Event(), []
    workers.submit("slow", lambda: go.wait(LONG), lambda *said: told.append(("slow", said[0])))
    workers.submit("quick", lambda: go.set() or True, lambda *said: told.append(("quick", said[0])))
    while len(told) < 2:
        finished(workers)
    assert sorted(told) == [("quick", True), ("slow", True)]


def test_work_for_once_waits_for_nobody(workers):
    go, told = threading.Event(), []
    workers.submit("slow", lambda: go.wait(LONG), lambda *said: told.append(said[0]))
    workers.once(lambda: go.set() or "once", lambda *said: told.append(said[0]))
    while len(told) < 2:
        finished(workers)
    assert set(told) == {"once", True}


def test_who_is_forgotten_does_what_was_asked_and_ends(workers):
    ended = threading.Event()

    class Last:
        def __call__(self):
            return threading.get_ident()

        def __del__(self):
            ended.set()

    told = []
    workers.submit("file", Last(), lambda *said: told.append(said[0]))
    workers.forget("file")
    workers.forget("file")
    finished(workers)
    assert ended.wait(LONG)  # the thread holds nothing of it any more
    workers.submit("file", threading.get_ident, lambda *said: told.append(said[0]))
    finished(workers)
    assert len(told) == 2


def test_any_thread_may_have_something_done_in_the_loops(workers):
    told = []
    thread = threading.Thread(
        target=lambda: workers.tell(lambda: told.append(threading.get_ident()))
    )
    thread.start()
    thread.join(LONG)
    finished(workers)
    assert told == [threading.get_ident()]


def test_nothing_to_wait_for_is_no_wait(workers):
    workers.finish_all()


def test_a_workers_thread_runs_on_any_processor():
    """The core follows its callers from one to the next: its threads must not."""
    everywhere, told = os.sched_getaffinity(0), []
    workers = Workers(lambda: None)
    try:
        os.sched_setaffinity(0, {min(everywhere)})
        workers.once(lambda: os.sched_getaffinity(0), lambda *said: told.append(said[0]))
        workers.finish_all()
    finally:
        os.sched_setaffinity(0, everywhere)
        os.close(workers.fd)
    assert told == [everywhere]


def test_without_another_thread_it_is_EAGAIN(workers, monkeypatch):
    def fails(*_):
        raise RuntimeError("can't start new thread")

    told = []
    monkeypatch.setattr("_thread.start_new_thread", fails)
    workers.submit("file", lambda: 1, lambda *said: told.append(said))
    finished(workers)
    assert [(value, error.errno) for value, error in told] == [(None, errno.EAGAIN)]
    monkeypatch.undo()
    workers.submit("file", lambda: 2, lambda *said: told.append(said))
    finished(workers)
    assert told[1] == (2, None)


def test_what_goes_wrong_in_the_loop_keeps_nobody_else_from_it():
    told, wrong = [], []
    workers = Workers(lambda: None, wrong.append)
    workers.submit("file", lambda: 1, lambda value, error: told.append(value / 0))
    workers.submit("file", lambda: 2, lambda value, error: told.append(value))
    workers.finish_all()
    workers.forget("file")
    os.close(workers.fd)
    assert told == [2]
    assert [type(error) for error in wrong] == [ZeroDivisionError]
