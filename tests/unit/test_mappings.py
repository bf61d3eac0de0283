# SPDX-License-Identifier: GPL-2.0-or-later
"""What processes have mapped: whose number it has, where it is, and when nobody has it any more."""

from __future__ import annotations

import os

import pytest

from pyview.api import File, Tree, attributes
from pyview.mappings import REMEMBERED, Mappings
from pyview.openfile import OpenFile
from pyview.pages import Area, Part
from pyview.view import Mount


class Digits(File):
    def pread(self, size, offset):
        return b"0123456789"[offset : offset + size]

    def size(self):
        return 10


def opened(flags=os.O_RDWR, ino=1):
    mount = Mount("/v", Tree(), 1, "none", "", "")
    st = attributes(0o100644, ino=ino, dev=1)
    return OpenFile(Digits(), mount, "/x", "/v/x", flags, st)


@pytest.fixture
def told():
    """What has been told: (key, pages) of what is mapped, open files to be closed."""
    return []


@pytest.fixture
def mappings(told):
    made = Mappings(lambda key, pages: told.append((key, pages)), told.append)
    yield made
    for maps in list(made._users):
        made.ended(maps)
    for key in made.unused():
        made.drop(key).close()


def test_a_private_mapping_is_nobodys_business(mappings, told):
    one = opened()
    pages = mappings.pages(one, False, False)
    assert not mappings.is_mapped(one)
    assert mappings.shared(one.key) is None
    assert told == []
    pages.close()


def test_what_is_mapped_shared_is_the_same_for_all(mappings, told):
    one = opened()
    pages = mappings.pages(one, True, False)
    assert told == [(one.key, pages)]
    maps = mappings.uses(0, one)
    assert mappings.is_mapped(one)
    assert mappings.pages(opened(), False, False) is mappings.pages(one, True, False) is pages
    assert mappings.shared(one.key) is pages
    assert mappings.mapped(maps) == [pages]
    assert mappings.inodes(maps) == {os.fstat(pages.fd).st_ino: one.key}
    assert len(told) == 1


def test_where_it_is_mapped(mappings):
    one = opened()
    pages = mappings.pages(one, True, False)
    maps = mappings.uses(0, one)
    mappings.mapped_at(maps, Area(8, 16, one.key, 100))
    mappings.mapped_at(maps, Area(8, 16, (9, 9), 0))
    assert mappings.areas(maps, 10, 12) == [
        Area(10, 12, one.key, 102), Area(10, 12, (9, 9), 2)
    ]  # fmt: skip
    assert mappings.areas(maps, 16, 20) == mappings.areas(maps + 1, 8, 16) == []
    assert mappings.part(Area(10, 12, one.key, 102)) == Part(pages, 102, 104)
    assert mappings.part(Area(10, 12, (9, 9), 2)) is None
    mappings.unmapped(maps, {one.key})
    assert mappings.areas(maps, 8, 16) == [Area(8, 16, (9, 9), 0)]


def test_it_is_written_through_who_may_write(mappings):
    reader, writer = opened(flags=os.O_RDONLY), opened()
    pages = mappings.pages(reader, True, False)
    mappings.uses(0, reader)
    assert not pages.shared
    mappings.pages(writer, True, True)
    assert (pages.shared, pages.file) == (True, writer.file)


def test_the_last_of_several_processes_unmaps_it(mappings):
    one = opened()
    mappings.pages(one, True, True)
    first, second = mappings.uses(0, one), mappings.uses(0, one)
    assert first != second
    assert mappings.uses(first, one) == first
    mappings.unmapped(first, {one.key})
    assert mappings.unused() == []
    mappings.ended(second)
    assert mappings.unused() == [one.key]
    assert mappings.mapped(second) == []


def test_a_closed_file_is_kept_until_it_is_dropped(mappings, told):
    one = opened()
    pages = mappings.pages(one, True, True)
    mappings.keep(one)
    assert list(mappings.kept()) == [one]
    assert mappings.drop(one.key) is pages
    assert told == [(one.key, pages), (one.key, None), one]
    assert list(mappings.kept()) == []
    assert not mappings.is_mapped(one)
    pages.close()


def test_what_a_call_is_at_work_on_stays(mappings):
    one = opened()
    pages = mappings.pages(one, True, True)
    maps = mappings.uses(0, one)
    first, second = mappings.hold(one.key), mappings.hold(one.key)
    assert mappings.is_held(maps)
    assert mappings.inodes(maps) == {}, "nobody asks proc what is about to change"
    mappings.unmapped(maps, {one.key})
    assert mappings.pages_of(one.key) is pages
    first.close()
    assert mappings.unused() == []
    second.close()
    assert mappings.unused() == [one.key]
    assert not mappings.is_held(maps)


def test_who_holds_locks_has_a_number_too(mappings):
    first = mappings.holds_locks(0)
    assert first
    assert mappings.holds_locks(first) == first
    assert mappings.holds_locks(0) != first
    assert mappings.mapped(first) == []


def test_names_of_what_stands_in_are_remembered_and_not_for_ever(mappings):
    fd = os.memfd_create("pyview")
    try:
        mappings.remember(fd, "/v/x")
        inode = os.fstat(fd).st_ino
        assert mappings.mapped_name(inode) == "/v/x"
        mappings._memory.update((-number, "/v/y") for number in range(1, REMEMBERED))
        mappings.remember(fd, "/v/z")
        assert mappings.mapped_name(inode) == "/v/z"
        mappings._memory[-REMEMBERED] = "/v/y"
        mappings.remember(fd, "/v/z")
        assert mappings.mapped_name(inode) is None, "the one that was remembered first"
        assert mappings.mapped_name(-REMEMBERED) == "/v/y"
    finally:
        os.close(fd)
