// SPDX-License-Identifier: GPL-2.0-or-later
/* stops.c - what each of ptrace's stops means, and how a task goes on.
 *
 * What needs no thought (a newborn, a signal, a job-control stop, a call that dispatch.c lets run)
 * is resumed here; the rest is reported. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OPTIONS ((unsigned)PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
                 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP | \
                 PTRACE_O_EXITKILL)

int pv_run;
static int first;                    /* the first task */

int pv_seize(int pid, struct pv_view *view)
{
	if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0)
		return -errno;
	struct pv_task *t = pv_task_make(pid);
	if (!t)
		return -ENOMEM;
	if (!first)
		first = pid;
	t->view = view;
	pv_seen(t);                  /* not newborn: it may be in a call */
	pv_task_place(t);
	return 0;
}

int pv_interrupt(int tid)
{
	return ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 ? -errno : 0;
}

/* Resume a stopped task; -ESRCH when it has been killed meanwhile, which waitpid will tell. */
int pv_resume(int tid, int how, int signal)
{
	const struct pv_task *t = how == PV_GO ? pv_task(tid) : NULL;
	long request = how == PV_TO_EXIT ? PTRACE_SYSCALL :
	               how == PV_STAY_STOPPED ? PTRACE_LISTEN :
	               t && t->go ? t->go : PTRACE_CONT;

	if (t && t->wanted)
		ptrace(PTRACE_INTERRUPT, tid, 0, 0);

	return ptrace((enum __ptrace_request)request, tid, 0, (long)signal) < 0 ? -errno : 0;
}

/* The options of a traced task: what every one has, and some more events. */
int pv_options(int tid, unsigned more_events)
{
	return ptrace(PTRACE_SETOPTIONS, tid, 0, (long)(OPTIONS | more_events)) < 0 ? -errno : 0;
}

/* Keep signals pending while calls are made in a stopped task; *mask is its own. */
int pv_block_signals(int tid, uint64_t *mask)
{
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof *mask, mask) < 0)
		return -errno;
	return pv_unblock_signals(tid, ~0ull);
}

int pv_unblock_signals(int tid, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, tid, sizeof mask, &mask) < 0 ? -errno : 0;
}

int pv_report(struct pv_stop *s, int kind, int tid, int message)
{
	s->kind = kind;
	s->tid = tid;
	s->message = message;
	pv_counts[2]++;
	return kind;
}

/* The call at which the task has stopped. */
static int call_of(int tid, struct pv_stop *s)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0)
		return -errno;
	s->tid = tid;
	s->ip = info.instruction_pointer;
	s->sp = info.stack_pointer;
	s->key = 0;
	s->object = 0;
	s->message = 0;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		s->value = info.exit.rval;
		return PV_EXIT;
	}
	s->message = info.op == PTRACE_SYSCALL_INFO_SECCOMP ? (int)info.seccomp.ret_data : 0;
	s->arch = info.arch;
	s->nr = (int64_t)(info.op == PTRACE_SYSCALL_INFO_SECCOMP ? info.seccomp.nr : info.entry.nr);
	for (int i = 0; i < 6; i++)
		s->args[i] = info.op == PTRACE_SYSCALL_INFO_SECCOMP ? info.seccomp.args[i]
		                                                    : info.entry.args[i];
	if (info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		return PV_ENTRY;
	s->message = (int)info.seccomp.ret_data;
	return PV_TRACED;
}

static int born(struct pv_task *parent, struct pv_stop *s, int event)
{
	unsigned long child = 0;

	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, 0, &child) < 0)
		return PV_NONE;
	struct pv_task *t = pv_task_make((int)child);
	if (!t)                          /* no memory for a task: it can't be let loose */
		kill((int)child, SIGKILL);
	if (t) {
		int stopped_already = t->waiting;
		pv_task_inherit(t, parent);
		pv_task_place(t);
		s->nr = event;
		s->value = stopped_already;
		if (parent->debug & PV_TRACEE)
			t->debug = PV_TRACEE;    /* until Python has decided */
		else if (stopped_already)
			pv_resume(t->tid, PV_GO, 0);
	}
	if (parent->watched || (t && parent->debug & PV_TRACEE))
		return pv_report(s, PV_BORN, parent->tid, (int)child);
	pv_resume(parent->tid, PV_GO, 0);
	return PV_NONE;
}

/* The program's own mapping is told under the name that it was executed by. */
static void note_program(const struct pv_task *t)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof name, "/proc/%d/exe", t->tid);
	if (t->mm->domain > 0 && stat(name, &st) == 0)
		pv_note_opened(st.st_dev, st.st_ino, t->mm->domain);
}

static int executed(struct pv_task *t, struct pv_stop *s)
{
	unsigned long old = (unsigned long)t->tid;
	int maps;

	if (t->mm->refs > 1 || !t->placed)   /* else it is nobody's thread */
		ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &old);
	pv_task_exec(t, (int)old, &maps);
	note_program(t);
	s->value = maps;
	s->key = !t->filtered && !t->ptraces && pv_may_debug(t->tid);
	if (t->watched || t->debug || maps || t->identity || s->key)
		return pv_report(s, PV_EXEC, t->tid, (int)old);
	pv_resume(t->tid, PV_GO, 0);
	return PV_NONE;
}

static int signalled(struct pv_task *t, struct pv_stop *s, int signal)
{
	int began = t->began;

	t->began = 0;
	pv_undisturbed(t, signal, began);
	if (t->debug && signal == SIGCHLD)
		pv_set_right(t->tid);
	if (t->watched || t->debug & PV_TRACEE)
		return pv_report(s, PV_SIGNAL, t->tid, signal);
	pv_resume(t->tid, PV_GO, signal);
	return PV_NONE;
}

