# SPDX-License-Identifier: GPL-2.0-or-later
"""The headers of COW files, against UML's own tools."""

from __future__ import annotations

import errno
import os
import struct
import subprocess

import pytest
from cowfiles import THEIRS, VERSIONS, craft, header, moo, new_cow, opened

from pyview.modules.vudev import cowheader
from pyview.modules.vudev.cowheader import HEADER_SIZE, parse


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "img"
    path.write_bytes(bytes(range(256)) * 32)
    os.utime(path, ns=(0, 1234567890_999999999))
    return str(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read(image, version):
    data, bitmap_at, align = header(version, image)
    found = parse(data.ljust(HEADER_SIZE, b"\0"))
    assert found is not None
    assert (found.version, found.backing) == (int(version[0]), image)
    assert (found.mtime, found.size, found.sector) == (1234567890, 8192, 512)
    assert (found.bitmap_at, found.bitmap_size, found.align) == (bitmap_at, 2, align)
    assert found.data_at == -(-(bitmap_at + 2) // align) * align
    name = data.index(os.fsencode(image))
    assert (found.name_at, found.name_room) == (name, 256 if version[0] == "1" else 4096)


@pytest.mark.parametrize("data", [b"", b"OOO", b"OOOM\0\0\0", b"x" * 5000, bytes(5000)])
def test_what_is_none(data):
    assert parse(data) is None


def damaged(**fields):
    values = {"version": 3, "size": 8192, "sector": 512, "align": 4096, "kind": 0, **fields}
    order = [values[key] for key in ("size", "sector", "align", "kind")]
    return struct.pack(">4sIIQIII4096s", b"OOOM", values["version"], 1, *order, b"/img")


@pytest.mark.parametrize(
    "data",
    [
        *(damaged(version=version) for version in (0, 4, 3 << 24)),
        *(damaged(sector=sector) for sector in (0, 1, 511, 513, 1 << 31)),
        *(damaged(align=align) for align in (0, 1 << 31)),
        damaged(kind=1),
        damaged(size=1 << 63),
        damaged()[:4000],
        header("1<", "/")[0][:100],
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, data):
    cow = tmp_path / "c"
    cow.write_bytes(data)
    file = opened(cow)
    with pytest.raises(OSError) as caught:
        cowheader.header_of(file, "c")
    file.close()
    assert caught.value.errno == errno.EINVAL
    assert (caught.value.filename, caught.value.strerror.count("\n")) == ("c", 0)


def test_no_cow_file_is_said_to_be_none(image):
    file = opened(image)
    with pytest.raises(OSError, match="not a COW file"):
        cowheader.header_of(file, image)
    assert not cowheader.is_one(file)
    file.close()


@pytest.mark.needs("uml_mkcow")
@pytest.mark.parametrize("size", [0, 1, 512, 5000, 4096 * 8 * 4096, 3 << 30])
def test_what_is_made_is_what_uml_mkcow_makes(tmp_path, image, size):
    os.truncate(image, size)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    new_cow(ours, image)
    subprocess.run(["uml_mkcow", theirs, image], check=True)
    assert ours.stat().st_size == theirs.stat().st_size
    with ours.open("rb") as one, theirs.open("rb") as other:
        assert one.read(1 << 20) == other.read(1 << 20)
    assert ours.stat().st_blocks <= 16  # nothing but its header
    file = opened(ours)
    assert cowheader.is_one(file)
    file.close()


def test_a_name_that_is_too_long_changes_nothing(tmp_path, image):
    path = tmp_path / "c"
    path.write_bytes(b"something")
    file = opened(path)
    with pytest.raises(OSError) as caught:
        cowheader.create(file, "/" + "n" * 4095, 512, 0)
    file.close()
    assert caught.value.errno == errno.ENAMETOOLONG
    assert path.read_bytes() == b"something"


@pytest.mark.needs("uml_moo")
@pytest.mark.parametrize("version", THEIRS)
@pytest.mark.parametrize("name", ["o", "a-longer-name-than-it-was"])
def test_another_name_of_the_image(tmp_path, image, version, name):
    cow, other = tmp_path / "c", tmp_path / name
    craft(cow, version, image, {3: b"new!" * 128})
    os.rename(image, other)
    file = opened(cow)
    cowheader.switch(file, cowheader.header_of(file, str(cow)), str(other))
    assert cowheader.header_of(file, str(cow)).backing == str(other)
    with pytest.raises(OSError) as caught:
        cowheader.switch(file, cowheader.header_of(file, str(cow)), "/" + "n" * 4095)
    assert caught.value.errno == errno.ENAMETOOLONG
    file.close()
    assert moo(cow, tmp_path / "out")[1536:2048] == b"new!" * 128


def test_the_image_is_what_it_was(image):
    found = parse(header("3", image)[0])
    cowheader.check(found, "c", image, 8192, 1234567890)
    for size, mtime, why in (
        (8191, 1234567890, f"not made over {image}: that has 8191 bytes, not 8192"),
        (8192, 1234567891, f"{image} was changed since: its mtime is 1234567891, not 1234567890"),
    ):
        with pytest.raises(OSError) as caught:
            cowheader.check(found, "c", image, size, mtime)
        assert (caught.value.filename, caught.value.strerror) == ("c", why)


def test_a_time_before_the_epoch_or_far_in_the_future(image):
    for seconds in (-1, 2**33 + 5):
        os.utime(image, ns=(0, seconds * 10**9 + 999_999_999))
        assert cowheader.mtime_of(os.stat(image)) == seconds % 2**32


def test_a_relative_name_is_looked_for_beside_the_cow_file():
    found = parse(damaged().replace(b"/img", b"img\0"))
    assert cowheader.image_of(found, "/a/my.cow") == "/a/img"
    assert cowheader.image_of(parse(damaged()), "/a/my.cow") == "/img"
