# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/conftest.py keeps its promises: tried on small suites of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def suite(pytester, monkeypatch):
    """Run one test file below a copy of our conftest; return pytest's result."""
    monkeypatch.delenv("CI", raising=False)
    for name in ("conftest.py", "needs.py", "reaper.py"):
        pytester.path.joinpath(name).write_text((TESTS / name).read_text())
    pytester.makeini(
        "[pytest]\npythonpath = .\naddopts = -p no:cacheprovider\n"
        "markers =\n    needs(*things): x\n    limit(seconds): x\n"
    )

    def run(text, *arguments):
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_subprocess(*arguments)

    return run


def test_a_test_that_hangs_fails_at_its_limit(suite):
    result = suite("""
        import pytest, select
        @pytest.mark.limit(1)
        def test_hang():
            select.select([], [], [], 40)
        def test_next(): pass
    """)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*still running after 1 s*"])


def test_a_process_left_behind_fails_the_test_and_is_ended(suite):
    result = suite("""
        import subprocess
        def test_leave():
            subprocess.run("sleep 7654 >/dev/null 2>&1 </dev/null &", shell=True, check=True)
        def test_next(): pass
    """)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*processes left behind: {*sleep 7654*}*"])


def test_an_orphan_in_a_session_of_its_own_is_seen_too(suite):
    result = suite("""
        import subprocess
        def test_leave():
            subprocess.run("setsid --fork sleep 7653 >/dev/null 2>&1", shell=True, check=True)
    """)
    result.assert_outcomes(passed=1, errors=1)


def test_a_descriptor_left_open_fails_the_test(suite):
    result = suite("""
        import os
        def test_leave():
            os.open("/dev/null", os.O_RDONLY)
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*descriptors left open: *'/dev/null'*"])


def test_a_need_that_is_not_met_skips_with_its_reason(suite):
    result = suite(
        """
        import pytest
        @pytest.mark.needs("sh", "no-such-command")
        def test_it(): pass
        """,
        "-rs",
    )
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no command no-such-command*"])


@pytest.mark.parametrize("where", ["mark", "module"])
def test_a_skip_is_a_failure_with_no_skip(suite, where):
    text = {
        "mark": """
            import pytest
            @pytest.mark.needs("no-such-command")
            def test_it(): pass
            """,
        "module": """
            import pytest
            pytest.skip("not today", allow_module_level=True)
            """,
    }[where]
    result = suite(text, "--no-skip")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*not allowed here*"])


def test_the_status_of_the_run_comes_through_the_reaper(suite):
    assert suite("def test_it(): assert 0").ret == 1
    assert suite("def test_it(): pass").ret == 0


def test_a_run_that_ignores_its_alarm_is_killed(suite):
    result = suite("""
        import pytest, select, signal, conftest
        conftest.GRACE = 1
        @pytest.mark.limit(1)
        def test_hang():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            select.select([], [], [], 40)
    """)
    assert result.ret == 124
    result.stderr.fnmatch_lines(["*hangs past its alarm*"])


def test_a_thread_left_running_does_not_keep_the_run_from_ending(suite):
    result = suite("""
        import threading, conftest
        conftest.GRACE = 1
        def test_leave():
            threading.Thread(target=threading.Event().wait).start()
    """)
    result.assert_outcomes(passed=1)
    assert result.ret == 124
