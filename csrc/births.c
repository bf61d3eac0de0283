// SPDX-License-Identifier: GPL-2.0-or-later
/* births.c - newborns that stop before their parent's event has come, and those whose never will.
 *
 * A parent that is killed between clone(2) and its event has told nobody, and the kernel has given
 * its child away by the time its death is known.  What such a parent was is kept until the child
 * asks; that its event can't come any more is certain once no live task can be about to tell it. */
#define _GNU_SOURCE
#include "pyview.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LATE 16u                     /* of those killed last */
#define EXITING 0x4ul                /* PF_EXITING in the flags of /proc/PID/stat: linux/sched.h */
enum { STATE = 3, FLAGS = 9, START = 22 };   /* fields there, counted from 1: proc(5) */

static struct { struct pv_task *was; double died; } late[LATE];
static unsigned deaths;
static int waiting;
static uint64_t stops;

/* The task has stopped: a parent's first stop after a birth is the event about it. */
void pv_seen(struct pv_task *t)
{
	t->seen = ++stops;
}

/* Its parent's event will say what it inherits. */
void pv_task_wait(struct pv_task *t)
{
	waiting += !t->waiting;
	t->waiting = 1;
}

void pv_task_place(struct pv_task *t)
{
	waiting -= t->waiting;
	t->waiting = 0;
	t->placed = 1;
}

/* Does any newborn wait for its parent's event? */
int pv_births_awaited(void)
{
	return waiting;
}

/* The task that has died is not one to place any more. */
void pv_task_unborn(const struct pv_task *t)
{
	waiting -= t->waiting;
}

/* Fields of /proc/TID/stat; 0 when it has gone. */
static int stat_of(int tid, char *state, unsigned long *flags, unsigned long long *start)
{
	char name[32], text[1024];
	int field = STATE;

	snprintf(name, sizeof name, "/proc/%d/stat", tid);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strrchr(text, ')');   /* the name before it may hold anything */
	if (!at || !at[1])
		return 0;
	*state = *(at += 2);
	for (; field < FLAGS; field++)
		at += strcspn(at, " ") + 1;
	*flags = strtoul(at, NULL, 10);
	for (; field < START; field++)
		at += strcspn(at, " ") + 1;
	*start = strtoull(at, NULL, 10);
	return 1;
}

/* The task was killed, or perhaps because another of its threads ended all: it may have a
 * child that nobody has told of. */
void pv_died_early(const struct pv_task *t)
{
	struct timespec now;
	struct pv_task *copy = t->placed ? pv_task_copy(t) : NULL;
	unsigned i = deaths % LATE;

	if (!copy)
		return;
	deaths++;
	clock_gettime(CLOCK_BOOTTIME, &now);
	pv_task_free(late[i].was);
	late[i].was = copy;
	late[i].died = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The view is about to go. */
void pv_births_forget(const struct pv_view *view)
{
	for (unsigned i = 0; i < LATE; i++)
		if (late[i].was && late[i].was->view == view) {
			pv_task_free(late[i].was);
			late[i].was = NULL;
		}
}

/* Who was killed last, but not before this newborn was there; LATE: nobody. */
static unsigned died_since(unsigned long long start)
{
	double born = (double)start / (double)sysconf(_SC_CLK_TCK);

	for (unsigned n = 1; n <= LATE && n <= deaths; n++) {
		unsigned i = (deaths - n) % LATE;
		if (late[i].was && late[i].died >= born)
			return i;
	}
	return LATE;
}

/* May this task be about to tell of the newborn?  If so, something of it will be heard. */
static int may_tell(const struct pv_task *t, const struct pv_task *newborn)
{
	siginfo_t pending = {0};
	unsigned long flags;
	unsigned long long start;
	char state;

	if (t->waiting || t->seen > newborn->seen)
		return 0;
	if (waitid(P_PID, (id_t)t->tid, &pending, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
	    pending.si_pid || !stat_of(t->tid, &state, &flags, &start))
		return 1;
	if (state == 'R' && !t->watched && !t->debug)
		pv_interrupt(t->tid);    /* it stops for the birth, or else for this */
	return state == 'R' || (flags & EXITING && state != 'Z');
}

/* Nothing has stopped or died that is not known: newborns whose parent will not tell inherit from who
 * was killed last, and go on. */
void pv_births(void)
{
	int tids[256], n;
	unsigned long flags;
	unsigned long long start;
	char state;

	if (!waiting || !deaths)
		return;
	n = pv_waiting(tids, 256);
	for (int i = 0; i < n; i++) {
		struct pv_task *t = pv_task(tids[i]);
		if (!stat_of(t->tid, &state, &flags, &start))
			continue;
		unsigned from = died_since(start);
		if (from == LATE || pv_any_task(may_tell, t))
			continue;
		pv_task_inherit(t, late[from].was);
		pv_task_free(late[from].was);    /* one child, no more, was not told of */
		late[from].was = NULL;
		pv_task_place(t);
		pv_resume(t->tid, PV_GO, 0);
	}
}
