# SPDX-License-Identifier: GPL-2.0-or-later
"""hangs: a module that never comes back from what it is asked, each name in its own way."""

import os
import stat
import threading

from pyview.api import File, Module, Tree, attributes


def _spins():
    while True:
        pass


def _waits():
    threading.Event().wait()


def _reads():
    os.read(os.pipe()[0], 1)


HANGS = {"/spins": _spins, "/waits": _waits, "/reads": _reads}


class Slow(File):
    slow = True

    def pread(self, size, offset):
        return _waits()

    def size(self):
        return 10


class Hangs(Tree):
    def lstat(self, path):
        if path in HANGS:
            HANGS[path]()
        return attributes(stat.S_IFREG | 0o644 if path != "/" else stat.S_IFDIR | 0o755, size=10)

    def entries(self, path):
        return []

    def open(self, path, flags, mode=0o777):
        return Slow()


class HangsModule(Module):
    def load(self, view):
        view.mount("/hangs", Hangs())
