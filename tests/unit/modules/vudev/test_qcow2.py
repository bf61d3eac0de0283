# SPDX-License-Identifier: GPL-2.0-or-later
"""qcow2 images: equal to what qemu-img reads of them; the damaged ones are refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import stat
import struct
import subprocess
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from throughc import ThroughC

from pyview.api import NOWHERE, File, Tree, attributes, refuse
from pyview.kernel import Kernel
from pyview.modules.vudev.qcow2 import MAGIC, Image, Qcow2, open_image

qemu = pytest.mark.needs("qemu-img", "qemu-io")
KIB = 1024


def run(*words, cwd=None):
    return subprocess.run(
        [str(word) for word in words], check=True, cwd=cwd, capture_output=True, timeout=40
    ).stdout


def io(image, *commands):
    """Run qemu-io's commands on an image, in one process."""
    words = [word for command in commands for word in ("-c", command)]
    out = run("qemu-io", "-f", "qcow2", *words, image).decode()
    assert "failed" not in out, out


def expected(image):
    """What QEMU reads of it."""
    raw = f"{image}.out"
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw)
    with open(raw, "rb") as file:
        return file.read()


def content(file):
    return file.pread(file.size() + 1, 0)


def same(image, places=8):
    """Our image is QEMU's, as a whole and in random pieces."""
    want = expected(image)
    opened = open_image(Kernel(), str(image))
    assert isinstance(opened, Image)
    file = ThroughC(opened)
    try:
        assert file.size() == len(want)
        assert content(file) == want
        chance = random.Random(len(want))
        for _ in range(2 * places):
            at, size = chance.randrange(len(want)), chance.randrange(1, 150 * KIB)
            assert file.pread(size, at) == want[at : at + size]
        if not any(extent.fd == NOWHERE for extent in file.extents(0, len(want))):
            assert file.in_c[0] >= places, "C had nothing to do"
    finally:
        file.close()


class Memory(Tree):
    """Files that are bytes."""

    def __init__(self, **files):
        self.files = {f"/{name}": content for name, content in files.items()}
        self.open_files = 0

    def open(self, path, flags, mode=0o777):
        if path not in self.files:
            raise refuse(errno.ENOENT, path)
        self.open_files += 1
        return Bytes(self, self.files[path])


class Bytes(File):
    def __init__(self, tree, content):
        self.tree, self.content, self.locked = tree, content, None

    def stat(self):
        return attributes(stat.S_IFREG | 0o644, size=len(self.content))

    def pread(self, size, offset):
        return self.content[offset : offset + min(size, 100_000)]  # fewer than asked, at times

    def size(self):
        return len(self.content)

    def lock(self, exclusive):
        self.locked = exclusive

    def close(self):
        self.tree.open_files -= 1


def image(*entries, version=3, bits=16, size=None, backing=b"", form=b"", **fields):
    """A qcow2 image with these L2 entries (or clusters' content), L1 at 1 and L2 at 2 clusters."""
    cluster = 1 << bits
    size = len(entries) * cluster if size is None else size
    extension = struct.pack(">II", 0xE2792ACA, len(form)) + form if form else b""
    extension += bytes(-len(extension) % 8) + bytes(8)
    length = fields.pop("length", 104)
    head = struct.pack(
        ">4sIQIIQIIQQIIQ",
        fields.pop("magic", MAGIC), version, (length + len(extension)) if backing else 0,
        fields.pop("backing_size", len(backing)), fields.pop("bits_said", bits), size,
        fields.pop("crypt", 0), fields.pop("l1_size", 1), fields.pop("l1_at", cluster), 0, 0,
        fields.pop("snapshots", 0), fields.pop("snapshots_at", 0),
    )  # fmt: skip
    if version == 3:
        head += struct.pack(">QQQII", fields.pop("features", 0), 0, 0, 4, length)
    head += extension + backing
    l1 = struct.pack(">Q", fields.pop("l1", 2 * cluster | 1 << 63))
    assert not fields
    table, clusters = [], b""
    for entry in entries:
        if isinstance(entry, bytes):
            table.append(3 * cluster + len(clusters) | 1 << 63)
            clusters += entry.ljust(cluster, b"\0")
        else:
            table.append(entry)
    l2 = struct.pack(f">{len(table)}Q", *table)
    return b"".join(part.ljust(cluster, b"\0") for part in (head, l1, l2)) + clusters


def mount(data, **others):
    return open_image(Memory(a=data, **others), "/a", "qcow2")


def refused(data, number, text="", **others):
    memory = Memory(a=data, **others)
    with pytest.raises(OSError) as caught:
        open_image(memory, "/a", "qcow2")
    assert caught.value.errno == number
    assert text in str(caught.value.filename)
    assert memory.open_files == 0


