// SPDX-License-Identifier: GPL-2.0-or-later
/* sleeps.c - which calls a stop must not end.
 *
 * A tracer makes every signal wake its receiver, and so does the core when it stops a task.  Most
 * calls go on by themselves; the others are set here to be made again. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#define RESTARTSYS (-512)            /* the kernel's own, linux/errno.h: never seen by a program */
#define RESTARTNOINTR (-513)
#define RESTARTNOHAND (-514)

/* Has a sleep without an end been cut short that the kernel does not take up again by itself?
 * Where time is running nobody can tell how much of it is left. */
static int was_asleep(const struct pv_regs *r)
{
	switch ((int64_t)r->nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)r->args[3] < 0;
	case SYS_rt_sigtimedwait:
		return !r->args[2];
	case 441:                    /* epoll_pwait2 */
	case SYS_semtimedop:
		return !r->args[3];
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		return !r->args[4];
	case SYS_semop:
		return 1;
	}
	return 0;
}

/* Without a tracer nobody would notice a signal that its receiver ignores; with one it wakes him. */
static int is_ignored(int tid, int signal)
{
	uint64_t bit = 1ull << (signal - 1);

	if (pv_signal_set(tid, "SigIgn:") & bit)
		return 1;
	return (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH) &&
	       !(pv_signal_set(tid, "SigCgt:") & bit);
}

/* The task stops for a signal, or (0) only because the core wants it: should its call go on? */
void pv_undisturbed(struct pv_task *t, int signal, int began)
{
	struct pv_regs r;

	if (pv_get_regs(t->tid, &r) < 0 || (int64_t)r.nr < 0)
		return;
	if ((int64_t)r.value == -EINTR && was_asleep(&r) && (!signal || is_ignored(t->tid, signal)))
		r.value = (uint64_t)(int64_t)RESTARTNOHAND;
	else if (signal && t->filtered && !began && (int64_t)r.value == RESTARTSYS &&
	         pv_restarts(t, &r))
		r.value = (uint64_t)(int64_t)RESTARTNOINTR;
	else
		return;
	pv_set_regs(t->tid, &r);
}
