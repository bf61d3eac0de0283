# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks made of files, and the real tools: what each makes, the other reads.

In a view the tools work on devices; outside they do the same on plain files, and are the oracle.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
import sys

import pytest
from worlds.disks import DISKS, E2FS, MKE2FS, SAME, UUID, make, piece

TABLE = """label: dos
label-id: 0x12345678
start=2048,size=40960,type=83
start=43008,size=20480,type=c
start=63488,type=5
start=65536,size=16384,type=82
start=83968,type=83
"""


@pytest.fixture
def view(devices):
    return devices


def entries(dump):
    """The partitions that sfdisk --dump tells of, without the name of their disk."""
    return re.findall(r"^\S*?(\d+) : (start=.*)$", dump, re.MULTILINE)


# -- the lecture's demo ------------------------------------------------------------------------
@pytest.mark.needs("fdisk", "mkfs.ext2", "script")
def test_the_demo_runs_as_typed_on_a_terminal(worlds, native, tmp_path):
    lines = [
        "vu_insmod vudev",
        "mount -t vudevmbr mydisk /dev/hda",
        "/sbin/fdisk /dev/hda",
        *("n", "p", "1", "", "", "w"),
        "ls /dev/hda1",
        "/sbin/mkfs.ext2 /dev/hda1",
        "/sbin/fsck.ext2 -f /dev/hda1",
        "exit",
    ]
    native.run("truncate -s 1G mydisk", cwd=tmp_path)
    done = worlds["view"].run(
        ["script", "-qec", "sh", "/dev/null"],
        cwd=tmp_path,
        input="\n".join(lines) + "\n",
    )
    assert re.search(r"Pass 5: .*\s+/dev/hda1: 11/65536 files", done.stdout), done.stdout
    native.run(
        "truncate -s 1G plain && printf 'n\\np\\n1\\n\\n\\nw\\n' | fdisk plain", cwd=tmp_path
    )
    made, plain = (
        native.run(["sfdisk", "--dump", name], cwd=tmp_path).stdout for name in ("mydisk", "plain")
    )
    assert (
        entries(made) == entries(plain) == [("1", "start=        2048, size=     2095104, type=83")]
    )
    checked = native.run(["e2fsck", "-fn", "mydisk?offset=1048576"], cwd=tmp_path)
    assert "11/65536 files" in checked.stdout
    assert os.stat(tmp_path / "mydisk").st_blocks * 512 < 64 << 20  # it is sparse still


