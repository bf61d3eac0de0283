/* SPDX-License-Identifier: GPL-2.0-or-later
 * SIGKILL at any moment of a path call, of a fork, of an exec: the parent always sees the death,
 * and the world goes on. */
#include "guest.h"
#include <pthread.h>

static char *self;

static void *calls(void *unused)
{
	char buffer[PATH_MAX];
	struct stat s;

	for (;;) {
		stat("/etc/passwd", &s);
		close(open("/etc/passwd", O_RDONLY));
		readlink("/bin", buffer, sizeof buffer);
		mkdir("k", 0755);
		rmdir("k");
		getcwd(buffer, sizeof buffer);
		chdir(".");
	}
	return unused;
}

static void forks(void)
{
	for (;;) {
		pid_t child = fork();
		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	int status;

	self = target("/proc/self/exe");
	if (argc > 1)
		execl(self, self, "again", (char *)NULL); /* for ever */
	(void)argv;
	alarm(40);
	for (int round = 0; round < 60; round++) {
		pid_t child = OK(fork());
		if (!child) {
			pthread_t thread;
			if (round % 4 == 1)
				forks();
			if (round % 4 == 2)
				execl(self, self, "again", (char *)NULL);
			for (int n = 0; n < round % 4; n++) /* 0 or 3 */
				pthread_create(&thread, NULL, calls, NULL);
			calls(NULL);
		}
		struct timespec t = {0, round * 300000L};
		nanosleep(&t, NULL);
		OK(kill(child, SIGKILL));
		EQ(waitpid(child, &status, 0), child);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			FAIL("round %d: wait status %#x", round, status);
	}
	for (int round = 0; round < 100; round++) { /* the newborn */
		pid_t child = OK(fork());
		if (!child)
			calls(NULL);
		OK(kill(child, SIGKILL));
		EQ(waitpid(child, &status, 0), child);
		EQ(status, SIGKILL);
	}
	struct stat s;
	OK(stat(text("%s/etc", prefix()), &s));
	return 0;
}
