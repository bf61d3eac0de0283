// SPDX-License-Identifier: GPL-2.0-or-later
/* clean.c - names that were seen to meet no symbolic link which could lead into another domain.
 *
 * A direct-mapped table of 64-bit hashes.  A call in the view that could make a name unclean (a
 * link whose target names a mount point, a directory renamed) forgets everything; what others do
 * outside the view is noticed within LIFETIME. */
#define _GNU_SOURCE
#include "pyview.h"
#include <string.h>
#include <time.h>

#define ENTRIES 8192u
#define LIFETIME 1000000000ull      /* ns */

static struct { uint64_t key, until; } table[ENTRIES];
static uint64_t generation = 1;

static uint64_t now(void)
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

void pv_clean(uint64_t key)
{
	if (!key)
		return;
	table[key % ENTRIES].key = key;
	table[key % ENTRIES].until = now() + LIFETIME;
}

int pv_is_clean(uint64_t key)
{
	return table[key % ENTRIES].key == key && table[key % ENTRIES].until > now();
}

void pv_forget(void)
{
	generation++;
}
