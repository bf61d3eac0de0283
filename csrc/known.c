// SPDX-License-Identifier: GPL-2.0-or-later
/* known.c - what emulated files have said beforehand: flags, attributes, answers to ioctl(2), text.
 *
 * Python tells it when a file is opened, and again after whatever may have changed it
 * (pyview/linear.py).  What was not told is for Python to answer. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECTOR 512
#define ADVICES 6            /* POSIX_FADV_NORMAL to POSIX_FADV_NOREUSE */

/* All the bytes of a file that nobody writes; 0, or -ENOMEM. */
int pv_known_text(struct pv_linear *l, const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, length);
	free(l->text);
	l->text = copy;
	l->fd = -1;
	l->start = 0;
	l->size = (int64_t)length;
	return 0;
}

/* What some requests of ioctl(2) store, and nothing else happens; 0, or -ENOMEM. */
int pv_known_answers(struct pv_linear *l, const void *answers, unsigned count)
{
	struct pv_answer *room = realloc(l->answers, (count ? count : 1) * sizeof *room);

	if (!room)
		return -ENOMEM;
	memcpy(room, answers, count * sizeof *room);
	l->answers = room;
	l->nanswers = count;
	return 0;
}

void pv_known_drop(struct pv_linear *l)
{
	free(l->text);
	free(l->answers);
	pv_texts_of(l, NULL, NULL);
}

static int stored(int tid, uint64_t addr, const void *bytes, size_t length, int64_t *value)
{
	*value = !length || pv_poke(tid, addr, bytes, length) == (ssize_t)length ? 0 : -EFAULT;
	return 1;
}

static int answered(const struct pv_linear *l, const struct pv_stop *s, int64_t *value)
{
	for (unsigned i = 0; i < l->nanswers; i++) {
		const struct pv_answer *a = &l->answers[i];
		if (a->request != (uint32_t)s->args[1])
			continue;
		stored(s->tid, s->args[2], a->bytes, a->length, value);
		if (a->error)
			*value = -a->error;
		return 1;
	}
	return 0;
}

/* fallocate(2) that makes bytes of a device zero: as good as to write them. */
static int zeroed(const struct pv_linear *l, const struct pv_stop *s, int64_t *value)
{
	int64_t at = (int64_t)s->args[2], length = (int64_t)s->args[3], end;
	int mode = (int)s->args[1];

	if (l->fd < 0 || l->size < 0 || !(l->how & PV_WRITES) || at < 0 || length <= 0 ||
	    __builtin_add_overflow(at, length, &end) || end > l->size || (at | length) % SECTOR)
		return 0;
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE)
		return 0;
	*value = 0;
	return fallocate(l->fd, mode | FALLOC_FL_KEEP_SIZE, l->start + at, length) == 0;
}

/* Answer a call that asks an open file for what is known; 0: it is not. */
int pv_known_call(const struct pv_linear *l, const struct pv_stop *s, int64_t *value)
{
	switch (s->nr) {
	case SYS_fcntl:
		*value = l->flags;
		return (int)s->args[1] == F_GETFL && l->flags >= 0;
	case SYS_fstat:
		return l->looks ? stored(s->tid, s->args[1], l->stat, sizeof l->stat, value) : 0;
	case SYS_ioctl:
		return answered(l, s, value);
	case SYS_fsync:
	case SYS_fdatasync:
		if (!l->syncs)
			return 0;
		*value = fsync(l->fd) < 0 ? -errno : 0;
		return 1;
	case SYS_fadvise64:              /* advice is heard and not needed */
		*value = 0;
		return l->flags >= 0 && !(l->flags & O_PATH) && (int64_t)s->args[2] >= 0 &&
		       (uint32_t)s->args[3] < ADVICES;
	case SYS_fallocate:
		return zeroed(l, s, value);
	}
	return 0;
}

/* The same for newfstatat(2) of a descriptor itself, with the name "". */
int pv_known_itself(const struct pv_stop *s, int64_t *value)
{
	const uint64_t known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
	struct pv_linear *l = s->object ? pv_linear_of(s->object) : NULL;

	if (!l || !l->looks || s->nr != SYS_newfstatat || !s->args[1] ||
	    !(s->args[3] & AT_EMPTY_PATH) || (uint32_t)s->args[3] & ~known)
		return 0;
	return stored(s->tid, s->args[2], l->stat, sizeof l->stat, value);
}
