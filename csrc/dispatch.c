// SPDX-License-Identifier: GPL-2.0-or-later
/* dispatch.c - decide without Python: is this call any of ours?
 *
 * A call that is not runs on untouched.  What is left is either served here (serve.c) or reported
 * to Python, whose handlers know what each call means. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef CLONE_UNTRACED
#define CLONE_UNTRACED 0x00800000
#endif

#define PROCMAP_QUERY 0xC0686611u   /* linux/fs.h, Linux 6.11 */
#define NROWS 1024

/* The row of a call by its number, NULL when the kernel's table of this build has none. */
const struct pv_call *pv_row(int64_t nr)
{
	static const struct pv_call *by_number[NROWS];
	static int filled;

	if (!filled) {
		for (size_t i = 0; i < pv_ncalls; i++)
			if (pv_calls[i].nr >= 0 && pv_calls[i].nr < NROWS)
				by_number[pv_calls[i].nr] = &pv_calls[i];
		filled = 1;
	}
	return nr >= 0 && nr < NROWS ? by_number[nr] : NULL;
}

/* Is a last symbolic link of path argument `i` followed?  When in doubt, yes. */
int pv_follows(const struct pv_call *call, int i, const uint64_t *args)
{
	const struct pv_arg *a = &call->args[i];
	uint32_t flags = a->flags < 6 && a->exact ? (uint32_t)args[a->flags] : 0;

	if ((flags & a->nofollow) || (a->exclusive && (flags & a->exclusive) == a->exclusive))
		return 0;
	return a->follow || (flags & a->followed);
}

static int is_path(const struct pv_call *call, int i)
{
	return call->args[i].role == PV_ROLE_PATH || call->args[i].role == PV_ROLE_SOURCE;
}

int pv_dirfd_of(const struct pv_call *call, int i, const uint64_t *args)
{
	return i > 0 && call->args[i - 1].role == PV_ROLE_DIRFD ? (int)args[i - 1] : AT_FDCWD;
}

static int opens(int64_t nr)
{
	return nr == SYS_open || nr == SYS_openat || nr == SYS_creat || nr == 437 /* openat2 */;
}

/* ---- calls that go to the listener ---- */

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

/* A call without a name: is it on an emulated descriptor, or on a directory in a virtual tree? */
static int on_descriptor(struct pv_task *t, struct pv_stop *s, const struct pv_call *call)
{
	const uint64_t *args = s->args;

	for (int i = 0; i < call->nargs; i++) {
		if (call->args[i].role == PV_ROLE_DIRFD && (int)args[i] == AT_FDCWD &&
		    t->fs->domain < 0)
			return 1;
		if (!t->descriptors || (int)args[i] < 0 ||
		    (call->args[i].role != PV_ROLE_FD && call->args[i].role != PV_ROLE_DIRFD))
			continue;
		s->object = pv_emulated(t, (int)args[i]);
		s->object_fd = (int)args[i];
		if (s->object)
			return 1;
	}
	return 0;
}

