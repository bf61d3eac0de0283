// SPDX-License-Identifier: GPL-2.0-or-later
/* exec.c - decide without Python about execve: is the program, or its interpreter, any of ours? */
#define _GNU_SOURCE
#include "pyview.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first line of a file; its length. */
static ssize_t head_of(int base, const char *path, char *head, size_t size)
{
	int fd = openat(base, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return 0;
	ssize_t n = pread(fd, head, size - 1, 0);
	close(fd);
	head[n > 0 ? n : 0] = 0;
	head[strcspn(head, "\n")] = 0;
	return n;
}

/* Is the interpreter another script, or not where the kernel looks for it?  Its name, when that is
 * all that is not known, becomes what Python may find clean: the script's own is already. */
static int virtual_interpreter(struct pv_task *t, const char *name, uint64_t *key)
{
	struct pv_where w;
	char next[3];

	if (*name != '/')
		return 1;
	int elsewhere = pv_where(t, AT_FDCWD, name, 0, &w, key) != PV_PLAIN || w.domain;
	pv_where_done(&w);
	return elsewhere ||
	       (head_of(AT_FDCWD, name, next, sizeof next) >= 2 && !strncmp(next, "#!", 2));
}

/* Does the program start with "#!" and something that the kernel may not find?  What runs in the
 * end is the interpreter, so that a script leaves t->exec_domain 0. */
static int virtual_script(struct pv_task *t, const char *path, const struct pv_where *w,
                          uint64_t *key)
{
	char head[256];

	if (t->fs->foreign || head_of(w->base, path, head, sizeof head) <= 2 ||
	    strncmp(head, "#!", 2))
		return 0;
	t->exec_domain = 0;
	char *name = head + 2 + strspn(head + 2, " \t");
	name[strcspn(name, " \t")] = 0;
	return virtual_interpreter(t, name, key);
}

/* fexecve: the kernel has the file, but perhaps not its interpreter. */
static int exec_descriptor(struct pv_task *t, int fd, uint64_t *key)
{
	char name[32];
	struct pv_where w = { .base = pv_getfd(t, fd) };

	t->exec_domain = pv_mark_of(t, fd);
	if (w.base < 0)
		return PV_LET_RUN;
	snprintf(name, sizeof name, "/proc/self/fd/%d", w.base);
	int slow = virtual_script(t, name, &w, key);
	close(w.base);
	return slow ? PV_TO_PYTHON : PV_LET_RUN;
}

int pv_dispatch_exec(struct pv_task *t, struct pv_stop *s, const struct pv_call *call)
{
	char path[PV_PATH_MAX];
	struct pv_where w;
	int at = call->args[0].role == PV_ROLE_DIRFD ? 1 : 0, verdict = PV_TO_PYTHON;
	int dirfd = pv_dirfd_of(call, at, s->args);
	ssize_t n = pv_path(s->tid, s->args[at], path);

	t->exec_domain = 0;
	if (n < 0)
		return PV_LET_RUN;
	if (pv_rooted_elsewhere(t->view))
		return PV_TO_PYTHON;     /* programs name their interpreters */
	if (n == 0)
		return exec_descriptor(t, dirfd, &s->key);
	if (pv_where(t, dirfd, path, !pv_follows(call, at, s->args), &w, &s->key) == PV_PLAIN &&
	    (!w.domain || w.relative)) {
		t->exec_domain = w.domain;
		if (pv_where_base(t, dirfd, &w) < 0 || !virtual_script(t, w.path, &w, &s->key))
			verdict = PV_LET_RUN;
	}
	pv_where_done(&w);
	return verdict;
}
