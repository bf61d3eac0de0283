# SPDX-License-Identifier: GPL-2.0-or-later
"""vudevubd: an image, a COW file over it, and all that may not be."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess

import pytest
from cowfiles import craft, moo, new_cow, opened

from pyview.kernel import Kernel
from pyview.modules.vudev import cowheader
from pyview.modules.vudev.ubd import Ubd
from pyview.view import View

MTIME = 1234567890


@pytest.fixture
def here(tmp_path):
    """A directory with an image and a COW file over it."""
    write(tmp_path / "img", b"image" * 4096)
    new_cow(tmp_path / "my.cow", tmp_path / "img")
    return tmp_path


@pytest.fixture
def mount(here):
    """Make a device of files in that directory; it is unmounted at the end."""
    made = []

    def mount(source, **options):
        if options.get("cow"):
            options["cow"] = str(here / options["cow"])
        if source != "none":
            source = ",".join(str(here / name) for name in source.split(","))
        made.append(Ubd(View().now(), source, **options))
        return made[-1]

    yield mount
    for device in made:
        device.unmounted()


def write(path, data):
    path.write_bytes(data)
    os.utime(path, (MTIME, MTIME))


def state(directory):
    """All that a refused mount must leave as it is."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in directory.iterdir()}


def header(path):
    file = opened(path)
    try:
        return cowheader.header_of(file, str(path))
    finally:
        file.close()


def test_a_raw_image(here, mount):
    device = mount("img")
    assert stat.S_ISBLK(device.lstat("/").st_mode)
    file = device.open("/", os.O_RDWR)
    assert file.size() == 5 * 4096
    assert file.pread(5, 5) == b"image"
    assert file.pwrite(b"IMAGE", 5) == 5
    file.fsync()
    assert (here / "img").read_bytes()[:15] == b"imageIMAGEimage"
    file.fallocate(16, 512, 512)
    assert file.pread(514, 511) == b"m" + bytes(512) + (b"image" * 300)[1024:1025]
    file.close()


def test_an_image_of_no_whole_sectors_ends_with_the_last_whole_one(here, mount):
    write(here / "odd", bytes(1000))
    assert mount("odd").size() == 512


def test_a_cow_file_takes_the_changes(here, mount):
    before = (here / "img").read_bytes()
    device = mount("img", cow="my.cow")
    file = device.open("/", os.O_RDWR)
    assert file.pwrite(b"IMAGE", 5) == 5
    assert file.pread(15, 0) == b"imageIMAGEimage"
    file.fsync()
    file.close()
    assert (here / "img").read_bytes() == before
    if not subprocess.run(["sh", "-c", "command -v uml_moo"], capture_output=True).returncode:
        assert moo(here / "my.cow", here / "out") == b"imageIMAGE" + before[10:]


def test_after_the_last_user_nothing_is_left_in_memory(here, mount):
    device = mount("img", cow="my.cow")
    first, second = device.open("/", os.O_RDWR), device.open("/", os.O_RDONLY)
    first.pwrite(b"x", 0)
    first.close()
    assert device._file.pending
    second.close()
    assert not device._file.pending


def test_unmounting_flushes_also_when_in_use(here, mount):
    device = mount("img", cow="my.cow")
    file = device.open("/", os.O_RDWR)
    file.pwrite(b"x", 0)
    device.unmounted()
    assert not device._file.pending
    assert file.pread(2, 0) == b"xm"
    file.pwrite(b"y", 8192)
    file.close()
    device.unmounted = lambda: None
    again = mount("img", cow="my.cow")
    assert (again.pread(1, 0), again.pread(1, 8192)) == (b"x", b"y")


@pytest.mark.parametrize(
    ("source", "options"),
    [("img", {"cow": "new.cow"}), ("new.cow,img", {})],
)
def test_a_cow_file_that_is_not_there_is_made(here, mount, source, options):
    device = mount(source, **options)
    assert device.size() == 5 * 4096
    made = header(here / "new.cow")
    assert (made.version, made.backing, made.mtime) == (3, str(here / "img"), MTIME)
    assert stat.S_IMODE((here / "new.cow").stat().st_mode) & 0o600 == 0o600


@pytest.mark.parametrize(
    ("source", "options"),
    [("none", {"cow": "my.cow"}), ("my.cow", {}), ("my.cow,img", {}), ("img", {"cow": "my.cow"})],
)
def test_ways_to_say_the_same(here, mount, source, options):
    before = state(here)
    device = mount(source, **options)
    assert device.pread(5, 0) == b"image"
    device.pwrite(b"x", 0)
    assert state(here)["img"] == before["img"]