# -- the same bytes ----------------------------------------------------------------------------
@pytest.mark.needs("sfdisk", *E2FS, "tune2fs", "resize2fs", "mkfs.vfat", "mkswap", "cmp")
def test_the_file_holds_the_bytes_that_the_tools_write_to_plain_files(view, outside, tmp_path):
    """A table with logical partitions; ext4, vfat and swap; changed, filled and made larger."""
    (tmp_path / "table").write_text(TABLE)
    (tmp_path / "hello").write_text("hello\n" * 3000)
    os.utime(tmp_path / "hello", (1600000000, 1600000000))

    def steps(ext4, vfat, swap):
        return f"""
            {MKE2FS} {ext4} 8M && tune2fs -L label -c 30 {ext4} && resize2fs {ext4} &&
            debugfs -w -R 'write hello hello' {ext4} && e2fsck -fn {ext4} &&
            mkfs.vfat --invariant -h 0 -g 255/63 {vfat} && mkswap -U {UUID} {swap} || exit
        """

    make(tmp_path / "disk", 64 << 20)
    view(f"""
        mount -t vudevmbr disk /dev/hda && sfdisk -q /dev/hda <table || exit
        {steps("/dev/hda1", "/dev/hda2", "/dev/hda5")}
        dd if=hello of=/dev/hda6 bs=1000 seek=7 conv=notrunc && umount /dev/hda
    """)
    for name, sectors in (("ext4", 40960), ("vfat", 20480), ("swap", 16384), ("raw", 47104)):
        make(tmp_path / name, sectors * 512)
    make(tmp_path / "plain", 64 << 20)
    outside(f"""
        sfdisk -q plain <table || exit
        {steps("ext4", "vfat", "swap")}
        dd if=hello of=raw bs=1000 seek=7 conv=notrunc && e2fsck -fn 'disk?offset=1048576'
    """)
    disk = tmp_path / "disk"
    for name, start in (("ext4", 2048), ("vfat", 43008), ("swap", 65536), ("raw", 83968)):
        expected = (tmp_path / name).read_bytes()
        assert piece(disk, start, len(expected) // 512) == expected, name
    for start, sectors in ((0, 2048), (63488, 2048), (81920, 2048)):  # the tables
        assert piece(disk, start, sectors) == piece(tmp_path / "plain", start, sectors)


@pytest.mark.needs("parted", "sgdisk", "sfdisk", *E2FS, "resize2fs")
@pytest.mark.parametrize("device", ["/dev/hda", "/dev/sda", "/dev/ubda"])
def test_parted_and_sgdisk_make_resize_and_remove_partitions(view, outside, tmp_path, device):
    make(tmp_path / "disk", 64 << 20)
    said = view(f"""
        mount -t vudevmbr disk {device} || exit
        parted -s {device} mklabel gpt mkpart one ext4 1MiB 20MiB mkpart two fat32 20MiB 30MiB &&
        echo {device}* && mke2fs -q {device}1 </dev/null &&
        parted -s {device} rm 2 resizepart 1 40MiB && resize2fs {device}1 &&
        e2fsck -fn {device}1 &&
        sgdisk -n 3:0:+8M -t 3:8300 -c 3:three {device} && echo {device}* && sgdisk -v {device} &&
        umount {device} && echo {device}?*
    """)
    assert f"{device} {device}1 {device}2\n" in said
    assert f"{device} {device}1 {device}3\n" in said
    assert said.endswith(f"{device}?*\n")
    found = entries(outside("sgdisk -v disk && sfdisk --dump disk"))
    linux = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
    assert [(n, re.sub(r", uuid=[^,]*", "", text)) for n, text in found] == [
        ("1", f'start=        2048, size=       79872, type={linux}, name="one"'),
        ("3", f'start=       81920, size=       16384, type={linux}, name="three"'),
    ]
    outside("e2fsck -fn 'disk?offset=1048576'")


@pytest.mark.needs("blkid", "lsblk", "wipefs", "hdparm", "blockdev", "sfdisk", "mke2fs", "fdisk")
def test_what_looks_at_disks_sees_one(view, outside, tmp_path):
    (tmp_path / "table").write_text(TABLE)
    make(tmp_path / "disk", 64 << 20)
    outside(f"sfdisk -q disk <table && {MKE2FS} -L label -E offset=1048576 disk 20M")
    said = view("""
        mount -t vudevmbr disk /dev/hda || exit
        echo ---; blkid -p /dev/hda1
        echo ---; lsblk -rbno NAME,MAJ:MIN,SIZE,RO,TYPE /dev/hda
        echo ---; wipefs -n /dev/hda1
        echo ---; hdparm -g /dev/hda
        echo ---; blockdev --getsize64 --getss --getpbsz --getro --rereadpt /dev/hda; echo $?
        echo ---; fdisk -l /dev/hda
        echo ---; grep hda /proc/partitions
        echo ---; stat -c '%F %t:%T %s' /dev/hda /dev/hda1
        echo ---; fsck -fn /dev/hda1
    """).split("---\n")[1:]
    blkid, lsblk, wipefs, hdparm, blockdev, fdisk, proc, stat, fsck = said
    assert f'UUID="{UUID}"' in blkid
    assert 'PART_ENTRY_OFFSET="2048" PART_ENTRY_SIZE="40960"' in blkid
    assert lsblk.splitlines() == [
        "hda 3:0 67108864 0 disk", "hda1 3:1 20971520 0 part", "hda2 3:2 10485760 0 part",
        "hda3 3:3 1024 0 part", "hda5 3:5 8388608 0 part", "hda6 3:6 24117248 0 part",
    ]  # fmt: skip
    assert "ext4" in wipefs
    assert "geometry      = 8/255/63, sectors = 131072, start = 0" in hdparm
    assert blockdev.split() == ["67108864", "512", "512", "0", "0"]
    assert len(re.findall("^/dev/hda[12356] ", fdisk, re.MULTILINE)) == 5
    assert [line.split() for line in proc.splitlines()] == [
        ["3", "0", "65536", "hda"], ["3", "1", "20480", "hda1"], ["3", "2", "10240", "hda2"],
        ["3", "3", "1", "hda3"], ["3", "5", "8192", "hda5"], ["3", "6", "23552", "hda6"],
    ]  # fmt: skip
    assert stat.splitlines() == ["block special file 3:0 0", "block special file 3:1 0"]
    assert "Pass 5" in fsck


# -- what C answers itself ----------------------------------------------------------------------
MOVES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "guests", "disk_moves.py")


