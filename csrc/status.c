// SPDX-License-Identifier: GPL-2.0-or-later
/* status.c - what proc says of a task: proc(5). */
#define _GNU_SOURCE
#include "pyview.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What /proc/TID/status says after `field`; NULL when it is not there. */
static const char *status_field(int tid, const char *field, char line[128])
{
	char name[32];
	const char *value = NULL;

	snprintf(name, sizeof name, "/proc/%d/status", tid);
	FILE *f = fopen(name, "re");
	if (!f)
		return NULL;
	while (!value && fgets(line, 128, f))
		if (!strncmp(line, field, strlen(field)))
			value = line + strlen(field);
	fclose(f);
	return value;
}

/* A number there; -1 when it is not. */
static long status_number(int tid, const char *field)
{
	char line[128];
	const char *value = status_field(tid, field, line);

	return value ? strtol(value, NULL, 10) : -1;
}

/* A set of signals there: bit 0 is signal 1. */
uint64_t pv_signal_set(int tid, const char *field)
{
	char line[128];
	const char *value = status_field(tid, field, line);

	return value ? strtoull(value, NULL, 16) : 0;
}

int pv_tgid(int tid)
{
	long tgid = status_number(tid, "Tgid:");

	return tgid < 0 ? tid : (int)tgid;
}
