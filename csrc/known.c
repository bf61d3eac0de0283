// SPDX-License-Identifier: GPL-2.0-or-later
/* known.c - what emulated files have said beforehand: flags, attributes, answers to ioctl(2), text.
 *
 * Python tells it when a file is opened, and again after whatever may have changed it
 * (pyview/descriptors.py).  What was not told is for Python to answer. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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
		if (a->request == (uint32_t)s->args[1])
			return stored(s->tid, s->args[2], a->bytes, a->length, value);
	}
	return 0;
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
