// SPDX-License-Identifier: GPL-2.0-or-later
/* texts.c - names relative to an open directory of a tree that has only texts, as who looks a disk
 * up in sysfs asks for by the dozen: is it there, what is it, open it.
 *
 * Python tells all that is in the tree when such a directory is opened (pyview/texts.py).  What is
 * opened here is a direct descriptor; Python makes an open file of it when it needs one. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_ROOM 256               /* longer names are for Python */
#define LARGEFILE 0100000           /* O_LARGEFILE of the kernel: libc's is 0 */
#define FIRST_BYTE (1ll << 62)      /* the locks that tell whether they are open: no file has these */
#define MARKS 64
#define MANY 8                      /* opened before it is looked which of them are closed again */

struct text {
	char *name;                  /* in the tree, without the first slash */
	char *bytes;
	size_t size;
	struct stat st;
};
struct pv_texts {
	int id, users;
	size_t count;
	char *target;                /* where the tree is mounted */
	struct text *all;            /* by their names */
};

static struct { uint64_t object; struct pv_opened is; } opened[MARKS];     /* by their marks */
static int nopened;

static void put(struct pv_texts *t)
{
	if (!t || --t->users > 0)
		return;
	for (size_t i = 0; i < t->count; i++) {
		free(t->all[i].name);
		free(t->all[i].bytes);
	}
	free(t->all);
	free(t->target);
	free(t);
}

/* A tree without anything in it yet; NULL without memory.  `id` is Python's. */
struct pv_texts *pv_texts_new(int id, const char *target)
{
	struct pv_texts *t = calloc(1, sizeof *t);

	if (!t || !(t->target = strdup(target))) {
		free(t);
		return NULL;
	}
	t->id = id;
	t->users = 1;
	return t;
}

/* Nobody but open directories needs it any more. */
void pv_texts_free(struct pv_texts *t)
{
	put(t);
}

/* One more name, behind all others in the order of strcmp(); `bytes` are a file's.  0, -ENOMEM. */
int pv_texts_add(struct pv_texts *t, const char *name, const void *looks, const char *bytes,
                 size_t size)
{
	struct text *all = realloc(t->all, (t->count + 1) * sizeof *all);

	if (!all)
		return -ENOMEM;
	t->all = all;
	struct text *one = &all[t->count];
	one->name = strdup(name);
	one->bytes = malloc(size + 1);
	if (!one->name || !one->bytes) {
		free(one->name);
		free(one->bytes);
		return -ENOMEM;
	}
	memcpy(one->bytes, bytes, size);
	memcpy(&one->st, looks, sizeof one->st);
	one->size = size;
	t->count++;
	return 0;
}

/* An open file is the directory `inside` of a tree: "" or a name with a slash behind it.  NULL: of
 * none.  0, or -ENOMEM. */
int pv_texts_of(struct pv_linear *l, struct pv_texts *t, const char *inside)
{
	char *copy = t ? strdup(inside) : NULL;

	if (t && !copy)
		return -ENOMEM;
	if (t)
		t->users++;
	put(l->texts);
	free(l->inside);
	l->texts = t;
	l->inside = copy;
	l->changes = pv_view_changes();
	return 0;
}

static int compare(const void *name, const void *one)
{
	return strcmp(name, ((const struct text *)one)->name);
}

/* Is each part of a relative name a plain one? */
static int plain(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		if (!n || (n <= 2 && !strncmp(path, "..", n)))
			return 0;
		path += n;
		if (*path == '/' && !*++path)
			return 0;
	}
	return 1;
}

/* What has a name; NULL: there is nothing, or `*unsure`. */
static const struct text *look_up(const struct pv_texts *t, char *name, size_t from, int *unsure)
{
	const struct text *one = NULL;
	char *slash;

	*unsure = 1;
	do {
		if ((slash = strchr(name + from, '/')))
			*slash = 0;
		one = bsearch(name, t->all, t->count, sizeof *one, compare);
		if (slash) {
			*slash = '/';
			from = (size_t)(slash - name) + 1;
		}
		if (one && slash && !S_ISDIR(one->st.st_mode))
			return NULL;         /* ENOTDIR, or a link's target */
	} while (one && slash);
	*unsure = one && S_ISLNK(one->st.st_mode);
	return one;
}

/* Is the tree what the task sees under the name of its directory, and not less? */
static int shows(const struct pv_task *t, const struct pv_linear *l, const char *name)
{
	char whole[PV_PATH_MAX];

	if (l->changes != pv_view_changes())
		return 0;
	snprintf(whole, sizeof whole, "%s/%s", l->texts->target, name);
	const struct pv_cover *c = pv_cover_of(t->view, whole);
	return c && c->domain < 0 && !strcmp(c->prefix, l->texts->target);
}

/* Forget what has been closed. */
void pv_texts_sweep(void)
{
	for (int i = 0; i < MARKS; i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_start = FIRST_BYTE + i, .l_len = 1 };
		if (!opened[i].object || (fcntl(opened[i].is.image, F_OFD_GETLK, &lock) == 0 &&
		                          lock.l_type != F_UNLCK))
			continue;
		pv_linear_free(opened[i].object);
		pv_unmark_direct(opened[i].object);
		close(opened[i].is.image);
		opened[i].object = 0;
	}
	nopened = 0;
}

