# SPDX-License-Identifier: GPL-2.0-or-later
"""What calls on files give, told by guests: in every world the same as natively."""

from __future__ import annotations

import pytest

TELLERS = (
    "attributes_at",
    "file_limit",
    "io_submit",
    "links_not_followed",
    "long_socket_names",
    "long_transfer",
    "mapped_parts",
    "nameless_files",
    "odd_directories",
    "record_locks",
    "watched",
)


@pytest.fixture
def told(guest, tmp_path):
    """told(WORLD, NAME): what a guest tells, run in a new directory."""

    def run(world, name):
        room = tmp_path / world.name
        room.mkdir()
        return world.run([world.path(guest(name))], cwd=room).stdout.splitlines()

    return run


@pytest.mark.parametrize("name", TELLERS)
def test_calls_give_what_they_give_natively(world, native, told, name):
    if world is native:
        assert told(world, name)
    else:
        assert told(world, name) == told(native, name)


def test_a_program_that_can_only_be_executed_runs(world, tmp_path):
    script = "cp /bin/echo run && chmod 111 run && ./run hello && ! cat run 2>&1"
    done = world.run(script, cwd=tmp_path)
    assert done.stdout == "hello\ncat: run: Permission denied\n"
