// SPDX-License-Identifier: GPL-2.0-or-later
/* prefix.c - where a name leads, as far as C can tell: the mirror of View.covers().
 *
 * PV_PLAIN is a promise: the kernel, starting at w->base with w->path, meets no symbolic link and
 * no mount of the view, and stays in w->domain.  Whatever is less certain is PV_SLOW, and Python
 * resolves it component by component. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How deep the directory lies below the kernel's root; more than any name when that is too long. */
static int depth_of(int fd)
{
	char name[32], path[PV_PATH_MAX];
	int depth = 0;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(name, path, sizeof path);
	if (n < 0)
		return PV_PATH_MAX;
	if (n == 1)
		return 0;
	for (ssize_t i = 0; i < n; i++)
		depth += path[i] == '/';
	return depth;
}

/* Does the kernel meet a symbolic link on the way? */
static enum pv_verdict probe(const struct pv_where *w, const char *path, uint64_t key)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };

	pv_quiet();
	int fd = (int)syscall(SYS_openat2, w->base, path, &how, sizeof how);

	if (fd >= 0) {
		close(fd);
		pv_unlinked(key);
		return PV_PLAIN;
	}
	return errno == ELOOP || errno == EMFILE || errno == ENFILE ? PV_SLOW : PV_PLAIN;
}

/* What do the overlays say of `rest`, a name in the cover?  For what the first of them keeps,
 * `w` is where. */
static enum pv_verdict through(const struct pv_task *t, const struct pv_cover *c,
                               const char *rest, int slash, struct pv_where *w)
{
	char clean[2 * PV_PATH_MAX + 2];
	size_t base = c->nlayers ? strlen(c->layers[0].base) : 0, n, k;
	int kind;

	w->cover = c;
	for (int i = 0; i < c->nlayers; i++)
		switch (pv_layer_look(c->layers[i].layer, c->layers[i].base, rest, pv_is_owner(t),
		                      clean, &kind)) {
		case PV_UNTOUCHED:
			break;
		case PV_KEPT:
			n = c->kept_root ? strlen(c->kept_root) : 0;
			k = strlen(clean);
			if (i || slash || !c->kept_root || k < base || n + k - base >= PV_PATH_MAX)
				return PV_SLOW;
			memcpy(w->text, c->kept_root, n);
			memcpy(w->text + n, clean + base, k - base + 1);
			pv_where_done(w);
			w->path = w->text;
			w->base = AT_FDCWD;
			w->relative = 0;
			w->domain = c->kept;
			w->kind = kind;
			return PV_IS_KEPT;
		case PV_NOT_THERE:
			return i || slash ? PV_SLOW : PV_NO_ENTRY;
		default:
			w->asked = 1;
			return PV_SLOW;
		}
	return PV_PLAIN;
}

static enum pv_verdict absolute(struct pv_task *t, const struct pv_shape *s, const char *path,
                                struct pv_where *w)
{
	const struct pv_view *v = t->view;
	const struct pv_cover *c;

	if (s->hit && (s->unclean || !strncmp(path, "/proc/", 6)))
		return PV_SLOW;           /* /proc/self/root/unreal */
	c = s->hit ? pv_cover_of(v, path) : v->ncovers ? &v->covers[v->ncovers - 1] : NULL;
	if (!c || c->domain < 0 || (!s->hit && c->length))
		return PV_SLOW;
	w->domain = c->domain;
	path += c->length;
	w->overlaid = c->nlayers > 0;
	if (w->overlaid && !s->up) {
		enum pv_verdict verdict = through(t, c, path, s->slash, w);
		if (verdict != PV_PLAIN)
			return verdict;
	}
	if (c->root_length) {
		size_t n = strlen(path);
		if (s->up || c->root_length + n >= sizeof w->text)
			return PV_SLOW;
		memcpy(w->text, c->root, c->root_length);
		memcpy(w->text + c->root_length, path, n + 1);
		path = w->text;
	}
	if (w->domain && s->up)
		return PV_SLOW;
	w->path = *path ? path : "/";
	if (w->domain ? !strncmp(w->path, "/proc", 5) : pv_proc_told(t, w->path))
		return PV_SLOW;
	return PV_PLAIN;
}

