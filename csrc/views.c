// SPDX-License-Identifier: GPL-2.0-or-later
/* views.c - what C knows of a view: covers, names of mount points, layers; the mirror of View. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pv_view *pv_view_new(void)
{
	return calloc(1, sizeof(struct pv_view));
}

static unsigned serials;

/* Another number after each change of any view's mounts. */
unsigned pv_view_changes(void)
{
	return serials;
}

void pv_view_clear(struct pv_view *v)
{
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
