// SPDX-License-Identifier: GPL-2.0-or-later
/* kept.c - answer calls on what an overlay keeps without Python: its files are real, their
 * attributes are in a table (layers.c).
 *
 * Only for tasks that are like the core, and have no identity but the real one, or are root: such
 * a user is taken for the owner of all that an overlay shows. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#define SET_IDS (S_ISUID | S_ISGID)

static int has_bytes(uint32_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode) || S_ISDIR(mode) || S_ISSOCK(mode);
}

static void dress(struct stat *st, const struct pv_shown *as)
{
	st->st_dev = as->shown_dev;
	st->st_ino = as->shown_ino;
	st->st_rdev = as->rdev;
	st->st_mode = as->mode;
	st->st_uid = as->uid;
	st->st_gid = as->gid;
	st->st_nlink = as->links ? as->links : st->st_nlink - as->less;
	if (!has_bytes(as->mode))
		st->st_size = st->st_blocks = 0;
}

static void dressx(struct statx *st, const struct pv_shown *as)
{
	st->stx_dev_major = major(as->shown_dev);
	st->stx_dev_minor = minor(as->shown_dev);
	st->stx_ino = as->shown_ino;
	st->stx_rdev_major = major(as->rdev);
	st->stx_rdev_minor = minor(as->rdev);
	st->stx_mode = (uint16_t)as->mode;
	st->stx_uid = as->uid;
	st->stx_gid = as->gid;
	st->stx_nlink = as->links ? as->links : st->stx_nlink - as->less;
	if (!has_bytes(as->mode))
		st->stx_size = st->stx_blocks = 0;
}

/* Store a struct stat or statx of a descriptor, or of a name, with these attributes. */
static int tell(const struct pv_stop *s, int fd, const char *path, const struct pv_shown *as,
                int64_t *value)
{
	int flags = AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH);
	struct statx stx;
	struct stat st;
	uint64_t to = s->nr == SYS_statx ? s->args[4] : s->nr == SYS_newfstatat ? s->args[2] :
	              s->args[1];
	ssize_t size = s->nr == SYS_statx ? sizeof stx : sizeof st, done;

	if (s->nr == SYS_statx) {
		unsigned mask = (unsigned)s->args[3] | STATX_BASIC_STATS;
		if (mask & STATX__RESERVED ||
		    ((int)s->args[2] & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
			return PV_TO_PYTHON;
		memset(&stx, 0, sizeof stx);
		if (syscall(SYS_statx, fd, path, flags, mask, &stx) < 0)
			return PV_TO_PYTHON;
		dressx(&stx, as);
		done = pv_poke(s->tid, to, &stx, sizeof stx);
	} else {
		if (syscall(SYS_newfstatat, fd, path, &st, flags) < 0)
			return PV_TO_PYTHON;
		dress(&st, as);
		done = pv_poke(s->tid, to, &st, sizeof st);
	}
	*value = done == size ? 0 : -EFAULT;
	return PV_ANSWERED;
}

/* Is it root of the view in every respect, whom no mode keeps from anything? */
static int is_root(const struct pv_task *t)
{
	const struct pv_identity *who = t->identity;

	return who && !(who->uid[0] | who->uid[1] | who->uid[3]);
}

/* May it do what the owner of all files may: is it who it is outside, or root? */
int pv_is_owner(const struct pv_task *t)
{
	return !t->identity || is_root(t);
}

static int is_allowed(const struct pv_task *t, const struct pv_shown *as, unsigned wanted)
{
	if (is_root(t))
		return !(wanted & X_OK) || S_ISDIR(as->mode) || as->mode & 0111;
	return !(wanted & ~(as->mode >> 6) & 7);
}

static int check(const struct pv_task *t, const struct pv_shown *as, uint64_t wanted,
                 uint64_t flags, int64_t *value)
{
	if (wanted & ~7u || flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EACCESS))
		return PV_TO_PYTHON;
	*value = is_allowed(t, as, (unsigned)wanted) ? 0 : -EACCES;
	return PV_ANSWERED;
}

/* The target of a link is what the file holds that stands for it. */
static int target(const struct pv_stop *s, const char *path, const struct pv_shown *as,
                  uint64_t to, uint64_t room, int64_t *value)
{
	char text[PV_PATH_MAX];

	if ((int)room <= 0 || !S_ISLNK(as->mode))
		return PV_TO_PYTHON;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return PV_TO_PYTHON;
	ssize_t n = read(fd, text, room < sizeof text ? room : sizeof text);
	close(fd);
	if (n < 0)
		return PV_TO_PYTHON;
	*value = pv_poke(s->tid, to, text, (size_t)n) == n ? n : -EFAULT;
	return PV_ANSWERED;
}

