// SPDX-License-Identifier: GPL-2.0-or-later
/* wait.c - collect stops: ptrace's by waitpid, the listeners' and control's by epoll.
 *
 * What needs no thought (a newborn, a signal, a job-control stop, a call that dispatch.c lets run)
 * is resumed here; pv_next() returns only with what Python has to decide.
 *
 * With one listener at most, and nothing else to hear of but ptrace's stops and that somebody connects
 * to control, the core sleeps in that listener, or in waitid(2) (rings.c). */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS ((unsigned)PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
                 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP | \
                 PTRACE_O_EXITKILL)
#define LISTENER (1ull << 32)        /* in epoll_data: a listener, not a watched descriptor */
#define RUN 6                        /* so many stops on descriptors in a row: more will follow */
#define SET_FLAGS _IOW('!', 4, uint64_t)     /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */
#define SYNC_WAKE_UP 1ul                     /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */

uint64_t pv_counts[4];
static int poll_fd = -1, child_fd = -1, more, first;
static int partly;                   /* there may be more stops: waitpid was not asked to the end */
static int listeners, listener_sum;  /* how many; of one, the sum is itself */
static int silent, talking;          /* descriptors watched, connections to control: none rings */
static int run;                      /* stops on descriptors since the listener's last call */
static int look = 1;                 /* epoll may know of something that has not rung */

uint64_t pv_count(int what)
{
	return pv_counts[what & 3];
}

/* Who besides an ancestor may trace this process: -1 anyone, 0 nobody (yama; else no effect). */
int pv_tracer(int pid)
{
	return prctl(PR_SET_PTRACER, (unsigned long)(long)pid, 0, 0, 0) < 0 ? -errno : 0;
}

int pv_own_fd(int which)
{
	return which ? child_fd : poll_fd;
}

/* Prepare this thread to be the core. */
int pv_start(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signal(SIGINT, SIG_DFL);     /* Python's would raise an exception wherever it is */
	pv_rings_start();
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	child_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (poll_fd < 0 || child_fd < 0)
		return -errno;
	e.data.u64 = (uint64_t)child_fd;
	more = 1;
	return epoll_ctl(poll_fd, EPOLL_CTL_ADD, child_fd, &e) < 0 ? -errno : 0;
}

static int poll_change(int fd, int on, uint64_t kind)
{
	struct epoll_event e = { .events = (on & 2 ? EPOLLOUT : 0u) | (on & 1 ? EPOLLIN : 0u) };

	e.data.u64 = (uint64_t)fd | kind;
	if (!on)
		return epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
	if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) == 0)
		return 1;            /* a new one */
	return errno == EEXIST && epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &e) == 0 ? 0 : -errno;
}

/* Report PV_READY when `fd` is readable (on & 1) or writable (on & 2); 0 ends it.  on & 4: who makes
 * it ready calls pv_ring() then, or it rings itself, so that the core need not lie awake for it. */
int pv_watch(int fd, int on)
{
	int r = poll_change(fd, on & 3, 0);

	if (!(on & 4))
		silent += on ? r > 0 : -(r == 0);
	look = 1;
	return r < 0 ? r : 0;
}

/* Report PV_READY for control's `fd`.  Who connects to its listening socket `door` rings; what he
 * says does not: see pv_talking(). */
int pv_control(int fd, int door)
{
	int r = pv_rings(door);

	look = 1;                    /* who came before did not ring */
	return r < 0 ? r : poll_change(fd, 1, 0);
}

/* Have a socket ring when something happens to it: pv_watch(fd, 1 | 4) is enough then. */
int pv_rings(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETOWN, getpid()) < 0 ||
	       fcntl(fd, F_SETFL, flags | O_ASYNC) < 0 ? -errno : 0;
}

/* How many of those who came through the door are still there. */
void pv_talking(int connections)
{
	talking = connections;
	look = 1;
}

/* Serve the calls that arrive at a seccomp listener; the core owns it from now on.  Caller and core
 * are never busy at once, so each had better wake the other on its own CPU (Linux 6.6). */
