/* SPDX-License-Identifier: GPL-2.0-or-later
 * SIGSTOP stops every thread of a process and is reported once; nothing runs until SIGCONT, which
 * is reported too; then all goes on, its path calls included. */
#include "guest.h"
#include <pthread.h>
#include <sys/mman.h>

static volatile long *counters; /* shared: one of each thread */

static void *counts(void *number)
{
	struct stat s;

	for (;;) {
		if (stat("f", &s) || s.st_size != 1)
			FAIL("stat in a thread: errno %d", errno);
		counters[(long)number]++;
	}
	return NULL;
}

static void advance(const char *when)
{
	for (int n = 0; n < 4; n++) {
		double end = ms() + 5000;
		for (long old = counters[n]; counters[n] == old; pause_ms(2))
			if (ms() > end)
				FAIL("thread %d does not run %s", n, when);
	}
}

int main(void)
{
	siginfo_t info;
	int status;

	alarm(60);
	put("f", "1");
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = OK(fork());
	if (!child) {
		pthread_t thread;
		for (long n = 1; n < 4; n++)
			pthread_create(&thread, NULL, counts, (void *)n);
		counts(0);
	}
	advance("at first");
	for (int round = 0; round < 5; round++) {
		OK(kill(child, SIGSTOP));
		EQ(waitpid(child, &status, WUNTRACED), child);
		IS(WIFSTOPPED(status));
		EQ(WSTOPSIG(status), SIGSTOP);
		long old[4];
		for (int n = 0; n < 4; n++)
			old[n] = counters[n];
		pause_ms(60);
		for (int n = 0; n < 4; n++)
			if (counters[n] != old[n])
				FAIL("thread %d runs while its process is stopped", n);
		EQ(waitpid(child, &status, WUNTRACED | WNOHANG), 0); /* reported only once */
		char *state = get(text("/proc/%d/status", child));
		IS(strstr(state, "State:\tT (stopped)") || strstr(state, "State:\tt (tracing stop)"));
		OK(kill(child, SIGCONT));
		memset(&info, 0, sizeof info);
		OK(waitid(P_PID, child, &info, WCONTINUED));
		EQ(info.si_code, CLD_CONTINUED);
		advance("after SIGCONT");
	}
	OK(kill(child, SIGSTOP));
	EQ(waitpid(child, &status, WUNTRACED), child);
	OK(kill(child, SIGKILL)); /* ends also what is stopped */
	EQ(waitpid(child, &status, 0), child);
	IS(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return 0;
}