# -- against QEMU ----------------------------------------------------------------------------


@qemu
@pytest.mark.parametrize("compat", ["0.10", "1.1"])
@pytest.mark.parametrize("cluster", [512, 4096, 65536, 2 << 20])
def test_versions_and_cluster_sizes_read_as_QEMU_reads_them(tmp_path, compat, cluster):
    disk = tmp_path / "disk.qcow2"
    size = 3 * (2 << 20) + 512
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"compat={compat},cluster_size={cluster}",
        disk, size)  # fmt: skip
    chance = random.Random(cluster)
    writes = []
    for number in range(1, 20):
        at = chance.randrange(size // 512 - 200) * 512
        writes.append(f"write -q -P {number} {at} {chance.randrange(1, 150) * 512}")
    io(disk, *writes, f"write -q -P 77 {size - 512} 512", "write -q -z 8k 32k")
    same(disk)


@qemu
@pytest.mark.parametrize("cluster", [512, 65536, 2 << 20])
def test_compressed_clusters(tmp_path, cluster):
    raw, disk = tmp_path / "raw", tmp_path / "disk.qcow2"
    chance = random.Random(7)
    with open(raw, "wb") as file:
        for number in range(20):
            file.write(bytes([number]) * 70_000 + chance.randbytes(3000) * 2)
        file.truncate(5_000_192)
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", f"cluster_size={cluster}",
        raw, disk)  # fmt: skip
    checked = json.loads(run("qemu-img", "check", "--output=json", disk))
    assert checked["compressed-clusters"] > 0
    same(disk)


@qemu
def test_a_chain_of_three_over_a_shorter_raw_file(tmp_path):
    raw = tmp_path / "base.raw"
    raw.write_bytes(random.Random(1).randbytes(100_352))
    (tmp_path / "in").mkdir()
    previous, form = "../base.raw", "raw"
    for number, size in enumerate((300_032, 250_880, 400_384), 1):
        name = f"c{number}.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", previous, name, size,
            cwd=tmp_path / "in")  # fmt: skip
        io(tmp_path / "in" / name, f"write -q -P {number} {number * 3000 // 512 * 512} 1536",
           f"write -q -P {100 + number} {size - 70_144} 2k", "write -q -z 64k 64k")  # fmt: skip
        previous, form = name, "qcow2"
        same(tmp_path / "in" / name)


@qemu
def test_internal_snapshots_are_not_seen(tmp_path):
    disk = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", disk, "1M")
    io(disk, "write -q -P 1 0 200k")
    run("qemu-img", "snapshot", "-c", "then", disk)
    io(disk, "write -q -P 2 64k 64k", "discard -q 0 64k")
    same(disk)


@qemu
@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("compression_type=zstd", "zstd"),
        ("extended_l2=on", "extended L2 entries"),
        ("data_file=other,data_file_raw=on", "an external data file"),
    ],
)
def test_features_that_are_not_served_are_named(tmp_path, options, what):
    disk = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, disk, "1M", cwd=tmp_path)
    with pytest.raises(OSError) as caught:
        open_image(Kernel(), str(disk))
    assert caught.value.errno == errno.EOPNOTSUPP
    assert what in caught.value.filename


ops = st.lists(
    st.tuples(
        st.sampled_from(["write -q -P {n}", "write -q -P {n} -c", "write -q -z", "write -q -z -u"]),
        st.integers(0, 60),
        st.integers(1, 20),
    ),
    min_size=1,
    max_size=12,
)


@qemu
@given(layers=st.lists(st.tuples(ops, st.integers(1, 70)), min_size=1, max_size=3))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_chains_equal_QEMUs(tmp_path, layers):
    """Units of 4096 bytes, which is also the cluster size."""
    previous = []
    number = 0
    for index, (commands, size) in enumerate(layers):
        name = tmp_path / f"{index}.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", *previous, name,
            size * 4096)  # fmt: skip
        lines, touched = [], set()
        for command, at, length in commands:
            number += 1
            packed = "-c" in command  # one cluster, and only one that has no content yet
            length = min(1 if packed else length, size - at)
            if length > 0 and not (packed and at in touched):
                touched.update(range(at, at + length))
                lines.append(f"{command.format(n=number)} {at * 4096} {length * 4096}")
        if lines:
            io(name, *lines)
        previous = ["-F", "qcow2", "-b", name]
    same(name, places=3)


# -- by hand ---------------------------------------------------------------------------------


def test_clusters_of_each_kind():
    cluster = 1 << 16
    data = mount(image(b"one", 0, 1, b"four", 3 * cluster | 1))
    disk = b"".join(part.ljust(cluster, b"\0") for part in (b"one", b"", b"", b"four", b""))
    assert content(data) == disk
    assert data.pread(10, len(disk)) == data.pread(10, len(disk) + 5) == b""
    assert data.pread(10, len(disk) - 4) == bytes(4)


