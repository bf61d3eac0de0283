# SPDX-License-Identifier: GPL-2.0-or-later
"""mmap of an emulated file: a memfd is mapped in its place, and written back."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from memory import Memory
from playbook import Nobody, play

from pyview.api import Linear, Tree, attributes
from pyview.api import refuse as error
from pyview.openfile import O_PATH, OpenFile
from pyview.pages import Pages, Part
from pyview.verdicts import Done, Emulate, Mapped, Real, Redirect, Work
from pyview.view import Mount

R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
READ, WRITE = 1, 2
SHARED, PRIVATE, VALIDATE, ANONYMOUS = 1, 2, 3, 0x20
MS_ASYNC, MS_SYNC = 1, 4
AT = 0x7F0000000000


class Read(Memory):
    """Remembers what was read of it."""

    def __init__(self):
        super().__init__(b"0123456789" * 1000)
        self.reads = []

    def pread(self, size, offset):
        self.reads.append((offset, size))
        return super().pread(size, offset)


@pytest.fixture
def holding():
    """Gives a caller that has a file open as descriptor 5."""
    callers = []

    def make(file=None, flags=RW, kind=stat.S_IFREG):
        caller = Nobody()
        mount = Mount("/o", Tree(), 1, "none", "", "")
        st = attributes(kind | 0o644, ino=1, dev=1)
        caller.objects[5] = OpenFile(file or Read(), mount, "/x", "/o/x", flags, st)
        callers.append(caller)
        return caller

    yield make
    for caller in callers:
        for pages in {*caller.pages_given, *(part.pages for part in caller.pages_mapped)}:
            pages.close()


def maps(caller, length=4096, protection=READ, flags=PRIVATE, offset=0):
    return caller.calls("mmap", 0, length, protection, flags, 5, offset)


def refused(caller, *results):
    with pytest.raises(OSError) as raised:
        play(caller, *results)
    return raised.value.errno


@pytest.mark.parametrize(
    ("flags", "how", "mode", "noted"),
    [
        (R, PRIVATE, os.O_RDWR, ("pages", False, False)),
        (RW, PRIVATE, os.O_RDWR, ("pages", False, False)),
        (R, SHARED, os.O_RDONLY, ("pages", True, False)),
        (RW, SHARED, os.O_RDWR, ("pages", True, True)),
        (RW, VALIDATE, os.O_RDWR, ("pages", True, True)),
    ],
)
def test_its_pages_are_mapped_in_its_place(holding, flags, how, mode, noted):
    caller = holding(flags=flags)
    verdict, asked = play(maps(caller, flags=how), 9, AT, 0)
    assert verdict == Emulate(AT)
    assert [request for request in asked if isinstance(request, Redirect)] == [
        Redirect({0: b"/its/pages\0", 1: mode | os.O_CLOEXEC, 2: 0}, "open"),
        Redirect({4: 9}),
        Redirect({0: 9}, "close"),
    ]
    assert (Mapped() in asked) == (how != PRIVATE)
    where = [("mapped", "/o/x", AT, 4096, 0)] if how != PRIVATE else []
    assert caller.notes == [noted, *where]


def test_they_hold_what_is_mapped(holding):
    caller = holding()
    play(maps(caller, 100, offset=4096), 9, AT, 0)
    (pages,) = caller.pages_given
    assert os.pread(pages.fd, 4096, 4096) == bytes(caller.objects[5].file.data[4096:8192])
    assert caller.objects[5].file.reads == [(4096, 4096)]


IMAGE = ("/its/image", Linear(7, 1 << 20, 8192, True))


@pytest.mark.parametrize(
    ("flags", "how", "mode"), [(R, PRIVATE, R), (RW, PRIVATE, R), (R, SHARED, R), (RW, SHARED, RW)]
)
def test_a_piece_of_a_file_is_mapped_itself(holding, flags, how, mode):
    caller = holding(flags=flags, kind=stat.S_IFBLK)
    caller.images["/o/x"] = IMAGE
    verdict, asked = play(maps(caller, 4000, flags=how, offset=4096), 9, AT, 0)
    assert verdict == Emulate(AT)
    assert asked == [
        Redirect({0: b"/its/image\0", 1: mode | os.O_CLOEXEC, 2: 0}, "open"),
        Redirect({4: 9, 5: (1 << 20) + 4096}),
        Redirect({0: 9}, "close"),
    ]
    assert caller.notes == []


@pytest.mark.parametrize("result", [AT, -errno.ENOMEM])
def test_behind_it_nothing_is_mapped(holding, result):
    caller = holding(flags=RW, kind=stat.S_IFBLK)
    caller.images["/o/x"] = IMAGE
    results = (9, 10, result, 0, AT, 0) if result == AT else (9, 10, result, 0, 0)
    verdict, asked = play(maps(caller, 9000, flags=SHARED, offset=4096), *results)
    inside = Redirect({0: AT, 1: 4096, 3: SHARED | 0x10, 4: 9, 5: (1 << 20) + 4096})
    assert asked == [
        Redirect({0: b"/its/image\0", 1: RW | os.O_CLOEXEC, 2: 0}, "open"),
        Redirect({0: b"/stand/in\0", 1: RW | os.O_CLOEXEC, 2: 0}, "open"),
        Redirect({4: 10, 5: 0}),
        Redirect({0: 10}, "close"),
        *([inside] if result == AT else []),
        Redirect({0: 9}, "close"),
    ]
    assert verdict == Emulate(result)
    assert caller.stand_ins[-1].closed


def test_where_files_cannot_be_mapped_its_pages_are(holding):
    caller = holding(flags=RW, kind=stat.S_IFBLK)
    caller.images["/o/x"] = IMAGE
    verdict, asked = play(maps(caller, flags=SHARED), 9, -errno.ENODEV, 0, 10, AT, 0)
    assert verdict == Emulate(AT)
    assert Redirect({0: b"/its/pages\0", 1: RW | os.O_CLOEXEC, 2: 0}, "open") in asked


def test_a_mapping_that_fails_leaves_no_descriptor(holding):
    verdict, asked = play(maps(holding()), 9, -errno.ENOMEM, 0)
    assert verdict == Emulate(-errno.ENOMEM)
    assert asked[-1] == Redirect({0: 9}, "close")


@pytest.mark.parametrize(
    ("result", "number"),
    [(-errno.EMFILE, errno.EMFILE), (-errno.ENFILE, errno.ENFILE), (-errno.EACCES, errno.ENOMEM)],
)
def test_pages_that_cannot_be_opened(holding, result, number):
    assert refused(maps(holding()), result) == number


@pytest.mark.parametrize(
    ("given", "more", "number"),
    [
        ({}, {"length": 0}, errno.EINVAL),
        ({}, {"offset": 100}, errno.EINVAL),
        ({}, {"flags": 0}, errno.EINVAL),
        ({"flags": W}, {}, errno.EACCES),
        ({"flags": R}, {"flags": SHARED, "protection": READ | WRITE}, errno.EACCES),
        ({"flags": O_PATH}, {}, errno.EBADF),
        ({"kind": stat.S_IFDIR}, {}, errno.ENODEV),
        ({"kind": stat.S_IFCHR}, {}, errno.ENODEV),
    ],
)
def test_what_cannot_be_mapped(holding, given, more, number):
    caller = holding(**given)
    assert refused(maps(caller, **more)) == number
    assert caller.notes == []


def test_block_devices_are_mapped_too(holding):
    assert play(maps(holding(kind=stat.S_IFBLK)), 9, AT, 0)[0] == Emulate(AT)


def test_a_file_that_cannot_be_read_is_EIO(holding):
    class Broken(Read):
        def pread(self, size, offset):
            raise error(errno.EIO)

    assert refused(maps(holding(Broken()))) == errno.EIO


def test_a_slow_file_is_read_in_its_own_thread(holding):
    class Slow(Read):
        slow = True

    _, asked = play(maps(holding(Slow())), 9, AT, 0)
    assert isinstance(asked[0], Work)


def test_a_file_of_the_kernels_is_the_kernels(holding):
    caller = holding()
    assert play(caller.calls("mmap", 0, 4096, READ, PRIVATE, 6, 0)) == (Real(), [])


# -- written back --------------------------------------------------------------------------------


@pytest.fixture
def mapped(holding):
    """A caller that has written by mapping."""
    caller = holding()
    file = caller.objects[5].file
    pages = Pages(file)
    pages.shared = True
    pages.fill(0, 8192)
    os.pwrite(pages.fd, b"MAPPED", 0)
    os.pwrite(pages.fd, b"BEHIND", 4096)
    caller.pages_mapped.append(Part(pages, 0, 4096))
    return caller


@pytest.mark.parametrize(
    ("call", "result"), [("munmap", 0), ("mremap", AT), ("msync", 0), ("mremap", 1 << 62)]
)
def test_what_was_written_by_mapping_reaches_the_file(mapped, call, result):
    verdict, asked = play(mapped.calls(call, AT, 4096), result)
    assert (verdict, asked) == (Done(), [Redirect({})])
    assert mapped.objects[5].file.data.startswith(b"MAPPED6789")
    assert b"BEHIND" not in mapped.objects[5].file.data
    assert (("unmapped",) in mapped.notes) is (call != "msync")


@pytest.mark.parametrize("call", ["munmap", "mremap", "msync"])
def test_where_no_file_is_mapped_it_is_the_kernels(mapped, call):
    mapped.mapped_up_to = AT
    assert play(mapped.calls(call, AT, 4096)) == (Real(), [])


def test_what_a_larger_mapping_shows_is_read_before(mapped):
    (part,) = mapped.pages_mapped
    play(mapped.calls("mremap", AT, 4096, 3 * 4096), AT + 4096)
    assert os.pread(part.pages.fd, 10, 8190) == b"0123456789"
    assert ("moved mapping", AT, 4096, AT + 4096, 3 * 4096) in mapped.notes


@pytest.mark.parametrize("call", ["munmap", "mremap", "msync"])
def test_a_call_that_fails_changes_nothing(mapped, call):
    assert play(mapped.calls(call, AT, 4096), -errno.EINVAL)[0] == Done()
    assert mapped.objects[5].file.data.startswith(b"0123456789")
    assert mapped.notes == []


def test_what_is_synced_by_msync_is_durable(mapped):
    synced = []
    mapped.objects[5].file.fsync = lambda: synced.append(bytes(mapped.objects[5].file.data[:6]))
    play(mapped.calls("msync", AT, 4096, MS_ASYNC), 0)
    play(mapped.calls("msync", AT, 4096, MS_SYNC), -errno.EINVAL)
    assert synced == []
    play(mapped.calls("msync", AT, 4096, MS_SYNC), 0)
    assert synced == [b"MAPPED"], "after it was written"


def test_msync_tells_what_went_wrong(mapped):
    mapped.objects[5].file.pwrite = lambda data, offset: 0
    assert refused(mapped.calls("msync", AT, 4096, 4), 0) == errno.ENOSPC


def test_what_is_unmapped_is_unmapped_whatever_went_wrong(mapped):
    mapped.objects[5].file.pwrite = lambda data, offset: 0
    assert refused(mapped.calls("munmap", AT, 4096), 0) == errno.ENOSPC
    assert mapped.notes == [("unmapped",)]


# -- what is mapped where ------------------------------------------------------------------------

PROCMAP_QUERY = 0xC0686611
ARGUMENT, NAME, BUILD = 0x5000, 0x6000, 0x7000


def asked(size=104, name_size=4096, name=NAME, more=b""):
    """struct procmap_query as a caller has it."""
    words = (size, 0, AT, *(0,) * 6)
    data = b"".join(word.to_bytes(8, "little") for word in words)
    data += bytes(8) + name_size.to_bytes(4, "little") + (20).to_bytes(4, "little")
    return data + name.to_bytes(8, "little") + BUILD.to_bytes(8, "little") + more


def querying(data, name=b"/usr/lib/x\0", build=b"id"):
    caller = Nobody()
    caller.stands_for[5] = "/proc/7/maps"
    caller.memory[ARGUMENT] = data
    found = bytearray(asked(104, len(name), 0x1111))
    found[24:32] = (AT - 5).to_bytes(8, "little")
    caller.queried = (bytes(found), name, build)
    return caller.calls("ioctl", 5, PROCMAP_QUERY, ARGUMENT)


def test_a_list_of_maps_is_asked_and_tells_the_views_name():
    caller = querying(asked())
    verdict, _ = play(caller)
    assert isinstance(verdict, Emulate)
    assert verdict.value == 0
    told = dict(verdict.poke)
    assert told[NAME] == b"/unreal/usr/lib/x\0"
    assert told[BUILD] == b"id"
    answer = told[ARGUMENT]
    assert len(answer) == 104
    assert answer[24:32] == (AT - 5).to_bytes(8, "little")
    assert answer[80:84] == len(told[NAME]).to_bytes(4, "little")
    assert answer[88:104] == asked()[88:104]  # the caller's own addresses
    assert caller.notes == [("query", "/proc/7/maps", asked())]


def test_nothing_is_told_that_is_not_there():
    verdict, _ = play(querying(asked(), b"", b""))
    assert [address for address, _ in verdict.poke] == [ARGUMENT]


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (b"", errno.EFAULT),
        (asked()[:50], errno.EFAULT),
        (asked(size=5000, more=bytes(4896)), errno.E2BIG),
        (asked(size=112, more=b"\0\0\0\0\0\0\0\1"), errno.E2BIG),
        (asked(name_size=12), errno.ENAMETOOLONG),
    ],
)
def test_a_question_that_makes_no_sense(data, number):
    assert refused(querying(data)) == number


def test_later_kernels_questions_are_answered_as_far_as_they_are_known():
    verdict, _ = play(querying(asked(size=112, more=bytes(8))))
    assert dict(verdict.poke)[ARGUMENT][:8] == (112).to_bytes(8, "little")


def test_other_files_are_the_kernels_to_ask():
    caller = querying(asked())
    caller.stands_for.clear()
    assert play(caller)[0] == Real()