/* The core's descriptor to look a relative name up from. */
static int base_of(struct pv_task *t, int dirfd, struct pv_where *w)
{
	if (w->base != AT_FDCWD)
		return 0;
	if (dirfd == AT_FDCWD) {
		w->base = pv_cwd(t);
	} else {
		w->base = pv_getfd(t, dirfd);
		w->close_base = w->base >= 0;
	}
	return w->base < 0 ? -1 : 0;
}

/* Is a directory of the kernel's what the view has under its name there, or a former one? */
static int stands(const struct pv_task *t, const struct pv_cover *c, const char *rest, int kept)
{
	char clean[2 * PV_PATH_MAX + 2];
	int kind;

	for (int i = 0; i < c->nlayers; i++) {
		enum pv_layered found = pv_layer_look(c->layers[i].layer, c->layers[i].base, rest,
		                                      pv_is_owner(t), clean, &kind);
		int is_root = found == PV_ASK && !*clean;
		if (!i && kept && found == PV_KEPT && kind == PV_OWN_DIRECTORY)
			return 1;
		if (kept || (found != PV_UNTOUCHED && !is_root &&
		             !(found == PV_KEPT && kind == PV_DIRECTORY)))
			return 0;
	}
	return 1;
}

/* A relative name in a view with overlays. */
static enum pv_verdict overlaid(struct pv_task *t, const struct pv_shape *s, int dirfd,
                                const char *path, struct pv_where *w)
{
	char name[2 * PV_PATH_MAX];

	if (base_of(t, dirfd, w) < 0)
		return PV_PLAIN;          /* EBADF: the kernel says so */
	if (!pv_name_in_view(t, dirfd, w, path, name, sizeof name))
		return PV_SLOW;
	if (s->up) {
		w->overlaid = 1;
		return s->hit || pv_is_kept(t->view, w->domain) ? PV_SLOW : PV_PLAIN;
	}
	const struct pv_cover *c = pv_cover_of(t->view, name);
	if (!c || (s->hit && s->unclean))
		return PV_SLOW;
	w->overlaid = c->nlayers > 0;
	if (c->domain != w->domain && !(w->overlaid && c->kept == w->domain))
		return PV_SLOW;
	if (!w->overlaid)
		return PV_PLAIN;
	if (strlen(name) - strlen(path) - 1 < c->length)
		return PV_SLOW;           /* the mount is on the way */
	name[strlen(name) - strlen(path) - 1] = 0;
	int stale = !stands(t, c, name + c->length, c->kept == w->domain);
	name[strlen(name)] = '/';
	if (stale)
		return PV_SLOW;
	enum pv_verdict verdict = through(t, c, name + c->length, s->slash || s->dots, w);
	return verdict == PV_PLAIN && c->kept == w->domain ? PV_SLOW : verdict;
}

static enum pv_verdict relative(struct pv_task *t, const struct pv_shape *s, int dirfd,
                                const char *path, struct pv_where *w)
{
	w->relative = 1;
	w->path = path;
	if (s->hit && !t->view->layered)
		return PV_SLOW;
	if (dirfd != AT_FDCWD && t->view->layered && base_of(t, dirfd, w) == 0)
		w->domain = pv_domain_of(w->base);
	else
		w->domain = dirfd == AT_FDCWD ? t->fs->domain : pv_mark_of(t, dirfd);
	if (w->domain < 0)
		return PV_SLOW;
	if (t->view->layered) {
		enum pv_verdict verdict = overlaid(t, s, dirfd, path, w);
		if (verdict != PV_PLAIN)
			return verdict;
	}
	if (dirfd == AT_FDCWD && pv_domains_used() && (pv_cwd(t) < 0 || t->fs->proc))
		return PV_SLOW;
	if (pv_proc_letters(path) && base_of(t, dirfd, w) == 0 && pv_proc_told_at(t, w->base, path))
		return PV_SLOW;
	return PV_PLAIN;
}

