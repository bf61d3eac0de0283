// SPDX-License-Identifier: GPL-2.0-or-later
/* clean.c - names that were seen to meet no symbolic link which could lead into another domain.
 *
 * A direct-mapped table of 64-bit hashes.  A call in the view that could make a name unclean (a
 * link whose target names a mount point, a directory renamed) forgets everything; what others do
 * outside the view is noticed within LIFETIME.
 *
 * A name that meets no link at all stays clean whatever overlays touch: that is looked up by its
 * letters.  What Python has found out holds until the next touch. */
#define _GNU_SOURCE
#include "pyview.h"
#include <string.h>
#include <time.h>

#define ENTRIES 8192u
#define LIFETIME 1000000000ull      /* ns */

static struct { uint64_t key, until, touches; } table[ENTRIES];
static uint64_t generation = 1;
static uint64_t touches = 1;

uint64_t pv_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

/* The key of a name as the task would look it up; never 0. */
uint64_t pv_key(struct pv_task *t, int relative, int domain, const char *path)
{
	uint64_t h = mix(generation, relative ? t->fs->serial : 0), word;
	size_t left = strlen(path);

	h = mix(h, t->view ? t->view->serial : 0);
	h = mix(h, (uint64_t)(unsigned)domain << 32 | left);
	for (; left >= 8; left -= 8, path += 8) {
		memcpy(&word, path, 8);
		h = mix(h, word);
	}
	word = 0;
	memcpy(&word, path, left);
	h = mix(h, word);
	return h ? h : 1;
}

static void keep(uint64_t key, uint64_t valid)
{
	if (!key)
		return;
	table[key % ENTRIES].key = key;
	table[key % ENTRIES].until = pv_now() + LIFETIME;
	table[key % ENTRIES].touches = valid;
}

void pv_clean(uint64_t key)
{
	keep(key, touches);
}

/* It meets no link. */
void pv_unlinked(uint64_t key)
{
	keep(key, 0);
}

int pv_is_clean(uint64_t key)
{
	uint64_t valid = table[key % ENTRIES].touches;

	return table[key % ENTRIES].key == key && (!valid || valid == touches) &&
	       table[key % ENTRIES].until > pv_now();
}

/* An overlay shows something else than before. */
void pv_touched_more(void)
{
	touches++;
}

void pv_forget(void)
{
	generation++;
}

/* Another number after each pv_forget(), and after each touch: a directory may be another. */
uint64_t pv_generation(void)
{
	return mix(generation, touches);
}