@pytest.mark.limit(60)
@pytest.mark.needs("sfdisk", "cmp")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", DISKS)
def test_a_disk_stays_what_a_bytearray_is(view, outside, tmp_path, kind, seed):
    """Read and written in turn by C and by Python, through two open files and a mapping."""
    (tmp_path / "image").write_bytes(random.Random(seed).randbytes(2 << 20) + bytes(1 << 20))
    outside("echo start=64,size=5000 | sfdisk -q image")
    disk = "/dev/hda1" if kind.startswith("partition") else "/dev/hda"
    said = view(f"""
        {DISKS[kind]} || exit
        {sys.executable} {MOVES} {disk} {seed} 300 model && cmp model {disk} && umount /dev/hda
    """)
    assert said == "alike\n"
    if kind == "raw":
        outside("cmp image model")
    elif kind == "partition":
        outside("tail -c +32769 image | head -c 2560000 | cmp - model")
    elif kind == "cow":
        outside("vu_moo my.cow merged && cmp merged model")


@pytest.mark.needs("qemu-img")
@pytest.mark.parametrize("options", ["", "-c", "-o cluster_size=512"])
def test_qcow2_images_are_read_as_they_are_also_below_a_cow_file(view, outside, tmp_path, options):
    chance = random.Random(3)
    pieces = [chance.randbytes(70_000), bytes(300_000), b"x" * 200_000, chance.randbytes(512 * 999)]
    (tmp_path / "raw").write_bytes(b"".join(pieces)[: -1000 & ~511])
    outside(f"qemu-img convert -f raw -O qcow2 {options} raw base.qcow2 && "
            "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 && "
            "qemu-img convert -f qcow2 -O raw top.qcow2 want")  # fmt: skip
    said = view(f"""
        mount -t vudevqcow2 base.qcow2 /dev/vda && {sys.executable} {MOVES} read /dev/vda want &&
        mount -t vudevqcow2 top.qcow2 /dev/vdb && {sys.executable} {MOVES} read /dev/vdb want &&
        mount -t vudevubd -o cow=my.cow /dev/vdb /dev/ub &&
        {sys.executable} {MOVES} read /dev/ub want && {sys.executable} {MOVES} /dev/ub 1 100 model
    """)
    assert said == "alike\n" * 4


