/* SPDX-License-Identifier: GPL-2.0-or-later
 * exec in a thread that is not the leader: the others die, the thread takes the leader's pid, and
 * the new program's calls are answered as ever. */
#include "guest.h"
#include <pthread.h>

static char *self;

static void *loops(void *unused)
{
	struct stat s;

	for (;;)
		stat("/etc/passwd", &s);
	return unused;
}

static void *executes(void *unused)
{
	pause_ms(3);
	execl(self, self, text("%d", getpid()), (char *)NULL);
	FAIL("exec: %s", strerrorname_np(errno));
	return unused;
}

int main(int argc, char **argv)
{
	int status;

	if (argc > 1) {
		EQ(getpid(), atoi(argv[1]));
		EQ(gettid(), getpid());
		IS(strstr(get("/proc/self/status"), "\nThreads:\t1\n"));
		struct stat s;
		OK(stat(text("%s/etc", prefix()), &s));
		OK(stat(".", &s));
		return 42;
	}
	alarm(30);
	self = target("/proc/self/exe");
	for (int round = 0; round < 20; round++) {
		pid_t child = OK(fork());
		if (!child) {
			pthread_t thread;
			for (int n = 0; n < 4; n++)
				pthread_create(&thread, NULL, n == 1 ? executes : loops, NULL);
			if (round % 3 == 0)
				pthread_exit(NULL); /* a leader that has gone already */
			if (round % 3 == 1)
				pthread_join(thread, NULL);
			loops(NULL);
		}
		EQ(waitpid(child, &status, 0), child);
		if (status != 42 << 8)
			FAIL("round %d: wait status %#x", round, status);
	}
	return 0;
}
