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
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pv_view *pv_view_new(void)
{
	return calloc(1, sizeof(struct pv_view));
}

void pv_view_clear(struct pv_view *v)
{
	static unsigned serials;

	for (size_t i = 0; i < v->ncovers; i++) {
		free(v->covers[i].prefix);
		free(v->covers[i].root);
	}
	for (size_t i = 0; i < v->nnames; i++)
		free(v->names[i]);
	v->ncovers = v->nnames = v->nparents = 0;
	v->serial = ++serials;
}

void pv_view_free(struct pv_view *v)
{
	pv_view_clear(v);
	free(v->covers);
	free(v->names);
	free(v->parents);
	free(v);
}

static void *grow(void *array, size_t n, size_t size)
{
	return realloc(array, (n + 1) * size);
}

int pv_view_cover(struct pv_view *v, const char *prefix, int domain, const char *root)
{
	struct pv_cover *covers = grow(v->covers, v->ncovers, sizeof *covers);

	if (!covers)
		return -ENOMEM;
	v->covers = covers;
	struct pv_cover *c = &covers[v->ncovers];
	c->prefix = strdup(prefix);
	c->root = strdup(root);
	if (!c->prefix || !c->root) {
		free(c->prefix);
		free(c->root);
		return -ENOMEM;
	}
	c->length = strlen(prefix);
	c->root_length = strlen(root);
	c->domain = domain;
	v->ncovers++;
	return 0;
}

int pv_view_name(struct pv_view *v, const char *name)
{
	char **names = grow(v->names, v->nnames, sizeof *names);

	if (!names)
		return -ENOMEM;
	v->names = names;
	names[v->nnames] = strdup(name);
	if (!names[v->nnames])
		return -ENOMEM;
	v->nnames++;
	return 0;
}

int pv_view_parent(struct pv_view *v, uint64_t dev, uint64_t ino)
{
	struct pv_parent *parents = grow(v->parents, v->nparents, sizeof *parents);

	if (!parents)
		return -ENOMEM;
	v->parents = parents;
	parents[v->nparents].dev = dev;
	parents[v->nparents++].ino = ino;
	return 0;
}

void pv_view_trace(struct pv_view *v, int all)
{
	v->trace_all = all;
}

void pv_view_sockets(struct pv_view *v, int some)
{
	v->sockets = some;
}

int pv_is_parent(const struct pv_view *v, uint64_t dev, uint64_t ino)
{
	for (size_t i = 0; i < v->nparents; i++)
		if (v->parents[i].ino == ino && v->parents[i].dev == dev)
			return 1;
	return 0;
}

/* ---- the letters of a name ---- */
struct shape {
	int absolute, unclean, up, hit, components;
	int slash;                   /* ends in "/" */
	int dots;                    /* its last component is "." or "..", or it is only slashes */
	int climb;                   /* how far above its start it goes at most */
};

static int is_mount_name(const struct pv_view *v, const char *name, size_t length)
{
	for (size_t i = 0; i < v->nnames; i++)
		if (!strncmp(v->names[i], name, length) && !v->names[i][length])
			return 1;
	return 0;
}

int pv_names_mount(const struct pv_view *v, const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n && is_mount_name(v, p, n))
			return 1;
		p += n + strspn(p + n, "/");
	}
	return 0;
}

static struct shape look(const struct pv_view *v, const char *path)
{
	struct shape s = { .absolute = *path == '/', .dots = 1 };
	int depth = 0;
	const char *p = path;

	while (*p) {
		size_t slashes = strspn(p, "/");
		if (slashes > 1)
			s.unclean = 1;
		p += slashes;
		size_t n = strcspn(p, "/");
		if (!n) {
			s.slash = p > path;
			break;
		}
		s.components++;
		s.dots = 0;
		if (p[0] == '.' && n == 1) {
			s.unclean = s.dots = 1;
		} else if (p[0] == '.' && p[1] == '.' && n == 2) {
			s.up = s.unclean = s.dots = 1;
			if (--depth < -s.climb)
				s.climb = -depth;
		} else {
			depth++;
			if (!s.hit)
				s.hit = is_mount_name(v, p, n);
		}
		p += n;
	}
	return s;
}

static const struct pv_cover *cover_of(const struct pv_view *v, const char *path)
{
	for (size_t i = 0; i < v->ncovers; i++) {
		const struct pv_cover *c = &v->covers[i];
		if (!strncmp(path, c->prefix, c->length) &&
		    (!path[c->length] || path[c->length] == '/'))
			return c;
	}
	return NULL;
}

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
		pv_clean(key);
		return PV_PLAIN;
	}
	return errno == ELOOP || errno == EMFILE || errno == ENFILE ? PV_SLOW : PV_PLAIN;
}

static enum pv_verdict absolute(struct pv_task *t, const struct shape *s, const char *path,
                                struct pv_where *w)
{
	const struct pv_view *v = t->view;
	const struct pv_cover *c;

	if (s->hit && (s->unclean || !strncmp(path, "/proc/", 6)))
		return PV_SLOW;           /* /proc/self/root/unreal */
	c = s->hit ? cover_of(v, path) : v->ncovers ? &v->covers[v->ncovers - 1] : NULL;
	if (!c || c->domain < 0 || (!s->hit && c->length))
		return PV_SLOW;
	w->domain = c->domain;
	path += c->length;
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

static enum pv_verdict relative(struct pv_task *t, const struct shape *s, int dirfd,
                                const char *path, struct pv_where *w)
{
	w->relative = 1;
	w->path = path;
	if (s->hit)
		return PV_SLOW;
	w->domain = dirfd == AT_FDCWD ? t->fs->domain : pv_mark_of(t, dirfd);
	if (w->domain < 0)
		return PV_SLOW;
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

/* Where `path`, as the task would look it up, leads.  Undo with pv_where_done(). */
enum pv_verdict pv_where(struct pv_task *t, int dirfd, const char *path, int nofollow,
                         struct pv_where *w, uint64_t *key)
{
	struct shape s = look(t->view, path);
	enum pv_verdict verdict;

	*key = 0;
	w->domain = 0;
	w->base = AT_FDCWD;
	w->close_base = 0;
	w->relative = 0;
	w->path = path;
	if (t->fs->foreign) {             /* the core can't look: the letters must do */
		w->relative = !s.absolute;
		w->domain = w->relative && dirfd == AT_FDCWD ? t->fs->domain : 0;
		return s.hit || w->domain < 0 ? PV_SLOW : PV_PLAIN;
	}
	if (s.absolute)
		verdict = absolute(t, &s, path, w);
	else
		verdict = relative(t, &s, dirfd, path, w);
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
