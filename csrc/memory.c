// SPDX-License-Identifier: GPL-2.0-or-later
/* memory.c - bytes from and to a task, as the kernel's copy_from_user and copy_to_user would. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096u
#define FIRST 256u          /* most names are shorter */

static size_t to_page_end(uint64_t addr, size_t len)
{
	size_t room = PAGE - (size_t)(addr % PAGE);

	return len < room ? len : room;
}

typedef ssize_t (*vm_copy)(pid_t, const struct iovec *, unsigned long, const struct iovec *,
                           unsigned long, unsigned long);

static ssize_t piece(vm_copy how, int tid, uint64_t addr, char *buf, size_t len)
{
	struct iovec mine = { buf, len }, theirs = { (void *)(uintptr_t)addr, len };
	ssize_t r = how(tid, &mine, 1, &theirs, 1, 0);

	return r < 0 ? -errno : r;
}

/* Copy all at once; where that stops, page by page: one bad page must not hide the good ones
 * before it. */
static ssize_t copy(vm_copy how, int tid, uint64_t addr, char *buf, size_t len)
{
	ssize_t r = piece(how, tid, addr, buf, len);
	size_t done = r > 0 ? (size_t)r : 0;

	while (done < len && r != -ESRCH) {
		size_t n = to_page_end(addr + done, len - done);
		r = piece(how, tid, addr + done, buf + done, n);
		if (r < 0)
			break;
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return done || r >= 0 ? (ssize_t)done : r;
}

/* How many of `len` bytes could be read; -EFAULT when none. */
ssize_t pv_peek(int tid, uint64_t addr, void *buf, size_t len)
{
	return copy(process_vm_readv, tid, addr, buf, len);
}

/* How many of `len` bytes could be written, page protection respected; -EFAULT when none. */
ssize_t pv_poke(int tid, uint64_t addr, const void *buf, size_t len)
{
	return copy(process_vm_writev, tid, addr, (char *)(uintptr_t)buf, len);
}

/* Write whatever the protection says: only for code and for what the kernel itself put there. */
ssize_t pv_patch(int tid, uint64_t addr, const void *buf, size_t len)
{
	char name[64];
	ssize_t n;
	int fd;

	snprintf(name, sizeof name, "/proc/%d/mem", tid);
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pwrite(fd, buf, len, (off_t)addr);
	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

/* Read a name as getname() does: its length without the NUL, -EFAULT or -ENAMETOOLONG. */
ssize_t pv_path(int tid, uint64_t addr, char *buf)
{
	size_t done = 0;

	while (done < PV_PATH_MAX) {
		size_t want = done ? PV_PATH_MAX - done : FIRST;
		size_t n = to_page_end(addr + done, want);
		struct iovec mine = { buf + done, n }, theirs = { (void *)(uintptr_t)(addr + done), n };
		ssize_t r = process_vm_readv(tid, &mine, 1, &theirs, 1, 0);
		if (r <= 0)
			return r < 0 ? -errno : -EFAULT;
		char *end = memchr(buf + done, 0, (size_t)r);
		if (end)
			return end - buf;
		done += (size_t)r;
	}
	return -ENAMETOOLONG;
}

/* A directory's entries as the kernel gives them: libc has its own idea of reading directories. */
ssize_t pv_getdents(int fd, void *buf, size_t size)
{
	long n = syscall(SYS_getdents64, fd, buf, size);

	return n < 0 ? -errno : n;
}
