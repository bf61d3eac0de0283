// SPDX-License-Identifier: GPL-2.0-or-later
/* dispatch.c - decide without Python: is this call any of ours?
 *
 * A call that is not runs on untouched.  What is left is either answered in C or reported to Python,
 * whose handlers know what each call means.  Here: the calls that stop for the tracer; those of the
 * listener are in notices.c. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef CLONE_UNTRACED
#define CLONE_UNTRACED 0x00800000
#endif

#define PROCMAP_QUERY 0xC0686611u   /* linux/fs.h, Linux 6.11 */

/* Is the file that a descriptor argument is open for another to the kernel than in the view? */
static int claimed(struct pv_task *t, uint64_t fd)
{
	struct stat st;
	int mine;

	if (!t->view->layered || (int)fd < 0 || (mine = pv_getfd(t, (int)fd)) < 0)
		return 0;
	int yes = fstat(mine, &st) == 0 && pv_claimed(st.st_dev, st.st_ino);
	close(mine);
	return yes;
}

/* A call without a name: is it on an emulated descriptor, or on a directory in a virtual tree? */
int pv_on_descriptor(struct pv_task *t, struct pv_stop *s, const struct pv_call *call)
{
	const uint64_t *args = s->args;

	for (int i = 0; i < call->nargs; i++) {
		if (call->args[i].role == PV_ROLE_DIRFD && (int)args[i] == AT_FDCWD &&
		    t->fs->domain < 0)
			return 1;
		if (!(t->descriptors || t->direct) || (int)args[i] < 0 ||
		    (call->args[i].role != PV_ROLE_FD && call->args[i].role != PV_ROLE_DIRFD))
			continue;
		s->object = pv_emulated(t, (int)args[i]);
		s->object_fd = (int)args[i];
		if (s->object)
			return 1;
	}
	return 0;
}

/* All its names are plain and where the kernel will look for them. */
static int plain(struct pv_task *t, struct pv_stop *s, const struct pv_call *call, int *domain)
{
	char path[PV_PATH_MAX];
	int seen = 0;

	for (int i = 0; i < call->nargs; i++) {
		struct pv_where w;
		uint64_t key;
		if (!pv_is_path(call, i))
			continue;
		ssize_t n = pv_path(s->tid, s->args[i], path);
		if (n <= 0 && t->view->layered && (pv_changes(s->nr) || pv_asks_attributes(s->nr)))
			return 0;     /* perhaps a descriptor's file */
		if (n <= 0)
			continue;     /* EFAULT, ENAMETOOLONG, "": the kernel says what it thinks */
		int slow = pv_where(t, pv_dirfd_of(call, i, s->args), path,
		                    !pv_follows(call, i, s->args), &w, &key) != PV_PLAIN;
		pv_where_done(&w);
		if (!seen)
			s->key = key;
		if (slow || (w.domain && !w.relative) || (seen && w.domain != *domain) ||
		    (w.overlaid && pv_changes(s->nr)))
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
		if (!pv_is_path(call, i) || pv_path(s->tid, s->args[i], path) <= 0)
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
	if (t->identity && t->view->layered)
		return PV_TO_PYTHON;      /* it may enter what the real user may not */
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
	    (flags & CLONE_UNTRACED || (flags & CLONE_NEWNS && t->view->layered)))
		answered(s, -ENOSYS);            /* as on a kernel before 5.3: clone(2) comes then */
	t->foreign_child = flags & CLONE_NEWNS ? PV_ELSEWHERE :
	                   flags & CLONE_NEWUSER ? PV_OTHER_RIGHTS : 0;
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
	if (verdict != PV_PLAIN || w.domain || (s->nr == SYS_bind && w.overlaid) || (s->nr == SYS_bind && t->view->sockets))
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
	if (pv_on_descriptor(t, s, call)) {
		int verdict = s->object ? pv_linear_call(t, s, &value) : PV_TO_PYTHON;
		pv_counts[3] += verdict == PV_ANSWERED;
		return verdict == PV_ANSWERED ? answered(s, value) : verdict;
	}
	if (s->nr == SYS_fstat) {
		int verdict = pv_serve_fstat(t, s, (int)s->args[0], &value);
		if (verdict != PV_ANSWERED)
			return verdict;
		pv_counts[3]++;
		return answered(s, value);
	}
	if (pv_syncs_nothing(t, s)) {
		pv_counts[3]++;
		return answered(s, 0);
	}
	if (t->view->layered && call->nargs && call->args[0].role == PV_ROLE_FD &&
	    (pv_changes_file(s->nr) || (pv_asks_file(s->nr) && claimed(t, s->args[0]))))
		return PV_TO_PYTHON;
	switch (s->nr) {
	case SYS_ptrace:
	case SYS_wait4:
	case SYS_waitid:
		return PV_TO_PYTHON;
	case SYS_setrlimit:          /* of the size of files: devices have none */
	case SYS_prlimit64:
		return PV_TO_PYTHON;
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
	case SYS_epoll_ctl:          /* of a list of mounts that we made? */
		return pv_mark_of(t, (int)s->args[2]) == PV_VIRTUAL ? PV_TO_PYTHON : PV_LET_RUN;
	case SYS_ioctl:              /* PROCMAP_QUERY, of the kernel's maps or of ours? */
		if ((uint32_t)s->args[1] == PROCMAP_QUERY)
			return pv_mark_of(t, (int)s->args[0]) == PV_VIRTUAL ? PV_TO_PYTHON : PV_LET_RUN;
		return t->view->layered ? PV_TO_PYTHON : PV_LET_RUN;     /* it changes a file */
	case SYS_execve:
	case SYS_execveat:
		return pv_dispatch_exec(t, s, call);
	case SYS_chdir:
	case SYS_fchdir:
		return change_directory(t, s, call);
	case SYS_getcwd:
		/* An overlay may show what lies below it under another name. */
		return t->fs->domain || (t->view->layered && !t->fs->foreign) ? PV_TO_PYTHON
		                                                              : PV_LET_RUN;
	case SYS_clone:
	case SYS_clone3:
		return new_task(t, s);
	case SYS_rt_sigtimedwait:
		value = t->debug & PV_TRACEE ? 0 : pv_wait_begins(t, s);
		return value < 0 ? answered(s, value) : PV_LET_RUN;
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
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_unlinkat:
		if (!pv_removes_nothing(t, s, call))
			break;
		pv_counts[3]++;
		return answered(s, -ENOENT);
	case SYS_symlink:
	case SYS_symlinkat:
		note_symlink(t, s->args[0]);
		break;
	case SYS_linkat:
		if (s->args[4] & AT_EMPTY_PATH)
			return PV_TO_PYTHON;
		note_rename(t, s, call);
		break;
	case SYS_rename:
		if (pv_removes_nothing(t, s, call)) {
			pv_counts[3]++;
			return answered(s, -ENOENT);
		}
		/* fall through */
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
		if (!t->fs->foreign)
			t->fs->foreign = PV_OTHER_RIGHTS;
		return PV_LET_RUN;
	}
	if (!plain(t, s, call, &domain) || (pv_opens(s->nr) && domain))
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
	if (!pv_opens((int64_t)r->nr))
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
