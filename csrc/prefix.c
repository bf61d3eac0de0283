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
#include <sys/stat.h>
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
		for (int k = 0; k < v->covers[i].nlayers; k++)
			free(v->covers[i].layers[k].base);
		free(v->covers[i].kept_root);
	}
	for (size_t i = 0; i < v->nnames; i++)
		free(v->names[i]);
	v->ncovers = v->nnames = v->nparents = 0;
	v->layered = 0;
	v->serial = ++serials;
}

void pv_view_free(struct pv_view *v)
{
	pv_births_forget(v);
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
	c->nlayers = 0;
	c->kept = -1;
	c->kept_root = NULL;
	v->ncovers++;
	return 0;
}

/* The cover that was added last shows through an overlay; `base`: its name there. */
int pv_view_layer(struct pv_view *v, struct pv_layer *layer, const char *base)
{
	struct pv_cover *c = &v->covers[v->ncovers - 1];
	char *copy = strdup(base);

	if (!copy || c->nlayers == PV_LAYERS) {
		free(copy);
		return copy ? -EMFILE : -ENOMEM;
	}
	c->layers[c->nlayers].layer = layer;
	c->layers[c->nlayers++].base = copy;
	v->layered = 1;
	return 0;
}

/* Its first overlay keeps at `root` what is changed there. */
int pv_view_kept(struct pv_view *v, int domain, const char *root)
{
	struct pv_cover *c = &v->covers[v->ncovers - 1];

	c->kept = domain;
	c->kept_root = strdup(root);
	return c->kept_root ? 0 : -ENOMEM;
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

/* Is "/" in the view something else than the kernel's root? */
int pv_rooted_elsewhere(const struct pv_view *v)
{
	return v->ncovers && v->covers[v->ncovers - 1].domain;
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

/* What answers for a name: View.covers(). */
const struct pv_cover *pv_cover_of(const struct pv_view *v, const char *path)
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

static enum pv_verdict absolute(struct pv_task *t, const struct shape *s, const char *path,
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

/* Where a domain shows in the view: its kernel root, and the prefix instead of it. */
static const char *shown_at(const struct pv_view *v, int domain, const char *real, size_t *skip)
{
	*skip = 0;
	if (!domain)
		return "";
	for (size_t i = 0; i < v->ncovers; i++) {
		const struct pv_cover *c = &v->covers[i];
		const char *root = c->domain == domain ? c->root :
		                   c->kept == domain ? c->kept_root : NULL;
		if (root && !strncmp(real, root, strlen(root))) {
			*skip = strlen(root);
			return c->prefix;
		}
	}
	return NULL;
}

/* The view's name of a directory of a domain, letter by letter; its length, 0: none. */
static size_t directory_name(struct pv_task *t, int fd, int domain, char *name, size_t size)
{
	char link[32], real[PV_PATH_MAX];
	size_t skip;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t got = readlink(link, real, sizeof real - 1);
	if (got <= 0 || *real != '/')
		return 0;
	real[got] = 0;
	if (got > 10 && !strcmp(real + got - 10, " (deleted)"))
		return 0;
	const char *prefix = shown_at(t->view, domain, real, &skip);
	if (!prefix)
		return 0;
	if (real[skip] == '/' && !real[skip + 1])
		skip++;
	size_t n = strlen(prefix) + strlen(real + skip);
	if (n + 1 > size)
		return 0;
	snprintf(name, size, "%s%s", prefix, real + skip);
	return n ? n : 1;
}

/* The same of the working directory, remembered for a while: others may rename it. */
static const char *cwd_name(struct pv_task *t, int fd)
{
	char name[PV_PATH_MAX];
	uint64_t key = t->fs->serial * 0x9e3779b97f4a7c15u ^ pv_generation() ^ t->view->serial;

	if (t->fs->name && t->fs->name_key == key && t->fs->name_until > pv_now())
		return t->fs->name;
	free(t->fs->name);
	t->fs->name = NULL;
	if (!directory_name(t, fd, t->fs->domain, name, sizeof name))
		return NULL;
	t->fs->name = strdup(name);
	t->fs->name_key = key;
	t->fs->name_until = pv_now() + 1000000000u;
	return t->fs->name;
}

/* The same of any directory; of the last one asked for it is remembered, too. */
static size_t any_name(struct pv_task *t, int fd, int domain, char *name, size_t size)
{
	static struct { uint64_t dev, ino, key, until; size_t length; char name[PV_PATH_MAX]; } last;
	struct stat st;
	uint64_t key = pv_generation() ^ (uint64_t)t->view->serial << 32 ^ (unsigned)domain;

	if (fstat(fd, &st) < 0)
		return 0;
	if (last.ino != st.st_ino || last.dev != st.st_dev || last.key != key ||
	    last.until <= pv_now()) {
		last.ino = 0;
		last.length = directory_name(t, fd, domain, last.name, sizeof last.name);
		if (!last.length)
			return 0;
		last.dev = st.st_dev;
		last.ino = st.st_ino;
		last.key = key;
		last.until = pv_now() + 1000000000u;
	}
	size_t n = strlen(last.name);
	if (n + 1 > size)
		return 0;
	memcpy(name, last.name, n + 1);
	return n ? n : 1;
}

/* `path` from w->base as a name of the view. */
static size_t name_in_view(struct pv_task *t, int dirfd, const struct pv_where *w,
                           const char *path, char *name, size_t size)
{
	char directory[PV_PATH_MAX];
	const char *start = directory;
	size_t k = strlen(path);

	if (dirfd == AT_FDCWD)
		start = cwd_name(t, w->base);
	else if (!any_name(t, w->base, w->domain, directory, sizeof directory))
		start = NULL;
	size_t n = start ? strlen(start) : 0;
	if (!start || n + k + 2 > size)
		return 0;
	memcpy(name, start, n);
	name[n] = '/';
	memcpy(name + n + 1, path, k + 1);
	return n + k + 1;
}

/* Do those who sync what an overlay keeps in this domain wait for nothing? */
int pv_is_unsynced(const struct pv_view *v, int domain)
{
	for (size_t i = 0; i < v->ncovers; i++)
		if (v->covers[i].kept_root && v->covers[i].kept == domain)
			return (pv_layer_how(v->covers[i].layers[0].layer) & PV_UNSYNCED) != 0;
	return 0;
}

/* Is it a domain that an overlay keeps its own files in? */
int pv_is_kept(const struct pv_view *v, int domain)
{
	for (size_t i = 0; i < v->ncovers; i++)
		if (v->covers[i].kept_root && v->covers[i].kept == domain)
			return 1;
	return 0;
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
static enum pv_verdict overlaid(struct pv_task *t, const struct shape *s, int dirfd,
                                const char *path, struct pv_where *w)
{
	char name[2 * PV_PATH_MAX];

	if (base_of(t, dirfd, w) < 0)
		return PV_PLAIN;          /* EBADF: the kernel says so */
	if (!name_in_view(t, dirfd, w, path, name, sizeof name))
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

static enum pv_verdict relative(struct pv_task *t, const struct shape *s, int dirfd,
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
static enum pv_verdict walked(struct pv_task *t, int dirfd, const struct shape *s,
                              const char *path, int nofollow, struct pv_where *w)
{
	char directory[PV_PATH_MAX];
	const char *start = "";
	int domain = 0;

	if (!s->absolute) {
		if (s->up || base_of(t, dirfd, w) < 0)
			return PV_SLOW;   /* ".." of a directory that may have been moved */
		domain = dirfd == AT_FDCWD ? t->fs->domain : pv_domain_of(w->base);
		start = dirfd == AT_FDCWD ? cwd_name(t, w->base) : directory;
		if (start == directory &&
		    !any_name(t, w->base, domain, directory, sizeof directory))
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
	struct shape s = look(t->view, name);

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
static enum pv_verdict followed(struct pv_task *t, const struct shape *s, int dirfd,
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
	struct shape s = look(t->view, path);
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