/* A file in memory with the bytes; -1 without descriptors, or memory. */
static int in_memory(const struct text *one)
{
	int fd = memfd_create("pyview", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write(fd, one->bytes, one->size) != (ssize_t)one->size || fchmod(fd, 0444) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* `fd` is open for a text, whose file in memory is `image`; 0: it can't be known. */
static int note(const struct pv_texts *t, const struct text *one, int flags, int image, int fd)
{
	uint64_t object = pv_mark_direct(fd);
	int i = (int)(object & (MARKS - 1));
	struct flock lock = { .l_type = F_RDLCK, .l_start = FIRST_BYTE + i, .l_len = 1 };
	struct pv_linear *l = object ? pv_linear_new(object) : NULL;

	if (!l || fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (object) {
			pv_linear_free(object);
			pv_unmark_direct(object);
		}
		return 0;
	}
	l->how = PV_READS;
	l->native = 1;
	l->flags = flags | LARGEFILE;
	memcpy(l->stat, &one->st, sizeof l->stat);
	l->looks = 1;
	opened[i].object = object;
	opened[i].is = (struct pv_opened){ .id = t->id, .flags = flags, .image = image,
	                                   .byte = lock.l_start };
	snprintf(opened[i].is.name, sizeof opened[i].is.name, "%s", one->name);
	return 1;
}

/* The core's descriptor for a new open file; -1: it can't be made here. */
static int open_text(const struct pv_texts *t, const struct text *one, int flags)
{
	char link[32];
	int image = in_memory(one);

	if (image < 0)
		return -1;
	snprintf(link, sizeof link, "/proc/self/fd/%d", image);
	int fd = open(link, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && note(t, one, flags, image, fd))
		return fd;
	if (fd >= 0)
		close(fd);
	close(image);
	return -1;
}

/* Python makes an open file of what was opened here: what it is of, 0: it is none of these. */
int pv_texts_take(uint64_t object, struct pv_opened *is)
{
	int i = (int)(object & (MARKS - 1));

	if (!object || opened[i].object != object)
		return 0;
	*is = opened[i].is;
	opened[i].object = 0;
	return 1;
}

/* What is open that was opened here, by its place: 0: nothing. */
uint64_t pv_texts_open(int place)
{
	return place >= 0 && place < MARKS ? opened[place].object : 0;
}

static int opens(struct pv_stop *s, const struct pv_texts *t, const struct text *one)
{
	const uint64_t harmless = O_NONBLOCK | O_NOFOLLOW;
	uint64_t flags = s->args[2];

	if (!S_ISREG(one->st.st_mode) ||
	    flags & ~(harmless | O_CLOEXEC | O_NOCTTY | LARGEFILE))
		return PV_TO_PYTHON;
	if (++nopened > MANY)
		pv_texts_sweep();
	int fd = open_text(t, one, (int)(flags & harmless));
	if (fd < 0)
		return PV_TO_PYTHON;
	s->value = pv_hand_over(s->listener, s->id, fd, (flags & O_CLOEXEC) != 0);
	return PV_ANSWERED;
}

/* May everybody do that to it?  Whoever else may, Python knows. */
static int allowed(const struct text *one, uint64_t mode)
{
	unsigned bits = S_ISDIR(one->st.st_mode) ? R_OK | X_OK : R_OK;

	return !(mode & ~(uint64_t)bits) && (one->st.st_mode & 0444) == 0444 &&
	       (!(mode & X_OK) || (one->st.st_mode & 0111) == 0111);
}

/* Answer a listener's call on a name relative to such a directory; else PV_TO_PYTHON.  Nothing is
 * wrong with its other arguments. */
int pv_texts_call(struct pv_task *t, struct pv_stop *s, int dirfd, const char *path)
{
	char name[NAME_ROOM];
	int unsure;

	if (dirfd < 0 || !(t->descriptors || t->direct) || !plain(path))
		return PV_TO_PYTHON;
	uint64_t object = pv_emulated(t, dirfd);
	struct pv_linear *l = object ? pv_linear_of(object) : NULL;
	size_t from = l && l->texts ? strlen(l->inside) : sizeof name, n = strlen(path);
	if (from + n >= sizeof name)
		return PV_TO_PYTHON;
	memcpy(name, l->inside, from);
	memcpy(name + from, path, n + 1);
	const struct text *one = look_up(l->texts, name, from, &unsure);
	if (unsure || !shows(t, l, name))
		return PV_TO_PYTHON;
	s->object = object;
	s->object_fd = dirfd;
	s->value = one ? 0 : -ENOENT;
	pv_quiet();
	if (one && s->nr == SYS_openat)
		return opens(s, l->texts, one);
	if (one && s->nr == SYS_newfstatat) {
		if (pv_poke(s->tid, s->args[2], &one->st, sizeof one->st) != sizeof one->st)
			s->value = -EFAULT;
	} else if (one && !allowed(one, s->args[2])) {
		return PV_TO_PYTHON;
	}
	pv_reply(s->listener, s->id, s->value);
	return PV_ANSWERED;
}
