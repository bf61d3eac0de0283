// SPDX-License-Identifier: GPL-2.0-or-later
/* proc.c - which names in proc say something in a view that the kernel does not say.
 *
 * A ps(1) looks at every process of the machine: what is told of a process of no view, and what
 * would be told as the kernel tells it, is decided here (pyview/proc.py has the rest). */
#define _GNU_SOURCE
#include "pyview.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum when {
	ALWAYS,              /* for every task of a view */
	STOPPED,             /* for one that is stopped: the kernel says it is being traced */
	NAMED                /* once something was opened by a name in another domain */
};

static const struct { const char *name; enum when when; } told[] = {
	{ "mounts", ALWAYS }, { "mountinfo", ALWAYS }, { "mountstats", ALWAYS },
	{ "status", ALWAYS }, { "pyview", ALWAYS }, { "stat", STOPPED },
	{ "cwd", NAMED }, { "exe", NAMED }, { "root", NAMED }, { "fd", NAMED }, { "fdinfo", NAMED },
	{ "maps", NAMED }, { "smaps", NAMED }, { "numa_maps", NAMED }, { "map_files", NAMED },
};
#define NTOLD (sizeof told / sizeof *told)

static int is_word(const char *path, size_t n, const char *word)
{
	return strlen(word) == n && !strncmp(path, word, n);
}

/* The task that a name's first part means: NULL when it is no task of a view. */
static struct pv_task *whose(struct pv_task *t, const char *part, size_t n)
{
	char *end;

	if (is_word(part, n, "self") || is_word(part, n, "thread-self"))
		return t;
	if (!isdigit((unsigned char)*part))
		return NULL;
	long tid = strtol(part, &end, 10);
	return end == part + n ? pv_task((int)tid) : NULL;
}

/* Which of the names above a part is; NTOLD: none.  Asked of each part of each relative name. */
static size_t which(const char *part, size_t n)
{
	size_t i = 0;

	if (n < 2 || n > 10 || !strchr("cefmnprs", *part))
		return NTOLD;
	while (i < NTOLD && !is_word(part, n, told[i].name))
		i++;
	return i;
}

static int is_told(const struct pv_task *of, const char *part, size_t n)
{
	size_t i = which(part, n);

	return i < NTOLD && (told[i].when == ALWAYS || (told[i].when == STOPPED && of->stopped) ||
	                     (told[i].when == NAMED && (pv_domains_used() || of->view->layered)));
}

/* Does a name go on behind a link of a process of no view?  Such a link leads anywhere, to other
 * links among them. */
static int goes_through(const char *part, size_t n)
{
	if (is_word(part, n, "fd") && part[n])
		n += 1 + strcspn(part + n + 1, "/");
	else if (!is_word(part, n, "cwd") && !is_word(part, n, "root"))
		return 0;
	return part[n] != 0;
}

/* Does the view say something else, or more, of this absolute name than the kernel? */
int pv_proc_told(struct pv_task *t, const char *path)
{
	if (strncmp(path, "/proc/", 6))
		return 0;
	path += 6;
	if (!strcmp(path, "mounts"))
		return 1;
	for (int depth = 0; depth < 2; depth++) {
		size_t n = strcspn(path, "/");
		struct pv_task *of = whose(t, path, n);
		if (of && of->identity)
			return 1;        /* its owner is the view's affair */
		if (!path[n])
			return 0;
		path += n + 1;
		n = strcspn(path, "/");
		if (!is_word(path, n, "task"))
			return of && of->view ? is_told(of, path, n) : goes_through(path, n);
		if (!path[n])
			return 0;
		path += n + 1;
	}
	return 0;
}

/* May a relative name be one of those, by its letters? */
int pv_proc_letters(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		if (which(path, n) < NTOLD)
			return 1;
		path += n + strspn(path + n, "/");
	}
	return 0;
}

/* The same as pv_proc_told for a name relative to the core's descriptor `base`. */
int pv_proc_told_at(struct pv_task *t, int base, const char *path)
{
	char name[32], full[2 * PV_PATH_MAX];

	snprintf(name, sizeof name, "/proc/self/fd/%d", base);
	ssize_t n = readlink(name, full, PV_PATH_MAX - 1);
	if (n < 0)
		return 0;
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	if (n == 1)                  /* the root */
		n = 0;
	else if (n < 5 || strncmp(full, "/proc", 5) || (n > 5 && full[5] != '/'))
		return 0;
	else if (strstr(path, ".."))
		return 1;
	snprintf(full + n, sizeof full - (size_t)n, "/%s", path);
	return pv_proc_told(t, full);
}