/* The target of the link that a kept file stands for; -1 when it is no link, -2: ask Python. */
ssize_t pv_kept_target(const char *path, char *to, size_t size)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	const struct pv_shown *as = pv_claimed(st.st_dev, st.st_ino);
	if (!as || !as->described)
		return as || S_ISLNK(st.st_mode) ? -2 : -1;
	if (!S_ISLNK(as->mode))
		return -1;
	if (!to)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -2;
	ssize_t n = read(fd, to, size);
	close(fd);
	return n < 0 || (size_t)n == size ? -2 : n;
}

static int opened(struct pv_task *t, struct pv_stop *s, struct pv_where *w,
                  const struct pv_shown *as, uint64_t flags, int64_t *value)
{
	static const unsigned wanted[] = { R_OK, W_OK, R_OK | W_OK, R_OK | W_OK };
	unsigned needs = wanted[flags & O_ACCMODE] | (flags & O_TRUNC ? W_OK : 0);

	int directory = S_ISDIR(as->mode) && w->kind == PV_OWN_DIRECTORY && !(needs & W_OK) &&
	                !(flags & (O_CREAT | O_DIRECT));

	if (!directory && (!S_ISREG(as->mode) || flags & O_DIRECTORY))
		return PV_TO_PYTHON;
	if (flags & O_PATH || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return PV_TO_PYTHON;
	if (!is_allowed(t, as, needs)) {
		*value = -EACCES;
		return PV_ANSWERED;
	}
	if (needs & W_OK && as->mode & SET_IDS && !is_root(t))
		return PV_TO_PYTHON;
	return pv_serve(t, s, w, value);
}

/* A listener's call on what an overlay keeps at w->path.  As pv_serve(). */
int pv_serve_kept(struct pv_task *t, struct pv_stop *s, struct pv_where *w, int nofollow,
                  int64_t *value)
{
	const uint64_t *a = s->args;
	struct stat st;

	if (!pv_alike(t) || fstatat(AT_FDCWD, w->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return PV_TO_PYTHON;
	const struct pv_shown *as = pv_claimed(st.st_dev, st.st_ino);
	if (!as || !as->described || (!nofollow && S_ISLNK(as->mode)))
		return PV_TO_PYTHON;
	pv_quiet();
	switch (s->nr) {
	case SYS_stat:
	case SYS_lstat:
	case SYS_newfstatat:
	case SYS_statx:
		return tell(s, AT_FDCWD, w->path, as, value);
	}
	if (!pv_is_owner(t))
		return PV_TO_PYTHON;
	switch (s->nr) {
	case SYS_access:
		return check(t, as, a[1], 0, value);
	case SYS_faccessat:
		return check(t, as, a[2], 0, value);
	case SYS_faccessat2:
		return check(t, as, a[2], a[3], value);
	case SYS_readlink:
		return target(s, w->path, as, a[1], a[2], value);
	case SYS_readlinkat:
		return target(s, w->path, as, a[2], a[3], value);
	case SYS_open:
		return opened(t, s, w, as, a[1], value);
	case SYS_openat:
		return opened(t, s, w, as, a[2], value);
	}
	return PV_TO_PYTHON;
}

/* Must the entries of the directory that the task has open as `fd` be asked for? */
int pv_lists_kept(struct pv_task *t, int fd)
{
	struct stat st;
	int mine, yes = 0;

	if (!t->view->layered || fd < 0 || (mine = pv_getfd(t, fd)) < 0)
		return 0;
	const struct pv_shown *as = fstat(mine, &st) ? NULL : pv_claimed(st.st_dev, st.st_ino);
	if (as)
		yes = !as->described || as->odd || !pv_is_kept(t->view, pv_domain_of(mine));
	close(mine);
	return yes;
}

/* fstat(2) and its like on the task's `fd`: PV_LET_RUN when the kernel's answer is right. */
int pv_serve_fstat(struct pv_task *t, struct pv_stop *s, int fd, int64_t *value)
{
	struct stat st;
	int mine, verdict = PV_LET_RUN;

	if (!t->view->layered || fd < 0 || (mine = pv_getfd(t, fd)) < 0)
		return PV_LET_RUN;
	const struct pv_shown *as = fstat(mine, &st) ? NULL : pv_claimed(st.st_dev, st.st_ino);
	if (as) {
		verdict = PV_TO_PYTHON;
		/* What was removed leaves its number to others: the descriptor must be an overlay's. */
		if (as->described && pv_is_kept(t->view, pv_domain_of(mine)) &&
		    (s->nr == SYS_fstat || s->nr == SYS_newfstatat || s->nr == SYS_statx))
			verdict = tell(s, mine, "", as, value);
	}
	close(mine);
	return verdict;
}
