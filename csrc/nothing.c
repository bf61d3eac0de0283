// SPDX-License-Identifier: GPL-2.0-or-later
/* nothing.c - calls on what overlays keep that do nothing, as who unpacks packages makes by the
 * thousand: removing names that are not there, syncing what need not be. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does syncing this descriptor do nothing, because an overlay keeps its file? */
static int unsynced(struct pv_task *t, int fd)
{
	struct stat st;
	int mine;

	if (fd < 0 || (mine = pv_getfd(t, fd)) < 0)
		return 0;
	int yes = fstat(mine, &st) == 0 && pv_claimed(st.st_dev, st.st_ino) &&
	          pv_is_unsynced(t->view, pv_domain_of(mine));
	close(mine);
	return yes;
}

int pv_syncs_nothing(struct pv_task *t, const struct pv_stop *s)
{
	if (!t->view->layered)
		return 0;
	if (s->nr != SYS_fsync && s->nr != SYS_fdatasync && s->nr != SYS_sync_file_range)
		return 0;
	return unsynced(t, (int)s->args[0]);
}

/* Is there nothing under the name, in a tree that an overlay keeps the changes of? */
static int is_missing(struct pv_task *t, int dirfd, const char *path)
{
	struct pv_where w;
	struct stat st;
	uint64_t key;
	int yes = 0;

	enum pv_verdict found = pv_where(t, dirfd, path, 1, &w, &key);
	if (!w.cover || !w.cover->nlayers ||
	    !(pv_layer_how(w.cover->layers[0].layer) & PV_CHANGED))
		yes = 0;          /* EROFS, perhaps */
	else if (found == PV_NO_ENTRY)
		yes = 1;
	else if (found == PV_PLAIN && w.overlaid && pv_where_base(t, dirfd, &w) == 0)
		yes = fstatat(w.base, w.path, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
	pv_where_done(&w);
	return yes;
}

/* The length of the directory in a name that ends in a plain name; -1: it does not. */
static ssize_t before_last(const char *path)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;

	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		return -1;
	return last - path;
}

/* Is there nothing to remove, or to rename to another name beside it?  Who unpacks a package asks
 * so for every file. */
int pv_removes_nothing(struct pv_task *t, struct pv_stop *s, const struct pv_call *call)
{
	char path[PV_PATH_MAX], other[PV_PATH_MAX];
	int i = 0, renames = 0;

	if (!t->view->layered || !pv_alike(t))
		return 0;
	switch (s->nr) {
	case SYS_rmdir:
	case SYS_unlink:
		break;
	case SYS_unlinkat:
		if (s->args[2] & ~(uint64_t)AT_REMOVEDIR)
			return 0;
		i = 1;
		break;
	case SYS_rename:
		renames = 1;
		break;
	default:
		return 0;
	}
	/* With a slash behind it a link is not followed, and ENOTDIR. */
	if (pv_path(s->tid, s->args[i], path) <= 0 || path[strlen(path) - 1] == '/')
		return 0;
	if (renames) {
		ssize_t n = before_last(path);
		if (n < 0 || pv_path(s->tid, s->args[1], other) <= 0 ||
		    before_last(other) != n || strncmp(path, other, (size_t)n))
			return 0;
	}
	return is_missing(t, pv_dirfd_of(call, i, s->args), path);
}