int pv_where_base(struct pv_task *t, int dirfd, struct pv_where *w)
{
	return w->relative ? base_of(t, dirfd, w) : 0;
}

/* No link on the way to `path`, as far as is known or can be seen? */
static enum pv_verdict unlinked(struct pv_task *t, int dirfd, struct pv_where *w,
                                const char *path, uint64_t *key)
{
	if (dirfd == AT_FDCWD || !w->relative) {
		*key = pv_key(t, w->relative, w->domain, path);
		if (pv_is_clean(*key))
			return PV_PLAIN;
	}
	if (pv_where_base(t, dirfd, w) < 0)
		return PV_PLAIN;          /* EBADF, ENOTDIR: the kernel says so */
	return probe(w, path, *key);
}

/* The same for a name whose last part is not followed: its directory is what matters, and one
 * answer does for all that is in it. */
static enum pv_verdict unlinked_parent(struct pv_task *t, int dirfd, struct pv_where *w,
                                       uint64_t *key)
{
	char parent[2 * PV_PATH_MAX];
	const char *slash = strrchr(w->path, '/');
	size_t n = slash ? (size_t)(slash - w->path) : 0;

	if (!n)
		return PV_PLAIN;
	memcpy(parent, w->path, n);
	parent[n] = 0;
	enum pv_verdict verdict = unlinked(t, dirfd, w, parent, key);
	*key = 0;                         /* Python's answer would be for the whole name */
	return verdict;
}

/* Another name of a lower file that an overlay has copied? */
static int is_linked(const struct pv_where *w, int nofollow)
{
	struct stat st;

	return pv_has_links() &&
	       !fstatat(w->base, w->path, &st, nofollow ? AT_SYMLINK_NOFOLLOW : 0) &&
	       st.st_nlink > 1 && !S_ISDIR(st.st_mode) && pv_is_linked(st.st_dev, st.st_ino);
}

/* Where a name leads that meets links which may be an overlay's, or "..". */
static enum pv_verdict walked(struct pv_task *t, int dirfd, const struct pv_shape *s,
                              const char *path, int nofollow, struct pv_where *w)
{
	char directory[PV_PATH_MAX];
	const char *start = "";
	int domain = 0;

	if (!s->absolute) {
		if (s->up || base_of(t, dirfd, w) < 0)
			return PV_SLOW;   /* ".." of a directory that may have been moved */
		domain = dirfd == AT_FDCWD ? t->fs->domain : pv_domain_of(w->base);
		start = dirfd == AT_FDCWD ? pv_cwd_name(t, w->base) : directory;
		if (start == directory &&
		    !pv_any_name(t, w->base, domain, directory, sizeof directory))
			return PV_SLOW;
	}
	enum pv_verdict verdict = start ? pv_walk(t, start, path, nofollow, w) : PV_SLOW;
	/* What is to run as it stands must get there in the kernel, too. */
	if (verdict == PV_PLAIN && !w->domain && (domain || pv_rooted_elsewhere(t->view)))
		return PV_SLOW;
	return verdict;
}

/* The same for a name in which it has found no more than names; `w` keeps it. */
enum pv_verdict pv_where_canonical(struct pv_task *t, const char *name, struct pv_where *w)
{
	struct pv_shape s = pv_look(t->view, name);

	pv_where_done(w);
	w->base = AT_FDCWD;
	w->relative = w->overlaid = w->asked = 0;
	w->cover = NULL;
	enum pv_verdict verdict = absolute(t, &s, name, w);
	if (verdict == PV_PLAIN && w->path != w->text) {
		if (strlen(w->path) >= sizeof w->text)
			return PV_SLOW;
		w->path = strcpy(w->text, w->path);
	}
	return verdict;
}

