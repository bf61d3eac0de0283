// SPDX-License-Identifier: GPL-2.0-or-later
/* calls.c - what the table, or its number alone, tells of a call. */
#define _GNU_SOURCE
#include "pyview.h"
#include <fcntl.h>
#include <sys/syscall.h>

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

int pv_is_path(const struct pv_call *call, int i)
{
	return call->args[i].role == PV_ROLE_PATH || call->args[i].role == PV_ROLE_SOURCE;
}

int pv_dirfd_of(const struct pv_call *call, int i, const uint64_t *args)
{
	return i > 0 && call->args[i - 1].role == PV_ROLE_DIRFD ? (int)args[i - 1] : AT_FDCWD;
}

int pv_opens(int64_t nr)
{
	return nr == SYS_open || nr == SYS_openat || nr == SYS_creat || nr == 437 /* openat2 */;
}

/* Does a call with a name change something, or want to hear of changes?  Opening is looked at apart. */
int pv_changes(int64_t nr)
{
	switch (nr) {
	case SYS_truncate: case SYS_mkdir: case SYS_mkdirat: case SYS_rmdir: case SYS_unlink:
	case SYS_unlinkat: case SYS_rename: case SYS_renameat: case SYS_renameat2: case SYS_link:
	case SYS_linkat: case SYS_symlink: case SYS_symlinkat: case SYS_mknod: case SYS_mknodat:
	case SYS_chmod: case SYS_fchmodat: case 452 /* fchmodat2 */: case SYS_chown: case SYS_lchown:
	case SYS_fchownat: case SYS_utime: case SYS_utimes: case SYS_futimesat: case SYS_utimensat:
	case SYS_setxattr: case SYS_lsetxattr: case 463 /* setxattrat */: case SYS_removexattr:
	case SYS_lremovexattr: case 466 /* removexattrat */: case 469 /* file_setattr */:
	case SYS_bind: case SYS_inotify_add_watch:
		return 1;
	}
	return 0;
}

/* Does a call with a name, or perhaps without, ask for attributes that an overlay may have? */
int pv_asks_attributes(int64_t nr)
{
	return nr == 464 /* getxattrat */ || nr == 465 /* listxattrat */;
}

/* Does a call with a descriptor change something? */
int pv_changes_file(int64_t nr)
{
	return nr == SYS_fchmod || nr == SYS_fchown || nr == SYS_fsetxattr || nr == SYS_fremovexattr ||
	       nr == SYS_syncfs;
}

int pv_asks_file(int64_t nr)
{
	return nr == SYS_fgetxattr || nr == SYS_flistxattr || nr == SYS_fsync ||
	       nr == SYS_fdatasync || nr == SYS_sync_file_range;
}
