// SPDX-License-Identifier: GPL-2.0-or-later
/* linear.c - emulated descriptors whose bytes are those of a descriptor of the core, one after the
 * other: read, write, pread, pwrite and lseek need no Python.
 *
 * Python makes an entry and sets its fields (pyview/descriptors.py); the offset is kept here. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUCKETS 256u
#define CHUNK (256u * 1024)          /* bytes at a time: they stay in the cache */
#define MOST 0x7ffff000u             /* MAX_RW_COUNT */
#define PAGE 4096
#define USER_END 0x7ffffffff000u     /* TASK_SIZE_MAX */

static struct pv_linear *bucket[BUCKETS];

static struct pv_linear **slot(uint64_t inode)
{
	struct pv_linear **at = &bucket[inode % BUCKETS];

	while (*at && (*at)->inode != inode)
		at = &(*at)->next;
	return at;
}

/* An entry for the open file behind a socket, at first without rights; NULL without memory. */
struct pv_linear *pv_linear_new(uint64_t inode)
{
	struct pv_linear **at = slot(inode);

	if (!*at && (*at = calloc(1, sizeof **at)))
		(*at)->inode = inode;
	return *at;
}

static void unmap(struct pv_linear *l)
{
	if (l->mapped > 0)
		munmap(l->map, (size_t)(l->map_start % PAGE + l->map_size));
	l->mapped = 0;
}

/* Map the bytes, so that they are copied once, straight to the task.  Where the file has been cut
 * meanwhile process_vm_writev(2) gives EFAULT: nobody but the kernel looks at the map. */
static int map(struct pv_linear *l)
{
	if (l->mapped && (l->map_fd != l->fd || l->map_start != l->start || l->map_size != l->size))
		unmap(l);
	if (!l->mapped) {
		int64_t extra = l->start % PAGE;
		l->map_fd = l->fd;
		l->map_start = l->start;
		l->map_size = l->size;
		l->map = mmap(NULL, (size_t)(extra + l->size), PROT_READ, MAP_SHARED, l->fd,
		              l->start - extra);
		l->mapped = l->map == MAP_FAILED ? -1 : 1;
	}
	return l->mapped > 0;
}

/* Bytes straight to the task; 0: not so. */
static int64_t copied(struct pv_linear *l, int tid, uint64_t addr, uint64_t at, uint64_t left)
{
	if (!left || l->size == PV_ENDLESS || !map(l))
		return 0;
	ssize_t n = pv_poke(tid, addr, l->map + l->start % PAGE + at, left);
	return n > 0 ? n : 0;
}

void pv_linear_free(uint64_t inode)
{
	struct pv_linear **at = slot(inode), *entry = *at;

	if (entry) {
		*at = entry->next;
		unmap(entry);
		free(entry);
	}
}

/* How many bytes from `at` on are the file's. */
static uint64_t room(const struct pv_linear *l, uint64_t at, uint64_t wanted)
{
	if (wanted > MOST)
		wanted = MOST;
	if (l->size == PV_ENDLESS)
		return wanted;
	uint64_t size = (uint64_t)l->size;
	return at >= size ? 0 : wanted < size - at ? wanted : size - at;
}

/* Move bytes between the file and the task; how many, or -errno when none. */
static int64_t move(const struct pv_linear *l, int tid, uint64_t addr, uint64_t at, uint64_t left,
                    int writes)
{
	static char buffer[CHUNK];
	int64_t done = 0;

	while (left) {
		size_t n = left < CHUNK ? left : CHUNK;
		off_t where = (off_t)((uint64_t)l->start + at + (uint64_t)done);
		ssize_t r = writes ? pv_peek(tid, addr + (uint64_t)done, buffer, n)
		                   : pread(l->fd, buffer, n, where);
		if (r < 0 && !writes)
			r = -errno;
		ssize_t full = r;
		if (r > 0) {
			r = writes ? pwrite(l->fd, buffer, (size_t)r, where)
			           : pv_poke(tid, addr + (uint64_t)done, buffer, (size_t)r);
			if (r < 0 && writes)
				r = -errno;
		}
		if (r < 0)
			return done ? done : r;
		done += r;
		left -= (uint64_t)r;
		if (r < full || (size_t)r < n)
			break;
	}
	return done;
}

/* May the task write so far?  RLIMIT_FSIZE is for files; what has a size of its own is a device. */
static int within_limit(const struct pv_linear *l, int tid, uint64_t at, uint64_t wanted)
{
	struct rlimit limit;

	return l->size != PV_ENDLESS || !wanted || prlimit(tid, RLIMIT_FSIZE, NULL, &limit) < 0 ||
	       at + wanted <= limit.rlim_cur;
}

static int64_t moved(struct pv_linear *l, struct pv_stop *s, int positioned, int writes)
{
	uint64_t at = positioned ? s->args[3] : (uint64_t)l->offset;
	uint64_t left = room(l, at, s->args[2]);
	int64_t done = writes ? 0 : copied(l, s->tid, s->args[1], at, left);

	if (!done)
		done = move(l, s->tid, s->args[1], at, left, writes);

	if (!positioned && done > 0)
		l->offset += done;
	return done;
}

/* Answer a call on an emulated descriptor; 0: it is not for C. */
int pv_linear_call(struct pv_stop *s, int64_t *value)
{
	struct pv_linear *l = *slot(s->object);
	int positioned = s->nr == SYS_pread64 || s->nr == SYS_pwrite64;
	uint64_t at;

	if (!l)
		return 0;
	if (s->nr != SYS_lseek && (s->args[2] > USER_END || s->args[1] > USER_END - s->args[2] ||
	                           (positioned && (int64_t)s->args[3] < 0)))
		return 0;                /* EFAULT, EINVAL */
	switch (s->nr) {
	case SYS_read:
	case SYS_pread64:
		if (!(l->how & PV_READS))
			return 0;
		*value = moved(l, s, positioned, 0);
		return 1;
	case SYS_write:
	case SYS_pwrite64:
		at = positioned ? s->args[3] : (uint64_t)l->offset;
		if (!(l->how & PV_WRITES) || room(l, at, s->args[2]) < s->args[2] ||
		    !within_limit(l, s->tid, at, s->args[2]))
			return 0;        /* ENOSPC, EFBIG, or a short count */
		*value = moved(l, s, positioned, 1);
		return 1;
	case SYS_lseek:
		if ((int)s->args[2] != SEEK_SET && (int)s->args[2] != SEEK_CUR)
			return 0;
		if (!l->how || __builtin_add_overflow((int64_t)s->args[1],
		                  (int)s->args[2] == SEEK_CUR ? l->offset : 0, value) || *value < 0)
			return 0;
		l->offset = *value;
		return 1;
	}
	return 0;
}
