// SPDX-License-Identifier: GPL-2.0-or-later
/* walk.c - follow the symbolic links of a name through overlays: the mirror of paths.py.
 *
 * What is not certain is PV_SLOW: proc, trees that only Python knows, what an overlay has not
 * told of. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS 40             /* MAXSYMLINKS */

enum { NO_LINK = -1, UNKNOWN = -2 };

struct walk {
	char at[PV_PATH_MAX];        /* canonical, "" for "/" */
	size_t n;
	char todo[2 * PV_PATH_MAX];  /* what is to come, in its end */
	const char *next;
	int links;
	int own;                     /* a link was an overlay's */
};

/* The kernel's name of what has been reached, when that is what counts there.  NO_LINK: it is
 * none, whatever it is; *own: an overlay keeps it. */
static int real_name(const struct pv_task *t, const struct walk *k, char *real, int *own)
{
	char clean[2 * PV_PATH_MAX + 2];
	const struct pv_cover *c = pv_cover_of(t->view, k->at);
	int kind;

	*own = 0;
	if (!c || c->domain < 0)
		return UNKNOWN;
	const char *root = c->root, *rest = k->at + c->length;
	if (!*rest)
		return NO_LINK;           /* a mount point */
	for (int i = 0; i < c->nlayers; i++)
		switch (pv_layer_look(c->layers[i].layer, c->layers[i].base, rest,
		                      pv_is_owner(t), clean, &kind)) {
		case PV_UNTOUCHED:
			break;
		case PV_NOT_THERE:
			return i ? UNKNOWN : NO_LINK;
		case PV_KEPT:
			if (i || !c->kept_root || strlen(clean) != strlen(c->layers[0].base) +
			                                               strlen(rest))
				return UNKNOWN;
			if (kind != PV_FILE)
				return NO_LINK;
			root = c->kept_root;
			*own = 1;
			i = c->nlayers;
			break;
		default:
			return UNKNOWN;
		}
	if (strlen(root) + strlen(rest) >= PV_PATH_MAX)
		return UNKNOWN;
	strcpy(stpcpy(real, root), rest);
	return strncmp(real, "/proc", 5) ? 0 : UNKNOWN;
}

/* The target of the link that has been reached: its length. */
static ssize_t link_at(const struct pv_task *t, struct walk *k, char *target)
{
	char real[PV_PATH_MAX];
	int own, named = real_name(t, k, real, &own);

	if (named < 0)
		return named;
	if (own) {
		ssize_t n = pv_kept_target(real, target, PV_PATH_MAX);
		k->own |= n >= 0;
		return n;
	}
	ssize_t n = readlink(real, target, PV_PATH_MAX);
	if (n < 0)
		return errno == EINVAL || errno == ENOENT || errno == ENOTDIR ? NO_LINK : UNKNOWN;
	return n < PV_PATH_MAX ? n : UNKNOWN;
}

/* ".." is only what its name says in a directory that can be searched. */
static int leave(const struct pv_task *t, struct walk *k)
{
	char real[PV_PATH_MAX];
	struct stat st;
	int own;

	if (k->n) {
		if (real_name(t, k, real, &own) != 0 || own || stat(real, &st) < 0 ||
		    !S_ISDIR(st.st_mode) || access(real, X_OK) < 0)
			return UNKNOWN;
		while (k->at[--k->n] != '/')
			;
	}
	k->at[k->n] = 0;
	return 0;
}

/* Put the target of a link before what is to come. */
static int insert(struct walk *k, const char *target, size_t n)
{
	size_t rest = strlen(k->next);

	if (n + rest + 1 >= sizeof k->todo)
		return UNKNOWN;
	memmove(k->todo + n, k->next, rest + 1);
	memcpy(k->todo, target, n);
	k->next = k->todo;
	if (*target == '/') {
		k->n = 0;
	} else {
		while (k->at[--k->n] != '/')
			;
	}
	k->at[k->n] = 0;
	return n ? 0 : UNKNOWN;
}

/* Go on by one name; `last`: none comes after it. */
static int step(const struct pv_task *t, struct walk *k, const char *name, size_t n, int follow)
{
	char target[PV_PATH_MAX];

	if (n == 1 && *name == '.')
		return *k->next ? 0 : UNKNOWN;
	if (n == 2 && !strncmp(name, "..", 2))
		return leave(t, k);
	if (k->n + n + 2 >= sizeof k->at)
		return UNKNOWN;
	k->at[k->n] = '/';
	memcpy(k->at + k->n + 1, name, n);
	k->n += n + 1;
	k->at[k->n] = 0;
	if (!follow)
		return 0;
	ssize_t length = link_at(t, k, target);
	if (length == NO_LINK)
		return 0;
	if (length < 0 || ++k->links > LINKS)
		return UNKNOWN;
	return insert(k, target, (size_t)length);
}

/* Where `path` leads from the directory `start` ("" for the root, canonical). */
enum pv_verdict pv_walk(struct pv_task *t, const char *start, const char *path, int nofollow,
                        struct pv_where *w)
{
	struct walk k = { .next = path };
	int slash = 0;

	k.n = strlen(start);
	if (k.n == 1 && *start == '/')
		k.n = 0;
	if (k.n >= sizeof k.at)
		return PV_SLOW;
	memcpy(k.at, start, k.n);
	for (;;) {
		char name[PV_PATH_MAX];
		size_t slashes = strspn(k.next, "/"), n = strcspn(k.next + slashes, "/");
		if (!n) {
			slash = slashes > 0;
			break;
		}
		if (n >= sizeof name)
			return PV_SLOW;
		memcpy(name, k.next + slashes, n);
		k.next += slashes + n;
		if (step(t, &k, name, n, *k.next || !nofollow) < 0)
			return PV_SLOW;
	}
	if (slash && k.n + 2 < sizeof k.at)
		k.at[k.n++] = '/';
	k.at[k.n] = 0;
	enum pv_verdict verdict = pv_where_canonical(t, k.n ? k.at : "/", w);
	return verdict == PV_PLAIN && !w->domain && k.own ? PV_SLOW : verdict;
}
