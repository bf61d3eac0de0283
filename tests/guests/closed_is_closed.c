/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a process has closed is closed, for others too, before it goes on: its flock(2) is free. */
#include "guest.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES = 200 };

static void lock_and_close(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1) {
		int fd = open("locked", O_RDWR | O_CREAT, 0600);
		OK(fd);
		OK(flock(fd, LOCK_EX));
		OK(close(fd));
		EQ(write(to, "x", 1), 1);
	}
	_exit(0);
}

int main(void)
{
	int there[2], back[2], status;
	char byte;

	OK(pipe(there));
	OK(pipe(back));
	pid_t pid = fork();
	OK(pid);
	if (!pid) {
		close(there[1]);
		lock_and_close(there[0], back[1]);
	}
	int fd = open("locked", O_RDWR | O_CREAT, 0600);
	OK(fd);
	for (int i = 0; i < TIMES; i++) {
		EQ(write(there[1], "x", 1), 1);
		EQ(read(back[0], &byte, 1), 1);
		OK(flock(fd, LOCK_EX | LOCK_NB));
		OK(flock(fd, LOCK_UN));
	}
	close(there[1]);
	OK(waitpid(pid, &status, 0));
	EQ(status, 0);
	return 0;
}