def test_what_is_read_only_stays_as_it_is(here, mount):
    before = state(here)
    for source, options in (("img", {}), ("img", {"cow": "my.cow"}), ("my.cow,img", {})):
        device = mount(source, ro=True, **options)
        with pytest.raises(OSError) as caught:
            device.open("/", os.O_RDWR)
        assert caught.value.errno == errno.EROFS
        file = device.open("/", os.O_RDONLY)
        assert file.pread(5, 0) == b"image"
        file.fsync()
        file.close()
    assert state(here) == before


def test_files_that_may_not_be_written_are_served_read_only(here, mount):
    class ReadOnly(Kernel):
        def open(self, path, flags, mode=0o777):
            if flags & os.O_ACCMODE != os.O_RDONLY:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return super().open(path, flags, mode)

    below, image = ReadOnly(), str(here / "img")
    for options in ({}, {"cow": str(here / "my.cow")}):
        with pytest.raises(OSError) as caught:
            Ubd(below, image, **options)
        assert caught.value.errno == errno.EACCES
        Ubd(below, image, ro=True, **options).unmounted()
    device = Ubd(Kernel(), image, cow=str(here / "my.cow"))
    device.unmounted()


def test_another_place_of_the_image(here, mount):
    """As uml_moo -b for this time, or with newbacking from now on."""
    os.rename(here / "img", here / "moved")
    device = mount("moved", cow="my.cow")
    assert device.pread(5, 0) == b"image"
    device.unmounted()
    assert header(here / "my.cow").backing == str(here / "img")
    device.unmounted = lambda: None
    mount("moved", cow="my.cow", newbacking=True)
    assert header(here / "my.cow").backing == str(here / "moved")


def test_uml_own_way_switches_too(here, mount):
    os.rename(here / "img", here / "moved")
    device = mount("my.cow,moved", ro=True)
    assert header(here / "my.cow").backing == str(here / "img")
    device.unmounted()
    device.unmounted = lambda: None
    mount("my.cow,moved")
    assert header(here / "my.cow").backing == str(here / "moved")


def test_the_name_recorded_is_the_kernels_own(here):
    """UML looks for it outside of any view."""
    view = View()
    view.mount("/elsewhere", view.now())
    image, cow = f"/elsewhere{here}/img", f"{here}/other.cow"
    Ubd(view.now(), image, cow=cow).unmounted()
    assert header(cow).backing == str(here / "img")


# -- what may not be ---------------------------------------------------------------------------
def refusal(here, mount, source, **options):
    """Why a mount is refused: its errno and its line.  It changes nothing."""
    before = state(here)
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(OSError) as caught:
        mount(source, **options)
    assert state(here) == before
    assert os.listdir("/proc/self/fd") == descriptors
    error = caught.value
    line = f"{error.filename}: {error.strerror}".replace(f"{here}/", "")
    assert "\n" not in line
    return error.errno, line


def test_an_image_of_another_size(here, mount):
    write(here / "img", bytes(4096))
    expected = errno.EINVAL, "my.cow: not made over img: that has 4096 bytes, not 20480"
    assert refusal(here, mount, "img", cow="my.cow") == expected
    assert refusal(here, mount, "my.cow,img") == expected
    assert refusal(here, mount, "my.cow") == expected


def test_an_image_that_was_changed(here, mount):
    os.utime(here / "img", (MTIME, MTIME - 1))
    expected = f"my.cow: img was changed since: its mtime is {MTIME - 1}, not {MTIME}"
    assert refusal(here, mount, "img", cow="my.cow", newbacking=True) == (errno.EINVAL, expected)


