// SPDX-License-Identifier: GPL-2.0-or-later
/* wait.c - collect stops: ptrace's by waitpid, the listeners' and control's by epoll.
 *
 * What needs no thought is answered or resumed on the way (stops.c, notices.c); pv_next() returns only
 * with what Python has to decide.
 *
 * With one listener at most, and nothing else to hear of but ptrace's stops and that somebody connects
 * to control, the core sleeps in that listener, or in waitid(2) (rings.c). */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define LISTENER (1ull << 32)        /* in epoll_data: a listener, not a watched descriptor */
#define SET_FLAGS _IOW('!', 4, uint64_t)     /* SECCOMP_IOCTL_NOTIF_SET_FLAGS */
#define SYNC_WAKE_UP 1ul                     /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */

uint64_t pv_counts[4];
static int poll_fd = -1, child_fd = -1, more;
static int partly;                   /* there may be more stops: waitpid was not asked to the end */
static int listeners, listener_sum;  /* how many; of one, the sum is itself */
static int silent, talking;          /* descriptors watched, connections to control: none rings */
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
			return errno == ECHILD ? pv_report(s, PV_EMPTY, 0, 0) : PV_NONE;
		if (tid <= 0)
			break;
		partly |= one;
		more = !one;
		kind = WIFSTOPPED(status) ? pv_stopped(tid, status, s) : pv_died(tid, status, s);
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
	pv_run = 0;
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
		return pv_report(s, PV_NOTICE, s->tid, verdict == PV_UNREADABLE);
	s->answered = verdict == PV_ANSWERED;
	if (told)
		return pv_report(s, PV_TOLD, s->tid, 0);
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
		return pv_report(s, PV_READY, fd, (int)e->events);
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
		int stops = rings && (!listeners || pv_run == PV_RUN);
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
				pv_run = 0;
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