def test_a_compressed_cluster_may_share_its_sectors_and_end_with_the_file():
    bits, cluster = 16, 1 << 16
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    packed = packer.compress(b"ab" * (cluster // 2)) + packer.flush()
    at = 3 * cluster + 100
    sectors = (100 + len(packed) - 1) // 512
    entry = 1 << 62 | sectors << 62 - (bits - 8) | at
    data = image(entry, 0) + bytes(100) + packed
    assert mount(data).pread(10, 1) == b"ba" * 5
    assert content(mount(data)) == b"ab" * (cluster // 2) + bytes(cluster)


@pytest.mark.parametrize("form", [b"raw", b""])
def test_a_backing_file_shorter_than_the_image_ends_in_zeros(form):
    data = mount(image(0, b"here", 0, backing=b"b", form=form), b=b"below" * 10)
    assert content(data) == (b"below" * 10).ljust(1 << 16, b"\0") + b"here".ljust(2 << 16, b"\0")


def test_a_backing_file_that_looks_like_qcow2_is_raw_when_said_so():
    inner = image(b"inner")
    assert content(mount(image(0, backing=b"b", form=b"raw"), b=inner))[:4] == MAGIC
    assert content(mount(image(0, backing=b"b"), b=inner))[:5] == b"inner"
    assert content(mount(image(0, backing=b"file:b", form=b"qcow2"), b=inner))[:5] == b"inner"


def test_all_files_of_a_chain_are_locked_and_closed():
    memory = Memory(a=image(0, backing=b"b"), b=image(0, backing=b"/c"), c=b"end")
    top = open_image(memory, "/a")
    assert memory.open_files == 3
    assert [top.file.locked, top.backing.file.locked, top.backing.backing.locked] == [False] * 3
    assert not top.slow
    top.close()
    assert memory.open_files == 0


def test_an_image_over_something_slow_is_slow():
    class Slow(Memory):
        def open(self, path, flags, mode=0o777):
            file = super().open(path, flags, mode)
            file.slow = path == "/b"
            return file

    assert open_image(Slow(a=image(0, backing=b"b"), b=b"raw"), "/a").slow


def test_a_chain_that_bites_its_tail():
    loop = image(0, backing=b"b", form=b"qcow2")
    refused(loop, errno.ELOOP, "/b", b=image(0, backing=b"./b"))
    refused(image(0, backing=b"x/../a"), errno.ELOOP, "/a")


def test_a_loop_by_another_name(tmp_path):
    (tmp_path / "a").write_bytes(image(0, backing=b"link"))
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(OSError) as caught:
        open_image(Kernel(), str(tmp_path / "a"))
    assert caught.value.errno == errno.ELOOP


def test_a_chain_without_end():
    class Endless(Memory):
        def open(self, path, flags, mode=0o777):
            self.files[path] = image(0, backing=path.encode() + b"a")
            return super().open(path, flags, mode)

    memory = Endless()
    with pytest.raises(OSError) as caught:
        open_image(memory, "/a")
    assert caught.value.errno == errno.ELOOP
    assert memory.open_files == 0


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", ""):
        with pytest.raises(OSError) as caught:
            open_image(Kernel(), str(tmp_path / name))
        assert caught.value.errno == errno.ENOTBLK


@pytest.mark.parametrize(
    ("fields", "number", "text"),
    [
        ({"magic": b"QFI\xfa"}, errno.EINVAL, "not a qcow2 image"),
        ({"version": 4}, errno.EOPNOTSUPP, "version 4"),
        ({"version": 1}, errno.EOPNOTSUPP, "version 1"),
        ({"features": 1 << 2}, errno.EOPNOTSUPP, "external data file"),
        ({"features": 1 << 3}, errno.EOPNOTSUPP, "zstd"),
        ({"features": 1 << 4 | 1}, errno.EOPNOTSUPP, "extended L2"),
        ({"features": 1 << 63}, errno.EOPNOTSUPP, "bit 63"),
        ({"crypt": 1}, errno.EOPNOTSUPP, "encrypted"),
        ({"crypt": 2, "version": 2}, errno.EOPNOTSUPP, "encrypted"),
        ({"bits_said": 8}, errno.EINVAL, "clusters of"),
        ({"bits_said": 22}, errno.EINVAL, "clusters of"),
        ({"bits_said": 1 << 31}, errno.EINVAL, "clusters of"),
        ({"l1_size": 0}, errno.EINVAL, "damaged"),
        ({"l1_size": 1 << 31}, errno.EINVAL, "damaged"),
        ({"l1_size": 1 << 20}, errno.EINVAL, "cut off"),
        ({"l1_at": 512}, errno.EINVAL, "damaged"),
        ({"l1_at": 1 << 62}, errno.EINVAL, "cut off"),
        ({"size": 1 << 63}, errno.EINVAL, "damaged"),
        ({"size": 1 << 40}, errno.EINVAL, "damaged"),
        ({"length": 100}, errno.EINVAL, "damaged"),
        ({"length": 1 << 30}, errno.EINVAL, "damaged"),
        ({"backing": b"b", "backing_size": 0}, errno.EINVAL, "backing"),
        ({"backing": b"b", "backing_size": 2000}, errno.EINVAL, "backing"),
        ({"backing": b"b\0b"}, errno.EINVAL, "backing"),
        ({"backing": b"nowhere"}, errno.ENOENT, "/nowhere"),
        ({"backing": b"b", "form": b"vmdk"}, errno.EOPNOTSUPP, "vmdk"),
        ({"backing": b"b", "form": b"qcow2"}, errno.EINVAL, "/b: not a qcow2"),
        ({"backing": b"nbd://h/x"}, errno.EOPNOTSUPP, "nbd:"),
        ({"backing": b'json:{"driver":"nbd"}'}, errno.EOPNOTSUPP, "json:"),
    ],
)
def test_headers_that_are_refused(fields, number, text):
    refused(image(0, **fields), number, text, b=b"raw")


def test_what_may_be_ignored():
    data = image(b"text", features=0b11, snapshots=9, snapshots_at=1 << 62)
    assert content(mount(data))[:4] == b"text"
    assert content(mount(image(b"old", version=2)))[:3] == b"old"
    assert content(mount(image(size=0, l1_size=0))) == b""


@pytest.mark.parametrize(
    "data",
    [
        image(0, l1=2 << 16 | 512),
        image(0, l1=1 << 50),
        image(3 << 16 | 512),
        image(1, version=2),
        image(1 << 62 | 1 << 40),
        image(1 << 62 | 1 << 16),
    ],
    ids=["L2 unaligned", "L2 nowhere", "unaligned", "zero in v2", "packed nowhere", "not packed"],
)
def test_tables_that_make_no_sense_are_EIO(data):
    file = mount(data)
    with pytest.raises(OSError) as caught:
        file.pread(10, 0)
    assert caught.value.errno == errno.EIO


@given(
    st.lists(st.tuples(st.integers(0, 4 * 512 + 40), st.integers(0, 255)), min_size=1, max_size=6)
)
@settings(deadline=None)
def test_damage_is_an_error_or_some_content(changes):
    data = bytearray(
        image(b"x", 1, 0, 1 << 62 | 3 * 512, bits=9, backing=b"b", form=b"raw", length=104)
    )
    for at, value in changes:
        data[at % len(data)] = value
    memory = Memory(a=bytes(data), b=b"below" * 300)
    with contextlib.suppress(OSError), contextlib.closing(open_image(memory, "/a")) as file:
        assert len(file.pread(5000, 0)) == min(5000, file.size())
    assert memory.open_files == 0


def test_the_caches_are_bounded():
    count = 3000
    bits = 9
    tables = b"".join(struct.pack(">Q", 0).ljust(512, b"\0") for _ in range(count))
    data = image(bits=bits, l1_size=count, size=count << bits + bits - 3, l1_at=1024)
    data = data[:1024] + b"".join(
        struct.pack(">Q", 1024 + 512 * 47 + index * 512) for index in range(count)
    ).ljust(512 * 47, b"\0") + tables  # fmt: skip
    file = mount(data)
    file._kept = 10
    for index in range(count):
        file.pread(1, index << bits + bits - 3)
    assert len(file._tables) == 10


# -- the device ------------------------------------------------------------------------------


def test_the_device_is_read_only():
    memory = Memory(a=image(b"text", backing=b"b"), b=b"raw")
    disk = Qcow2(memory, "/a", mode="0600")
    assert stat.S_ISBLK(disk.lstat("/").st_mode)
    assert disk.size() == 1 << 16
    assert not disk.slow
    for flags in (os.O_RDWR, os.O_WRONLY):
        with pytest.raises(OSError) as caught:
            disk.open("/", flags)
        assert caught.value.errno == errno.EROFS
    file = disk.open("/", os.O_RDONLY)
    assert file.pread(1 << 17, 0) == b"text".ljust(1 << 16, b"\0")
    file.fsync()
    assert disk.busy()
    file.close()
    assert not disk.busy()
    assert memory.open_files == 2
    disk.unmounted()
    assert memory.open_files == 0


def test_a_raw_image_is_no_qcow2_device():
    with pytest.raises(OSError) as caught:
        Qcow2(Memory(a=b"raw"), "/a")
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, "/a: not a qcow2 image")