int pv_listener(int fd)
{
	ioctl(fd, SET_FLAGS, SYNC_WAKE_UP);
	listeners++;
	listener_sum += fd;
	return poll_change(fd, 1, LISTENER);
}

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

static int report(struct pv_stop *s, int kind, int tid, int message)
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
		return report(s, PV_BORN, parent->tid, (int)child);
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
		return report(s, PV_EXEC, t->tid, (int)old);
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
		return report(s, PV_SIGNAL, t->tid, signal);
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
		return report(s, PV_REFUSED, t->tid, why);
	pv_resume(t->tid, PV_GO, 0);
	return PV_NONE;
}

static int traced(struct pv_task *t, struct pv_stop *s)
{
	int kind = call_of(t->tid, s);

	pv_counts[1]++;
	if (t->descriptors || t->direct) {
		pv_follow(t->tid);
		run += run < RUN;
	}
	if (kind != PV_TRACED)
		return kind < 0 ? PV_NONE : report(s, kind, t->tid, 0);
	if (t->watched)
		return report(s, PV_TRACED, t->tid, PV_SECCOMP_OURS);
	if (s->message != PV_SECCOMP_OURS) {
		if (s->message != PV_SECCOMP_REFUSED && t->debug & PV_TRACEE)
			return report(s, PV_TRACED, t->tid, s->message);  /* its debugger may want it */
		return refused(t, s);
	}
	s->answered = 0;
	s->listener = -1;
	if (!t->view || pv_dispatch_traced(t, s) != PV_LET_RUN)
		return report(s, PV_TRACED, t->tid, PV_SECCOMP_OURS);
	if (t->view->trace_all)
		return report(s, PV_TOLD, t->tid, 0);
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
	return report(s, PV_TRACED, s->tid, PV_SECCOMP_OURS);
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
		return report(s, group ? PV_GROUP : PV_TRAP, t->tid, signal);
	pv_resume(t->tid, group ? PV_STAY_STOPPED : PV_GO, 0);
	return PV_NONE;
}

static int stopped(int tid, int status, struct pv_stop *s)
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
		return report(s, event == PTRACE_EVENT_EXIT ? PV_EXITING : PV_VFORKED, tid,
		              (int)message);
	case 0:
		if (signal != (SIGTRAP | 0x80))
			return signalled(t, s, signal);
		if (t->wait.lent)
			pv_wait_ended(t);
		kind = call_of(tid, s);
		if (kind > 0 && (t->watched || t->debug & PV_TRACEE))
			return report(s, kind, tid, 0);
		break;
	}
	pv_resume(tid, PV_GO, 0);
	return PV_NONE;
}

static int died(int tid, int status, struct pv_stop *s)
{
	struct pv_task *t = pv_task(tid);
	int watched = t && (t->watched || t->debug);
	int maps = t && t->mm->refs == 1 ? t->mm->maps : 0;

	if (!t)
		return PV_NONE;
	if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || t->mm->threads)
		pv_died_early(t);
	pv_task_drop(t);
	s->value = maps;
	s->key = tid == first;
	return watched || maps || tid == first ? report(s, PV_DEAD, tid, status) : PV_NONE;
}

/* What waitpid tells; `one`: no more than one stop, since the core will sleep for the next one. */
static int children(struct pv_stop *s, int one)
{
	if (more)
		pv_quiet();
	while (more) {
		int status, kind;
		pid_t tid = waitpid(-1, &status, __WALL | __WNOTHREAD | WNOHANG);
		if (tid == 0) {
			more = 0;
			pv_births();
		}
		if (tid < 0)
			return errno == ECHILD ? report(s, PV_EMPTY, 0, 0) : PV_NONE;
		if (tid <= 0)
			break;
		partly |= one;
		more = !one;
		kind = WIFSTOPPED(status) ? stopped(tid, status, s) : died(tid, status, s);
		if (kind)
			return kind;
	}
	return PV_NONE;
}