def test_what_a_disk_says_of_itself_changes_when_it_does(view, tmp_path):
    """Flags, attributes and answers to ioctl(2) that C gives, and what changes them."""
    make(tmp_path / "image", 1 << 20)
    script = """
import fcntl, os, struct
one, two = (os.open("/dev/hda", os.O_RDWR | n) for n in (0, os.O_NONBLOCK))
get = lambda fd, request, size=8: fcntl.ioctl(fd, request, bytes(size)).hex()
print(get(one, 0x80081272), get(one, 0x1260), get(two, 0x1268, 4), get(two, 0x80081270))
print(get(two, 0x125e, 4), get(two, 0x1263))
fcntl.ioctl(one, 0x125d, struct.pack("=i", 1)); fcntl.ioctl(one, 0x1262, 64)
fcntl.ioctl(one, 0x40081271, struct.pack("=i", 1024))
print(get(two, 0x125e, 4), get(two, 0x1263), get(two, 0x80081270))
try: os.pwrite(two, b"x", 0)
except OSError as e: print(e.errno)
fcntl.ioctl(two, 0x125d, struct.pack("=i", 0))
print(get(one, 0x125e, 4), os.pwrite(one, b"x", 0))
print(*(oct(fcntl.fcntl(fd, fcntl.F_GETFL)) for fd in (one, two)))
fcntl.ioctl(one, 0x5421, struct.pack("=i", 1))
print(oct(fcntl.fcntl(one, fcntl.F_GETFL)))
look = lambda: [(oct(st.st_mode), st.st_uid == os.getuid(), st.st_rdev, st.st_size, st.st_mtime_ns)
                for st in (os.fstat(one), os.stat("/dev/hda"), os.stat(f"/proc/self/fd/{one}"))]
assert len(set(look())) == 1, look()
print(look()[0][:4])
os.chmod("/dev/hda", 0o600); assert len(set(look())) == 1; print(look()[0][0])
os.fchmod(two, 0o640); assert len(set(look())) == 1; print(look()[0][0])
os.utime("/dev/hda", ns=(5, 6_000_000_007)); assert len(set(look())) == 1; print(look()[0][4])
os.utime(two, ns=(5, 8_000_000_009)); assert len(set(look())) == 1; print(look()[0][4])
for request in (0x5331, 0x5395, 0x80280215, 0x1234):
    try: get(one, request)
    except OSError as e: print(e.errno)
libc = __import__("ctypes").CDLL(None)
print(*(libc.posix_fadvise(one, 0, length, advice) for length, advice in ((0, 1), (0, 6), (-1, 0))))
path = os.open("/dev/hda", os.O_PATH)
print(oct(fcntl.fcntl(path, fcntl.F_GETFL)))
for call in (lambda: get(path, 0x80081272), lambda: os.fsync(path)):
    try: call()
    except OSError as e: print(e.errno)
"""
    (tmp_path / "asks.py").write_text(script)
    said = view(f"mount -t vudevubd image /dev/hda && {sys.executable} asks.py")
    size, sectors = (n.to_bytes(8, "little").hex() for n in (1 << 20, 2048))
    assert said.splitlines() == [
        f"{size} {sectors} 00020000 0010000000000000",
        f"00000000 {(256).to_bytes(8, 'little').hex()}",
        f"01000000 {(64).to_bytes(8, 'little').hex()} 0004000000000000",
        "1",
        "00000000 1",
        "0o100002 0o104002",
        "0o104002",
        "('0o60660', True, 768, 0)",
        *("0o60600", "0o60640", "6000000007", "8000000009"),
        *("25", "25", "25", "25", "0 22 22"),
        *("0o10000000", "9", "9"),
    ]


# -- other formats, other places ---------------------------------------------------------------
@pytest.mark.needs("qemu-img", "cmp", "e2fsck")
def test_a_qcow2_image_and_its_overlay_hold_what_qemu_says(view, outside, root_fs):
    outside("""
        qemu-img convert -c -f raw -O qcow2 root_fs base.qcow2 &&
        qemu-img create -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 &&
        qemu-img convert -f qcow2 -O raw top.qcow2 expected
    """)
    said = view("""
        mount -t vudevqcow2 -o ro top.qcow2 /dev/vda && cmp /dev/vda expected &&
        e2fsck -fn /dev/vda && { ! dd if=/dev/zero of=/dev/vda count=1; } && umount /dev/vda
    """)
    assert "Read-only file system" in said