/* The end of pv_where() where overlays are: what Python has said of links and ".." is remembered;
 * w->base is needed for that, too. */
static enum pv_verdict followed(struct pv_task *t, const struct pv_shape *s, int dirfd,
                                const char *path, int nofollow, struct pv_where *w, uint64_t *key)
{
	enum pv_verdict verdict = PV_PLAIN;

	if (nofollow && !s->slash && !s->dots && !s->up)
		verdict = unlinked_parent(t, dirfd, w, key);
	else if (!s->up)
		verdict = unlinked(t, dirfd, w, w->path, key);
	if (s->up || verdict != PV_PLAIN) {
		*key = 0;
		verdict = PV_SLOW;
		if (dirfd == AT_FDCWD || !w->relative) {
			*key = pv_key(t, w->relative, w->domain, w->path) + (uint64_t)nofollow;
			verdict = pv_is_clean(*key) ? PV_PLAIN : PV_SLOW;
		}
		if (verdict == PV_SLOW)
			verdict = walked(t, dirfd, s, path, nofollow, w);
	}
	if (verdict == PV_PLAIN && is_linked(w, nofollow))
		return PV_SLOW;
	return verdict;
}

/* Where `path`, as the task would look it up, leads.  Undo with pv_where_done(). */
enum pv_verdict pv_where(struct pv_task *t, int dirfd, const char *path, int nofollow,
                         struct pv_where *w, uint64_t *key)
{
	struct pv_shape s = pv_look(t->view, path);
	enum pv_verdict verdict;

	*key = 0;
	w->domain = 0;
	w->base = AT_FDCWD;
	w->close_base = 0;
	w->relative = 0;
	w->overlaid = 0;
	w->asked = 0;
	w->cover = NULL;
	w->path = path;
	if (t->fs->foreign && !(t->view->layered && t->fs->foreign == PV_OTHER_RIGHTS)) {
		/* the core can't look: the letters must do */
		w->relative = !s.absolute;
		w->domain = w->relative && dirfd == AT_FDCWD ? t->fs->domain : 0;
		return s.hit || w->domain < 0 ? PV_SLOW : PV_PLAIN;
	}
	if (s.absolute)
		verdict = absolute(t, &s, path, w);
	else
		verdict = relative(t, &s, dirfd, path, w);
	if (verdict == PV_IS_KEPT && !nofollow && pv_kept_target(w->path, NULL, 0) >= 0)
		return walked(t, dirfd, &s, path, nofollow, w);
	if (verdict == PV_SLOW && w->asked)
		return walked(t, dirfd, &s, path, nofollow, w);
	if (verdict != PV_PLAIN)
		return verdict;
	if (w->relative && s.up && w->domain) {
		struct pv_cover *c = NULL;
		for (size_t i = 0; i < t->view->ncovers; i++)
			if (t->view->covers[i].domain == w->domain)
				c = &t->view->covers[i];
		if (!c || c->root_length || base_of(t, dirfd, w) < 0 || depth_of(w->base) < s.climb)
			return PV_SLOW;
	}
	if (w->overlaid)
		return followed(t, &s, dirfd, path, nofollow, w, key);
	if (!w->relative && !strncmp(w->path, "/proc/", 6))
		return PV_PLAIN;          /* its links that matter have been told above */
	if (s.components == 1 && w->relative && !s.slash && (nofollow || s.dots))
		return PV_PLAIN;
	if (nofollow && !s.slash && !s.dots)
		return unlinked_parent(t, dirfd, w, key);
	return unlinked(t, dirfd, w, w->path, key);
}

void pv_where_done(struct pv_where *w)
{
	if (w->close_base)
		close(w->base);
	w->close_base = 0;
}