int pv_dispatch_notice(struct pv_task *t, struct pv_stop *s)
{
	const struct pv_call *call = pv_row(s->nr);
	struct pv_where w;
	char path[PV_PATH_MAX];
	int i = 0, verdict = PV_LET_RUN;
	int64_t value = 0;

	if (!call || t->let_next) {
		t->let_next = 0;
		return PV_LET_RUN;
	}
	if (s->nr == SYS_getdents64 || s->nr == SYS_getdents)
		return on_descriptor(t, s, call) || lists_mounts(t, (int)s->args[0])
			? PV_TO_PYTHON : PV_LET_RUN;
	while (i < call->nargs && !is_path(call, i))
		i++;
	if (i == call->nargs)
		return PV_LET_RUN;
	ssize_t n = pv_path(s->tid, s->args[i], path);
	if (n == -EPERM)
		return PV_UNREADABLE;
	if (n <= 0)
		return on_descriptor(t, s, call) ? PV_TO_PYTHON : PV_LET_RUN;
	int dirfd = pv_dirfd_of(call, i, s->args);
	switch (pv_where(t, dirfd, path, !pv_follows(call, i, s->args), &w, &s->key)) {
	case PV_SLOW:
		verdict = PV_TO_PYTHON;
		break;
	case PV_PLAIN:
		if (w.domain && (!w.relative || opens(s->nr))) {
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

/* ---- calls that stop for the tracer ---- */

/* All its names are plain and where the kernel will look for them. */
static int plain(struct pv_task *t, struct pv_stop *s, const struct pv_call *call, int *domain)
{
	char path[PV_PATH_MAX];
	int seen = 0;

	for (int i = 0; i < call->nargs; i++) {
		struct pv_where w;
		uint64_t key;
		if (!is_path(call, i))
			continue;
		ssize_t n = pv_path(s->tid, s->args[i], path);
		if (n <= 0)
			continue;     /* EFAULT, ENAMETOOLONG, "": the kernel says what it thinks */
		int slow = pv_where(t, pv_dirfd_of(call, i, s->args), path,
		                    !pv_follows(call, i, s->args), &w, &key) != PV_PLAIN;
		pv_where_done(&w);
		if (!seen)
			s->key = key;
		if (slow || (w.domain && !w.relative) || (seen && w.domain != *domain))
			return 0;
		*domain = w.domain;
		seen = 1;
	}
	return 1;
}

/* A link whose target names a mount point may make names unclean. */
static void note_symlink(struct pv_task *t, uint64_t target)
{
	char path[PV_PATH_MAX];

	if (pv_path(t->tid, target, path) > 0 && pv_names_mount(t->view, path))
		pv_forget();
}

/* The same for a directory or link that gets another name. */
static void note_rename(struct pv_task *t, struct pv_stop *s, const struct pv_call *call)
{
	char path[PV_PATH_MAX];
	struct stat st;

	for (int i = 0; i < call->nargs; i++) {
		struct pv_where w = { .relative = 1, .base = AT_FDCWD };
		if (!is_path(call, i) || pv_path(s->tid, s->args[i], path) <= 0)
			continue;
		if (*path != '/' && pv_where_base(t, pv_dirfd_of(call, i, s->args), &w) < 0)
			continue;
		if (fstatat(w.base, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
			pv_forget();
		pv_where_done(&w);
	}
}

static int change_directory(struct pv_task *t, struct pv_stop *s, const struct pv_call *call)
{
	int domain = 0;

	if (s->nr == SYS_fchdir)
		domain = pv_mark_of(t, (int)s->args[0]);
	else if (!plain(t, s, call, &domain))
		return PV_TO_PYTHON;
	if (domain < 0 || domain != t->fs->domain || t->fs->refs > 1 || t->fs->foreign)
		return PV_TO_PYTHON;
	pv_moved(t, domain);         /* nobody else can look before it has moved */
	return PV_LET_RUN;
}

/* The call shall not run, and have this result. */
static int answered(struct pv_stop *s, int64_t value)
{
	s->answered = 1;
	s->value = value;
	pv_answer(s->tid, value);
	return PV_LET_RUN;
}

static int dumpable(struct pv_task *t, struct pv_stop *s)
{
	if (s->args[0] == PR_SET_DUMPABLE && s->args[1] <= 1)
		t->mm->hidden = !s->args[1];
	else if (s->args[0] != PR_GET_DUMPABLE || !t->mm->hidden)
		return PV_LET_RUN;
	return answered(s, 0);
}

static int new_task(struct pv_task *t, struct pv_stop *s)
{
	uint64_t flags = 0;

	if (s->nr != SYS_clone3)
		return PV_TO_PYTHON;
	if (pv_peek(s->tid, s->args[0], &flags, sizeof flags) == (ssize_t)sizeof flags &&
	    (flags & CLONE_UNTRACED))
		answered(s, -ENOSYS);            /* as on a kernel before 5.3; nobody else uses it */
	t->foreign_child = (flags & (CLONE_NEWNS | CLONE_NEWUSER)) != 0;
	t->child_leaves_users = (flags & CLONE_NEWUSER) != 0;
	return PV_LET_RUN;
}

/* Calls with a socket address that comes in: only names of files matter. */
static int address(struct pv_task *t, struct pv_stop *s, int at)
{
	struct sockaddr_un un;
	struct pv_where w;
	uint64_t key;
	char path[sizeof un.sun_path + 1];
	size_t len = (unsigned)s->args[at + 1];

	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof un ||
	    pv_peek(s->tid, s->args[at], &un, len) != (ssize_t)len || un.sun_family != AF_UNIX ||
	    !un.sun_path[0])
		return PV_LET_RUN;
	len -= offsetof(struct sockaddr_un, sun_path);
	memcpy(path, un.sun_path, len);
	path[len] = 0;
	int verdict = pv_where(t, AT_FDCWD, path, s->nr == SYS_bind, &w, &key);
	pv_where_done(&w);
	if (verdict != PV_PLAIN || w.domain || (s->nr == SYS_bind && t->view->sockets))
		return PV_TO_PYTHON;
	return PV_LET_RUN;
}

int pv_dispatch_traced(struct pv_task *t, struct pv_stop *s)
{
	const struct pv_call *call = pv_row(s->nr);
	int domain = 0;
	int64_t value;

	if (!call)
		return PV_LET_RUN;
	if (t->identity && call->route == PV_ROUTE_CALL)
		return pv_identity_call(t, s, &value) ? answered(s, value) : PV_TO_PYTHON;
	if (on_descriptor(t, s, call)) {
		if (!s->object || !pv_linear_call(s, &value))
			return PV_TO_PYTHON;
		pv_counts[3]++;
		return answered(s, value);
	}
	switch (s->nr) {
	case SYS_io_submit:          /* its descriptors are in memory */
		return PV_TO_PYTHON;
	case SYS_munmap:
	case SYS_msync:
	case SYS_mremap:
		return t->mm->maps ? PV_TO_PYTHON : PV_LET_RUN;
	case SYS_pidfd_getfd:
	case SYS_sync:
	case SYS_dup2:               /* and dup3, close_range: the number that they close may be one */
	case SYS_dup3:
	case SYS_close_range:
		return PV_TO_PYTHON;
	case SYS_ioctl:              /* PROCMAP_QUERY, of the kernel's maps or of ours? */
		return (uint32_t)s->args[1] == PROCMAP_QUERY &&
		       pv_mark_of(t, (int)s->args[0]) == PV_VIRTUAL ? PV_TO_PYTHON : PV_LET_RUN;
	case SYS_execve:
	case SYS_execveat:
		return pv_dispatch_exec(t, s, call);
	case SYS_chdir:
	case SYS_fchdir:
		return change_directory(t, s, call);
	case SYS_getcwd:
		return t->fs->domain ? PV_TO_PYTHON : PV_LET_RUN;
	case SYS_clone:
	case SYS_clone3:
		return new_task(t, s);
	case SYS_prctl:
		if (s->args[0] != PR_GET_DUMPABLE && s->args[0] != PR_SET_DUMPABLE)
			return t->identity ? PV_TO_PYTHON : PV_LET_RUN;
		return dumpable(t, s);
	case SYS_bind:
	case SYS_connect:
		return address(t, s, 1);
	case SYS_sendto:
		return address(t, s, 4);
	case SYS_getsockname:
	case SYS_getpeername:
	case SYS_accept:
	case SYS_accept4:
	case SYS_recvfrom:
		return t->view->sockets ? PV_TO_PYTHON : PV_LET_RUN;
	case SYS_sendmsg:
	case SYS_recvmsg:
	case SYS_recvmmsg:
		return PV_TO_PYTHON;
	case SYS_symlink:
	case SYS_symlinkat:
		note_symlink(t, s->args[0]);
		break;
	case SYS_linkat:
		if (s->args[4] & AT_EMPTY_PATH)
			return PV_TO_PYTHON;
		/* fall through */
	case SYS_rename:
	case SYS_renameat:
	case SYS_renameat2:
	case SYS_link:
		note_rename(t, s, call);
		break;
	case SYS_mount:
	case SYS_umount2:
	case SYS_unshare:
	case SYS_setns:
	case SYS_chroot:
	case SYS_pivot_root:
		return PV_TO_PYTHON;
	case 446:                    /* landlock_restrict_self: what it may see is its own affair */
		t->fs->foreign = 1;
		return PV_LET_RUN;
	}
	if (!plain(t, s, call, &domain) || (opens(s->nr) && domain))
		return PV_TO_PYTHON;
	return PV_LET_RUN;
}

/* A signal is about to be delivered to a task whose call shows -ERESTARTSYS.  The kernel would
 * make that EINTR; but when the listener had not yet picked the call up, it never began, and a
 * stat() that answers EINTR is nothing a program expects.  Only an open that really can wait (a
 * FIFO, a terminal) may be interrupted. */
int pv_restarts(struct pv_task *t, const struct pv_regs *r)
{
	const struct pv_call *call = pv_row((int64_t)r->nr);
	char path[PV_PATH_MAX];
	struct stat st;

	if (!call || call->stop != PV_STOP_LISTENER)
		return 0;
	if (!opens((int64_t)r->nr))
		return 1;
	int at = r->nr == SYS_open || r->nr == SYS_creat ? 0 : 1;
	struct pv_where w = { .relative = 1, .base = AT_FDCWD };
	if (pv_path(t->tid, r->args[at], path) <= 0)
		return 1;
	if (*path != '/' && pv_where_base(t, pv_dirfd_of(call, at, r->args), &w) < 0)
		return 1;
	for (size_t i = 0; *path == '/' && i < t->view->ncovers; i++) {
		const struct pv_cover *c = &t->view->covers[i];
		if (c->length && !c->root_length && !strncmp(path, c->prefix, c->length) &&
		    path[c->length] == '/') {
			memmove(path, path + c->length, strlen(path + c->length) + 1);
			break;
		}
	}
	int waits = fstatat(w.base, path, &st, 0) == 0 && !S_ISREG(st.st_mode) &&
	            !S_ISDIR(st.st_mode);
	pv_where_done(&w);
	return !waits;
}
