/* SPDX-License-Identifier: GPL-2.0-or-later
 * Calls that the core answers while its other tasks fork, die and take signals: each of those ends
 * whatever the core is in, and no answer may suffer. */
#include "guest.h"
#include <sys/time.h>

static void tick(int signal)
{
	(void)signal;
}

static void fork_on(void)
{
	struct itimerval often = { { 0, 700 }, { 0, 700 } };

	signal(SIGALRM, tick);
	OK(setitimer(ITIMER_REAL, &often, NULL));
	for (;;) {
		pid_t child = fork();
		if (!child)
			_exit(0);
		while (child > 0 && waitpid(child, NULL, 0) < 0)
			IS(errno == EINTR);
	}
}

int main(void)
{
	struct stat there, s;

	put("file", "text");
	char *name = text("%s/file", here()), *none = text("%s/none", here());
	OK(stat(name, &there));
	pid_t forker = OK(fork());
	if (!forker)
		fork_on();
	for (int i = 0; i < 3000; i++) {
		int fd = OK(open(name, O_RDONLY));
		IS(fd > 2);
		OK(fstat(fd, &s));
		EQ(s.st_ino, there.st_ino);
		OK(close(fd));
		OK(stat("/etc/passwd", &s));
		ERR(stat(none, &s), ENOENT);
	}
	OK(kill(forker, SIGKILL));
	OK(waitpid(forker, NULL, 0));
	return 0;
}