@pytest.mark.needs("nbdkit", "e2fsck", "mke2fs", "cmp")
@pytest.mark.parametrize("where", ["outside", "inside"])
def test_a_disk_of_an_nbd_server_outside_the_view_and_in_it(worlds, tmp_path, where):
    make(tmp_path / "served", 16 << 20)
    serve = "nbdkit -U $PWD/sock -P pid file served"
    use = f"""
        mount -t vudevnbd unix:$PWD/sock /dev/nbd0 && {MKE2FS} /dev/nbd0 && sync &&
        e2fsck -fn /dev/nbd0 && umount /dev/nbd0; status=$?
    """
    stop = "kill $(cat pid); exit $status"
    start = f"vu_insmod vudev; {use}"
    text = f"{serve}; {start} {stop}"
    if where == "outside":
        text = (
            f"{serve}; pyview -N -- sh -c {shlex.quote(start + 'exit $status')}; status=$?; {stop}"
        )
    world = worlds["view" if where == "inside" else "native"]
    done = world.run(text, cwd=tmp_path, env=SAME)
    assert "Pass 5" in done.stdout
    make(tmp_path / "plain", 16 << 20)
    worlds["native"].run(f"{MKE2FS} plain && cmp plain served", cwd=tmp_path, env=SAME)


@pytest.mark.needs("qemu-nbd", "e2fsck", "mke2fs", "cmp", "qemu-img")
def test_qemu_nbd_keeps_in_qcow2_what_a_view_writes(worlds, tmp_path):
    use = f"""
        vu_insmod vudev; mount -t vudevnbd unix:$PWD/sock /dev/nbd0 && {MKE2FS} /dev/nbd0 &&
        e2fsck -fn /dev/nbd0 && umount /dev/nbd0
    """
    worlds["native"].run(
        f"""
        qemu-img create -f qcow2 disk.qcow2 16M &&
        qemu-nbd -k $PWD/sock -f qcow2 --fork --pid-file=pid disk.qcow2 &&
        pyview -N -- sh -c {shlex.quote(use)}; status=$?
        while test -s pid && kill $(cat pid) 2>/dev/null; do :; done
        truncate -s 16M plain && {MKE2FS} plain && qemu-img compare disk.qcow2 plain && exit $status
        """,
        cwd=tmp_path,
        env=SAME,
    )


@pytest.mark.needs(*E2FS, "sfdisk", "cmp")
def test_partitions_of_a_cow_disk_of_an_image_in_another_mount(worlds, outside, tmp_path):
    (tmp_path / "table").write_text(TABLE)
    make(tmp_path / "image", 64 << 20)
    worlds["emulated"].run(
        f"""
        exec 2>&1; vu_insmod vudev && mount -t vudevubd -o cow=my.cow image /dev/ubda &&
        mount -t vudevmbr /dev/ubda /dev/hda && sfdisk -q /dev/hda <table && {MKE2FS} /dev/hda1 &&
        e2fsck -fn /dev/hda1 && ! umount /dev/ubda && umount /dev/hda && umount /dev/ubda
        """,
        cwd=tmp_path,
        env=SAME,
    )
    outside(f"""
        vu_moo -b image my.cow merged && truncate -s 20M plain && {MKE2FS} plain &&
        cmp -n 20971520 -i 1048576:0 merged plain && sfdisk --verify merged
    """)
    assert not any(piece(tmp_path / "image", 0, 2048))


