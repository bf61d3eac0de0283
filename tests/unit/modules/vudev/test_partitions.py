# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables are read as sfdisk reads them; what is wrong with one only makes partitions be missing."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import zlib

import pytest
from needs import SBIN

from pyview.modules.vudev.partitions import LINKS, NONE, parse

MIB = 1 << 20
DISK = 512 * MIB
GPT_KINDS = (
    "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
)
ENVIRONMENT = {**os.environ, "PATH": SBIN, "LC_ALL": "C"}


def reader(data):
    return lambda size, offset: bytes(data[offset : offset + size])


def sfdisk(*words, script=""):
    done = subprocess.run(
        ["sfdisk", "-q", *map(str, words)],
        input=script,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert not done.returncode, done.stderr + script
    return done.stdout


def read_image(path):
    with open(path, "rb") as file:
        return parse(lambda size, offset: os.pread(file.fileno(), size, offset), DISK)


def random_dos(rng):
    lines = ["label: dos"]
    primaries = rng.randint(0, 4)
    extended = rng.randrange(primaries) if primaries and rng.random() < 0.7 else -1
    for i in range(primaries):
        kind = rng.choice(("5", "f", "85")) if i == extended else rng.choice(("83", "82", "c", "7"))
        size = 300 if i == extended else rng.randint(1, 30)
        lines.append(f"size={size}M, type={kind}" + (", bootable" if rng.random() < 0.3 else ""))
    if extended >= 0:
        count = rng.randint(0, 25)
        lines += [f"{5 + i}: size={rng.randint(1, 8)}M, type=83" for i in range(count)]
    return "\n".join(lines) + "\n"


def random_gpt(rng):
    lines = ["label: gpt"]
    if rng.random() < 0.3:
        lines.append(f"table-length: {rng.choice((4, 16, 64, 200))}")
        room = 4
    else:
        room = 30
    for _ in range(rng.randint(0, room)):
        line = f"size={rng.randint(1, 15)}M, type={rng.choice(GPT_KINDS)}"
        if rng.random() < 0.5:
            line += f', name="{rng.choice(("root", "a b", "naïve", "x" * 36))}"'
        if rng.random() < 0.4:
            line += f', attrs="{rng.choice(("GUID:60", "LegacyBIOSBootable", "GUID:60,63"))}"'
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.needs("sfdisk")
@pytest.mark.parametrize("seed", range(60))
def test_random_tables_are_read_as_sfdisk_reads_them(tmp_path, seed):
    rng = random.Random(seed)
    image = tmp_path / "disk1"
    image.touch()
    os.truncate(image, DISK)
    sfdisk(image, script=(random_dos if seed % 2 else random_gpt)(rng))
    table = json.loads(sfdisk("--json", image))["partitiontable"]
    present = len(table.get("partitions", []))
    if present > 2 and seed % 2 == 0 and rng.random() < 0.5:  # gaps in the numbers
        sfdisk("--delete", image, rng.randint(1, present))
        table = json.loads(sfdisk("--json", image))["partitiontable"]
    found = read_image(image)
    assert (found.kind, found.identity) == (table["label"], table["id"])
    prefix = f"{image}p"
    wanted = {int(p["node"].removeprefix(prefix)): p for p in table.get("partitions", [])}
    assert list(found.parts) == list(wanted)
    for number, part in found.parts.items():
        known = wanted[number]
        assert (part.start, part.size) == (known["start"] * 512, known["size"] * 512)
        attrs = known.get("attrs", "")
        assert part.bootable == (known.get("bootable", False) or "LegacyBIOSBootable" in attrs)
        if found.kind == "gpt":
            assert (part.kind, part.uuid) == (known["type"], known["uuid"])
            assert part.name == known.get("name", "")
            assert part.read_only == ("60" in attrs)
        else:
            assert int(part.kind, 16) == int(known["type"], 16)
            assert part.uuid == f"{int(found.identity, 16):08x}-{number:02x}"
            assert part.extended == (int(part.kind, 16) in (5, 0xF, 0x85))


# -- what is wrong -------------------------------------------------------------------------------


def mbr(*entries):
    sector = bytearray(512)
    for i, (flag, kind, start, size) in enumerate(entries):
        struct.pack_into("<B3xB3xII", sector, 446 + 16 * i, flag, kind, start, size)
    sector[510:] = b"\x55\xaa"
    return sector


def test_a_disk_without_a_table_has_no_partitions():
    assert parse(reader(bytes(4096)), 4096) == NONE
    assert parse(reader(b""), 0) == NONE


def test_a_boot_sector_of_a_file_system_is_no_table():
    assert parse(reader(mbr((0x46, 0x41, 0x3654, 0x2020))), MIB) == NONE


def test_a_chain_of_logical_partitions_that_leads_back_ends():
    disk = bytearray(MIB)
    disk[:512] = mbr((0, 5, 100, 1000))
    disk[100 * 512 : 101 * 512] = mbr((0, 0x83, 1, 10), (0, 5, 0, 100))  # its link is to itself
    assert len(parse(reader(disk), MIB).parts) == 1 + LINKS


def test_a_chain_of_logical_partitions_that_leads_nowhere_ends():
    disk = bytearray(MIB)
    disk[:512] = mbr((0, 0xF, 100, 1000))
    disk[100 * 512 : 101 * 512] = mbr((0, 0x83, 1, 10), (0, 5, 0xFFFFFFF0, 100))
    assert list(parse(reader(disk), MIB).parts) == [1, 5]


def test_garbage_in_the_third_entry_of_a_logical_table_is_no_partition():
    disk = bytearray(MIB)
    disk[:512] = mbr((0, 5, 100, 1000))
    garbage = (0, 0x83, 5000, 99)
    disk[100 * 512 : 101 * 512] = mbr((0, 0x83, 1, 10), (0, 0, 0, 0), garbage, (0, 0x83, 20, 5))
    assert [p.start // 512 for p in parse(reader(disk), MIB).parts.values()] == [100, 101, 120]


def test_the_device_of_an_extended_partition_is_what_a_boot_loader_needs():
    part = parse(reader(mbr((0, 5, 100, 1000))), MIB).parts[1]
    assert (part.size, part.shown) == (512000, 1024)


def gpt(length, *, primary=True, backup=True, parts=((10, 19),), **other):
    """A disk with both headers, each whole or with a wrong checksum."""
    disk, last = bytearray(length), length // 512 - 1
    disk[:512] = mbr((0, 0xEE, 1, last))
    array = bytearray(4 * 128)
    for i, (start, end) in enumerate(parts):
        struct.pack_into("<16s16sQQQ", array, 128 * i, b"k" * 16, b"u" * 16, start, end, 0)
    for here, there, at, right in ((1, last, 2, primary), (last, 1, last - 1, backup)):
        disk[at * 512 : at * 512 + 512] = array
        values = {"width": 128, "count": 4, "size": 92, "usable": last - 2, **other}
        fields = [here, there, 3, values["usable"], b"d" * 16, at, values["count"], values["width"]]
        head = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, values["size"], 0, 0,
                           *fields, zlib.crc32(array))  # fmt: skip
        crc = zlib.crc32(head) ^ (not right)
        disk[here * 512 : here * 512 + 92] = head[:16] + struct.pack("<I", crc) + head[20:]
    return disk


@pytest.mark.parametrize(("primary", "backup"), [(True, True), (True, False), (False, True)])
def test_one_whole_header_is_enough(primary, backup):
    table = parse(reader(gpt(MIB, primary=primary, backup=backup)), MIB)
    assert [(p.start, p.size) for p in table.parts.values()] == [(5120, 5120)]


def test_without_a_whole_header_there_are_no_partitions():
    """The protective entry is no partition of its own: Linux block/partitions/msdos.c."""
    assert parse(reader(gpt(MIB, primary=False, backup=False)), MIB) == NONE


@pytest.mark.parametrize(
    "wrong", [{"width": 64}, {"count": 1 << 30}, {"count": 5}, {"size": 91}, {"size": 4096},
              {"usable": 5000}]
)  # fmt: skip
def test_a_header_that_makes_no_sense_is_none(wrong):
    assert parse(reader(gpt(MIB, **wrong)), MIB) == NONE


def test_entries_that_end_before_they_begin_or_past_the_disk_are_not_used():
    parts = ((10, 9), (10, 5000), (20, 20))
    assert list(parse(reader(gpt(MIB, parts=parts)), MIB).parts) == [3]


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_no_harm(seed):
    rng = random.Random(seed)
    for _ in range(200):
        disk = bytearray(rng.choice((mbr((0, 5, 2, 90)), gpt(1 << 16))))
        disk += bytes(max(0, (1 << 16) - len(disk)))
        for _ in range(20):
            disk[rng.randrange(446 if rng.random() < 0.3 else 2048)] = rng.randrange(256)
        for start in range(2, 100, 7):
            disk[start * 512 + 446 : start * 512 + 510] = rng.randbytes(64)
        parse(reader(disk), len(disk))
