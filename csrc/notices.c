// SPDX-License-Identifier: GPL-2.0-or-later
/* notices.c - decide without Python about a call that waits at the listener: is it any of ours?
 *
 * A call that is not runs on untouched.  What is left is either served (serve.c) or reported. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

/* Does a call of the listener's ask for more than an overlay's lower file can tell? */
static int asks_overlay(const struct pv_stop *s)
{
	const uint64_t writes = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);

	switch (s->nr) {
	case SYS_open:
		return (s->args[1] & writes) != 0;
	case SYS_openat:
		return (s->args[2] & writes) != 0;
	case SYS_access:
		return (s->args[1] & W_OK) != 0;
	case SYS_faccessat:
	case SYS_faccessat2:
		return (s->args[2] & W_OK) != 0;
	}
	return s->nr == SYS_creat || s->nr == 437 /* openat2 */;
}

/* Is the directory one with mount points in it, and is its listing at the start? */
static int lists_mounts(struct pv_task *t, int fd)
{
	struct stat st;
	int mine, yes;

	if (!t->view->nparents || (mine = pv_getfd(t, fd)) < 0)
		return 0;
	yes = fstat(mine, &st) == 0 && pv_is_parent(t->view, st.st_dev, st.st_ino) &&
	      lseek(mine, 0, SEEK_CUR) == 0;
	close(mine);
	return yes;
}

/* Is a call's only fault that there is no such name? */
static int lacks_only_name(const struct pv_stop *s)
{
	const uint64_t makes = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
	const uint64_t known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;

	switch (s->nr) {
	case SYS_stat:
	case SYS_lstat:
		return 1;
	case SYS_newfstatat:
		return !(s->args[3] & ~known);
	case SYS_access:
		return s->args[1] <= 7;
	case SYS_faccessat:
		return s->args[2] <= 7;
	case SYS_faccessat2:
		return s->args[2] <= 7 && !(s->args[3] & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EACCESS |
		                                                     AT_EMPTY_PATH));
	case SYS_open:
		return !(s->args[1] & makes);
	case SYS_openat:
		return !(s->args[2] & makes);
	}
	return 0;
}

/* A listener's call on a name that an overlay has, or has not. */
static int overlaid(struct pv_task *t, struct pv_stop *s, struct pv_where *w, int nofollow,
                    int there)
{
	int64_t value = -ENOENT;
	int verdict = lacks_only_name(s) ? PV_ANSWERED : PV_TO_PYTHON;

	if (there)
		verdict = pv_serve_kept(t, s, w, nofollow, &value);
	if (verdict == PV_ANSWERED)
		pv_reply(s->listener, s->id, value);
	if (verdict == PV_TO_PYTHON)
		return verdict;
	pv_counts[3]++;
	s->domain = w->domain;
	return PV_ANSWERED;
}

/* A listener's call on a name below a directory that has only texts. */
static int among_texts(struct pv_task *t, struct pv_stop *s, int dirfd, const char *path)
{
	if (*path == '/' || (s->nr != SYS_newfstatat && s->nr != SYS_faccessat &&
	                     s->nr != SYS_faccessat2 && s->nr != SYS_openat) ||
	    !lacks_only_name(s) || pv_texts_call(t, s, dirfd, path) != PV_ANSWERED)
		return PV_TO_PYTHON;
	pv_counts[3]++;
	return PV_ANSWERED;
}

/* May somebody else in the view read what the real user may not? */
static int is_hidden(struct pv_task *t, const struct pv_stop *s, int dirfd, struct pv_where *w)
{
	if (!t->identity || pv_where_base(t, dirfd, w) < 0)
		return 0;
	return faccessat(w->base, w->path, pv_opens(s->nr) ? R_OK : F_OK, AT_EACCESS) < 0 &&
	       errno == EACCES;
}

/* Does a call of the stat family with an empty name, or none, mean its descriptor? */
static int means_itself(const struct pv_stop *s)
{
	uint64_t flags = s->nr == SYS_statx ? s->args[2] : s->nr == SYS_newfstatat ? s->args[3] : 0;

	return (flags & AT_EMPTY_PATH) != 0 && s->args[1] != 0;
}

/* The same on an emulated descriptor. */
static int itself(struct pv_stop *s)
{
	pv_quiet();
	if (!pv_known_itself(s, &s->value))
		return PV_TO_PYTHON;
	pv_reply(s->listener, s->id, s->value);
	pv_counts[3]++;
	return PV_ANSWERED;
}

int pv_dispatch_notice(struct pv_task *t, struct pv_stop *s)
{
	const struct pv_call *call = pv_row(s->nr);
	struct pv_where w;
	char path[PV_PATH_MAX];
	int i = 0, verdict = PV_LET_RUN;
	int64_t value = 0;

	if (t->takes)
		return PV_TO_PYTHON;
	if (!call || t->let_next) {
		t->let_next = 0;
		return PV_LET_RUN;
	}
	if (s->nr == SYS_getdents64 || s->nr == SYS_getdents)
		return pv_on_descriptor(t, s, call) || lists_mounts(t, (int)s->args[0]) ||
		       pv_lists_kept(t, (int)s->args[0]) ? PV_TO_PYTHON : PV_LET_RUN;
	while (i < call->nargs && !pv_is_path(call, i))
		i++;
	if (i == call->nargs)
		return PV_LET_RUN;
	ssize_t n = pv_path(s->tid, s->args[i], path);
	if (n == -EPERM)
		return PV_UNREADABLE;
	if (n <= 0) {
		if (pv_on_descriptor(t, s, call))
			return n == 0 ? itself(s) : PV_TO_PYTHON;
		verdict = i > 0 ? pv_serve_fstat(t, s, (int)s->args[i - 1], &value) : PV_LET_RUN;
		if (verdict == PV_ANSWERED && !means_itself(s)) {
			return PV_TO_PYTHON;
		} else if (verdict == PV_ANSWERED) {
			pv_reply(s->listener, s->id, value);
			pv_counts[3]++;
		}
		return verdict;
	}
	int dirfd = pv_dirfd_of(call, i, s->args);
	int nofollow = !pv_follows(call, i, s->args);
	enum pv_verdict found = pv_where(t, dirfd, path, nofollow, &w, &s->key);
	switch (found) {
	case PV_SLOW:
		verdict = among_texts(t, s, dirfd, path);
		break;
	case PV_NO_ENTRY:
	case PV_IS_KEPT:
		verdict = overlaid(t, s, &w, nofollow, found == PV_IS_KEPT);
		break;
	case PV_PLAIN:
		if (w.overlaid && (asks_overlay(s) || is_hidden(t, s, dirfd, &w))) {
			verdict = PV_TO_PYTHON;
		} else if (w.domain && (!w.relative || pv_opens(s->nr))) {
			if (pv_where_base(t, dirfd, &w) < 0)
				break;
			verdict = pv_serve(t, s, &w, &value);
			s->value = w.relative ? w.domain : 0;
			if (verdict == PV_ANSWERED)
				pv_reply(s->listener, s->id, value);
			if (verdict != PV_TO_PYTHON) {
				pv_counts[3]++;
				s->domain = w.domain;
				verdict = PV_ANSWERED;
			}
		}
		break;
	}
	pv_where_done(&w);
	return verdict;
}
