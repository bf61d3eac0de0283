// SPDX-License-Identifier: GPL-2.0-or-later
/* follow.c - run where the caller runs.
 *
 * A ptrace stop that wakes the core on another CPU costs 30 to 110 us, on the same one 6
 * (docs/decisions.md).  The listener has a wake-up of its own for that, ptrace has none: so while a
 * task stops often for calls on descriptors, the core moves to its CPU. */
#define _GNU_SOURCE
#include "pyview.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVERY 64u                    /* stops between two looks */
#define CPU_FIELD 39                 /* "processor" in /proc/PID/stat, counted from 1: proc(5) */

static cpu_set_t everywhere;
static int here = -1, known;
static unsigned stops, notices;

static int cpu_of(int tid)
{
	char name[32], text[1024];
	int fd, field = 2;

	snprintf(name, sizeof name, "/proc/%d/stat", tid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	char *at = strrchr(text, ')');   /* the name before it may hold anything */
	while (at && field < CPU_FIELD) {
		at = strchr(at + 1, ' ');
		field++;
	}
	return at ? atoi(at + 1) : -1;
}

/* The task has stopped for a call on a descriptor, and probably will again. */
void pv_follow(int tid)
{
	cpu_set_t one;
	int cpu;

	if (stops++ % EVERY)
		return;
	if (!known)
		known = sched_getaffinity(0, sizeof everywhere, &everywhere) == 0 ? 1 : -1;
	cpu = known > 0 ? cpu_of(tid) : -1;
	if (cpu < 0 || cpu == here || !CPU_ISSET((size_t)cpu, &everywhere))
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	if (sched_setaffinity(0, sizeof one, &one) == 0)
		here = cpu;
}

/* Something else has happened: others want the core, too, wherever they are. */
void pv_roam(void)
{
	if (here < 0 || ++notices % EVERY)
		return;
	sched_setaffinity(0, sizeof everywhere, &everywhere);
	here = -1;
	stops = 0;
}