# -- what goes wrong ---------------------------------------------------------------------------
REFUSED = [
    ("vudevmbr nothing /dev/hda", "nothing: No such file or directory"),
    ("vudevmbr empty /dev/hda", "empty: shorter than a sector"),
    ("vudevmbr top /dev/hda", "top: Is a directory"),
    ("vudevmbr -o bogus disk /dev/hda", "unknown option: bogus"),
    ("vudevmbr -o mode=9 disk /dev/hda", "mode=9: Invalid argument"),
    ("vudevmbr -o char,block disk /dev/hda", "char,block: Invalid argument"),
    ("vudevmbr disk /dev/hdb", "disk: Device or resource busy"),
    ("vudevmbr root_fs /dev/hda", "root_fs: Permission denied"),
    ("vudevubd nothing /dev/ubda", "nothing: No such file or directory"),
    ("vudevubd -o cow=new.cow nothing /dev/ubda", "nothing: No such file or directory"),
    ("vudevubd -o cow=short root_fs /dev/ubda", "short: not a COW file"),
    ("vudevubd -o cow=other.cow root_fs /dev/ubda", "other.cow: .*root_fs"),
    ("vudevubd -o cow=nowhere/my.cow root_fs /dev/ubda", "nowhere/my.cow: No such file"),
    ("vudevubd -o ro,newbacking,cow=other.cow root_fs /dev/ubda", "ro forbids"),
    ("vudevqcow2 short /dev/vda", "short: not a qcow2 image"),
    ("vudevnbd unix:$PWD/nosock /dev/nbd0", "nosock: No such file or directory"),
    ("vudevramdisk -o size=bogus none /dev/ram0", "size: not a number: bogus"),
]


def test_what_cannot_be_mounted_is_one_line_and_changes_nothing(view, root_fs, tmp_path):
    make(tmp_path / "disk", 1 << 20)
    make(tmp_path / "empty", 0)
    make(tmp_path / "short", 3 << 20)
    (tmp_path / "top").joinpath("x").write_text("")
    files = sorted({path.name for path in tmp_path.iterdir()} | {"other.cow"})
    script = "vu_mkcow other.cow short >/dev/null; mount -t vudevmbr disk /dev/hdb; mount >was;"
    for arguments, _ in REFUSED:
        script += f"echo ---; mount -t {arguments}; echo $?;"
    said = view(script + "echo ---; mount | cmp - was && rm was").split("---\n")
    for (arguments, why), text in zip(REFUSED, said[1:], strict=False):
        assert re.fullmatch(rf"mount: .*{why}.*\n1\n", text), (arguments, text)
    assert said[-1] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_a_disk_that_is_in_use_stays_and_a_read_only_one_stays_as_it_is(view, tmp_path):
    disk = make(tmp_path / "disk", 1 << 20)
    said = view("""
        mount -t vudevmbr disk /dev/hda || exit
        exec 5</dev/hda; umount /dev/hda && exit 3; exec 5<&-
        umount /dev/hda && umount /dev/hda && exit 4
        mount -o ro -t vudevmbr disk /dev/hda && echo x >/dev/hda && exit 5
        mount -t vudevmbr disk /dev/hda && exit 6
        blockdev --getro /dev/hda; umount /dev/hda; ls /dev/hda
    """, status=2)  # fmt: skip
    assert re.search(r"umount: .*(resource busy|target is busy)", said)
    assert re.search(r"umount: /dev/hda: (not mounted|No such file)", said)
    assert "Read-only file system" in said
    assert re.search(r"mount: .*busy", said)
    assert "\n1\n" in said
    assert not any(disk.read_bytes())


MIXED = """
import os, sys
fd = os.open("/dev/hda1", os.O_RDWR)
for i in range(4000):
    os.pread(fd, 512, i % 100 * 512)
    if i % 50 == 0:
        os.stat("/etc/passwd")
"""


def test_who_reads_who_looks_and_who_forks_share_a_core(view, tmp_path):
    """The core sleeps for one of them at a time: in a listener, in waitid, in epoll."""
    image = make(tmp_path / "img", 4 << 20)
    subprocess.run(["/sbin/sfdisk", "-q", image], input="start=2048\n", text=True, check=True)
    (tmp_path / "mixed.py").write_text(MIXED)
    said = view("""mount -t vudevmbr img /dev/hda
    for i in 1 2 3; do python3 mixed.py || echo failed & done
    (i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done) &
    (i=0; while [ $i -lt 3000 ]; do test -e /etc/hosts; i=$((i+1)); done) &
    (i=0; while [ $i -lt 20 ]; do vu_lsmod >/dev/null || echo failed; i=$((i+1)); done) &
    wait; echo done""")
    assert said == "done\n"
