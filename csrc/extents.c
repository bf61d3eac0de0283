// SPDX-License-Identifier: GPL-2.0-or-later
/* extents.c - files whose bytes lie here and there in descriptors of the core, or are zeroes.
 *
 * Python asks the file where some of them are and adds that (pyview/extents.py); the file says when
 * some of it is no longer so.  What is not known here is for Python to answer, and a whole call
 * is when only some of its bytes are. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 65536u                  /* extents of a file: then it is asked again */
#define FILES 16                     /* descriptors of a file that are mapped */
#define PIECES 32                    /* of a read, given to the task at once */
#define CHUNK (256u * 1024)          /* bytes at a time: they stay in the cache */

struct extent {
	int64_t at, length;          /* bytes of the file */
	int64_t start;               /* and where they are in `fd` */
	int fd;                      /* PV_ZEROES: nowhere */
	int writes;                  /* they may be written there, too */
};
struct mapped { int fd; char *map; int64_t size; };

struct pv_extents {
	size_t count, room;
	struct extent *all;          /* by `at`, apart from each other */
	struct mapped files[FILES];
	int nfiles;
};

static const char zeroes[65536];
static char buffer[CHUNK];

struct pv_extents *pv_extents_new(void)
{
	return calloc(1, sizeof(struct pv_extents));
}

void pv_extents_free(struct pv_extents *x)
{
	for (int i = 0; i < x->nfiles; i++)
		if (x->files[i].map)
			munmap(x->files[i].map, (size_t)x->files[i].size);
	free(x->all);
	free(x);
}

