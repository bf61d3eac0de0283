// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - the view's names of directories that tasks work in or have open. */
#define _GNU_SOURCE
#include "pyview.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a domain shows in the view: its kernel root, and the prefix instead of it. */
static const char *shown_at(const struct pv_view *v, int domain, const char *real, size_t *skip)
{
	*skip = 0;
	if (!domain)
		return "";
	for (size_t i = 0; i < v->ncovers; i++) {
		const struct pv_cover *c = &v->covers[i];
		const char *root = c->domain == domain ? c->root :
		                   c->kept == domain ? c->kept_root : NULL;
		if (root && !strncmp(real, root, strlen(root))) {
			*skip = strlen(root);
			return c->prefix;
		}
	}
	return NULL;
}

/* The view's name of a directory of a domain, letter by letter; its length, 0: none. */
static size_t directory_name(struct pv_task *t, int fd, int domain, char *name, size_t size)
{
	char link[32], real[PV_PATH_MAX];
	size_t skip;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t got = readlink(link, real, sizeof real - 1);
	if (got <= 0 || *real != '/')
		return 0;
	real[got] = 0;
	if (got > 10 && !strcmp(real + got - 10, " (deleted)"))
		return 0;
	const char *prefix = shown_at(t->view, domain, real, &skip);
	if (!prefix)
		return 0;
	if (real[skip] == '/' && !real[skip + 1])
		skip++;
	size_t n = strlen(prefix) + strlen(real + skip);
	if (n + 1 > size)
		return 0;
	snprintf(name, size, "%s%s", prefix, real + skip);
	return n ? n : 1;
}

/* The same of the working directory, remembered for a while: others may rename it. */
const char *pv_cwd_name(struct pv_task *t, int fd)
{
	char name[PV_PATH_MAX];
	uint64_t key = t->fs->serial * 0x9e3779b97f4a7c15u ^ pv_generation() ^ t->view->serial;

	if (t->fs->name && t->fs->name_key == key && t->fs->name_until > pv_now())
		return t->fs->name;
	free(t->fs->name);
	t->fs->name = NULL;
	if (!directory_name(t, fd, t->fs->domain, name, sizeof name))
		return NULL;
	t->fs->name = strdup(name);
	t->fs->name_key = key;
	t->fs->name_until = pv_now() + 1000000000u;
	return t->fs->name;
}

/* The same of any directory; of the last one asked for it is remembered, too. */
size_t pv_any_name(struct pv_task *t, int fd, int domain, char *name, size_t size)
{
	static struct { uint64_t dev, ino, key, until; size_t length; char name[PV_PATH_MAX]; } last;
	struct stat st;
	uint64_t key = pv_generation() ^ (uint64_t)t->view->serial << 32 ^ (unsigned)domain;

	if (fstat(fd, &st) < 0)
		return 0;
	if (last.ino != st.st_ino || last.dev != st.st_dev || last.key != key ||
	    last.until <= pv_now()) {
		last.ino = 0;
		last.length = directory_name(t, fd, domain, last.name, sizeof last.name);
		if (!last.length)
			return 0;
		last.dev = st.st_dev;
		last.ino = st.st_ino;
		last.key = key;
		last.until = pv_now() + 1000000000u;
	}
	size_t n = strlen(last.name);
	if (n + 1 > size)
		return 0;
	memcpy(name, last.name, n + 1);
	return n ? n : 1;
}

/* `path` from w->base as a name of the view. */
size_t pv_name_in_view(struct pv_task *t, int dirfd, const struct pv_where *w,
                           const char *path, char *name, size_t size)
{
	char directory[PV_PATH_MAX];
	const char *start = directory;
	size_t k = strlen(path);

	if (dirfd == AT_FDCWD)
		start = pv_cwd_name(t, w->base);
	else if (!pv_any_name(t, w->base, w->domain, directory, sizeof directory))
		start = NULL;
	size_t n = start ? strlen(start) : 0;
	if (!start || n + k + 2 > size)
		return 0;
	memcpy(name, start, n);
	name[n] = '/';
	memcpy(name + n + 1, path, k + 1);
	return n + k + 1;
}
