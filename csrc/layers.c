// SPDX-License-Identifier: GPL-2.0-or-later
/* layers.c - what overlays have touched (pyview/api/overlays.py), as far as C must know.
 *
 * A layer has the names that no longer show what lies below; what is not among them, and below
 * none that is cut, is the kernel's affair.  Claimed files are those whose attributes or entries
 * are not the kernel's: (device, inode), of all layers. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct name { char *text; uint64_t hash; int how; };
struct pv_layer {
	struct name *names;          /* open addressing; text NULL: free, "": it was one */
	size_t room, used, taken;
	int how;                     /* PV_LIVE: any name may be touched; PV_UNSYNCED: fsync(2) of
	                              * what is kept does nothing; PV_CHANGED: it keeps changes */
};

/* ---- names ---- */
#define START 0xcbf29ce484222325u

static uint64_t more(uint64_t h, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3u;
	return h;
}

static struct name *slot(const struct pv_layer *l, const char *text, size_t n, uint64_t h)
{
	if (!l->room)
		return NULL;
	for (size_t i = h & (l->room - 1);; i = (i + 1) & (l->room - 1)) {
		struct name *at = &l->names[i];
		if (!at->text)
			return NULL;
		if (at->hash == h && *at->text && !strncmp(at->text, text, n) && !at->text[n])
			return at;
	}
}

static int add(struct pv_layer *l, char *text, uint64_t h, int how)
{
	for (size_t i = h & (l->room - 1);; i = (i + 1) & (l->room - 1))
		if (!l->names[i].text) {
			l->names[i] = (struct name){ text, h, how };
			l->taken++;
			l->used++;
			return 0;
		}
}

static char nothing[] = "";

static int widen(struct pv_layer *l)
{
	struct pv_layer new = { .room = 64, .how = l->how };

	while (new.room < 4 * (l->used + 1))
		new.room *= 2;
	new.names = calloc(new.room, sizeof *new.names);
	if (!new.names)
		return -ENOMEM;
	for (size_t i = 0; i < l->room; i++)
		if (l->names[i].text && *l->names[i].text)
			add(&new, l->names[i].text, l->names[i].hash, l->names[i].how);
	free(l->names);
	*l = new;
	return 0;
}

struct pv_layer *pv_layer_new(void)
{
	return calloc(1, sizeof(struct pv_layer));
}

void pv_layer_free(struct pv_layer *l)
{
	for (size_t i = 0; i < l->room; i++)
		if (l->names[i].text != nothing)
			free(l->names[i].text);
	free(l->names);
	free(l);
}

void pv_layer_is(struct pv_layer *l, int how)
{
	l->how = how;
}

int pv_layer_how(const struct pv_layer *l)
{
	return l->how;
}

/* `name` ("/etc/x") is touched; `how`: enum pv_touch. */
int pv_layer_touch(struct pv_layer *l, const char *name, int how)
{
	size_t n = strlen(name);
	uint64_t h = more(START, name, n);
	struct name *known = slot(l, name, n, h);

	pv_touched_more();
	if (known) {
		known->how = how;
		return 0;
	}
	if (2 * (l->taken + 1) > l->room && widen(l) < 0)
		return -ENOMEM;
	char *text = strdup(name);
	return text ? add(l, text, h, how) : -ENOMEM;
}

void pv_layer_forget(struct pv_layer *l, const char *name)
{
	size_t n = strlen(name);
	struct name *known = slot(l, name, n, more(START, name, n));

	pv_touched_more();
	if (!known)
		return;
	free(known->text);
	known->text = nothing;
	l->used--;
}

/* How a name is touched for the owner of all, and for others. */
static int touched(int how, int owner)
{
	if (how != PV_CLOSED_DIRECTORY && how != PV_CLOSED_OWN)
		return how;
	if (!owner)
		return PV_CUT;
	return how == PV_CLOSED_OWN ? PV_OWN_DIRECTORY : PV_DIRECTORY;
}

/* What is under the name `base` + `rest`, without ".."?  Dots and double slashes mean nothing.
 * `owner`: pv_is_owner() of the caller.  `text`, with room for two names, is then the clean one. */