/* The first extent that ends after `at`. */
static size_t after(const struct pv_extents *x, int64_t at)
{
	size_t low = 0, high = x->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (x->all[middle].at + x->all[middle].length <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Room for one more at `i`; 0 without memory. */
static int opened(struct pv_extents *x, size_t i)
{
	if (x->count == x->room) {
		size_t room = x->room ? 2 * x->room : 64;
		struct extent *all = realloc(x->all, room * sizeof *all);
		if (!all)
			return 0;
		x->all = all;
		x->room = room;
	}
	memmove(&x->all[i + 1], &x->all[i], (x->count - i) * sizeof *x->all);
	x->count++;
	return 1;
}

static void cut_front(struct extent *e, int64_t bytes)
{
	e->at += bytes;
	e->length -= bytes;
	e->start += bytes;
}

/* These bytes may be elsewhere now. */
void pv_extents_forget(struct pv_extents *x, int64_t at, int64_t length)
{
	size_t first = after(x, at), last;
	int64_t end = length > INT64_MAX - at ? INT64_MAX : at + length;
	struct extent *e = &x->all[first];

	if (first < x->count && e->at < at && e->at + e->length > end) {
		if (!opened(x, first)) {
			x->count = 0;    /* nothing is known rather than something wrong */
			return;
		}
		e = &x->all[first];
		e[0].length = at - e[0].at;
		cut_front(&e[1], end - e[1].at);
		return;
	}
	if (first < x->count && e->at < at) {
		e->length = at - e->at;
		first++;
	}
	for (last = first; last < x->count && x->all[last].at + x->all[last].length <= end; last++)
		;
	if (last < x->count && x->all[last].at < end)
		cut_front(&x->all[last], end - x->all[last].at);
	memmove(&x->all[first], &x->all[last], (x->count - last) * sizeof *x->all);
	x->count -= last - first;
}

static int joins(const struct extent *a, const struct extent *b)
{
	return a->at + a->length == b->at && a->fd == b->fd && a->writes == b->writes &&
	       (a->fd < 0 || a->start + a->length == b->start);
}

/* `length` bytes of the file from `at` on are those of `fd` from `start` on; 0, or -ENOMEM. */
int pv_extents_add(struct pv_extents *x, int64_t at, int64_t length, int fd, int64_t start,
                   int writes)
{
	struct extent new = { at, length, fd < 0 ? 0 : start, fd, writes };

	if (x->count >= MOST)
		x->count = 0;
	pv_extents_forget(x, at, length);
	size_t i = after(x, at);
	if (i && joins(&x->all[i - 1], &new)) {
		x->all[i - 1].length += length;
		if (i < x->count && joins(&x->all[i - 1], &x->all[i])) {
			x->all[i - 1].length += x->all[i].length;
			memmove(&x->all[i], &x->all[i + 1], (x->count - i - 1) * sizeof *x->all);
			x->count--;
		}
		return 0;
	}
	if (!opened(x, i))
		return -ENOMEM;
	x->all[i] = new;
	return 0;
}

/* The extent with the byte at `at`, how many of its bytes there are from there, and where. */
static const struct extent *extent_at(const struct pv_extents *x, int64_t at, uint64_t wanted,
                                      uint64_t *length, int64_t *where)
{
	size_t i = after(x, at);
	const struct extent *e = &x->all[i];

	if (i == x->count || e->at > at)
		return NULL;
	uint64_t left = (uint64_t)(e->at + e->length - at);
	*length = left < wanted ? left : wanted;
	*where = e->start + (at - e->at);
	return e;
}

static int map(struct mapped *m)
{
	struct stat st;

	if (m->map)
		munmap(m->map, (size_t)m->size);
	m->map = NULL;
	m->size = fstat(m->fd, &st) == 0 ? st.st_size : 0;
	if (m->size)
		m->map = mmap(NULL, (size_t)m->size, PROT_READ, MAP_SHARED, m->fd, 0);
	if (m->map == MAP_FAILED)
		m->map = NULL;
	return m->map != NULL;
}

/* Where bytes of a descriptor are mapped, so that they are copied once; NULL: they are not.  Nobody
 * but the kernel looks there: where the file has been cut meanwhile it says EFAULT. */
static char *mapped(struct pv_extents *x, int fd, int64_t start, uint64_t length)
{
	struct mapped *m = x->files;

	while (m < x->files + x->nfiles && m->fd != fd)
		m++;
	if (m == x->files + FILES)
		return NULL;
	if (m == x->files + x->nfiles) {
		x->nfiles++;
		m->fd = fd;
		m->map = NULL;
		map(m);
	}
	if (start + (int64_t)length > m->size && !(map(m) && start + (int64_t)length <= m->size))
		return NULL;
	return m->map ? m->map + start : NULL;
}

static int give(int tid, uint64_t addr, const struct iovec *mine, unsigned long n, uint64_t length)
{
	struct iovec theirs = { (void *)(uintptr_t)addr, length };

	return !n || process_vm_writev(tid, mine, n, &theirs, 1, 0) == (ssize_t)length;
}

/* Bytes of a file that can't be mapped. */
static int copied(int tid, uint64_t addr, int fd, int64_t start, uint64_t length)
{
	while (length) {
		size_t n = length < CHUNK ? length : CHUNK;
		if (pread(fd, buffer, n, start) != (ssize_t)n ||
		    pv_poke(tid, addr, buffer, n) != (ssize_t)n)
			return 0;
		addr += n;
		start += (int64_t)n;
		length -= n;
	}
	return 1;
}

/* Give the task `left` bytes from `at` on; how many, PV_UNKNOWN: Python must be asked for them all,
 * which also knows what is wrong with the file, or with the task's memory. */
int64_t pv_extents_read(struct pv_extents *x, int tid, uint64_t addr, int64_t at, uint64_t left)
{
	struct iovec mine[PIECES];
	uint64_t done = 0, ready = 0, length;     /* `ready`: those in `mine`, behind those `done` */
	unsigned long n = 0;
	int64_t where;

	while (done + ready < left) {
		uint64_t so_far = done + ready;
		const struct extent *e = extent_at(x, at + (int64_t)so_far, left - so_far, &length,
		                                   &where);
		if (!e)
			return PV_UNKNOWN;
		if (e->fd < 0 && length > sizeof zeroes)
			length = sizeof zeroes;
		char *bytes = e->fd < 0 ? (char *)(uintptr_t)zeroes : mapped(x, e->fd, where, length);
		if (bytes) {
			mine[n++] = (struct iovec){ bytes, length };
			ready += length;
		}
		if (n == PIECES || !bytes || done + ready == left) {
			if (!give(tid, addr + done, mine, n, ready))
				return PV_UNKNOWN;
			done += ready;
			ready = n = 0;
		}
		if (!bytes) {
			if (!copied(tid, addr + done, e->fd, where, length))
				return PV_UNKNOWN;
			done += length;
		}
	}
	return (int64_t)done;
}

/* May all these bytes be written where they are? */
static int may_be_written(const struct pv_extents *x, int64_t at, uint64_t left)
{
	uint64_t length;
	int64_t where;

	for (; left; left -= length, at += (int64_t)length) {
		const struct extent *e = extent_at(x, at, left, &length, &where);
		if (!e || e->fd < 0 || !e->writes)
			return 0;
	}
	return 1;
}

/* Take `left` bytes of the task for those from `at` on; how many, -errno when none; PV_UNKNOWN:
 * nothing was written, Python must be asked. */
int64_t pv_extents_write(struct pv_extents *x, int tid, uint64_t addr, int64_t at, uint64_t left)
{
	int64_t done = 0, where = 0;
	uint64_t length = 0;

	if (!may_be_written(x, at, left))
		return PV_UNKNOWN;
	while (left) {
		const struct extent *e = extent_at(x, at + done, left < CHUNK ? left : CHUNK, &length,
		                                   &where);
		ssize_t got = pv_peek(tid, addr + (uint64_t)done, buffer, length);
		if (got <= 0)
			return done ? done : got;
		ssize_t put = pwrite(e->fd, buffer, (size_t)got, where);
		if (put < 0)
			return done ? done : -errno;
		done += put;
		left -= (uint64_t)put;
		if ((uint64_t)put < length)
			break;
	}
	return done;
}
