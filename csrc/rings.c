// SPDX-License-Identifier: GPL-2.0-or-later
/* rings.c - sleep in a listener's RECV, and let signals end that sleep.
 *
 * That saves an epoll_wait for each call.  SIGCHLD rings for ptrace's stops, SIGIO for who knocks at
 * control's door.  No ring is slept through, whenever it comes: RECV's argument must be all zeroes,
 * and the handler sets a bit in it, so the kernel refuses it (EINVAL) before it sleeps.
 *
 * A signal could cut short what the core does, too: a look at a file of a FUSE server's, or
 * ADDFD with SEND, after which the caller has neither the descriptor nor an error but 0.  So both are
 * blocked but in RECV and in what is done from memory alone (pv_quiet). */
#define _GNU_SOURCE
#include "pyview.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct seccomp_notif call;
static sigset_t rings;
static int hearing, started;

static void ring(int signal)
{
	__atomic_or_fetch(&call.flags, signal == SIGCHLD ? PV_CHILD : PV_KNOCK, __ATOMIC_SEQ_CST);
}

void pv_rings_start(void)
{
	struct sigaction action = { .sa_handler = ring, .sa_flags = SA_RESTART };

	sigemptyset(&rings);
	sigaddset(&rings, SIGCHLD);
	sigaddset(&rings, SIGIO);
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