@pytest.mark.parametrize(
    ("source", "options", "number", "line"),
    [
        ("img", {"cow": "img2"}, errno.EINVAL, "img2: not a COW file"),
        ("img", {"cow": "empty"}, errno.EINVAL, "empty: not a COW file"),
        ("nosuch", {}, errno.ENOENT, "nosuch: No such file or directory"),
        ("nosuch", {"cow": "my.cow"}, errno.ENOENT, "nosuch: No such file or directory"),
        ("nosuch", {"cow": "new"}, errno.ENOENT, "nosuch: No such file or directory"),
        ("img", {"cow": "no/new"}, errno.ENOENT, "no/new: No such file or directory"),
        ("none", {"cow": "new"}, errno.ENOENT, "new: No such file or directory"),
        ("img", {"cow": "new", "ro": True}, errno.ENOENT, "new: No such file or directory"),
        ("empty", {}, errno.EINVAL, "empty: shorter than a sector"),
        ("empty", {"cow": "new"}, errno.EINVAL, "empty: shorter than a sector"),
        ("img", {"cow": "my.cow", "ro": True, "newbacking": True}, errno.EROFS,
         "my.cow: newbacking would change it, ro forbids that"),
        ("my.cow", {"cow": "my.cow"}, errno.EBUSY, "my.cow: Device or resource busy"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_line_and_changes_nothing(
    here, mount, source, options, number, line
):
    write(here / "img2", bytes(8192))
    write(here / "empty", b"")
    assert refusal(here, mount, source, **options) == (number, line)


def test_sectors_without_a_bit_are_not_written(here, mount):
    write(here / "img", bytes(512 * 9))
    craft(here / "old", "2", str(here / "img"), {})
    line = "old: some of its sectors have no bit: use ro"
    assert refusal(here, mount, "none", cow="old") == (errno.EROFS, line)
    assert mount("none", cow="old", ro=True).size() == 512 * 9


def test_locks(here, mount):
    """One writer of a COW file; an image may have many COW files, but then no writer."""
    new_cow(here / "other.cow", here / "img")
    first = mount("img", cow="my.cow")
    mount("img", cow="other.cow")
    for source, options, name in (
        ("img", {"cow": "my.cow"}, "my.cow"),
        ("img", {"cow": "my.cow", "ro": True}, "my.cow"),
        ("img", {}, "img"),
    ):
        line = f"{name}: Device or resource busy"
        assert refusal(here, mount, source, **options) == (errno.EBUSY, line)
    first.unmounted()
    first.unmounted = lambda: None
    mount("img", cow="my.cow")


def test_uml_own_locks_are_seen(here, mount):
    """UML locks with F_SETLK, which another process must do."""
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        ["python3", "-c", program, here / "my.cow"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as uml:
        uml.stdout.readline()
        line = "my.cow: Device or resource busy"
        assert refusal(here, mount, "img", cow="my.cow") == (errno.EBUSY, line)
        uml.stdin.close()
    mount("img", cow="my.cow")
    with (here / "my.cow").open("r+b") as file, pytest.raises(OSError) as caught:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert caught.value.errno in (errno.EAGAIN, errno.EACCES)


def test_a_cow_file_that_cannot_be_made_is_not_left_behind(here, mount, monkeypatch):
    def full(file, backing, size, mtime):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cowheader, "create", full)
    device = Kernel()
    with pytest.raises(OSError) as caught:
        Ubd(device, str(here / "img"), cow=str(here / "new"))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(here / "new"), "there are two files"
    assert not (here / "new").exists()


# -- with User Mode Linux ----------------------------------------------------------------------
INIT = """#!/bin/sh
mount -t devtmpfs none /dev 2>/dev/null
cmp /dev/ubda {here}/expected && echo read-well
printf UML | dd of=/dev/ubda bs=1 seek=9000 conv=notrunc,fsync && echo wrote-well
exec /sbin/halt -f
"""


@pytest.mark.needs("linux.uml", "uml_moo")
def test_uml_reads_what_is_written_here_and_the_other_way_round(here, mount):
    # 1 MiB: UML 6.1 never ends writing to a disk whose bits fit into one word.
    write(here / "big", b"image" * 4096 + bytes((1 << 20) - 20480))
    device = mount("big", cow="uml.cow")
    device.pwrite(b"written here", 100)
    device.pwrite(b"and here", 12288)
    expected = device.pread(device.size(), 0)
    device.unmounted()
    device.unmounted = lambda: None
    (here / "expected").write_bytes(expected)
    init = here / "init"
    init.write_text(INIT.format(here=here))
    init.chmod(0o755)
    words = f"linux.uml mem=48M root=/dev/root rootfstype=hostfs rootflags=/ ro init={init} quiet"
    words += f" con=null con0=null,fd:1 uml_dir={here}/uml ubd0={here}/uml.cow,{here}/big"
    done = subprocess.run(
        words.split(), stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
        env={**os.environ, "HOME": str(here), "TMPDIR": str(here)},
    )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    assert "read-well" in said, said
    assert "wrote-well" in said, said
    expected = expected[:9000] + b"UML" + expected[9003:]
    device = mount("big", cow="uml.cow")
    assert device.pread(device.size(), 0) == expected
    assert moo(here / "uml.cow", here / "out") == expected
    assert (here / "big").read_bytes()[:20490] == b"image" * 4096 + bytes(10)
