# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own files as a tree: each operation is the system's, also deep below PATH_MAX."""

from __future__ import annotations

import errno
import os
import shutil
import stat

import pytest

from pyview.kernel import PATH_MAX, Kernel

LEVEL = "x" * 200


@pytest.fixture
def kernel():
    made = Kernel()
    yield made
    if made._deep >= 0:
        os.close(made._deep)


@pytest.fixture(params=[0, 19, 45], ids=["near", "at the limit", "deep"])
def place(request, tmp_path, monkeypatch):
    """(name of a directory, descriptor of it): so many levels below the test's own."""
    monkeypatch.chdir(tmp_path)
    fd = os.open(".", os.O_RDONLY)
    for _ in range(request.param):
        os.mkdir(LEVEL, dir_fd=fd)
        below = os.open(LEVEL, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    name = f"{tmp_path}" + f"/{LEVEL}" * request.param
    assert (len(name) > PATH_MAX) == (request.param > 20)
    yield name, fd
    os.close(fd)
    shutil.rmtree(tmp_path / LEVEL, ignore_errors=True)


def errno_of(action, *args):
    with pytest.raises(OSError) as raised:
        action(*args)
    return raised.value.errno


def test_every_operation(kernel, place):
    top, fd = place

    def here(name):
        return os.lstat(name, dir_fd=fd)

    kernel.mkdir(f"{top}/dir", 0o750)
    assert stat.S_IMODE(here("dir").st_mode) == 0o750 & ~umask()
    file = kernel.open(f"{top}/dir/file", os.O_RDWR | os.O_CREAT, 0o600)
    assert file.pwrite(b"0123456789", 0) == 10
    file.close()
    assert kernel.lstat(f"{top}/dir/file") == here("dir/file")
    kernel.symlink("some/where", f"{top}/link")
    assert kernel.readlink(f"{top}/link") == "some/where"
    assert errno_of(kernel.readlink, f"{top}/dir") == errno.EINVAL
    assert sorted(kernel.listdir(top)) == ["dir", "link"]
    assert sorted(kernel.entries(top)) == [
        ("dir", here("dir").st_ino, stat.S_IFDIR), ("link", here("link").st_ino, stat.S_IFLNK),
    ]  # fmt: skip
    kernel.rename(f"{top}/dir/file", f"{top}/file", 0)
    kernel.rename(f"{top}/file", f"{top}/link", 2)  # EXCHANGE
    assert stat.S_ISREG(here("link").st_mode)
    assert errno_of(kernel.rename, f"{top}/link", f"{top}/dir", 1) == errno.EEXIST
    kernel.link(f"{top}/link", f"{top}/dir/second")
    assert here("link").st_nlink == 2
    kernel.link(f"{top}/file", f"{top}/dir/third")  # a link to the link itself
    assert os.readlink("dir/third", dir_fd=fd) == "some/where"
    kernel.truncate(f"{top}/link", 3)
    assert here("link").st_size == 3
    kernel.chmod(f"{top}/link", 0o640)
    assert stat.S_IMODE(here("link").st_mode) == 0o640
    assert errno_of(kernel.chmod, f"{top}/file", 0o600) == errno.EOPNOTSUPP
    kernel.chown(f"{top}/link", -1, os.getgid())
    kernel.utime(f"{top}/file", 5 * 10**9, 7 * 10**9 + 1)
    assert (here("file").st_atime_ns, here("file").st_mtime_ns) == (5 * 10**9, 7 * 10**9 + 1)
    kernel.utime(f"{top}/file", None, 9)
    kernel.utime(f"{top}/file", 8, None)
    assert (here("file").st_atime_ns, here("file").st_mtime_ns) == (8, 9)
    kernel.mknod(f"{top}/pipe", stat.S_IFIFO | 0o600, 0)
    assert stat.S_ISFIFO(here("pipe").st_mode)
    assert ("pipe", here("pipe").st_ino, stat.S_IFIFO) in kernel.entries(top)
    assert kernel.statvfs(top).f_namemax == os.fstatvfs(fd).f_namemax
    kernel.access(f"{top}/link", os.R_OK | os.W_OK, os.getuid(), frozenset())
    assert errno_of(kernel.access, f"{top}/none", 0, 0, frozenset()) == errno.ENOENT
    for name in ("link", "file", "pipe", "dir/second", "dir/third"):
        kernel.unlink(f"{top}/{name}")
    assert errno_of(kernel.unlink, f"{top}/dir") in (errno.EISDIR, errno.EPERM)
    kernel.rmdir(f"{top}/dir")
    assert kernel.listdir(top) == []


def umask():
    value = os.umask(0)
    os.umask(value)
    return value


def test_extended_attributes(kernel, place):
    top, fd = place
    os.close(os.open("file", os.O_CREAT, 0o600, dir_fd=fd))
    name = f"{top}/file"
    try:
        kernel.setxattr(name, "user.x", b"value", 0)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP  # noqa: PT017 - not on every file system
        pytest.skip("this file system has no user attributes")
    assert kernel.getxattr(name, "user.x") == b"value"
    assert kernel.listxattr(name) == ["user.x"]
    assert errno_of(kernel.setxattr, name, "user.x", b"", os.XATTR_CREATE) == errno.EEXIST
    kernel.removexattr(name, "user.x")
    assert errno_of(kernel.getxattr, name, "user.x") == errno.ENODATA


def test_a_real_name_is_itself(kernel):
    assert kernel.real("/x") == kernel.socket("/x") == "/x"
    assert kernel.real("/") == "/"


def test_one_directory_deep_down_stays_open(kernel, place):
    top, _ = place
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        kernel.lstat(top)
        errno_of(kernel.link, f"{top}/none", f"{top}/new")
    assert len(os.listdir("/proc/self/fd")) - before <= 1


def test_a_name_too_long_in_itself_is_ENAMETOOLONG(kernel, place):
    top, _ = place
    assert errno_of(kernel.lstat, f"{top}/{'y' * 256}") == errno.ENAMETOOLONG
    assert errno_of(kernel.lstat, f"{top}/none/{'x/' * 3000}") in (
        errno.ENOENT,
        errno.ENAMETOOLONG,
    )


# -- open files ----------------------------------------------------------------------------------


@pytest.fixture
def file(kernel, tmp_path):
    made = kernel.open(f"{tmp_path}/file", os.O_RDWR | os.O_CREAT, 0o600)
    made.pwrite(b"0123456789", 0)
    yield made
    made.close()


def test_an_open_file_is_the_kernels(file, tmp_path):
    assert not os.get_inheritable(file.fd)
    assert file.stat() == os.stat(tmp_path / "file")
    assert file.size() == 10
    assert file.pread(3, 8) == b"89"
    file.truncate(5)
    file.fallocate(0, 0, 8)
    assert file.size() == 8
    file.fallocate(3, 0, 2)  # PUNCH_HOLE | KEEP_SIZE
    assert file.pread(8, 0) == b"\0\x00234\0\0\0"
    assert errno_of(file.fallocate, 3, 0, 0) == errno.EINVAL
    assert file.seek(0, os.SEEK_DATA) >= 0
    assert errno_of(file.seek, 100, os.SEEK_DATA) == errno.ENXIO
    assert file.linear() == (file.fd, 0, -1, True, None, True)
    file.fsync()


def test_its_attributes_change_without_its_name(file, tmp_path):
    os.rename(tmp_path / "file", tmp_path / "other")
    file.chmod(0o640)
    file.chown(-1, -1)
    file.utime(5, None)
    file.utime(None, 7)
    st = os.stat(tmp_path / "other")
    assert (stat.S_IMODE(st.st_mode), st.st_atime_ns, st.st_mtime_ns) == (0o640, 5, 7)


def test_it_is_locked_against_other_open_files(kernel, file, tmp_path):
    other = kernel.open(f"{tmp_path}/file", os.O_RDWR)
    try:
        file.lock(False)
        other.lock(False)
        assert errno_of(other.lock, True) in (errno.EAGAIN, errno.EACCES)
        file.close()
        other.lock(True)
    finally:
        other.close()
        file.fd = os.open("/dev/null", os.O_RDONLY)  # for the fixture


def test_an_ioctl_is_the_files(file):
    fionread = 0x541B
    assert int.from_bytes(file.ioctl(fionread, bytes(4)), "little") == 10
    assert errno_of(file.ioctl, 0x5401, bytes(60)) == errno.ENOTTY  # TCGETS