static int notice(int fd, int sleepy, struct pv_stop *s)
{
	const struct seccomp_notif *n = pv_receive(fd, sleepy);

	if (!n) {
		look |= errno == ENOENT;     /* it was interrupted; or the last task has gone */
		return PV_NONE;
	}
	pv_counts[0]++;
	run = 0;
	pv_roam();
	struct pv_task *t = pv_task((int)n->pid);
	if (t)
		t->began = 0;
	s->tid = (int)n->pid;
	s->listener = fd;
	s->id = n->id;
	s->nr = n->data.nr;
	s->ip = n->data.instruction_pointer;
	s->sp = 0;
	s->key = 0;
	s->value = 0;
	s->object = 0;
	s->domain = 0;
	for (int i = 0; i < 6; i++)
		s->args[i] = n->data.args[i];
	int told = t && t->view && t->view->trace_all && !t->let_next;
	int verdict = t && t->view ? pv_dispatch_notice(t, s) : PV_LET_RUN;
	if (verdict == PV_TO_PYTHON || verdict == PV_UNREADABLE)
		return report(s, PV_NOTICE, s->tid, verdict == PV_UNREADABLE);
	s->answered = verdict == PV_ANSWERED;
	if (told)
		return report(s, PV_TOLD, s->tid, 0);
	if (!s->answered)
		pv_continue(fd, s->id);
	return PV_NONE;
}

static int ready(const struct epoll_event *e, struct pv_stop *s)
{
	struct signalfd_siginfo info;
	int fd = (int)(e->data.u64 & 0xffffffffu);

	if (fd == child_fd) {                /* SIGCHLD is pending at most once */
		more = read(child_fd, &info, sizeof info) > 0;
		return PV_NONE;
	}
	if (!(e->data.u64 & LISTENER))
		return report(s, PV_READY, fd, (int)e->events);
	if (e->events & EPOLLIN)
		return notice(fd, 0, s);
	listeners--;
	listener_sum -= fd;
	close(fd);                           /* the last task under this filter has gone */
	return PV_NONE;
}

static int next(struct pv_stop *s, int milliseconds)
{
	struct epoll_event e;
	int kind, n;

	for (;;) {
		int rings = listeners <= 1 && !talking && !silent && milliseconds < 0;
		int stops = rings && (!listeners || run == RUN);
		if (!rings) {
			pv_quiet();
			look = 1;
		}
		int one = stops && !pv_births_awaited();
		if (!one && partly) {
			more = 1;            /* nobody may ring for what is left */
			partly = 0;
		}
		unsigned rung = pv_rung();
		more |= (rung & PV_CHILD) != 0;
		look |= (rung & PV_KNOCK) != 0;
		if ((kind = children(s, one)))
			return kind;
		if (one && pv_births_awaited())
			continue;            /* what is pending decides when it is all known */
		if (!look && stops) {
			if (pv_sleep(listeners ? listener_sum : -1))
				more = 1;
			else
				run = 0;
			continue;
		}
		if (!look) {
			if ((kind = notice(listener_sum, 1, s)))
				return kind;
			continue;
		}
		n = epoll_wait(poll_fd, &e, 1, rings ? 0 : milliseconds);
		if (n == 0 && !rings)
			return PV_NONE;
		if (n == 0)
			look = 0;            /* what comes from now on rings */
		if (n == 1 && (kind = ready(&e, s)))
			return kind;
	}
}

/* Wait for the next thing that Python has to decide; its kind.  PV_NONE when nothing at all has
 * happened for so many milliseconds (-1: wait for ever). */
int pv_next_within(struct pv_stop *s, int milliseconds)
{
	int kind = next(s, milliseconds);

	pv_quiet();
	return kind;
}

int pv_next(struct pv_stop *s)
{
	return pv_next_within(s, -1);
}

/* Raise the limit of open files to `wanted`, or as far as it goes. */
int pv_open_files(unsigned wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}
