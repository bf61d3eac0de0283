// SPDX-License-Identifier: GPL-2.0-or-later
/* identity.c - who a task is in its view, and the calls that only ask for it: credentials(7).
 *
 * As the kernel's, credentials are never changed, only replaced, so that tasks may share them.
 * What may replace what is pyview/credentials.py's affair. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

/* To be filled in by the caller and given to a task by pv_assume(); NULL without memory. */
struct pv_identity *pv_identity_new(int ngroups)
{
	size_t groups = (size_t)ngroups * sizeof(uint32_t);
	struct pv_identity *made = calloc(1, sizeof *made + groups);

	if (made)
		made->ngroups = ngroups;
	return made;
}

void pv_identity_put(struct pv_identity *identity)
{
	if (identity && !--identity->refs)
		free(identity);
}

/* The task is this from now on; NULL: what the kernel says. */
void pv_assume(struct pv_task *t, struct pv_identity *identity)
{
	if (identity)
		identity->refs++;
	pv_identity_put(t->identity);
	t->identity = identity;
}

/* Store three ids in the task, each where its address says. */
static int64_t store_three(int tid, const uint64_t *addresses, const uint32_t *ids)
{
	for (int i = 0; i < 3; i++)
		if (pv_poke(tid, addresses[i], &ids[i], sizeof *ids) != (ssize_t)sizeof *ids)
			return -EFAULT;
	return 0;
}

static int64_t groups(const struct pv_task *t, const struct pv_stop *s)
{
	const struct pv_identity *who = t->identity;
	int room = (int)s->args[0];
	size_t length = (size_t)who->ngroups * sizeof *who->groups;

	if (room < 0 || (room && room < who->ngroups))
		return -EINVAL;
	if (room && length && pv_poke(s->tid, s->args[1], who->groups, length) != (ssize_t)length)
		return -EFAULT;
	return who->ngroups;
}

/* Answer a call that asks for ids; 0 for any other. */
int pv_identity_call(struct pv_task *t, struct pv_stop *s, int64_t *value)
{
	const struct pv_identity *who = t->identity;

	pv_follow(t->tid);           /* who asks once may ask often */
	switch (s->nr) {
	case SYS_getuid:
		*value = who->uid[0];
		break;
	case SYS_geteuid:
		*value = who->uid[1];
		break;
	case SYS_getgid:
		*value = who->gid[0];
		break;
	case SYS_getegid:
		*value = who->gid[1];
		break;
	case SYS_getresuid:
		*value = store_three(s->tid, s->args, who->uid);
		break;
	case SYS_getresgid:
		*value = store_three(s->tid, s->args, who->gid);
		break;
	case SYS_getgroups:
		*value = groups(t, s);
		break;
	default:
		return 0;
	}
	pv_counts[3]++;
	return 1;
}