enum pv_layered pv_layer_look(const struct pv_layer *l, const char *base, const char *rest,
                              int owner, char *text, int *kind)
{
	size_t n = 0;
	uint64_t h = START;
	int how = PV_TOUCHED;        /* its root is always touched */

	*text = 0;
	*kind = how;
	if (l->how & PV_LIVE)
		return PV_ASK;
	for (int part = 0; part < 2; part++)
		for (const char *p = part ? rest : base; *p;) {
			p += strspn(p, "/");
			size_t k = strcspn(p, "/");
			if (!k || (k == 1 && *p == '.')) {
				p += k;
				continue;
			}
			if (how == PV_GONE)
				return PV_NOT_THERE;
			if (how != PV_TOUCHED && how != PV_DIRECTORY && how != PV_OWN_DIRECTORY)
				return PV_ASK;
			if (n + k + 2 > 2 * PV_PATH_MAX)
				return PV_ASK;
			text[n] = '/';
			memcpy(text + n + 1, p, k);
			h = more(h, text + n, k + 1);
			n += k + 1;
			text[n] = 0;
			p += k;
			const struct name *at = slot(l, text, n, h);
			if (!at)
				return how == PV_OWN_DIRECTORY ? PV_NOT_THERE : PV_UNTOUCHED;
			*kind = how = touched(at->how, owner);
		}
	if (how == PV_GONE)
		return PV_NOT_THERE;
	return how == PV_TOUCHED || how == PV_CUT ? PV_ASK : PV_KEPT;
}

/* ---- files ---- */
struct set { struct pv_shown *at; size_t room, used; };
static struct set claimed, linked;

static size_t place(const struct set *s, uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino * 0x9e3779b97f4a7c15u) ^ (dev * 0xff51afd7ed558ccdu);
	size_t i = (h ^ h >> 29) & (s->room - 1);

	while (s->at[i].ino && (s->at[i].ino != ino || s->at[i].dev != dev))
		i = (i + 1) & (s->room - 1);
	return i;
}

static struct pv_shown *put(struct set *s, uint64_t dev, uint64_t ino)
{
	if (2 * (s->used + 1) > s->room) {
		struct set new = { .room = s->room ? 4 * s->room : 256, .used = s->used };
		new.at = calloc(new.room, sizeof *new.at);
		if (!new.at)
			return NULL;
		for (size_t i = 0; i < s->room; i++)
			if (s->at[i].ino)
				new.at[place(&new, s->at[i].dev, s->at[i].ino)] = s->at[i];
		free(s->at);
		*s = new;
	}
	size_t i = place(s, dev, ino);
	if (!s->at[i].ino) {
		s->at[i].dev = dev;
		s->at[i].ino = ino;
		s->used++;
	}
	return &s->at[i];
}

/* Its attributes or entries are not the kernel's: Python is to be asked. */
int pv_claim(uint64_t dev, uint64_t ino)
{
	struct pv_shown *shown = put(&claimed, dev, ino);

	if (!shown)
		return -ENOMEM;
	shown->described = 0;
	return 0;
}

/* The same, and these are the attributes that replace the kernel's. */
int pv_describe(uint64_t dev, uint64_t ino, const struct pv_shown *as)
{
	struct pv_shown *shown = put(&claimed, dev, ino);

	if (!shown)
		return -ENOMEM;
	*shown = *as;
	shown->dev = dev;
	shown->ino = ino;
	shown->described = 1;
	return 0;
}

/* What is known of a file; NULL when it is as the kernel says. */
const struct pv_shown *pv_claimed(uint64_t dev, uint64_t ino)
{
	const struct pv_shown *shown;

	if (!claimed.used)
		return NULL;
	shown = &claimed.at[place(&claimed, dev, ino)];
	return shown->ino ? shown : NULL;
}

/* Other names of this file, which nobody touched, are no longer what lies below. */
int pv_link(uint64_t dev, uint64_t ino)
{
	return put(&linked, dev, ino) ? 0 : -ENOMEM;
}

int pv_has_links(void)
{
	return linked.used != 0;
}

int pv_is_linked(uint64_t dev, uint64_t ino)
{
	return linked.used && linked.at[place(&linked, dev, ino)].ino;
}
