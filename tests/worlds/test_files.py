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
    "transfers",
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


def test_descriptors_are_like_any(passes):
    passes("descriptors")


def test_a_program_that_can_only_be_executed_runs(world, tmp_path):
    script = "cp /bin/echo run && chmod 111 run && ./run hello && ! cat run 2>&1"
    done = world.run(script, cwd=tmp_path)
    assert done.stdout == "hello\ncat: run: Permission denied\n"


PIPES = '''"""pipes - a tree with FIFOs that no kernel has."""

import errno
import stat

from pyview.api import Module, Tree, attributes, refuse


class Pipes(Tree):
    def lstat(self, path):
        if path not in ("/", "/p", "/q", "/closed"):
            raise refuse(errno.ENOENT, path)
        mode = {"/": stat.S_IFDIR | 0o755, "/closed": stat.S_IFIFO}.get(path, stat.S_IFIFO | 0o666)
        return attributes(mode)

    def listdir(self, path):
        return ["p", "q", "closed"]


class Mounts(Module):
    def load(self, view):
        view.mount("/mnt", Pipes())
'''
READERS = """
import os
def refused(*words):
    try:
        os.open(*words)
    except OSError as error:
        print(error.strerror)
refused("/mnt/p", os.O_WRONLY | os.O_NONBLOCK)
refused("/mnt/closed", os.O_RDONLY)
r, w = os.open("/mnt/p", os.O_RDONLY | os.O_NONBLOCK), os.open("/mnt/p", os.O_WRONLY)
print(os.write(w, b"12"), os.read(r, 9), os.close(w), os.read(r, 9))
"""


def test_a_fifo_of_a_virtual_tree_is_a_fifo(worlds, tmp_path):
    (tmp_path / "pipes.py").write_text(PIPES)
    script = """
        vu_insmod ./pipes.py
        (sleep 0.2; echo hello >/mnt/p) & cat /mnt/p
        echo q >/mnt/q & echo p >/mnt/p & cat /mnt/q /mnt/p; wait
        timeout 1 cat /mnt/p; echo $?
        python3 -c "$READERS"
    """
    done = worlds["view"].run(script, cwd=tmp_path, env={"READERS": READERS})
    assert done.stdout.splitlines() == [
        "hello", "q", "p", "124", "No such device or address", "Permission denied",
        "2 b'12' None b''",
    ]  # fmt: skip
