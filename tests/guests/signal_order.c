/* SPDX-License-Identifier: GPL-2.0-or-later
 * Queued signals come in order with what was sent with them, to whom they were sent: a process, a
 * thread, a group, by pidfd; the children's ends are told in order; an orphaned group that is
 * stopped is hung up and continued. */
#include "guest.h"
#include <pthread.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>

#define FIRST (SIGRTMIN + 1)

static void queued(void)
{
	sigset_t set;
	siginfo_t info;
	struct timespec none = {0, 0};

	sigemptyset(&set);
	sigaddset(&set, FIRST);
	sigaddset(&set, FIRST + 1);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int n = 0; n < 20; n++) {
		union sigval value = {.sival_int = n};
		OK(sigqueue(getpid(), n % 2 ? FIRST : FIRST + 1, value));
		OK(access("/etc/passwd", R_OK));
		OK(kill(getpid(), SIGUSR1)); /* many are one */
	}
	EQ(sigtimedwait(&set, &info, &none), SIGUSR1);
	for (int n = 0; n < 20; n++) {
		int number = OK(sigtimedwait(&set, &info, &none));
		EQ(number, n < 10 ? FIRST : FIRST + 1);
		EQ(info.si_value.sival_int, n < 10 ? 2 * n + 1 : 2 * (n - 10));
		EQ(info.si_code, SI_QUEUE);
		EQ(info.si_pid, getpid());
		EQ(info.si_uid, getuid());
	}
	ERR(sigtimedwait(&set, &info, &none), EAGAIN);
}

static pthread_t threads[3];
static volatile sig_atomic_t heard_by;
static void heard(int number)
{
	(void)number;
	for (int n = 0; n < 3; n++)
		if (pthread_equal(threads[n], pthread_self()))
			heard_by = n + 1;
}
static void *waits(void *arg)
{
	struct stat s;

	for (;;)
		stat(arg, &s);
	return NULL;
}

static void directed(void)
{
	signal(SIGUSR2, heard);
	for (int n = 0; n < 3; n++)
		EQ(pthread_create(&threads[n], NULL, waits, "/etc/passwd"), 0);
	for (int n = 0; n < 30; n++) {
		heard_by = 0;
		EQ(pthread_kill(threads[n % 3], SIGUSR2), 0);
		for (double end = ms() + 5000; !heard_by;)
			if (ms() > end)
				FAIL("thread %d hears nothing", n % 3);
		EQ(heard_by, n % 3 + 1);
	}
}

static pid_t pausing(pid_t group)
{
	pid_t child = OK(fork());

	if (!child) {
		setpgid(0, group);
		for (;;)
			pause();
	}
	setpgid(child, group ? group : child);
	return child;
}

static void groups(void)
{
	int status;
	pid_t leader = pausing(0), other = pausing(leader), apart = pausing(0);

	OK(kill(-leader, SIGTERM));
	EQ(waitpid(-leader, &status, 0) > 0, 1);
	EQ(WTERMSIG(status), SIGTERM);
	EQ(waitpid(-leader, &status, 0) > 0, 1);
	ERR(kill(other, 0), ESRCH);
	EQ(waitpid(apart, &status, WNOHANG), 0);
	int fd = OK(pidfd_open(apart, 0));
	siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};
	OK(pidfd_send_signal(fd, 0, NULL, 0));
	OK(pidfd_send_signal(fd, SIGTERM, &info, 0));
	OK(waitid(P_PIDFD, fd, &info, WEXITED));
	EQ(info.si_status, SIGTERM);
	EQ(info.si_code, CLD_KILLED);
	ERR(pidfd_send_signal(fd, 0, NULL, 0), ESRCH);
	close(fd);
}

static void children_in_order(void)
{
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int n = 1; n <= 10; n++) {
		pid_t child = OK(fork());
		if (!child)
			_exit(n);
		EQ(sigwaitinfo(&set, &info), SIGCHLD);
		EQ(info.si_pid, child);
		EQ(info.si_status, n);
		OK(waitpid(child, NULL, 0));
	}
}

static int told[2];
static void hung_up(int number)
{
	char byte = number == SIGHUP ? 'h' : 'c';

	write(told[1], &byte, 1);
}

/* A stopped group whose last tie to its session ends gets SIGHUP and SIGCONT. */
static void orphaned_group(void)
{
	char seen[2] = "";
	int status;

	alarm(20);
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	OK(pipe(told));
	pid_t middle = OK(fork());
	if (!middle) {
		OK(setsid());
		pid_t child = OK(fork());
		if (!child) {
			setpgid(0, 0);
			signal(SIGHUP, hung_up);
			signal(SIGCONT, hung_up);
			raise(SIGSTOP);
			_exit(7);
		}
		EQ(waitpid(child, &status, WUNTRACED), child);
		IS(WIFSTOPPED(status));
		_exit(0);
	}
	EQ(waitpid(middle, &status, 0), middle);
	EQ(status, 0);
	EQ(read(told[0], &seen[0], 1), 1);
	EQ(read(told[0], &seen[1], 1), 1);
	IS((seen[0] == 'h') != (seen[1] == 'h'));
	IS(waitpid(-1, &status, 0) > 0); /* the orphan came to us */
	EQ(status, 7 << 8);
}

int main(void)
{
	in_child(queued);
	in_child(directed);
	in_child(groups);
	in_child(children_in_order);
	in_child(orphaned_group);
	return 0;
}
