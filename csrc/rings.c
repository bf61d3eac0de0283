// SPDX-License-Identifier: GPL-2.0-or-later
/* rings.c - sleep where the next call is expected, and let signals end that sleep.
 *
 * That is the listener's RECV, or waitid(2) where there is no listener, or where stop has followed stop:
 * it saves an epoll_wait for each call, and a signal for each stop.
 *
 * In RECV, SIGCHLD rings for ptrace's stops, SIGIO for who knocks at control's door.  No ring is slept through, whenever it comes: RECV's argument must be all zeroes,
 * and the handler sets a bit in it, so the kernel refuses it (EINVAL) before it sleeps.
 *
 * A signal could cut short what the core does, too: a look at a file of a FUSE server's, or
 * ADDFD with SEND, after which the caller has neither the descriptor nor an error but 0.  So both are
 * blocked but in RECV and in what is done from memory alone (pv_quiet).
 *
 * Out of waitid the handler jumps: nothing is lost then, for WNOWAIT takes nothing.  The listener can't
 * ring there itself, so a thread watches it. */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (64u * 1024)           /* bytes, of the thread that watches */

static struct seccomp_notif call;
static sigset_t rings, knocks;
static int hearing, started;
static volatile sig_atomic_t asleep; /* in waitid */
static sigjmp_buf awake;
static int watch_fd = -1, watched = -1, armed;

static void ring(int signal)
{
	__atomic_or_fetch(&call.flags, signal == SIGCHLD ? PV_CHILD : PV_KNOCK, __ATOMIC_SEQ_CST);
	if (asleep)
		siglongjmp(awake, 1);
}

void pv_rings_start(void)
{
	struct sigaction action = { .sa_handler = ring, .sa_flags = SA_RESTART };

	sigemptyset(&rings);
	sigaddset(&rings, SIGCHLD);
	sigaddset(&rings, SIGIO);
	sigemptyset(&knocks);
	sigaddset(&knocks, SIGIO);
	action.sa_mask = rings;
	sigprocmask(SIG_BLOCK, &rings, NULL);
	started = 1;
	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGIO, &action, NULL);
}

/* End the core's sleep, if it sleeps: for any thread. */
void pv_ring(void)
{
	if (started)
		kill(getpid(), SIGIO);
}

/* No ring is heard from here on until RECV is called to sleep; those that come stay pending. */
void pv_quiet(void)
{
	if (hearing)
		sigprocmask(SIG_BLOCK, &rings, NULL);
	hearing = 0;
}

/* Who has rung since this was asked last (PV_CHILD, PV_KNOCK).  What they rang for is to be looked
 * at after this. */
unsigned pv_rung(void)
{
	if (!__atomic_load_n(&call.flags, __ATOMIC_SEQ_CST))
		return 0;
	return __atomic_exchange_n(&call.flags, 0, __ATOMIC_SEQ_CST);
}

/* The next call at a listener; `sleepy`: there may be none, let rings end the wait for it.  It is
 * valid until the next one.  NULL with errno: EINVAL, somebody has rung; ENOENT, there is none. */
const struct seccomp_notif *pv_receive(int listener, int sleepy)
{
	if (sleepy && !hearing) {
		hearing = 1;
		sigprocmask(SIG_UNBLOCK, &rings, NULL);
	}
	call.id = 0;                     /* all but the flags, which are the handler's */
	call.pid = 0;
	memset(&call.data, 0, sizeof call.data);
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0 ? NULL : &call;
}

static void *watch(void *unused)
{
	struct epoll_event e;

	(void)unused;
	for (;;)
		if (epoll_wait(watch_fd, &e, 1, -1) == 1) {
			__atomic_store_n(&armed, 0, __ATOMIC_SEQ_CST);
			pv_ring();
		}
	return NULL;
}

static int start_watching(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;

	if (watch_fd < 0 && (watch_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int failed = pthread_create(&thread, &attributes, watch, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !failed;
}

/* Have a listener ring, once, when there is a call at it or its last task has gone; 0: it can't be. */
static int watches(int listener)
{
	static int started_watching;
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT };

	if (armed && watched == listener)
		return 1;
	if (!started_watching)
		started_watching = start_watching() ? 1 : -1;
	if (started_watching < 0)
		return 0;
	armed = 1;
	int change = watched == listener ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	watched = listener;
	if (epoll_ctl(watch_fd, change, listener, &e) == 0 ||
	    epoll_ctl(watch_fd, change == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, listener,
	              &e) == 0)
		return 1;
	armed = 0;
	return 0;
}

/* Sleep until a task has stopped or died, or somebody rings; 0: not so, the listener can't. */
int pv_sleep(int listener)
{
	siginfo_t info;

	if (listener >= 0 && !watches(listener))
		return 0;
	pv_quiet();
	if (!sigsetjmp(awake, 0)) {
		asleep = 1;
		sigprocmask(SIG_UNBLOCK, &knocks, NULL);
		waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD);
	}
	asleep = 0;
	sigprocmask(SIG_BLOCK, &knocks, NULL);
	return 1;
}