/* A call that is not to run: our filter lets its stop be seen only when all is to be told; another's
 * asks for a tracer, and to whoever lives in a view there is none. */
static int refused(struct pv_task *t, struct pv_stop *s)
{
	int why = s->message != PV_SECCOMP_REFUSED ? PV_REFUSED_OTHER :
	          s->arch != AUDIT_ARCH_X86_64 ? PV_REFUSED_ARCH : PV_REFUSED_ROW;

	s->listener = -1;
	pv_answer(t->tid, -ENOSYS);
	if (t->view && t->view->trace_all)
		return pv_report(s, PV_REFUSED, t->tid, why);
	pv_resume(t->tid, PV_GO, 0);
	return PV_NONE;
}

static int traced(struct pv_task *t, struct pv_stop *s)
{
	int kind = call_of(t->tid, s);

	pv_counts[1]++;
	if (t->descriptors || t->direct) {
		pv_follow(t->tid);
		pv_run += pv_run < PV_RUN;
	}
	if (kind != PV_TRACED)
		return kind < 0 ? PV_NONE : pv_report(s, kind, t->tid, 0);
	if (t->watched)
		return pv_report(s, PV_TRACED, t->tid, PV_SECCOMP_OURS);
	if (s->message != PV_SECCOMP_OURS) {
		if (s->message != PV_SECCOMP_REFUSED && t->debug & PV_TRACEE)
			return pv_report(s, PV_TRACED, t->tid, s->message);  /* its debugger may want it */
		return refused(t, s);
	}
	s->answered = 0;
	s->listener = -1;
	if (!t->view || pv_dispatch_traced(t, s) != PV_LET_RUN)
		return pv_report(s, PV_TRACED, t->tid, PV_SECCOMP_OURS);
	if (t->view->trace_all)
		return pv_report(s, PV_TOLD, t->tid, 0);
	pv_resume(t->tid, PV_GO, 0);
	return PV_NONE;
}

/* The call at which a task is stopped, once its own filter's word about it has been heard: is it one
 * of ours as well?  PV_NONE when not, and the kernel may run it. */
int pv_again(struct pv_stop *s)
{
	struct pv_task *t = pv_task(s->tid);

	s->answered = 0;
	s->listener = -1;
	if (!t || !t->view || call_of(s->tid, s) != PV_TRACED || s->nr < 0 ||
	    pv_dispatch_traced(t, s) == PV_LET_RUN)
		return PV_NONE;
	return pv_report(s, PV_TRACED, s->tid, PV_SECCOMP_OURS);
}

static int job_control(struct pv_task *t, struct pv_stop *s, int signal)
{
	int group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;

	if (!t->placed) {
		pv_task_wait(t);         /* its parent's event will say what it inherits */
		return PV_NONE;
	}
	t->stopped = (uint8_t)group;
	if (!group && !t->fresh)
		pv_undisturbed(t, 0, 0);
	if (t->watched || t->debug & PV_TRACEE)
		return pv_report(s, group ? PV_GROUP : PV_TRAP, t->tid, signal);
	pv_resume(t->tid, group ? PV_STAY_STOPPED : PV_GO, 0);
	return PV_NONE;
}

int pv_stopped(int tid, int status, struct pv_stop *s)
{
	struct pv_task *t = pv_task_make(tid);
	int event = status >> 16, signal = WSTOPSIG(status), kind;
	unsigned long message = 0;

	if (!t) {                        /* no memory for a task: it can't be let loose */
		kill(tid, SIGKILL);
		return PV_NONE;
	}
	t->stopped = 0;
	t->fresh = !t->seen;
	pv_seen(t);
	if (t->debug)
		pv_follow(tid);
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		return traced(t, s);
	case PTRACE_EVENT_STOP:
		return job_control(t, s, signal);
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		return born(t, s, event);
	case PTRACE_EVENT_EXEC:
		return executed(t, s);
	case PTRACE_EVENT_EXIT:
	case PTRACE_EVENT_VFORK_DONE:
		if (!(t->debug & PV_TRACEE) || ptrace(PTRACE_GETEVENTMSG, tid, 0, &message) < 0)
			break;
		return pv_report(s, event == PTRACE_EVENT_EXIT ? PV_EXITING : PV_VFORKED, tid,
		              (int)message);
	case 0:
		if (signal != (SIGTRAP | 0x80))
			return signalled(t, s, signal);
		if (t->wait.lent)
			pv_wait_ended(t);
		kind = call_of(tid, s);
		if (kind > 0 && (t->watched || t->debug & PV_TRACEE))
			return pv_report(s, kind, tid, 0);
		break;
	}
	pv_resume(tid, PV_GO, 0);
	return PV_NONE;
}

int pv_died(int tid, int status, struct pv_stop *s)
{
	struct pv_task *t = pv_task(tid);
	int watched = t && (t->watched || t->debug || t->direct);  /* who hears of the last close? */
	int maps = t && t->mm->refs == 1 ? t->mm->maps : 0;

	if (!t)
		return PV_NONE;
	if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || t->mm->threads)
		pv_died_early(t);
	pv_task_drop(t);
	s->value = maps;
	s->key = tid == first;
	return watched || maps || tid == first ? pv_report(s, PV_DEAD, tid, status) : PV_NONE;
}
