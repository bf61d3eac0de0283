// SPDX-License-Identifier: GPL-2.0-or-later
/* sleeps.c - which calls a stop must not end.
 *
 * A tracer makes every signal wake its receiver, and so does the core when it stops a task.  Most
 * calls go on by themselves; the others are set here to be made again.
 *
 * sigtimedwait with a time limit stops at its start once a module is loaded, so that it can be made
 * again with the time that is left: the copy of that lies below the caller's red zone, and the
 * register that leads to it is set right when the call ends. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

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

#define RED_ZONE 128u                /* bytes below the stack pointer that are the program's */
#define SECOND 1000000000

static int64_t nanoseconds(const struct timespec *t)
{
	int64_t n;

	return __builtin_mul_overflow((int64_t)t->tv_sec, (int64_t)SECOND, &n) ||
	       __builtin_add_overflow(n, (int64_t)t->tv_nsec, &n) ? INT64_MAX : n;
}

/* The time now, or when so much of it has gone by. */
static int64_t after(int64_t some)
{
	struct timespec now;
	int64_t then;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return __builtin_add_overflow(nanoseconds(&now), some, &then) ? INT64_MAX : then;
}

/* A wait of this task with a time limit begins, or goes on: 0 when it may run as it is, -EINTR when
 * it can't be made with the time that is left, and 1 when it is. */
int pv_wait_begins(struct pv_task *t, const struct pv_stop *s)
{
	struct timespec limit;
	struct pv_regs r;
	uint64_t at = (s->sp - RED_ZONE - sizeof limit) & ~15ull;
	int goes_on = t->wait.again && t->wait.sp == s->sp && t->wait.limit == s->args[2];

	t->wait.again = 0;
	if (!goes_on) {
		memset(&t->wait, 0, sizeof t->wait);
		if (pv_peek(t->tid, s->args[2], &limit, sizeof limit) != sizeof limit ||
		    limit.tv_sec < 0 || limit.tv_nsec < 0 || limit.tv_nsec >= SECOND)
			return 0;            /* EFAULT, EINVAL */
		t->wait.end = after(nanoseconds(&limit));
		t->wait.sp = s->sp;
		t->wait.limit = s->args[2];
		return 0;
	}
	int64_t left = t->wait.end - after(0);
	limit.tv_sec = left > 0 ? left / SECOND : 0;
	limit.tv_nsec = left > 0 ? left % SECOND : 0;
	if (pv_poke(t->tid, at, &limit, sizeof limit) != sizeof limit || pv_get_regs(t->tid, &r) < 0)
		return -EINTR;
	r.args[2] = at;
	if (pv_set_regs(t->tid, &r) < 0)
		return -EINTR;
	t->wait.lent = 1;
	t->go = PTRACE_SYSCALL;
	return 1;
}

/* It has ended, or been interrupted: the caller's own words again. */
void pv_wait_ended(struct pv_task *t)
{
	struct pv_regs r;

	t->wait.lent = 0;
	t->go = 0;
	if (pv_get_regs(t->tid, &r) < 0)
		return;
	r.args[2] = t->wait.limit;
	pv_set_regs(t->tid, &r);
}

/* Has a wait with a time limit been cut short of which is known when it ends? */
static int was_waiting(const struct pv_task *t, const struct pv_regs *r)
{
	return r->nr == SYS_rt_sigtimedwait && r->args[2] && t->wait.limit == r->args[2] &&
	       t->wait.sp == r->sp && !(t->debug & PV_TRACEE);
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

	if (signal)
		t->wait.again = 0;
	if (pv_get_regs(t->tid, &r) < 0 || (int64_t)r.nr < 0)
		return;
	int64_t value = (int64_t)r.value;
	if (value == -EINTR && was_asleep(&r) && (!signal || is_ignored(t->tid, signal))) {
		r.value = (uint64_t)(int64_t)RESTARTNOHAND;
	} else if ((value == -EINTR || value == RESTARTNOHAND) && signal && was_waiting(t, &r) &&
	         is_ignored(t->tid, signal)) {
		r.value = (uint64_t)(int64_t)RESTARTNOHAND;
		t->wait.again = 1;           /* unless another signal has a handler */
	} else if (signal && t->filtered && !began && value == RESTARTSYS && pv_restarts(t, &r)) {
		r.value = (uint64_t)(int64_t)RESTARTNOINTR;
	} else {
		return;
	}
	pv_set_regs(t->tid, &r);
}
