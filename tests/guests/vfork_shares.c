/* SPDX-License-Identifier: GPL-2.0-or-later
 * vfork: the child runs on its parent's stack and memory; its path calls leave no trace there,
 * its cwd and descriptors are its own, and the parent waits for its exec or exit. */
#include "guest.h"
#include <spawn.h>

extern char **environ;

int main(int argc, char **argv)
{
	char *self = target("/proc/self/exe"), *where = here();
	volatile unsigned char pattern[2048];
	int status;

	if (argc > 1)
		return atoi(argv[1]);
	OK(mkdir("d", 0755));
	for (int k = 0; k < 2048; k++)
		pattern[k] = (unsigned char)(k * 7);
	for (int round = 0; round < 200; round++) {
		volatile int told = 0;
		pid_t child = vfork();
		if (!child) {
			told = chdir("d") ? -errno : 1;
			int fd = open("../f", O_CREAT | O_WRONLY, 0644);
			if (fd < 0 || dup2(fd, 77) != 77)
				told = -errno;
			if (access("/etc/passwd", R_OK))
				told = -errno;
			if (round % 2)
				_exit(13);
			execl(self, self, "13", (char *)NULL);
			_exit(14);
		}
		EQ(told, 1); /* it ran in this memory, before we did */
		EQ(waitpid(child, &status, 0), child);
		EQ(status, 13 << 8);
		ERR(fcntl(77, F_GETFD), EBADF);
		SAME(here(), where);
		for (int k = 0; k < 2048; k++)
			if (pattern[k] != (unsigned char)(k * 7))
				FAIL("byte %d of the parent's stack was changed", k);
	}
	pid_t child;
	ERR(({ errno = posix_spawn(&child, "no-such-file", NULL, NULL, argv, environ); errno ? -1 : 0; }), ENOENT);
	EQ(posix_spawn(&child, self, NULL, NULL, (char *[]){argv[0], "21", NULL}, environ), 0);
	EQ(waitpid(child, &status, 0), child);
	EQ(status, 21 << 8);
	return 0;
}
