// SPDX-License-Identifier: GPL-2.0-or-later
/* linear.c - emulated descriptors whose bytes are those of a descriptor of the core, one after the
 * other: read, write, pread, pwrite and lseek need no Python.
 *
 * Python makes an entry and sets its fields (pyview/linear.py); the offset is kept here.  Bytes
 * that lie here and there are found by extents.c; calls that only ask are answered by known.c. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUCKETS 256u
#define CHUNK (256u * 1024)          /* bytes at a time: they stay in the cache */
#define MOST 0x7ffff000u             /* MAX_RW_COUNT */
#define PAGE 4096
#define SECTOR 512u
#define USER_END 0x7ffffffff000u     /* TASK_SIZE_MAX */

static struct pv_linear *bucket[BUCKETS];

static struct pv_linear **slot(uint64_t object)
{
	struct pv_linear **at = &bucket[object % BUCKETS];

	while (*at && (*at)->object != object)
		at = &(*at)->next;
	return at;
}

/* An entry for an open file, at first without rights; NULL without memory. */
struct pv_linear *pv_linear_new(uint64_t object)
{
	struct pv_linear **at = slot(object);

	if (!*at && (*at = calloc(1, sizeof **at))) {
		(*at)->object = object;
		(*at)->flags = -1;
	}
	return *at;
}

/* The entry for an open file, NULL when it has none. */
struct pv_linear *pv_linear_of(uint64_t object)
{
	return *slot(object);
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

void pv_linear_free(uint64_t object)
{
	struct pv_linear **at = slot(object), *entry = *at;

	if (entry) {
		*at = entry->next;
		unmap(entry);
		pv_known_drop(entry);
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

/* May the task write a file so far?  RLIMIT_FSIZE. */
static int within_limit(int tid, uint64_t at, uint64_t wanted)
{
	struct rlimit limit;

	return !wanted || prlimit(tid, RLIMIT_FSIZE, NULL, &limit) < 0 ||
	       at + wanted <= limit.rlim_cur;
}

/* The bytes of the call, wherever they are: how many, or -errno; PV_UNKNOWN: Python can tell. */
static int64_t found(struct pv_linear *l, const struct pv_stop *s, uint64_t at, uint64_t left,
                     int writes)
{
	uint64_t addr = s->args[1];

	if (l->extents)
		return (writes ? pv_extents_write : pv_extents_read)(l->extents, s->tid, addr,
		                                                     l->start + (int64_t)at, left);
	if (l->fd < 0)
		return left ? pv_poke(s->tid, addr, l->text + at, left) : 0;
	int64_t done = writes ? 0 : copied(l, s->tid, addr, at, left);
	return done ? done : move(l, s->tid, addr, at, left, writes);
}

/* PV_ANSWERED, or PV_TO_PYTHON. */
static int moved(struct pv_linear *l, struct pv_stop *s, int positioned, int writes,
                 int64_t *value)
{
	uint64_t at = positioned ? s->args[3] : (uint64_t)l->offset;
	int64_t done = found(l, s, at, room(l, at, s->args[2]), writes);

	if (!positioned && done > 0)
		l->offset += done;
	*value = done;
	return done == PV_UNKNOWN ? PV_TO_PYTHON : PV_ANSWERED;
}

/* The position of a direct descriptor. */
static int64_t position(struct pv_task *t, int fd)
{
	int mine = pv_getfd(t, fd);

	if (mine < 0)
		return mine;
	int64_t at = lseek(mine, 0, SEEK_CUR);
	close(mine);
	return at;
}

/* fallocate(2) of what is to read as zeroes, as block devices have it: whole sectors.  What the file's
 * own file system can't do Python does in another way. */
static int cleared(const struct pv_linear *l, const struct pv_stop *s, int64_t *value)
{
	int mode = (int)s->args[1] | FALLOC_FL_KEEP_SIZE;
	uint64_t at = s->args[2], length = s->args[3];
	int known = s->args[1] == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
	            mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);

	if (!known || !(l->how & PV_WRITES) || l->extents || l->fd < 0 || l->size == PV_ENDLESS ||
	    !length || (at | length) % SECTOR || room(l, at, length) < length)
		return PV_TO_PYTHON;
	*value = 0;
	return fallocate(l->fd, mode, l->start + (int64_t)at, (int64_t)length) < 0 ? PV_TO_PYTHON
	                                                                           : PV_ANSWERED;
}

/* A call on a direct descriptor: the kernel does what stays within the file. */
static int direct_call(struct pv_task *t, struct pv_stop *s, const struct pv_linear *l,
                       int64_t *value)
{
	int64_t at;

	switch (s->nr) {
	case SYS_read:
	case SYS_pread64:
		return PV_LET_RUN;
	case SYS_lseek:
		return (int)s->args[2] <= SEEK_END ? PV_LET_RUN : PV_TO_PYTHON;
	case SYS_write:
	case SYS_pwrite64:
		at = s->nr == SYS_pwrite64 ? (int64_t)s->args[3] : position(t, s->object_fd);
		if (!(l->how & PV_WRITES) || at < 0 || room(l, (uint64_t)at, s->args[2]) < s->args[2])
			return PV_TO_PYTHON;
		/* To the kernel it is a file, which the limit is for; a device has none. */
		return within_limit(s->tid, (uint64_t)at, s->args[2]) ? PV_LET_RUN : PV_TO_PYTHON;
	case SYS_fallocate:
		return cleared(l, s, value);
	}
	return PV_TO_PYTHON;
}

/* A call on an emulated descriptor: PV_TO_PYTHON when it is not for C. */
int pv_linear_call(struct pv_task *t, struct pv_stop *s, int64_t *value)
{
	struct pv_linear *l = *slot(s->object);
	int positioned = s->nr == SYS_pread64 || s->nr == SYS_pwrite64;
	uint64_t at;

	if (!l)
		return PV_TO_PYTHON;
	if (pv_known_call(l, s, value))
		return PV_ANSWERED;
	if (s->nr != SYS_lseek && (s->args[2] > USER_END || s->args[1] > USER_END - s->args[2] ||
	                           (positioned && (int64_t)s->args[3] < 0)))
		return PV_TO_PYTHON;     /* EFAULT, EINVAL */
	if (l->native)
		return direct_call(t, s, l, value);
	switch (s->nr) {
	case SYS_read:
	case SYS_pread64:
		if (!(l->how & PV_READS))
			return PV_TO_PYTHON;
		return moved(l, s, positioned, 0, value);
	case SYS_write:
	case SYS_pwrite64:
		at = positioned ? s->args[3] : (uint64_t)l->offset;
		if (!(l->how & PV_WRITES) || room(l, at, s->args[2]) < s->args[2] ||
		    (l->size == PV_ENDLESS && !within_limit(s->tid, at, s->args[2])))
			return PV_TO_PYTHON;     /* ENOSPC, EFBIG, or a short count */
		return moved(l, s, positioned, 1, value);
	case SYS_fallocate:
		return cleared(l, s, value);
	case SYS_lseek:
		if ((int)s->args[2] != SEEK_SET && (int)s->args[2] != SEEK_CUR)
			return PV_TO_PYTHON;
		if (!l->how || __builtin_add_overflow((int64_t)s->args[1],
		                  (int)s->args[2] == SEEK_CUR ? l->offset : 0, value) || *value < 0)
			return PV_TO_PYTHON;
		l->offset = *value;
		return PV_ANSWERED;
	}
	return PV_TO_PYTHON;
}
