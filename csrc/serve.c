// SPDX-License-Identifier: GPL-2.0-or-later
/* serve.c - answer a listener call on a plain name of another domain without Python.
 *
 * The core makes the call itself, from the same place, and hands over the result.  That is the
 * same call only while caller and core are alike: same user, no capabilities, same root and
 * mounts.  Otherwise, and for files whose opening does something (a FIFO, a terminal), the caller
 * runs it itself: PV_TO_PYTHON. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

/* Is a call made by the core the same as one made by the task? */
int pv_alike(const struct pv_task *t)
{
	static int ordinary = -1;

	if (ordinary < 0)
		ordinary = geteuid() != 0 && geteuid() == getuid();
	return ordinary && !t->fs->foreign;
}

static int64_t result(long r)
{
	return r < 0 ? -errno : r;
}

/* Hand over `len` bytes; the kernel's answer when the buffer is bad. */
static int64_t store(int tid, uint64_t addr, const void *from, size_t len, int64_t value)
{
	return pv_poke(tid, addr, from, len) == (ssize_t)len ? value : -EFAULT;
}

static int64_t serve_stat(int tid, const struct pv_where *w, uint64_t buf, uint64_t flags)
{
	struct stat st;
	int64_t r = result(syscall(SYS_newfstatat, w->base, w->path, &st, (int)flags));

	return r < 0 ? r : store(tid, buf, &st, sizeof st, r);
}

static int64_t serve_statx(int tid, const struct pv_where *w, const uint64_t *args)
{
	struct statx st;
	int64_t r;

	memset(&st, 0, sizeof st);
	r = result(syscall(SYS_statx, w->base, w->path, (int)args[2], (unsigned)args[3], &st));
	return r < 0 ? r : store(tid, args[4], &st, sizeof st, r);
}

static int64_t serve_readlink(int tid, const struct pv_where *w, uint64_t buf, uint64_t size)
{
	char target[PV_PATH_MAX];
	int64_t r;

	if ((int)size <= 0)
		return -EINVAL;
	r = result(syscall(SYS_readlinkat, w->base, w->path, target,
	                   size < sizeof target ? size : sizeof target));
	return r < 0 ? r : store(tid, buf, target, (size_t)r, r);
}

static unsigned umask_of(int tid)
{
	char name[32], text[512];
	unsigned mask = 022;

	snprintf(name, sizeof name, "/proc/%d/status", tid);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mask;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n > 0) {
		text[n] = 0;
		const char *at = strstr(text, "Umask:");
		if (at)
			sscanf(at, "Umask: %o", &mask);
	}
	return mask;
}

/* Open in the core; -EAGAIN: the caller must.  A FIFO that somebody puts there just now, or a file
 * with a lease on it, would keep the core waiting: hence O_NONBLOCK. */
static int64_t open_here(const struct pv_where *w, uint64_t flags, uint64_t mode, struct stat *st)
{
	const uint64_t settable = O_APPEND | O_DIRECT | O_NOATIME;
	int more = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int64_t r = result(syscall(SYS_openat, w->base, w->path, (int)flags | more, (mode_t)mode));

	if (r == -ENXIO || r == -EMFILE)     /* EMFILE is the core's */
		return -EAGAIN;
	if (r < 0)
		return r;
	if (fstat((int)r, st) < 0 || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) {
		close((int)r);
		return -EAGAIN;
	}
	if (!(flags & O_NONBLOCK))
		fcntl((int)r, F_SETFL, (int)(flags & settable));
	return r;
}

/* Open in the core and give the caller the descriptor. */
static int serve_open(struct pv_stop *s, const struct pv_where *w,
                      uint64_t flags, uint64_t mode, int64_t *value)
{
	struct stat st;
	int making = (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0;
	int64_t r;

	if (flags & O_PATH)
		return PV_TO_PYTHON;
	int follow = flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	r = result(syscall(SYS_newfstatat, w->base, w->path, &st, follow));
	if (r < 0 && !making) {      /* else what is wrong with the flags, or the name, comes first */
		*value = r;
		return PV_ANSWERED;
	}
	if (r == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return PV_TO_PYTHON;
	if (making)
		umask(umask_of(s->tid));
	r = open_here(w, flags, mode, &st);
	if (making)
		umask(0);
	if (r == -EAGAIN)
		return PV_TO_PYTHON;
	if (r < 0) {
		*value = r;
		return PV_ANSWERED;
	}
	pv_mark((int)r, w->domain);
	if (S_ISREG(st.st_mode))
		pv_note_opened(st.st_dev, st.st_ino, w->domain);
	int cloexec = (flags & O_CLOEXEC) != 0;
	if (making || (flags & O_ACCMODE) != O_RDONLY) {
		pv_hand_over(s->listener, s->id, (int)r, cloexec);
	} else {                     /* one call less for those who only read */
		pv_give(s->listener, s->id, (int)r, cloexec);
		close((int)r);
	}
	return PV_LET_RUN;           /* answered already */
}

/* PV_ANSWERED: *value is the answer; PV_LET_RUN: it has been given; PV_TO_PYTHON. */
int pv_serve(struct pv_task *t, struct pv_stop *s, struct pv_where *w, int64_t *value)
{
	const uint64_t *a = s->args;
	int verdict;

	if (!pv_alike(t))
		return PV_TO_PYTHON;
	pv_quiet();
	switch (s->nr) {
	case SYS_stat:
		*value = serve_stat(s->tid, w, a[1], 0);
		break;
	case SYS_lstat:
		*value = serve_stat(s->tid, w, a[1], AT_SYMLINK_NOFOLLOW);
		break;
	case SYS_newfstatat:
		*value = serve_stat(s->tid, w, a[2], a[3]);
		break;
	case SYS_statx:
		*value = serve_statx(s->tid, w, a);
		break;
	case SYS_access:
		*value = result(syscall(SYS_faccessat, w->base, w->path, (int)a[1]));
		break;
	case SYS_faccessat:
		*value = result(syscall(SYS_faccessat, w->base, w->path, (int)a[2]));
		break;
	case SYS_faccessat2:
		*value = result(syscall(SYS_faccessat2, w->base, w->path, (int)a[2], (int)a[3]));
		break;
	case SYS_readlink:
		*value = serve_readlink(s->tid, w, a[1], a[2]);
		break;
	case SYS_readlinkat:
		*value = serve_readlink(s->tid, w, a[2], a[3]);
		break;
	case SYS_open:
		if ((verdict = serve_open(s, w, a[1], a[2], value)) != PV_ANSWERED)
			return verdict;
		break;
	case SYS_openat:
		if ((verdict = serve_open(s, w, a[2], a[3], value)) != PV_ANSWERED)
			return verdict;
		break;
	default:
		return PV_TO_PYTHON;
	}
	if (*value == -EACCES || *value == -EPERM)
		return PV_TO_PYTHON;     /* in proc, a process may look at itself where others may not */
	return PV_ANSWERED;
}

/* The same for a name that Python has resolved: the kernel's own, absolute.  Is it answered? */
int pv_serve_at(struct pv_stop *s, int domain, const char *name)
{
	struct pv_task *t = pv_task(s->tid);
	struct pv_where w = { .domain = domain, .base = AT_FDCWD, .path = name };
	int64_t value = 0;
	int verdict = t ? pv_serve(t, s, &w, &value) : PV_TO_PYTHON;

	if (verdict == PV_ANSWERED)
		pv_reply(s->listener, s->id, value);
	return verdict != PV_TO_PYTHON;
}
