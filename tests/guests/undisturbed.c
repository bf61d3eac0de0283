/* SPDX-License-Identifier: GPL-2.0-or-later
 * Who sleeps without an end is not woken by a signal that he ignores (nor by COMMAND, which changes
 * the view he is in); by one that he catches he is.
 *
 *   undisturbed [COMMAND...]
 */
#include "guest.h"
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>

static int ends[2], sem, poller;
static sigset_t usr2;

static void caught(int number) { (void)number; }

static long epoll_waits(void)
{
	struct epoll_event event;
	return epoll_wait(poller, &event, 1, -1) == 1 ? 0 : -1;
}
static long epoll_pwaits(void)
{
	struct epoll_event event;

	return epoll_pwait(poller, &event, 1, -1, &usr2) == 1 ? 0 : -1;
}
static long epoll_pwait2s(void)
{
	struct epoll_event event;
	long n = syscall(SYS_epoll_pwait2, poller, &event, 1, NULL, NULL, 0);
	return n < 0 ? n : n != 1;
}
static long sigwaits(void) { return sigwaitinfo(&usr2, NULL) == SIGUSR2 ? 0 : -1; }
static long sem_waits(void) { struct sembuf down = {0, -1, 0}; return semop(sem, &down, 1); }
static long semtimed_waits(void)
{
	struct sembuf down = {0, -1, 0};
	return semtimedop(sem, &down, 1, NULL);
}
static long reads(void) { char byte; return read(ends[0], &byte, 1) == 1 ? 0 : -1; }

static void wake(pid_t child)
{
	struct sembuf up = {0, 1, 0};

	EQ(write(ends[1], "x", 1), 1);
	OK(semop(sem, &up, 1));
	OK(kill(child, SIGUSR2));
}

/* Wait until the child sleeps in the call. */
static void asleep(pid_t child, const char *name)
{
	for (double end = ms() + 10000;; pause_ms(2)) {
		char *stat = strrchr(get(text("/proc/%d/stat", child)), ')');
		if (stat[2] == 'S')
			return;
		if (ms() > end)
			FAIL("%s does not sleep: %s", name, stat);
	}
}

static pid_t begin(const char *name, long (*call)(void), int wanted)
{
	int ready[2];
	char byte;

	OK(pipe(ready));
	pid_t child = OK(fork());
	if (!child) {
		OK(write(ready[1], "r", 1));
		long value = call();
		if (value == -1 && errno != wanted)
			FAIL("%s: %s", name, strerrorname_np(errno));
		if (value != -1 && wanted)
			FAIL("%s gives %ld", name, value);
		_exit(0);
	}
	EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	asleep(child, name);
	return child;
}

/* sigtimedwait without libc, and with a look at the register that has its time limit. */
static long waits_for(const struct timespec *limit)
{
	register size_t size asm("r10") = 8;
	const struct timespec *kept = limit;
	long value;

	asm volatile("syscall" : "=a"(value), "+d"(kept)
		     : "0"(SYS_rt_sigtimedwait), "D"(&usr2), "S"(NULL), "r"(size)
		     : "rcx", "r11", "memory");
	if (kept != limit)
		FAIL("%p has become %p", (const void *)limit, (const void *)kept);
	return value;
}

/* A wait with a time limit ends when that is over, and what is left of it is kept meanwhile. */
static void in_time(void)
{
	const struct timespec limit = {0, 400000000}, none = {0, 0}, wrong = {0, 1000000000};
	int status;
	pid_t child = OK(fork());

	if (!child) {
		double start = ms();
		EQ(waits_for(&limit), -EAGAIN);
		double took = ms() - start;
		if (took < 400)
			FAIL("it waits %g ms", took);
		EQ(limit.tv_nsec, 400000000);
		_exit(0);
	}
	for (double end = ms() + 30000; waitpid(child, &status, WNOHANG) == 0; pause_ms(20)) {
		OK(kill(child, SIGUSR1));
		OK(kill(child, SIGWINCH));
		if (ms() > end)
			FAIL("it waits for ever");
	}
	EQ(status, 0);
	child = OK(fork());
	if (!child) {
		EQ(waits_for(&none), -EAGAIN);
		EQ(waits_for(&wrong), -EINVAL);
		EQ(waits_for((void *)8), -EFAULT);
		struct timespec hour = {3600, 0};
		EQ(waits_for(&hour), -EINTR);
		EQ(waits_for(&hour), SIGUSR2);
		_exit(0);
	}
	asleep(child, "sigtimedwait");
	for (int n = 0; n < 5; n++) {
		OK(kill(child, SIGUSR1));
		pause_ms(n);
	}
	asleep(child, "sigtimedwait");
	OK(kill(child, SIGUSR1));
	OK(kill(child, SIGHUP));
	pause_ms(20);
	asleep(child, "sigtimedwait");
	OK(kill(child, SIGURG));
	OK(kill(child, SIGUSR2));
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 0);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; long (*call)(void); } all[] = {
		{"epoll_wait", epoll_waits}, {"epoll_pwait", epoll_pwaits},
		{"epoll_pwait2", epoll_pwait2s}, {"sigwaitinfo", sigwaits}, {"semop", sem_waits},
		{"semtimedop", semtimed_waits}, {"read", reads}};
	const int ignored[] = {SIGCHLD, SIGWINCH, SIGURG, SIGUSR1, SIGRTMIN + 1};
	struct sigaction action = {.sa_handler = caught};
	struct epoll_event event = {.events = EPOLLIN};
	int status;

	alarm(60);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGRTMIN + 1, SIG_IGN);
	OK(sigaction(SIGALRM, &action, NULL));
	OK(sigaction(SIGHUP, &action, NULL));
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	OK(sigprocmask(SIG_BLOCK, &usr2, NULL));
	if (argc == 1 && (loaded() || !strcmp(getenv("WORLD"), "native")))
		in_time(); /* while nothing is loaded nobody knows when it began */
	for (unsigned k = 0; k < 7; k++) {
		OK(pipe(ends));
		poller = OK(epoll_create1(0));
		OK(epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event));
		sem = OK(semget(IPC_PRIVATE, 1, 0600));
		pid_t child = begin(all[k].name, all[k].call, 0);
		if (argc > 1) {
			char *said;
			if (run(argv + 1, &said))
				FAIL("%s: %s", argv[1], said);
		} else {
			for (int round = 0; round < 5; round++)
				for (int n = 0; n < 5; n++) {
					OK(kill(child, ignored[n]));
					pause_ms(round ? 0 : 3);
				}
		}
		asleep(child, all[k].name);
		wake(child);
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 0);
		OK(semctl(sem, 0, IPC_RMID));

		OK(pipe(ends));
		poller = OK(epoll_create1(0));
		OK(epoll_ctl(poller, EPOLL_CTL_ADD, ends[0], &event));
		sem = OK(semget(IPC_PRIVATE, 1, 0600));
		child = begin(all[k].name, all[k].call, EINTR);
		OK(kill(child, SIGWINCH));
		OK(kill(child, SIGHUP)); /* both at once: the handler counts */
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 0);
		OK(semctl(sem, 0, IPC_RMID));
	}
	return 0;
}
